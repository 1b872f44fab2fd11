//! A connection that waits for the app's word (binding level L3): staged by an exchange, opened again when the app
//! confirms ([`super::finalize`]), wiped when it does not.
//!
//! The tokens stay where the journal put them, sealed in the attempt. Whose account it is was proven at the exchange and is
//! sealed beside them, so that nothing is asked of the provider again.

use alter_core::{
    Attempt, AttemptSecret, AttemptStatus, AuditEntry, AuditKind, Cause, Ended, Failure, Micros,
    ProviderConfig, Session, SessionId, StageConnect, Staged, StoreError, UserId,
};
use alter_oauth::{Identity, TokenSet};
use alter_vault::DataKey;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::{exchange::config_of, grant::Source, left::Left, stop::Stop};
use crate::{Flows, fault::FlowFault, journal::open_journal, metrics};

/// How many waiting connections are looked at before a provider is asked to end one.
const LOOKED_AT: u32 = 500;

/// What is sealed beside the tokens.
#[derive(Serialize, Deserialize)]
struct Account {
    /// Whose flow it was: in the row of another session, the connection does not open.
    sid: SessionId,
    user: Option<UserId>,
    subject: String,
    account: String,
    account_verified: bool,
    display_name: Option<String>,
    received_at: Micros,
}

/// A staged connection, opened.
pub(super) struct Opened {
    pub(super) config: ProviderConfig,
    pub(super) tokens: TokenSet,
    pub(super) identity: Identity,
    pub(super) received_at: Micros,
}

/// Steps 5 and 6 of [`super::exchange`] for a connection that waits.
pub(super) async fn stage(
    flows: &Flows,
    attempt: &Attempt,
    source: &Source<'_>,
    key: &DataKey,
    request_id: &str,
) -> Result<Ended, FlowFault> {
    let Source { session, config, identity, received_at, .. } = *source;
    let at = flows.now();
    let account = Account {
        sid: session.sid.clone(),
        user: session.principal().user(),
        subject: identity.subject.clone(),
        account: identity.account.clone(),
        account_verified: identity.account_verified,
        display_name: identity.display_name.clone(),
        received_at,
    };
    let plain = serde_json::to_vec(&account).expect("texts are always JSON");
    let staged = Staged {
        attempt: attempt.id,
        provider: config.recipe.id.clone(),
        provider_name: config.recipe.name.clone(),
        account_identifier: identity.account.clone(),
        at,
    };
    let stage = StageConnect {
        sid: attempt.sid.clone(),
        app_id: attempt.app_id,
        account: flows.sealer().seal(key, &attempt.place(AttemptSecret::Account), &plain)?,
        staged,
        audit: entry(attempt, session, AuditKind::ConnectionStaged, at, Some(request_id), &config.recipe.id),
    };
    Ok(flows.store().stage_connect(stage).await?)
}

/// Opens a staged connection.
pub(super) async fn open_staged(flows: &Flows, session: &Session, attempt: &Attempt) -> Result<Opened, Stop> {
    let sealed = attempt.staged.as_deref().ok_or(Stop::Moved)?;
    let key = flows.sealer().current_key(attempt.app_id).await?;
    let plain = flows.sealer().open(&key, &attempt.place(AttemptSecret::Account), sealed).await?;
    let account: Account = serde_json::from_slice(plain.expose_secret())
        .map_err(|_| FlowFault::Broken("a staged account cannot be read"))?;
    if (&account.sid, account.user) != (&session.sid, session.principal().user()) {
        return Err(FlowFault::Broken("a staged connection lies in the row of another session").into());
    }
    let answer = open_journal(flows, attempt).await?;
    let config = config_of(flows, attempt).await?;
    let tokens = alter_oauth::parse_token_answer(&config.recipe, &answer)
        .map_err(|_| FlowFault::Broken("a staged answer cannot be read"))?;
    let Account { subject, account, account_verified, display_name, received_at, .. } = account;
    let identity = Identity { subject, account, account_verified, display_name };
    Ok(Opened { config, tokens, identity, received_at })
}

