//! From a code to a grant. Runs in a task of its own; also the end of a replay after a crash (`reap`).
//!
//! 1. Journal `sent`, durable.
//! 2. The token request.
//! 3. The raw answer, sealed, durable.
//! 4. Parse; verify the id_token; ask userinfo where the recipe needs it; read the identity.
//! 5. Seal the tokens for the grant's row.
//! 6. Grant, session, audit and attempt in one commit.

use std::time::Duration;

use alter_core::{
    AgentStatus, Attempt, AttemptSecret, AttemptStatus, AuditEntry, AuditKind, Cause, CompleteConnect,
    Connection, CredentialPlace, Delegation, Ended, Failure, Grant, GrantId, GrantSecret, Level, Micros,
    Operation, ProviderConfig, Session, StoreError,
};
use alter_oauth::{Client, IdTokenRefused, Identity, RawAnswer, TokenRefused, TokenSet};
use alter_vault::DataKey;
use secrecy::SecretString;
use serde_json::Value;

use crate::connect::journal::{journal, open_journal};
use crate::{
    Flows,
    fault::FlowFault,
    metrics::{self, Exchanging},
    rounds::Rounds,
};

/// Pauses before asking userinfo again: the code is spent, so a hiccup here must not cost the user the consent.
const USERINFO_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1000)];

/// How often what is read and sealed again is tried.
const ROUNDS: usize = 4;

/// Why an exchange did not end in a grant.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The flow makes no grant: tell the user, end the attempt.
    #[error("{why}")]
    Refused { cause: Cause, why: String },
    /// Ours. When the answer is in the journal, the attempt stays and the reaper tries again.
    #[error(transparent)]
    Fault(#[from] FlowFault),
    /// The provider cannot be asked what is needed to judge the answer: the journal keeps it, the reaper tries again.
    #[error("{0}")]
    Later(String),
    /// Somebody else has the attempt.
    #[error("the attempt has moved")]
    Moved,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<alter_vault::VaultError> for Stop {
    fn from(error: alter_vault::VaultError) -> Self {
        Self::Fault(error.into())
    }
}

fn refused(cause: Cause, why: impl std::fmt::Display) -> Stop {
    Stop::Refused { cause, why: why.to_string() }
}

/// For the metrics.
fn label(outcome: &Result<(), Stop>) -> &'static str {
    match outcome {
        Ok(()) => "connected",
        Err(Stop::Refused { .. }) => "refused",
        Err(Stop::Fault(_)) => "fault",
        Err(Stop::Later(_)) => "later",
        Err(Stop::Moved) => "moved",
    }
}

/// How an attempt ends without a grant.
pub(crate) struct Ending {
    /// Denied, failed or interrupted.
    pub(crate) status: AttemptStatus,
    pub(crate) cause: Cause,
    pub(crate) audit: AuditKind,
}

/// The whole exchange. Never fails outwards: every end is written to the attempt and logged once.
pub(crate) async fn exchange(flows: &Flows, attempt: Attempt, code: SecretString, request_id: &str) {
    let exchanging = Exchanging::begin();
    let journalled = request_token(flows, &attempt, &code).await;
    let (journalled, outcome) = match journalled {
        Ok((answer, received_at)) => {
            (true, finish_exchange(flows, &attempt, &answer, received_at, request_id).await)
        }
        Err(stop) => (false, Err(stop)),
    };
    let label = label(&outcome);
    settle(flows, &attempt, outcome, journalled, request_id).await;
    exchanging.done(label);
}

/// Ends an attempt whose answer is in the journal (after a crash, or after a fault of ours).
pub(crate) async fn replay(flows: &Flows, attempt: Attempt) {
    let exchanging = Exchanging::begin();
    let outcome = match open_journal(flows, &attempt).await {
        // `status_at` of a stored `sent` is when the request left: an old answer is judged by the time it came.
        Ok(answer) => finish_exchange(flows, &attempt, &answer, attempt.status_at, "replay").await,
        Err(fault) => Err(fault.into()),
    };
    let label = label(&outcome);
    settle(flows, &attempt, outcome, true, "replay").await;
    exchanging.done(label);
}

