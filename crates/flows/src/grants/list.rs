//! Listing and revoking grants (wire 3.5, 3.6), and ending delegations (wire 3.11).
//!
//! Revoking:
//!
//! 1. The grant is the app's, and the user's when a token came.
//! 2. Its refresh token, or else its access token, is opened and sealed for the queue of revocations.
//! 3. Grant, delegations, queue and audit in one commit: from here on nothing can be released, and the grant's own
//!    values are gone.
//! 4. The provider is asked ([`crate::grants::revocation`]); the call waits a moment for the answer.

use std::collections::HashMap;

use alter_core::{
    AgentId, AuditEntry, AuditKind, Changed, Grant, GrantFilter, GrantId, GrantSecret, GrantStatus,
    ListedGrant, Micros, Principal, ProviderConfig, Revocation, RevocationOutcome, RevokeGrant, RevokedGrant,
    Saved, recipe::RevokeToken,
};
use secrecy::SecretString;

use crate::calls::choose::whose;
use crate::grants::revocation::ask_and_wait;
use crate::{
    AppKeyRequired, Caller, Flows, UserTokenError,
    actor::Actor,
    call::{Spent, ours},
    calls::choose::Whose,
    fault::FlowFault,
    rounds::Rounds,
};

/// How often a revocation is tried.
const ROUNDS: usize = 8;

/// What the backend asks for.
#[derive(Debug, Default)]
pub struct ListRequest<'a> {
    /// Provider id.
    pub provider: Option<&'a str>,
    /// A status; one that there is not finds nothing.
    pub status: Option<&'a str>,
    /// `account_identifier`, to the byte.
    pub account: Option<&'a str>,
    /// `label`, to the byte.
    pub label: Option<&'a str>,
    /// The user whose grants are wanted.
    pub user_token: Option<&'a SecretString>,
    /// At most so many, 1-1000.
    pub limit: u32,
    /// Skip so many.
    pub offset: u32,
}

/// A page of grants.
#[derive(Debug)]
pub struct GrantPage {
    /// Newest first.
    pub grants: Vec<ListedGrant>,
    /// How many there are in all.
    pub total: u64,
    /// `https://HOST` of each provider's first API host, by configuration.
    pub api_bases: HashMap<String, String>,
    /// The agent that asked.
    pub agent: Option<AgentId>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// About the user token.
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ListError: User; RevokeGrantError: User; RevokeDelegationError; }

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeGrantError {
    /// An agent's key came.
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The app, or the user, has no such grant.
    #[error("there is no such grant")]
    NotFound,
    /// About the user token.
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Ours.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

/// Why a delegation was not ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeDelegationError {
    /// An agent ends its own delegations on another path.
    #[error("an agent's key ends delegations by the path .../delegations/me")]
    UseSelfPath,
    /// The path is for agents.
    #[error("this path needs an agent's key")]
    AgentKeyRequired,
    /// The app has no such grant.
    #[error("there is no such grant")]
    GrantNotFound,
    /// The app has no such agent.
    #[error("there is no such agent")]
    AgentNotFound,
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

/// Lists grants: an app's, a user's, or those delegated to the agent that asks.
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
    let whose = whose(flows, caller, request.user_token).await?;
    let agent = caller.agent.as_ref().map(|agent| agent.id);
    let mut page = GrantPage { grants: Vec::new(), total: 0, api_bases: HashMap::new(), agent };
    let status = request.status.map(|text| {
        [GrantStatus::Active, GrantStatus::Revoked].into_iter().find(|status| status.as_str() == text)
    });
    let (Whose::Unsaid | Whose::User(_), None | Some(Some(_))) = (&whose, &status) else {
        return Ok(page);
    };
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let filter = GrantFilter {
        principal: match &whose {
            Whose::User(user) => Some(Principal::User(user.id)),
            _ => None,
        },
        agent,
        provider: owned(request.provider),
        status: status.flatten(),
        account: owned(request.account),
        label: owned(request.label),
    };
    let app = caller.app.id;
    page.grants = flows.store().list_grants(app, &filter, request.limit, request.offset).await?;
    // A page that is not full says itself how many there are; counting reads as many index entries as there are grants.
    let seen = page.grants.len() as u64;
    page.total = match seen < u64::from(request.limit) && (seen > 0 || request.offset == 0) {
        true => u64::from(request.offset) + seen,
        false => flows.store().count_grants(app, &filter).await?,
    };
    page.api_bases = api_bases(&flows.store().list_providers(app).await?);
    Ok(page)
}

