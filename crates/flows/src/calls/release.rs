//! Releasing an access token (wire 3.3).
//!
//! 1. The grant that the call means ([`crate::calls::choose`]).
//! 2. An agent: what was delegated to it covers every scope that the token carries (T13).
//! 3. The URL it is wanted for is one of the provider's API hosts.
//! 4. The token has not expired.
//! 5. Open it.
//! 6. Nonce, generation, delegation and audit entry in one durable commit; only then does it leave (T97, T98).

use std::borrow::Cow;

use alter_core::{
    AgentId, AgentStatus, ApiAuth, AuditEntry, AuditKind, CallNonce, Grant, GrantSecret, Micros,
    ProviderConfig, ReleaseCredential, Saved,
};
use secrecy::SecretString;

use crate::calls::choose::{choose, whose};
use crate::{
    Caller, ChoiceError, Flows, GrantChoice, UserTokenError,
    call::{Refusal, Spent, ours},
    calls::choose::{Chosen, Whose},
    fault::FlowFault,
    metrics,
    rounds::Rounds,
};

/// How often a release is tried; more is a storm.
const ROUNDS: usize = 3;

/// What the backend asks for.
pub struct ReleaseRequest<'a> {
    /// Which grant.
    pub choice: GrantChoice<'a>,
    /// The user, as the app knows them.
    pub user_token: Option<&'a SecretString>,
    /// The request it is wanted for.
    pub method: &'a str,
    /// Its URL.
    pub url: &'a str,
    /// Why, in the app's words; kept in the audit.
    pub reason: Option<&'a str>,
    /// `X-Alter-Caller`: what the app says is calling; kept in the audit, decides nothing.
    pub acting_for: Option<&'a str>,
}

/// A token on its way out.
#[derive(Debug)]
pub struct Released {
    /// The token.
    pub access_token: SecretString,
    /// Its grant.
    pub grant: Grant,
    /// Seconds it still lives; `None` = the provider did not say.
    pub expires_in: Option<i64>,
    /// The header in which the provider's API wants it.
    pub api_auth: ApiAuth,
}

/// Why nothing is released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// No grant, or not one.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The agent was suspended meanwhile.
    #[error("the agent is suspended")]
    AgentInactive,
    /// The agent was deleted meanwhile.
    #[error("the agent was deleted")]
    AgentRevoked,
    /// `X-Alter-Caller` names another agent than the key's.
    #[error("X-Alter-Caller names another agent")]
    CallerMismatch,
    /// The token carries scopes that the agent may not use.
    #[error("the token carries scopes that the agent may not use")]
    AgentScope {
        /// Provider id.
        provider: String,
        /// What is too much.
        scopes: Vec<String>,
    },
    /// The operator removed the provider.
    #[error("the grant's provider is not configured any more")]
    ProviderGone,
    /// The URL is not one of the provider's API hosts.
    #[error("{host} is not an API host of {provider}")]
    BlockedDestination {
        /// What was asked for.
        host: String,
        /// Provider id.
        provider: String,
        /// What is allowed.
        allowed: Vec<String>,
    },
    /// The token has expired and refresh is not built.
    #[error("the access token has expired")]
    RefreshNotBuilt,
    /// Ours, or the nonce was seen before. Nothing left.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ReleaseError: Choice; }

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
    let whose = whose(flows, caller, request.user_token).await?;
    let mut caller = Cow::Borrowed(caller);
    // A grant or an agent that moved between reading and releasing (the user reconnected, the app took scopes away)
    // is read again.
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        if let Some(released) = release_once(flows, &caller, nonce, &whose, request).await? {
            return Ok(Spent::InCommit(released));
        }
        read_agent_again(flows, &mut caller).await?;
    }
}

/// `None` when the grant has moved meanwhile.
async fn release_once(
    flows: &Flows,
    caller: &Caller,
    nonce: Option<CallNonce>,
    whose: &Whose,
    request: &ReleaseRequest<'_>,
) -> Result<Option<Released>, ReleaseError> {
    let chosen = choose(flows, caller, whose, &request.choice).await?;
    may_carry(caller, &chosen)?;
    let grant = chosen.grant;
    let config = flows.store().get_provider(&grant.config_id).await?.ok_or(ReleaseError::ProviderGone)?;
    let url = destination(&config, request.url)?;
    let now = flows.now();
    let expires_in = grant.credential.expires_at.map(|at| at.since(now) / 1_000_000);
    if expires_in.is_some_and(|seconds| seconds <= 0) {
        return Err(ReleaseError::RefreshNotBuilt);
    }
    let access_token = match open_access_token(flows, caller, &grant).await {
        Err(fault) if fault.is_overtaken() => return Ok(None),
        opened => opened?,
    };
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
        Saved::Moved => Ok(None),
        Saved::Done => {
            Ok(Some(Released { access_token, grant, expires_in, api_auth: config.recipe.api_auth }))
        }
    }
}

