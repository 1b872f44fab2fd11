//! Listing grants (wire 3.5).

use std::collections::HashMap;

use alter_core::{
    AccountFilter, AgentId, AppId, Grant, GrantFilter, GrantId, GrantStatus, ListedGrant, Micros, Principal,
    ProviderConfig, StoreError, User, recipe::ScopeNames,
};
use secrecy::SecretString;

use crate::{
    Caller, Flows, UserTokenError,
    callers::caller::ours,
    calls::choose::{NamedUser, named_user},
    facts::scope_facts,
    fault::FlowFault,
};

/// What the backend asks for.
#[derive(Debug, Default)]
pub struct ListRequest<'a> {
    /// Provider id.
    pub provider: Option<&'a str>,
    /// A status; an unknown one finds nothing.
    pub status: Option<&'a str>,
    /// The account's id (the subject) or, if no grant has it, `account_identifier`; compared byte by byte.
    pub account: Option<&'a str>,
    /// `label`, compared byte by byte.
    pub label: Option<&'a str>,
    /// Only this user's grants.
    pub user_token: Option<&'a SecretString>,
    /// 1-1000.
    pub limit: u32,
    /// How many grants to skip.
    pub offset: u32,
}

/// A page of grants.
#[derive(Debug)]
pub struct GrantPage {
    /// Newest first.
    pub grants: Vec<ListedGrant>,
    /// How many grants fit in all.
    pub total: u64,
    /// `https://HOST` of the first API host of each grant that has one.
    pub api_bases: HashMap<GrantId, String>,
    /// The app's configurations, which say how each provider spells scopes.
    configs: Vec<ProviderConfig>,
    /// The agent that made the call, if one did.
    pub agent: Option<AgentId>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ListError: User; }

/// Lists the app's grants, one user's, or those delegated to the calling agent.
///
/// # Errors
/// [`ListError`].
pub async fn list_grants(
    flows: &Flows,
    caller: &Caller,
    request: &ListRequest<'_>,
) -> Result<GrantPage, ListError> {
    flows.reading(caller, try_list_grants(flows, caller, request)).await
}

async fn try_list_grants(
    flows: &Flows,
    caller: &Caller,
    request: &ListRequest<'_>,
) -> Result<GrantPage, ListError> {
    let named = named_user(flows, caller, request.user_token).await?;
    let agent = caller.agent.as_ref().map(|agent| agent.id);
    let mut page =
        GrantPage { grants: Vec::new(), total: 0, api_bases: HashMap::new(), configs: Vec::new(), agent };
    let status = request.status.map(|text| {
        [GrantStatus::Active, GrantStatus::Revoked].into_iter().find(|status| status.as_str() == text)
    });
    let (NamedUser::None | NamedUser::Known(_), None | Some(Some(_))) = (&named, &status) else {
        return Ok(page);
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let mut filter = GrantFilter {
        principal: match &named {
            NamedUser::Known(user) => Some(Principal::User(user.id)),
            _ => None,
        },
        agent,
        provider: owned(request.provider),
        status: status.flatten(),
        account: None,
        label: owned(request.label),
    };
    let app = caller.app.id;
    if let Some(account) = request.account {
        filter.account = Some(AccountFilter::Subject(account.to_owned()));
        if flows.store().count_grants(app, &filter).await? == 0 {
            filter.account = Some(AccountFilter::Identifier(account.to_owned()));
        }
    }
    page.grants = flows.store().list_grants(app, &filter, request.limit, request.offset).await?;
    // A short page tells the total; skip COUNT, which reads one index entry per grant.
    let seen = page.grants.len() as u64;
    page.total = if seen < u64::from(request.limit) && (seen > 0 || request.offset == 0) {
        u64::from(request.offset) + seen
    } else {
        flows.store().count_grants(app, &filter).await?
    };
    page.configs = flows.store().list_providers(app).await?;
    page.api_bases = api_bases(&page.grants, &page.configs);
    Ok(page)
}

/// Lists a page of an app's grants for the operator, newest first, each with its user unless it is the app's own.
///
/// # Errors
/// [`ListError::Fault`].
pub async fn list_grants_as_operator(
    flows: &Flows,
    app: AppId,
    (limit, offset): (u32, u32),
) -> Result<Vec<(ListedGrant, Option<User>)>, ListError> {
    let mut rows = Vec::new();
    for listed in flows.store().list_grants(app, &GrantFilter::default(), limit, offset).await? {
        let user = owner(flows, listed.grant.app_id, listed.grant.principal).await?;
        rows.push((listed, user));
    }
    Ok(rows)
}

/// The user of a grant or session, unless it is the app's own.
pub(crate) async fn owner(
    flows: &Flows,
    app: AppId,
    principal: Principal,
) -> Result<Option<User>, StoreError> {
    let Principal::User(id) = principal else { return Ok(None) };
    let user = flows.store().get_user(app, id).await?;
    Ok(Some(user.ok_or(StoreError::Corrupt("a grant names a user that is not there"))?))
}

impl GrantPage {
    /// The scopes of a listed grant that the caller is shown. An agent sees only those that it may use (T13).
    pub fn visible_scopes(&self, caller: &Caller, listed: &ListedGrant) -> Vec<String> {
        let grant = &listed.grant;
        let Some(agent) = &caller.agent else { return grant.shown_scopes() };
        // Without one, the delegation was revoked while the list was read.
        let Some(delegation) = &listed.delegation else { return Vec::new() };
        // The configuration may be gone; then every spelling is a scope of its own.
        let plain = ScopeNames::default();
        let config = self.configs.iter().find(|config| config.config_id == grant.config_id);
        let names = config.map_or(&plain, |config| &scope_facts(&config.recipe).scope_names);
        names.shared(&agent.may_use(&grant.provider, names, &delegation.scopes), &grant.shown_scopes())
    }
}

fn api_bases(grants: &[ListedGrant], configs: &[ProviderConfig]) -> HashMap<GrantId, String> {
    let base = |ListedGrant { grant, .. }: &ListedGrant| {
        let config = configs.iter().find(|config| config.config_id == grant.config_id)?;
        let recipe = config.recipe.for_customer(&grant.filled).ok()?;
        let host = recipe.api_hosts.iter().find(|h| !h.starts_with('.') && !h.contains(':'))?;
        Some((grant.id, format!("https://{host}")))
    };
    grants.iter().filter_map(base).collect()
}

/// Whether the user has to connect again. The access token may still be valid.
pub fn needs_reconnect(grant: &Grant, now: Micros) -> bool {
    grant.revoked.is_none() && grant.reconnect(now).is_some()
}
