//! The app's word about a flow (binding level L3, threats 6.2): the backend brings the result code that came to its own
//! page, and proves that the user before it is the one who started.
//!
//! 1. The key is the app's own, and the code is that of one of its sessions.
//! 2. The proof is right: the user token's user is the session's, or the verifier is the one behind its challenge.
//! 3. A wrong proof ends the flow: the code came to another person than the one who started, and that person's account must
//!    not wait for a second try. So does a right one that comes too late.
//! 4. Otherwise each staged connection is opened and becomes a grant at L3, with delegation, session and audit in one commit.
//!
//! A repeated call with the right proof gets the same answer. One that broke off is taken up by the next.

use alter_core::{
    AgentId, Attempt, Cause, EndKind, Failure, ResultCode, Session, SessionId, StoreError, secret,
};
use secrecy::{ExposeSecret, SecretString};
use tracing::Instrument;

use super::{
    connected::{Connected, connected},
    exchange::make_grant,
    grant::Source,
    names::Names,
    stage::{Opened, discard, discard_all, open_staged},
    stop::Stop,
};
use crate::{
    AppKeyRequired, Caller, Flows, UserTokenError,
    callers::caller::{Spent, ours},
    callers::user_token::known_user,
    fault::FlowFault,
    rounds::Rounds,
};

/// How many times a staged connection is opened: another write may come first.
const ROUNDS: usize = 4;

/// What the backend brings.
#[derive(Debug, Default)]
pub struct FinalizeRequest {
    /// `alter_result_code`, or `metadata.result_code` of a pending connection.
    pub result_code: SecretString,
    /// The token of the user who is signed in at the app.
    pub user_token: Option<SecretString>,
    /// What the app kept in the session of the user who is signed in there.
    pub code_verifier: Option<SecretString>,
}

/// The connections that are grants now.
#[derive(Debug)]
pub struct Finalized {
    pub connections: Vec<Connected>,
    /// The agent that each is delegated to.
    pub agent: Option<AgentId>,
}

/// Why nothing is confirmed.
#[derive(Debug, thiserror::Error)]
pub enum FinalizeError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The code is malformed, unknown, or of another app's session; the caller cannot tell which (T72).
    #[error("the result code is malformed or unknown")]
    UnknownCode,
    /// The proof is missing, or cannot be one; the caller is shown this sentence. Nothing has changed.
    #[error("{0}")]
    NoProof(&'static str),
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Another person than the one who started has completed the flow. What was connected is wiped.
    #[error("another person completed the flow")]
    OtherUser,
    /// The app's time is over. What was connected is wiped.
    #[error("the app took too long to confirm")]
    TooLate,
    /// The flow made no connection.
    #[error("the flow ended without a connection")]
    Failed(Box<Failure>, Names),
    /// The flow is not over, or ended without a connection and without a failure.
    #[error("there is nothing to confirm")]
    Nothing,
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { FinalizeError: User; }

/// Confirms a flow's connections, or ends them.
///
/// # Errors
/// [`FinalizeError`].
pub async fn finalize(
    flows: &Flows,
    caller: &Caller,
    request: FinalizeRequest,
) -> Result<Finalized, FinalizeError> {
    let story = |_| async move {
        let (own, caller) = (flows.clone(), caller.clone());
        // In its own task: a backend that hangs up must not leave half a confirmation, or tokens that nobody ends.
        let work = async move { try_finalize(&own, &caller, request).await };
        let task = flows.inner.tasks.spawn(work.in_current_span());
        let done = task.await.map_err(|_| FlowFault::Broken("a confirmation panicked"))?;
        done.map(Spent::NotYet)
    };
    flows.once(caller, story).await
}

async fn try_finalize(
    flows: &Flows,
    caller: &Caller,
    request: FinalizeRequest,
) -> Result<Finalized, FinalizeError> {
    caller.app_only()?;
    let session = session_of(flows, caller, &request.result_code).await?;
    let proven = is_proven(flows, caller, &session, &request).await?;
    let request_id = Some(caller.request_id.as_str());
    if !proven {
        discard_all(flows, &session, &Cause::OtherUser, request_id).await?;
        return Err(FinalizeError::OtherUser);
    }
    if session.awaits_the_app() && session.confirm_by().is_some_and(|by| by <= flows.now()) {
        discard_all(flows, &session, &Cause::NotConfirmed, request_id).await?;
        return Err(FinalizeError::TooLate);
    }
    for attempt in flows.store().list_staged_attempts(&session.sid).await? {
        confirm(flows, &session, attempt, &caller.request_id).await?;
    }
    answer(flows, &session.sid).await
}

/// Step 1.
async fn session_of(flows: &Flows, caller: &Caller, code: &SecretString) -> Result<Session, FinalizeError> {
    let unknown = || FinalizeError::UnknownCode;
    let code = ResultCode::parse(code.expose_secret()).ok_or_else(unknown)?;
    let session = flows.store().get_session(code.sid()).await?;
    let session = session.filter(|session| session.app_id == caller.app.id).ok_or_else(unknown)?;
    let issued = session.data.result.as_ref().is_some_and(|issued| issued.is(&code));
    if issued { Ok(session) } else { Err(unknown()) }
}

/// Step 2. All that is given must be right. A user token that is not valid says nothing about who completed the flow, and
/// neither does a verifier that cannot be one: those change nothing.
async fn is_proven(
    flows: &Flows,
    caller: &Caller,
    session: &Session,
    request: &FinalizeRequest,
) -> Result<bool, FinalizeError> {
    use FinalizeError::NoProof;
    if request.user_token.is_none() && request.code_verifier.is_none() {
        return Err(NoProof("user_token or code_verifier is missing"));
    }
    let mut proven = true;
    if let Some(token) = &request.user_token {
        let who = session.data.user.as_ref();
        let who = who.ok_or(NoProof("the session was minted without user_token, so none can confirm it"))?;
        let user = known_user(flows, &caller.app, token).await?;
        proven &= user.is_some_and(|user| user.id == who.id);
    }
    if let Some(verifier) = &request.code_verifier {
        let challenge = session.data.challenge.as_ref();
        let challenge = challenge
            .ok_or(NoProof("the session was minted without code_challenge, so no code_verifier fits"))?;
        let verifier = verifier.expose_secret();
        if !is_verifier(verifier) {
            return Err(NoProof(
                "code_verifier must have 43 to 128 characters of A-Z, a-z, 0-9, -, ., _ and ~",
            ));
        }
        proven &= secret::same(challenge, &secret::sha256(verifier.as_bytes()));
    }
    Ok(proven)
}

/// RFC 7636 section 4.1.
fn is_verifier(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(fits)
}

/// Step 4, for one connection. One that another call has ended meanwhile is left to the answer.
async fn confirm(
    flows: &Flows,
    session: &Session,
    mut attempt: Attempt,
    request_id: &str,
) -> Result<(), FinalizeError> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        match try_confirm(flows, session, &attempt, request_id).await {
            Ok(()) | Err(Stop::Moved) => return Ok(()),
            // The app's data key was replaced between reading and opening.
            Err(Stop::Fault(fault)) if fault.is_overtaken() => {
                let again = flows.store().list_staged_attempts(&session.sid).await?;
                let Some(found) = again.into_iter().find(|found| found.id == attempt.id) else {
                    return Ok(());
                };
                attempt = found;
            }
            Err(Stop::Fault(fault)) => return Err(fault.into()),
            // The agent was stopped, or the provider removed: nothing can come of it any more.
            Err(Stop::Refused { cause, .. }) => {
                discard(flows, session, &attempt, cause, Some(request_id)).await?;
                return Ok(());
            }
        }
    }
}