async fn read_agent_again(flows: &Flows, caller: &mut Cow<'_, Caller>) -> Result<(), ReleaseError> {
    let Some(agent) = &caller.agent else { return Ok(()) };
    let again = flows.store().get_agent(agent.app_id, agent.id).await?;
    caller.to_mut().agent = again;
    match caller.agent.as_ref().map(|agent| agent.status) {
        Some(AgentStatus::Active) => Ok(()),
        Some(AgentStatus::Inactive) => Err(ReleaseError::AgentInactive),
        Some(AgentStatus::Revoked) | None => Err(ReleaseError::AgentRevoked),
    }
}

async fn open_access_token(flows: &Flows, caller: &Caller, grant: &Grant) -> Result<SecretString, FlowFault> {
    let key = flows.sealer().data_key(&caller.app)?;
    let place = grant.place(GrantSecret::AccessToken);
    flows.sealer().open_text(&key, &place, &grant.credential.access_token).await
}

/// An agent that says it is another one is mistaken or lies; what an app says of itself is its own affair.
fn names_itself(caller: &Caller, acting_for: Option<&str>) -> Result<(), ReleaseError> {
    let (Some(agent), Some(name)) = (&caller.agent, acting_for) else { return Ok(()) };
    match AgentId::parse(&name.to_lowercase()) {
        Some(other) if other != agent.id => Err(ReleaseError::CallerMismatch),
        _ => Ok(()),
    }
}

/// A token cannot be narrowed once it is handed over: it leaves only when the agent may use all that it carries (T13).
fn may_carry(caller: &Caller, chosen: &Chosen) -> Result<(), ReleaseError> {
    let Some(agent) = &caller.agent else { return Ok(()) };
    let grant = &chosen.grant;
    let Some(delegation) = &chosen.delegation else {
        // It was revoked while the grant was read.
        return Err(
            ChoiceError::NoDelegation { agent: agent.id, provider: Some(grant.provider.clone()) }.into()
        );
    };
    let allowed = agent.may_use(&grant.provider, &delegation.scopes);
    let too_much: Vec<_> = grant.scopes.iter().filter(|scope| !allowed.contains(scope)).cloned().collect();
    match too_much.is_empty() {
        true => Ok(()),
        false => Err(ReleaseError::AgentScope { provider: grant.provider.clone(), scopes: too_much }),
    }
}

/// The URL, if the provider's credential may go there.
fn destination(config: &ProviderConfig, text: &str) -> Result<url::Url, ReleaseError> {
    config.recipe.api_url(text).ok_or_else(|| {
        let host = url::Url::parse(text).ok().and_then(|u| u.host_str().map(str::to_owned));
        ReleaseError::BlockedDestination {
            host: host.unwrap_or_else(|| "the URL".into()),
            provider: config.recipe.id.clone(),
            allowed: config.recipe.api_hosts.clone(),
        }
    })
}

/// The audit keeps where a token went, not what was asked there: a path or a query may carry personal data.
fn entry(
    caller: &Caller,
    grant: &Grant,
    request: &ReleaseRequest<'_>,
    url: &url::Url,
    at: Micros,
) -> AuditEntry {
    let details = serde_json::json!({
        "method": request.method, "host": url.host_str(), "reason": request.reason, "caller": request.acting_for,
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

/// For the metrics.
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
        ReleaseError::AgentInactive | ReleaseError::AgentRevoked | ReleaseError::CallerMismatch => {
            "agent_refused"
        }
        ReleaseError::AgentScope { .. } => "agent_scope",
        ReleaseError::ProviderGone => "no_provider",
        ReleaseError::BlockedDestination { .. } => "blocked_destination",
        ReleaseError::RefreshNotBuilt => "expired",
        ReleaseError::Fault(_) => "fault",
    }
}