async fn settle(
    flows: &Flows,
    attempt: &Attempt,
    outcome: Result<(), Stop>,
    journalled: bool,
    request_id: &str,
) {
    let (status, cause) = match outcome {
        Ok(()) | Err(Stop::Moved) => return,
        Err(Stop::Refused { cause, why }) => {
            tracing::warn!(sid = %attempt.sid, request_id, %cause, why, "exchange refused");
            (AttemptStatus::Failed, cause)
        }
        Err(Stop::Later(why)) => {
            tracing::warn!(sid = %attempt.sid, request_id, why, "the answer cannot be judged yet");
            return;
        }
        Err(Stop::Fault(fault)) => {
            tracing::error!(sid = %attempt.sid, request_id, error = %fault, journalled, "exchange failed");
            if journalled {
                return;
            }
            // Not `failed`: a write that was reported lost may have been done, and then the answer is in the journal.
            (AttemptStatus::Interrupted, Cause::ServerFault)
        }
    };
    let end = Ending { status, cause, audit: AuditKind::ConnectFailed };
    if let Err(error) = end_failed(flows, attempt, end, request_id).await {
        tracing::error!(sid = %attempt.sid, request_id, %error, "the failure could not be stored");
    }
}

/// Writes the end of an attempt that made no grant.
pub(crate) async fn end_failed(
    flows: &Flows,
    attempt: &Attempt,
    end: Ending,
    request_id: &str,
) -> Result<Ended, StoreError> {
    let Ending { status, cause, audit } = end;
    let provider = provider_of(flows, attempt).await?;
    let now = flows.now();
    let mut details = cause.facts();
    details.insert("provider".to_owned(), provider.clone().into());
    details.insert("status".to_owned(), status.as_str().into());
    let entry = AuditEntry {
        sid: Some(attempt.sid.clone()),
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(attempt.app_id, now, audit, details.into())
    };
    let failure = Failure { cause, provider, request_id: Some(request_id.to_owned()) };
    let ended = flows.store().fail_attempt(attempt.id, status, failure, entry, now).await?;
    metrics::session_ended_with(ended);
    Ok(ended)
}

/// The provider's id. When the operator has removed its configuration, the session still knows it.
async fn provider_of(flows: &Flows, attempt: &Attempt) -> Result<Option<String>, StoreError> {
    if let Some(config) = flows.store().get_provider(&attempt.config_id).await? {
        return Ok(Some(config.recipe.id));
    }
    let session = flows.store().get_session(&attempt.sid).await?;
    let underway = session.and_then(|session| session.data.underway);
    Ok(underway.filter(|u| u.attempt == attempt.id).map(|u| u.provider))
}

/// Steps 1 to 3: the answer, and when it came.
async fn request_token(
    flows: &Flows,
    attempt: &Attempt,
    code: &SecretString,
) -> Result<(RawAnswer, Micros), Stop> {
    let Opened { config, key, verifier, secret } = opened(flows, attempt).await?;
    if !flows.store().mark_sent(attempt.id, flows.now()).await?.is_done() {
        return Err(Stop::Moved);
    }
    alter_failpoint::pass("sent");
    let client = Client { id: &config.client_id, secret: secret.as_ref() };
    let answer = alter_oauth::exchange(
        &flows.inner.egress,
        &config.recipe,
        &client,
        code,
        &verifier,
        &attempt.redirect_uri,
    )
    .await
    .map_err(|error| refused(Cause::TokenEndpointUnreachable, error))?;
    // Now: the journal may have to wait, and what the answer says of its own end counts from its coming.
    let received_at = flows.now();
    // From here to the end of `journal` is the window in which a crash loses what the provider has given away.
    let window = alter_failpoint::Stopwatch::start();
    alter_failpoint::pass("answered");
    let journalled = journal(flows, attempt, key, &answer).await?;
    window.stop("crash_window");
    alter_failpoint::pass("journalled");
    if journalled.is_done() { Ok((answer, received_at)) } else { Err(Stop::Moved) }
}