async fn try_confirm(
    flows: &Flows,
    session: &Session,
    attempt: &Attempt,
    request_id: &str,
) -> Result<(), Stop> {
    let Opened { config, tokens, identity, received_at } = open_staged(flows, session, attempt).await?;
    let source = Source {
        session,
        config: &config,
        tokens: &tokens,
        identity: &identity,
        received_at,
        is_confirmed: true,
    };
    alter_failpoint::pass("confirming");
    make_grant(flows, attempt, &source, request_id).await
}

async fn answer(flows: &Flows, sid: &SessionId) -> Result<Finalized, FinalizeError> {
    let session = flows.store().get_session(sid).await?.ok_or(FinalizeError::UnknownCode)?;
    if !session.data.connections.is_empty() {
        let agent = session.data.agent.as_ref().map(|agent| agent.id);
        return Ok(Finalized { connections: connected(flows, &session).await?, agent });
    }
    Err(ended(flows, &session).await?)
}

async fn ended(flows: &Flows, session: &Session) -> Result<FinalizeError, StoreError> {
    let failure = session.end().filter(|end| end.kind == EndKind::Failed).and_then(|end| end.failure.clone());
    Ok(match failure {
        Some(Failure { cause: Cause::OtherUser, .. }) => FinalizeError::OtherUser,
        Some(Failure { cause: Cause::NotConfirmed, .. }) => FinalizeError::TooLate,
        Some(failure) => {
            let names = Names::of(flows, session, Some(&failure)).await?;
            FinalizeError::Failed(Box::new(failure), names)
        }
        None => FinalizeError::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_has_43_to_128_unreserved_characters() {
        for good in ["a".repeat(43), "Zz09-._~".repeat(16)] {
            assert!(is_verifier(&good), "{good}");
        }
        for bad in
            [String::new(), "a".repeat(42), "a".repeat(129), "é".repeat(30), " ".repeat(43), "+".repeat(50)]
        {
            assert!(!is_verifier(&bad), "{bad}");
        }
    }
}
