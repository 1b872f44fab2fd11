//! The backend's poll (wire 3.2): what the status channel tells the SDK, for the app that minted the session.

use alter_core::{AgentId, Declined, EndKind, Failure, StoreError, exit};

use super::{
    connected::{Connected, connected},
    names::Names,
};
use crate::{AppKeyRequired, Caller, Flows, callers::caller::ours, fault::FlowFault};

/// Where the session stands.
#[derive(Debug)]
pub enum Poll {
    /// Not over yet, or the app has not confirmed it ([`super::finalize`]).
    Pending {
        /// The providers the user has refused so far.
        declined: Vec<Declined>,
    },
    /// Over, with connections, each delegated to the agent if the session has one.
    Completed(Vec<Connected>, Option<AgentId>),
    /// Over, without connections.
    Failed(Failure, Names),
    /// The user or the app left.
    Cancelled,
    Expired,
}

/// Why a poll is refused.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The token is malformed, unknown, or belongs to another app's session; the caller cannot tell which (T72).
    #[error("the session token is not valid")]
    InvalidToken,
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { PollError; }

/// Returns where the session stands.
///
/// # Errors
/// [`PollError`].
pub async fn poll(flows: &Flows, caller: &Caller, session_token: &str) -> Result<Poll, PollError> {
    flows.reading(caller, try_poll(flows, caller, session_token)).await
}

async fn try_poll(flows: &Flows, caller: &Caller, session_token: &str) -> Result<Poll, PollError> {
    caller.app_only()?;
    let found = flows.session_by_token(session_token).await?;
    let session = found.filter(|s| s.app_id == caller.app.id).ok_or(PollError::InvalidToken)?;
    let now = flows.now();
    let settled = flows.update_session(session, |s| Ok::<_, StoreError>((exit::settle(s, now), ())));
    let (session, ()) = settled.await?.ok_or(PollError::InvalidToken)?;
    let agent = session.data.agent.as_ref().map(|agent| agent.id);
    Ok(match session.end() {
        Some(_) if session.awaits_the_app() => Poll::Pending { declined: session.data.declined },
        // A connection that arrived after the end was announced is not lost (protocol 5).
        Some(_) if !session.data.connections.is_empty() => {
            Poll::Completed(connected(flows, &session).await?, agent)
        }
        None => Poll::Pending { declined: session.data.declined },
        Some(end) => match (end.kind, &end.failure) {
            (EndKind::Done, _) => Poll::Completed(Vec::new(), agent),
            (EndKind::Failed, Some(failure)) => {
                Poll::Failed(failure.clone(), Names::of(flows, &session, Some(failure)).await?)
            }
            (EndKind::Expired, _) => Poll::Expired,
            _ => Poll::Cancelled,
        },
    })
}
