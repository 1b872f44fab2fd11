//! Releasing an access token (wire 3.3).
//!
//! 1. Find the grant that the call means ([`crate::calls::choose`]).
//! 2. Open the token: it opens only if the row is still its owner's, of its configuration and of its account (T90).
//! 3. For an agent: its delegation covers every scope that the token carries (T13), as the provider's proven configuration
//!    spells scopes.
//! 4. The request's URL is on one of the provider's API hosts.
//! 5. The token has not expired, or is refreshed ([`crate::refresh`]).
//! 6. Commit nonce, generation, delegation and audit entry together, durably; only then does the token leave (T97, T98).

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use alter_core::{
    AgentId, AgentStop, ApiAuth, AuditEntry, AuditKind, CallNonce, Delegation, FoundKey, Grant, GrantId,
    GrantSecret, GrantState, Micros, Principal, ProviderConfig, Recipe, ReleaseCredential, Saved,
    recipe::with_client_id, refresh::is_valid,
};
use secrecy::SecretString;

use crate::{
    Caller, ChoiceError, Flows, GrantChoice, UserTokenError,
    callers::caller::{Refusal, Spent, ours},
    calls::choose::{Chosen, NamedUser, choose, named_user},
    facts::{api_auth, scope_facts},
    fault::FlowFault,
    metrics,
    refresh::{NotUsable, usable},
};

/// The pauses before a release is tried again, milliseconds. A refresh of its grant takes the first. A user who connects
/// again, or an app that changes an agent, is done within the others.
const PAUSES: [u64; 9] = [0, 10, 20, 40, 80, 160, 320, 640, 1280];

/// What the backend asks for.
pub struct ReleaseRequest<'a> {
    pub choice: GrantChoice<'a>,
    /// A JWT from the app's identity provider.
    pub user_token: Option<&'a SecretString>,
    /// HTTP method of the request that will carry the token.
    pub method: &'a str,
    /// URL of the request that will carry the token.
    pub url: &'a str,
    /// The reason in the app's words; kept in the audit.
    pub reason: Option<&'a str>,
    /// `X-Alter-Caller`: who the app says is calling. Kept in the audit; an agent may name only itself.
    pub acting_for: Option<&'a str>,
}

/// A token on its way out.
#[derive(Debug)]
pub struct Released {
    pub access_token: SecretString,
    pub grant: Grant,
    /// Seconds until the token expires; `None` = the provider did not say.
    pub expires_in: Option<i64>,
    /// The header in which the provider's API wants it.
    pub api_auth: ApiAuth,
    /// The further headers of the call.
    pub api_headers: BTreeMap<String, String>,
}

/// Why nothing is released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The key was revoked during the call.
    #[error("the API key was revoked")]
    KeyRevoked,
    /// The agent was suspended during the call.
    #[error("the agent is suspended")]
    AgentInactive,
    /// The agent was deleted during the call.
    #[error("the agent was deleted")]
    AgentRevoked,
    /// `X-Alter-Caller` names an agent that is not the key's owner.
    #[error("X-Alter-Caller names another agent")]
    CallerMismatch,
    #[error("the token carries scopes that the agent may not use")]
    AgentScope {
        /// Provider id.
        provider: String,
        /// The scopes that the agent may not use.
        scopes: Vec<String>,
        /// Those of them that the user has not approved for the agent.
        unapproved: Vec<String>,
        /// Those of them that the app's own limit of the agent leaves out.
        over_limit: Vec<String>,
    },
    /// The operator removed the provider.
    #[error("the grant's provider is no longer configured")]
    ProviderGone,
    /// The URL is not one of the provider's API hosts.
    #[error("{host} is not an API host of {provider}")]
    BlockedDestination {
        /// The host in the call's URL.
        host: String,
        /// Provider id.
        provider: String,
        /// The provider's API hosts.
        allowed: Vec<String>,
    },
    /// The grant has no token that is good now.
    #[error(transparent)]
    NotUsable(NotUsable),
    /// The grant's own end has come.
    #[error("the grant has ended")]
    GrantExpired(GrantId),
    /// Our own failure, or the nonce was seen before. No token was released.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ReleaseError: Choice; }