/// Revokes a grant of the app. One that is revoked already stays as it is.
///
/// # Errors
/// [`RevokeGrantError`].
pub async fn revoke_grant(
    flows: &Flows,
    caller: &Caller,
    id: GrantId,
    reason: Option<&str>,
    user_token: Option<&SecretString>,
) -> Result<RevokedGrant, RevokeGrantError> {
    flows
        .once(caller, |nonce| async move {
            caller.app_only()?;
            let whose = whose(flows, caller, user_token).await?;
            let may = |grant: &Grant| match &whose {
                Whose::Unsaid => true,
                Whose::User(user) => grant.principal == Principal::User(user.id),
                Whose::Stranger => false,
            };
            revoke_as(flows, &Actor::of(caller, nonce), id, reason, may).await
        })
        .await
}

/// Revokes a grant as the operator.
///
/// # Errors
/// [`RevokeGrantError`].
pub async fn revoke_grant_as_operator(
    flows: &Flows,
    app: alter_core::App,
    id: GrantId,
    reason: Option<&str>,
) -> Result<RevokedGrant, RevokeGrantError> {
    Ok(revoke_as(flows, &Actor::operator(app), id, reason, |_| true).await?.value())
}

async fn revoke_as(
    flows: &Flows,
    actor: &Actor,
    id: GrantId,
    reason: Option<&str>,
    may: impl Fn(&Grant) -> bool,
) -> Result<Spent<RevokedGrant>, RevokeGrantError> {
    // The user reconnected, a token was refreshed, a key was replaced: the grant is read again.
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let found = flows.store().get_grant(actor.app.id, id).await?;
        let grant = found.filter(&may).ok_or(RevokeGrantError::NotFound)?;
        if let Some(revoked) = grant.revoked {
            return Ok(Spent::NotYet(revoked));
        }
        let request = match revocation_of(flows, &grant).await {
            Err(fault) if fault.is_overtaken() => continue,
            request => request?,
        };
        let at = flows.now();
        match flows.store().revoke_grant(command(actor, &grant, &request, reason, at)).await {
            Ok(Saved::Done) => {}
            Ok(Saved::Moved) => continue,
            Err(error) if error.is_overtaken() => continue,
            Err(error) => return Err(error.into()),
        }
        let outcome = match request {
            Ok(request) => ask_and_wait(flows, request).await,
            Err(outcome) => outcome,
        };
        let reason = reason.map(str::to_owned);
        return Ok(Spent::InCommit(RevokedGrant { at, reason, outcome }));
    }
}

/// Step 2: what is to be asked of the provider, or why nothing is.
async fn revocation_of(
    flows: &Flows,
    grant: &Grant,
) -> Result<Result<Revocation, RevocationOutcome>, FlowFault> {
    let config = flows.store().get_provider(&grant.config_id).await?;
    let Some(how) = config.and_then(|config| config.recipe.revocation()) else {
        return Ok(Err(RevocationOutcome::NotOffered));
    };
    let key = flows.sealer().current_key(grant.app_id).await?;
    let credential = &grant.credential;
    // Ending the refresh token ends the whole grant (RFC 7009 section 2.1), where there is one.
    let (secret, sealed) = match (how.token, &credential.refresh_token) {
        (RevokeToken::Access, _) | (RevokeToken::Strongest, None) => {
            (GrantSecret::AccessToken, &credential.access_token)
        }
        (RevokeToken::Strongest | RevokeToken::Refresh, Some(sealed)) => (GrantSecret::RefreshToken, sealed),
        (RevokeToken::Refresh, None) => return Ok(Err(RevocationOutcome::NotOffered)),
    };
    let opened = flows.sealer().open_text(&key, &grant.place(secret), sealed).await;
    let token = match opened {
        Ok(token) => token,
        Err(fault) if fault.is_overtaken() => return Err(fault),
        Err(error) => {
            // A value that cannot be opened cannot be revoked at the provider either; here it can.
            tracing::error!(grant_id = %grant.id, %error, "a grant is revoked without asking its provider");
            return Ok(Err(RevocationOutcome::GivenUp));
        }
    };
    let place = Revocation::place_of(grant.app_id, grant.id);
    let token = flows.sealer().seal_text(&key, &place, &token)?;
    let now = flows.now();
    Ok(Ok(Revocation {
        grant_id: grant.id,
        app_id: grant.app_id,
        config_id: grant.config_id.clone(),
        is_refresh_token: secret == GrantSecret::RefreshToken,
        token,
        attempts: 0,
        next_at: now,
        created_at: now,
    }))
}