/// Wipes a staged connection, and ends it at the provider where that ends nothing else. Returns whether this call did it.
pub(crate) async fn discard(
    flows: &Flows,
    session: &Session,
    attempt: &Attempt,
    cause: Cause,
    request_id: Option<&str>,
) -> Result<bool, StoreError> {
    // What cannot be opened cannot be ended at the provider, and is wiped all the same.
    let opened = open_staged(flows, session, attempt).await.ok();
    let staged = session.data.staged.iter().find(|staged| staged.attempt == attempt.id);
    let provider = staged.map(|staged| staged.provider.clone());
    let at = flows.now();
    let name = provider.clone().unwrap_or_default();
    let mut audit = entry(attempt, session, AuditKind::ConnectionDiscarded, at, request_id, &name);
    audit.details["reason"] = cause.as_str().into();
    let failure = Failure { cause, provider, request_id: request_id.map(str::to_owned), said: None };
    let ended = flows.store().discard_staged(attempt.id, failure, audit, at).await?;
    if !ended.is_done() {
        return Ok(false);
    }
    metrics::session_ended_with(ended);
    flows.waiting().tell(&attempt.sid);
    tracing::warn!(sid = %attempt.sid, request_id, provider = name, "a connection that was not confirmed is discarded");
    if let Some(Opened { config, tokens, identity, .. }) = opened
        && !another_waits(flows, attempt, &identity.subject).await?
    {
        Left { config, tokens, subject: Some(identity.subject) }.let_go(flows, attempt);
    }
    Ok(true)
}

/// Whether another connection of the same account waits for the app: most providers would end that one, too.
async fn another_waits(flows: &Flows, attempt: &Attempt, subject: &str) -> Result<bool, StoreError> {
    let now = flows.now();
    for other in flows.store().list_waiting_attempts(Micros(now.0 + 1), LOOKED_AT).await? {
        if other.id == attempt.id || other.config_id != attempt.config_id {
            continue;
        }
        let Some(session) = flows.store().get_session(&other.sid).await? else { continue };
        let opened = open_staged(flows, &session, &other).await;
        if opened.is_ok_and(|opened| opened.identity.subject == subject) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Wipes all of a session's connections that wait.
pub(super) async fn discard_all(
    flows: &Flows,
    session: &Session,
    cause: &Cause,
    request_id: Option<&str>,
) -> Result<(), StoreError> {
    for attempt in flows.store().list_staged_attempts(&session.sid).await? {
        discard(flows, session, &attempt, cause.clone(), request_id).await?;
    }
    Ok(())
}

/// One round of the reaper: what no app has confirmed in time.
pub(crate) async fn discard_overdue(flows: &Flows, limit: u32) -> Result<(), StoreError> {
    let now = flows.now();
    let before = now.plus_seconds(-alter_core::staged::CONFIRM_WITHIN);
    let mut result = Ok(());
    for attempt in flows.store().list_waiting_attempts(Micros(before.0 + 1), limit).await? {
        debug_assert_eq!(attempt.status, AttemptStatus::Staged);
        let Some(session) = flows.store().get_session(&attempt.sid).await? else { continue };
        // The user may still be connecting at another provider.
        if session.confirm_by().is_some_and(|by| by <= now) {
            let discarded = discard(flows, &session, &attempt, Cause::NotConfirmed, None).await;
            result = result.and(discarded.map(drop));
        }
    }
    result
}

fn entry(
    attempt: &Attempt,
    session: &Session,
    kind: AuditKind,
    at: Micros,
    request_id: Option<&str>,
    provider: &str,
) -> AuditEntry {
    AuditEntry {
        sid: Some(attempt.sid.clone()),
        user_id: session.principal().user(),
        agent_id: session.data.agent.as_ref().map(|agent| agent.id),
        request_id: request_id.map(str::to_owned),
        ..AuditEntry::new(attempt.app_id, at, kind, serde_json::json!({ "provider": provider }))
    }
}