impl From<NotUsable> for ReleaseError {
    fn from(error: NotUsable) -> Self {
        match error {
            NotUsable::Fault(fault) => Self::Fault(fault),
            error => Self::NotUsable(error),
        }
    }
}

impl From<UserTokenError> for ReleaseError {
    fn from(error: UserTokenError) -> Self {
        Self::Choice(error.into())
    }
}

/// Releases an access token.
///
/// # Errors
/// [`ReleaseError`]; nothing was released.
pub async fn release(
    flows: &Flows,
    caller: &Caller,
    request: &ReleaseRequest<'_>,
) -> Result<Released, ReleaseError> {
    let released = flows.once(caller, |nonce| try_release(flows, caller, nonce, request)).await;
    metrics::released(label(&released));
    released
}

async fn try_release(
    flows: &Flows,
    caller: &Caller,
    nonce: Option<CallNonce>,
    request: &ReleaseRequest<'_>,
) -> Result<Spent<Released>, ReleaseError> {
    names_itself(caller, request.acting_for)?;
    let named = named_user(flows, caller, request.user_token).await?;
    let mut caller = Cow::Borrowed(caller);
    // If the grant or the agent changed between reading and releasing (the user reconnected, the app removed scopes), or the
    // call waited for a refresh, all is read again.
    let mut pauses = PAUSES.into_iter();
    loop {
        let overtaken = match release_once(flows, &caller, nonce, &named, request).await? {
            Try::Released(released) => return Ok(Spent::InCommit(*released)),
            Try::Overtaken(overtaken) => overtaken,
        };
        let Some(pause) = pauses.next() else { return Err(overtaken.into()) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        read_again(flows, &mut caller).await?;
    }
}

/// What came of one try.
enum Try {
    Released(Box<Released>),
    Overtaken(Overtaken),
}

/// Why one try did not count.
enum Overtaken {
    /// The grant, or the agent, changed in the meantime.
    Moved(GrantId),
    /// The token, or a seal, could not be opened: it was put under another data key in the meantime.
    Sealed(FlowFault),
}

/// After the last try. What changes each time is being replaced; a data key that is gone each time is our own failure.
impl From<Overtaken> for ReleaseError {
    fn from(overtaken: Overtaken) -> Self {
        match overtaken {
            Overtaken::Moved(grant) => Self::NotUsable(NotUsable::InProgress(grant)),
            Overtaken::Sealed(fault) => Self::Fault(fault),
        }
    }
}

async fn release_once(
    flows: &Flows,
    caller: &Caller,
    nonce: Option<CallNonce>,
    named: &NamedUser,
    request: &ReleaseRequest<'_>,
) -> Result<Try, ReleaseError> {
    let chosen = choose(flows, caller, named, &request.choice).await?;
    let Chosen { grant, delegation } = chosen;
    if grant.state(flows.now()) == GrantState::Expired {
        return Err(ReleaseError::GrantExpired(grant.id));
    }
    let opened = match open_access_token(flows, caller, named, &grant).await {
        Err(fault) if fault.is_overtaken() => return Ok(Try::Overtaken(Overtaken::Sealed(fault))),
        // A refresh may replace a damaged token that has run out, but not one of another holder.
        Err(fault) if fault.is_unproven() || is_valid(&grant.credential, flows.now()) => {
            return Err(fault.into());
        }
        opened => opened,
    };
    let config = flows.stored_provider(grant.app_id, &grant.config_id).await?;
    let config = config.ok_or(ReleaseError::ProviderGone)?;
    match flows.check_provider(&caller.app, &config).await {
        Err(fault) if fault.is_overtaken() => return Ok(Try::Overtaken(Overtaken::Sealed(fault))),
        checked => checked?,
    }
    may_carry(caller, &grant, delegation.as_ref(), scope_facts(&config.recipe))?;
    let url = destination(&config, &grant, request.url)?;
    let before = (grant.credential.generation, grant.revoked.is_some());
    let grant = usable(flows, grant, &config).await?;
    if (grant.credential.generation, grant.revoked.is_some()) != before {
        // Its scopes, and who may use it, may have changed with the token; and the opened one is not the current one.
        return Ok(Try::Overtaken(Overtaken::Moved(grant.id)));
    }
    let (access_token, now) = (opened?, flows.now());
    let expires_in = grant.credential.expires_at.map(|at| at.since(now) / 1_000_000);
    let release = ReleaseCredential {
        call: nonce,
        app_id: caller.app.id,
        grant_id: grant.id,
        generation: grant.credential.generation,
        agent: caller.agent.as_ref().map(|agent| (agent.id, agent.version)),
        at: now,
        audit: entry(caller, &grant, request, &url, now),
    };
    match flows.store().release_credential(release).await.inspect_err(metrics::not_committed)? {
        Saved::Moved => Ok(Try::Overtaken(Overtaken::Moved(grant.id))),
        Saved::Done => {
            let (api_auth, headers) = api_auth(&config.recipe);
            let api_headers = with_client_id(headers, &config.client_id);
            Ok(Try::Released(Box::new(Released { access_token, grant, expires_in, api_auth, api_headers })))
        }
    }
}

/// The key may have been revoked, its agent stopped, and the app's settings changed while the call waited.
async fn read_again(flows: &Flows, caller: &mut Cow<'_, Caller>) -> Result<(), ReleaseError> {
    let found = flows.store().find_key(&caller.key.hash).await?.ok_or(ReleaseError::KeyRevoked)?;
    match found.agent.as_ref().and_then(|agent| agent.status.stop()) {
        Some(AgentStop::Suspended) => return Err(ReleaseError::AgentInactive),
        Some(AgentStop::Deleted) => return Err(ReleaseError::AgentRevoked),
        None if found.key.revoked_at.is_some() => return Err(ReleaseError::KeyRevoked),
        None => {}
    }
    match flows.check_key(&found.app, &found.key).await {
        Err(fault) if fault.is_unproven() => return Err(ReleaseError::KeyRevoked),
        checked => checked?,
    }
    let FoundKey { key, app, agent } = found;
    let caller = caller.to_mut();
    (caller.key, caller.app, caller.agent) = (key, app, agent);
    Ok(())
}

async fn open_access_token(
    flows: &Flows,
    caller: &Caller,
    named: &NamedUser,
    grant: &Grant,
) -> Result<SecretString, FlowFault> {
    let key = flows.sealer().data_key(&caller.app)?;
    let holder = match named {
        NamedUser::Known(user) if grant.principal == Principal::User(user.id) => {
            grant.holder(Some(user)).digest()
        }
        _ => flows.holder(grant).await?,
    };
    let place = grant.place(GrantSecret::AccessToken, holder);
    flows.sealer().open_token(&key, &place, &grant.credential.access_token).await
}

/// An agent that names another agent is mistaken or lies. An app may name anyone.
fn names_itself(caller: &Caller, acting_for: Option<&str>) -> Result<(), ReleaseError> {
    let (Some(agent), Some(name)) = (&caller.agent, acting_for) else { return Ok(()) };
    match AgentId::parse(&name.to_lowercase()) {
        Some(other) if other != agent.id => Err(ReleaseError::CallerMismatch),
        _ => Ok(()),
    }
}

/// A released token cannot be narrowed, so it leaves only when the agent may use every scope that it carries (T13).
/// What is compared is what the scopes mean, but a scope that another implies is still another one. What a provider adds
/// unasked and without harm locks nobody out.
fn may_carry(
    caller: &Caller,
    grant: &Grant,
    delegation: Option<&Delegation>,
    recipe: &Recipe,
) -> Result<(), ReleaseError> {
    let Some(agent) = &caller.agent else { return Ok(()) };
    let Some(delegation) = delegation else {
        // The delegation was revoked while the grant was read.
        return Err(
            ChoiceError::NoDelegation { agent: agent.id, provider: Some(grant.provider.clone()) }.into()
        );
    };
    let (names, provider) = (&recipe.scope_names, &grant.provider);
    let unapproved = recipe.unapproved_scopes(&grant.scopes, &delegation.scopes);
    let asked = names.shared(&grant.scopes, &delegation.scopes);
    let over_limit =
        names.beyond(&[&asked[..], &unapproved].concat(), &agent.may_use(provider, names, &grant.scopes));
    let too_much = names.shared(&grant.scopes, &[&unapproved[..], &over_limit].concat());
    if too_much.is_empty() {
        Ok(())
    } else {
        let (provider, scopes) = (provider.clone(), too_much);
        Err(ReleaseError::AgentScope { provider, scopes, unapproved, over_limit })
    }
}

/// Parses the URL, if the provider's credential may go there.
fn destination(config: &ProviderConfig, grant: &Grant, text: &str) -> Result<url::Url, ReleaseError> {
    // A host whose placeholder stays open is nowhere.
    let recipe = config.recipe.for_customer(&grant.filled).unwrap_or(Cow::Borrowed(&*config.recipe));
    recipe.api_url(text).ok_or_else(|| {
        let host = url::Url::parse(text).ok().and_then(|u| u.host_str().map(str::to_owned));
        ReleaseError::BlockedDestination {
            host: host.unwrap_or_else(|| "the URL".into()),
            provider: config.recipe.id.clone(),
            allowed: recipe.api_hosts.clone(),
        }
    })
}

/// The audit keeps only the host that a token went to: a path or a query may contain personal data.
fn entry(
    caller: &Caller,
    grant: &Grant,
    request: &ReleaseRequest<'_>,
    url: &url::Url,
    at: Micros,
) -> AuditEntry {
    let details = serde_json::json!({
        "method": request.method, "host": url.host_str(), "reason": request.reason, "caller": request.acting_for,
        "caller_signed": request.acting_for.map(|_| caller.names_are_signed),
    });
    AuditEntry {
        grant_id: Some(grant.id),
        key_id: Some(caller.key.id),
        user_id: grant.principal.user(),
        agent_id: caller.agent.as_ref().map(|agent| agent.id),
        request_id: Some(caller.request_id.clone()),
        ..AuditEntry::new(caller.app.id, at, AuditKind::TokenReleased, details)
    }
}

/// The metrics label.
fn label<T>(released: &Result<T, ReleaseError>) -> &'static str {
    let error = match released {
        Ok(_) => return "released",
        Err(error) => error,
    };
    match error {
        _ if error.is_replay() => "replayed",
        _ if error.is_ours() => "fault",
        ReleaseError::Choice(ChoiceError::User(_)) => "user_token_refused",
        ReleaseError::Choice(_) => "no_such_grant",
        ReleaseError::KeyRevoked => "key_revoked",
        ReleaseError::AgentInactive | ReleaseError::AgentRevoked | ReleaseError::CallerMismatch => {
            "agent_refused"
        }
        ReleaseError::AgentScope { .. } => "agent_scope",
        ReleaseError::ProviderGone => "no_provider",
        ReleaseError::BlockedDestination { .. } => "blocked_destination",
        ReleaseError::NotUsable(NotUsable::Reconnect { .. }) => "reconnect",
        ReleaseError::NotUsable(_) => "refreshing",
        ReleaseError::GrantExpired(_) => "grant_expired",
        ReleaseError::Fault(_) => "fault",
    }
}