/// The app ends a delegation to an agent. Ending it again changes nothing.
///
/// # Errors
/// [`RevokeDelegationError`].
pub async fn revoke_delegation(
    flows: &Flows,
    caller: &Caller,
    grant: GrantId,
    agent: AgentId,
) -> Result<(), RevokeDelegationError> {
    flows
        .once(caller, |nonce| async move {
            if caller.agent.is_some() {
                return Err(RevokeDelegationError::UseSelfPath);
            }
            if flows.store().get_grant(caller.app.id, grant).await?.is_none() {
                return Err(RevokeDelegationError::GrantNotFound);
            }
            if flows.store().get_agent(caller.app.id, agent).await?.is_none() {
                return Err(RevokeDelegationError::AgentNotFound);
            }
            end_delegation(flows, &Actor::of(caller, nonce), "app", grant, agent).await
        })
        .await
}

/// An agent gives up what was delegated to it. Of a grant that it has nothing of, nothing is said.
///
/// # Errors
/// [`RevokeDelegationError`].
pub async fn give_up_delegation(
    flows: &Flows,
    caller: &Caller,
    grant: GrantId,
) -> Result<(), RevokeDelegationError> {
    flows
        .once(caller, |nonce| async move {
            let agent = caller.agent.as_ref().ok_or(RevokeDelegationError::AgentKeyRequired)?;
            end_delegation(flows, &Actor::of(caller, nonce), "agent", grant, agent.id).await
        })
        .await
}

async fn end_delegation(
    flows: &Flows,
    actor: &Actor,
    by: &str,
    grant: GrantId,
    agent: AgentId,
) -> Result<Spent<()>, RevokeDelegationError> {
    let at = flows.now();
    let entry = AuditEntry {
        grant_id: Some(grant),
        agent_id: Some(agent),
        ..actor.entry(at, AuditKind::DelegationRevoked, serde_json::json!({ "by": by }))
    };
    let (Changed::Done | Changed::Absent) =
        flows.store().revoke_delegation(actor.call, actor.app.id, grant, agent, at, entry).await?;
    Ok(Spent::InCommit(()))
}

/// Step 3 as one commit.
fn command(
    actor: &Actor,
    grant: &Grant,
    request: &Result<Revocation, RevocationOutcome>,
    reason: Option<&str>,
    at: Micros,
) -> RevokeGrant {
    let details = serde_json::json!({ "provider": grant.provider, "reason": reason });
    RevokeGrant {
        call: actor.call,
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: grant.credential.generation,
        at,
        reason: reason.map(str::to_owned),
        request: request.clone(),
        audit: AuditEntry {
            grant_id: Some(grant.id),
            user_id: grant.principal.user(),
            ..actor.entry(at, AuditKind::GrantRevoked, details)
        },
    }
}

/// The scopes of a listed grant as the caller is told: an agent, those that it may use and the grant has (T13).
pub fn visible_scopes(caller: &Caller, listed: &ListedGrant) -> Vec<String> {
    let scopes = &listed.grant.scopes;
    match (&caller.agent, &listed.delegation) {
        (None, _) => scopes.clone(),
        // Revoked while the list was read.
        (Some(_), None) => Vec::new(),
        (Some(agent), Some(delegation)) => {
            let mut may = agent.may_use(&listed.grant.provider, &delegation.scopes);
            may.retain(|scope| scopes.contains(scope));
            may
        }
    }
}

fn api_bases(configs: &[ProviderConfig]) -> HashMap<String, String> {
    let base = |config: &ProviderConfig| {
        let host = config.recipe.api_hosts.iter().find(|h| !h.starts_with('.') && !h.contains(':'))?;
        Some((config.config_id.as_str().to_owned(), format!("https://{host}")))
    };
    configs.iter().filter_map(base).collect()
}

/// Whether a grant's access token has run out. Refresh is not built: then the user has to connect again.
pub fn needs_reconnect(grant: &Grant, now: Micros) -> bool {
    grant.revoked.is_none() && grant.credential.expires_at.is_some_and(|at| at <= now)
}
