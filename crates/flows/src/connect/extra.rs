//! The answer to the question that the page after the provider asks: may the session's agent use the scopes that the
//! provider granted although nobody asked for them?
//!
//! 1. The session is open, and it is this browser's.
//! 2. The answer is about what the page showed.
//! 3. "Not now" changes the session alone: the agent gets no token of the grant until the user has connected again.
//! 4. "Allow": delegation, session and audit entry are one commit.

use alter_core::{
    AgentId, AuditEntry, AuditKind, Connection, Delegation, Hash, Micros, Saved, Session, SessionId,
    StoreError,
};

use super::{offer::Offer, steps::StepError};
use crate::{Flows, metrics, rounds::Rounds};

/// How many times an answer is tried.
const ROUNDS: usize = 8;

/// An answer, as the page sent it.
#[derive(Debug, Clone, Copy)]
pub struct ExtraAnswer<'a> {
    /// What the page carried: [`Offer::shown_extra`].
    pub shown: &'a str,
    /// The agent may use the scopes.
    pub allow: bool,
    pub request_id: &'a str,
}

/// Takes the user's answer.
///
/// # Errors
/// [`StepError`]; [`StepError::Moved`] also when the page showed something else.
pub async fn answer_extra(
    flows: &Flows,
    sid: &SessionId,
    browser: &Hash,
    answer: ExtraAnswer<'_>,
) -> Result<(), StepError> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let session = flows.store().get_session(sid).await?.ok_or(StepError::NotYours)?;
        if try_answer(flows, session, browser, answer).await?.is_done() {
            return Ok(());
        }
    }
}

/// Returns [`Saved::Moved`] when another write came first.
async fn try_answer(
    flows: &Flows,
    mut session: Session,
    browser: &Hash,
    answer: ExtraAnswer<'_>,
) -> Result<Saved, StepError> {
    let now = flows.now();
    if !session.is_browser(browser) {
        return Err(StepError::NotYours);
    }
    let connection = session.asking().filter(|_| now < session.deadline()).ok_or(StepError::Moved)?.clone();
    let offer = Offer::read(flows, &session).await?;
    if offer.shown_extra(&session, &connection).as_deref() != Some(answer.shown) {
        return Err(StepError::Moved);
    }
    let widened = match session.data.agent.as_ref().filter(|_| answer.allow) {
        Some(agent) => widened(flows, &session, &connection, agent.id, now).await?,
        None => None,
    };
    session.answered(connection.grant_id, now);
    session.data.signals.page_at = Some(now);
    let saved = match widened {
        Some((before, after)) => {
            let entry = entry(&session, &connection, &after, answer.request_id);
            flows.store().widen_delegation(&session, before, after, entry).await
        }
        None => flows.store().save_session(&session).await,
    };
    match saved {
        Err(StoreError::Moved) => Ok(Saved::Moved),
        saved => {
            let saved = saved?;
            flows.waiting().tell(&session.sid);
            if let (true, Some(end)) = (saved.is_done(), session.end()) {
                metrics::ended(end.kind);
            }
            Ok(saved)
        }
    }
}

/// The delegation as it is, and with the scopes that the page showed; `None` when the app has revoked it: an answer to a
/// question brings nothing back.
async fn widened(
    flows: &Flows,
    session: &Session,
    connection: &Connection,
    agent: AgentId,
    now: Micros,
) -> Result<Option<(Delegation, Delegation)>, StoreError> {
    let found = flows.store().find_delegation(session.app_id, connection.grant_id, agent).await?;
    Ok(found.map(|before| {
        let mut after = Delegation { created_at: now, ..before.clone() };
        after.scopes.extend(connection.unanswered.iter().filter(|s| !before.scopes.contains(s)).cloned());
        (before, after)
    }))
}

fn entry(session: &Session, connection: &Connection, after: &Delegation, request_id: &str) -> AuditEntry {
    let details = serde_json::json!({ "provider": connection.provider, "scopes": connection.unanswered });
    AuditEntry {
        grant_id: Some(after.grant_id),
        sid: Some(session.sid.clone()),
        user_id: session.principal().user(),
        agent_id: Some(after.agent_id),
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(session.app_id, after.created_at, AuditKind::DelegationWidened, details)
    }
}