/// What the request needs. What is put under another key between being read and being opened is read again.
async fn opened(flows: &Flows, attempt: &Attempt) -> Result<Opened, Stop> {
    let mut sealed = attempt.verifier.clone();
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let config = config_of(flows, attempt).await?;
        match try_opened(flows, attempt, &sealed, config).await {
            Err(fault) if fault.is_overtaken() => {
                let again = flows.store().find_attempt(&attempt.state_hash).await?;
                sealed = again.ok_or(Stop::Moved)?.verifier;
            }
            opened => return Ok(opened?),
        }
    }
}

async fn try_opened(
    flows: &Flows,
    attempt: &Attempt,
    verifier: &[u8],
    config: ProviderConfig,
) -> Result<Opened, FlowFault> {
    let key = flows.sealer().current_key(attempt.app_id).await?;
    let verifier = flows.sealer().open_text(&key, &attempt.place(AttemptSecret::Verifier), verifier).await?;
    let secret = flows.sealer().client_secret(&key, &config).await?;
    Ok(Opened { config, key, verifier, secret })
}

/// Steps 4 to 6. May run again on the same answer: the last commit succeeds once.
async fn finish_exchange(
    flows: &Flows,
    attempt: &Attempt,
    answer: &RawAnswer,
    received_at: Micros,
    request_id: &str,
) -> Result<(), Stop> {
    let config = config_of(flows, attempt).await?;
    let tokens = alter_oauth::parse_token_answer(&config.recipe, answer).map_err(token_stop)?;
    let identity = read_identity(flows, attempt, &config, &tokens, received_at).await?;
    let session = flows.store().get_session(&attempt.sid).await?.ok_or(Stop::Moved)?;
    let source =
        Source { session: &session, config: &config, tokens: &tokens, identity: &identity, received_at };
    // The same account was connected in another window at this moment, or the app's data key was replaced: read and
    // seal again.
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let key = flows.sealer().current_key(attempt.app_id).await?;
        let complete = match completion(flows, attempt, &source, &key, request_id).await {
            Err(Stop::Fault(fault)) if fault.is_overtaken() => continue,
            complete => complete?,
        };
        match flows.store().complete_connect(complete).await {
            Ok(Ended::Before) => return Err(Stop::Moved),
            Ok(ended) => {
                alter_failpoint::pass("committed");
                metrics::session_ended_with(ended);
                tracing::info!(sid = %attempt.sid, request_id, provider = config.recipe.id, "connected");
                return Ok(());
            }
            Err(error) if error.is_overtaken() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn read_identity(
    flows: &Flows,
    attempt: &Attempt,
    config: &ProviderConfig,
    tokens: &TokenSet,
    received_at: Micros,
) -> Result<Identity, Stop> {
    let recipe = &config.recipe;
    let asked_openid = attempt.scopes.iter().any(|s| s == "openid");
    let claims = match &tokens.id_token {
        Some(id_token) if asked_openid && recipe.jwks_url.is_some() => {
            let verified = flows.inner.jwks.of(config.app_id).verify_id_token(
                &flows.inner.egress,
                recipe,
                id_token,
                &config.client_id,
                &attempt.nonce,
                Some(&tokens.access_token),
                received_at,
                flows.now(),
            );
            Some(verified.await.map_err(id_token_stop)?)
        }
        _ if asked_openid && recipe.jwks_url.is_some() => {
            return Err(refused(Cause::IdTokenMissing, "openid was asked for and no id_token came"));
        }
        _ => None,
    };
    let userinfo = match alter_oauth::needs_userinfo(recipe, claims.as_ref()) {
        true => Some(ask_userinfo(flows, config, tokens).await?),
        false => None,
    };
    alter_oauth::identity(recipe, claims.as_ref(), userinfo.as_ref(), tokens)
        .map_err(|e| refused(Cause::IdentityUnreadable, e))
}

async fn ask_userinfo(flows: &Flows, config: &ProviderConfig, tokens: &TokenSet) -> Result<Value, Stop> {
    let ask = || {
        alter_oauth::userinfo(&flows.inner.egress, &config.recipe, &tokens.access_token, &tokens.token_type)
    };
    for pause in USERINFO_PAUSES {
        match ask().await {
            Ok(value) => return Ok(value),
            Err(error) => {
                tracing::warn!(provider = config.recipe.id, %error, "userinfo failed, asking again")
            }
        }
        tokio::time::sleep(pause).await;
    }
    ask().await.map_err(|e| refused(Cause::UserinfoFailed, e))
}

async fn completion(
    flows: &Flows,
    attempt: &Attempt,
    source: &Source<'_>,
    key: &DataKey,
    request_id: &str,
) -> Result<CompleteConnect, Stop> {
    let Source { session, config, tokens, identity, .. } = *source;
    let (now, recipe) = (flows.now(), &config.recipe);
    let (principal, level) = (session.principal(), session.claim().map_or(Level::L0, |c| c.level));
    agent_is_still_there(flows, session).await?;
    let known = flows.store().find_grant(attempt.app_id, principal, &recipe.id, &identity.subject).await?;
    let (id, created_at, generation, operation) = match &known {
        Some(grant) => (grant.id, grant.created_at, grant.credential.generation + 1, Operation::Reauth),
        None => (GrantId::new(flows.random()), now, 1, Operation::Creation),
    };
    let refresh = keep_refresh_token(flows, known.as_ref(), tokens, key).await?;
    let place = CredentialPlace { app: attempt.app_id, grant: id, generation };
    let credential = flows.sealer().seal_tokens(key, place, tokens, refresh.as_ref(), source.received_at)?;
    let scopes = ScopeResult::of(&attempt.scopes, tokens.scopes.as_deref());
    let connection = Connection {
        grant_id: id,
        provider: recipe.id.clone(),
        provider_name: recipe.name.clone(),
        account_identifier: identity.account.clone(),
        at: now,
        operation,
        scopes: scopes.granted.clone(),
        missing_scopes: scopes.missing.clone(),
        extra_scopes: scopes.extra,
    };
    let grant = Grant {
        id,
        app_id: attempt.app_id,
        principal,
        provider: recipe.id.clone(),
        config_id: config.config_id.clone(),
        subject: identity.subject.clone(),
        account_identifier: identity.account.clone(),
        account_display_name: identity.display_name.clone(),
        label: session.data.label.clone().or_else(|| known.as_ref().and_then(|grant| grant.label.clone())),
        scopes: scopes.granted,
        missing_scopes: scopes.missing,
        level,
        created_at,
        updated_at: now,
        last_used_at: known.as_ref().and_then(|grant| grant.last_used_at),
        revoked: None,
        credential,
    };
    let delegation = session.data.agent.as_ref().map(|agent| Delegation {
        grant_id: id,
        agent_id: agent.id,
        scopes: shown_and_granted(&attempt.scopes, &grant.scopes),
        created_at: now,
    });
    let details = serde_json::json!({ "provider": recipe.id, "level": level.as_str() });
    let audit = AuditEntry {
        grant_id: Some(id),
        sid: Some(attempt.sid.clone()),
        user_id: principal.user(),
        agent_id: delegation.as_ref().map(|d| d.agent_id),
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(attempt.app_id, now, AuditKind::GrantConnected, details)
    };
    Ok(CompleteConnect {
        attempt: attempt.id,
        sid: attempt.sid.clone(),
        grant,
        delegation,
        connection,
        audit,
        at: now,
    })
}

/// An agent that was deleted while the user was at the provider gets nothing, and neither does the app: the user
/// approved the two together.
async fn agent_is_still_there(flows: &Flows, session: &Session) -> Result<(), Stop> {
    let Some(agent) = &session.data.agent else { return Ok(()) };
    let found = flows.store().get_agent(session.app_id, agent.id).await?;
    match found.is_some_and(|agent| agent.status != AgentStatus::Revoked) {
        true => Ok(()),
        false => Err(refused(Cause::AgentRevoked, "the session's agent was deleted meanwhile")),
    }
}

/// Some providers send a refresh token only at the first consent: the old one is kept then.
async fn keep_refresh_token(
    flows: &Flows,
    known: Option<&Grant>,
    tokens: &TokenSet,
    key: &DataKey,
) -> Result<Option<SecretString>, FlowFault> {
    let (Some(grant), None) = (known, &tokens.refresh_token) else {
        return Ok(tokens.refresh_token.clone());
    };
    let Some(sealed) = &grant.credential.refresh_token else { return Ok(None) };
    flows.sealer().open_text(key, &grant.place(GrantSecret::RefreshToken), sealed).await.map(Some)
}

async fn config_of(flows: &Flows, attempt: &Attempt) -> Result<ProviderConfig, Stop> {
    let config = flows.store().get_provider(&attempt.config_id).await?;
    config.ok_or_else(|| refused(Cause::ProviderNotConfigured, "the operator removed the provider"))
}

/// What a token request needs.
struct Opened {
    config: ProviderConfig,
    /// The app's current key, for the answer.
    key: DataKey,
    verifier: SecretString,
    secret: Option<SecretString>,
}

/// What a grant is made from.
#[derive(Clone, Copy)]
struct Source<'a> {
    session: &'a Session,
    config: &'a ProviderConfig,
    tokens: &'a TokenSet,
    identity: &'a Identity,
    /// When the answer came.
    received_at: Micros,
}

/// Keys that could not be fetched say nothing about the id_token: the answer stays in the journal and is tried again.
fn id_token_stop(error: IdTokenRefused) -> Stop {
    match error {
        IdTokenRefused::Keys(error) => Stop::Later(error.to_string()),
        invalid => refused(Cause::IdTokenInvalid, invalid),
    }
}

fn token_stop(error: TokenRefused) -> Stop {
    refused(error.cause(), &error)
}

/// What an agent is given: no scope that the consent page did not name, whatever the provider granted beside (T13).
fn shown_and_granted(asked: &[String], granted: &[String]) -> Vec<String> {
    granted.iter().filter(|scope| asked.contains(scope)).cloned().collect()
}

/// Asked for against granted (T27). A provider that names no scopes granted what was asked (RFC 6749 section 5.1).
struct ScopeResult {
    granted: Vec<String>,
    missing: Vec<String>,
    extra: Vec<String>,
}

impl ScopeResult {
    fn of(asked: &[String], granted: Option<&[String]>) -> Self {
        let granted = granted.unwrap_or(asked).to_vec();
        // `offline_access` asks for a refresh token; several providers never list it among the granted.
        let missing =
            asked.iter().filter(|s| !granted.contains(s) && *s != "offline_access").cloned().collect();
        let extra = granted.iter().filter(|s| !asked.contains(s)).cloned().collect();
        Self { granted, missing, extra }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t27_missing_and_extra_scopes_are_told_apart() {
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let result = ScopeResult::of(&texts(&["a", "b", "offline_access"]), Some(&texts(&["b", "c"])));
        assert_eq!(
            (result.granted, result.missing, result.extra),
            (texts(&["b", "c"]), texts(&["a"]), texts(&["c"]))
        );
        let silent = ScopeResult::of(&texts(&["a"]), None);
        assert_eq!((silent.granted, silent.missing, silent.extra), (texts(&["a"]), vec![], vec![]));
    }
}
