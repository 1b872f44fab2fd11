//! The provider sends the browser back (protocol 4).
//!
//! Order: parse; find the attempt by the hash of `state`; check the cookie, the id in the path and `iss`; check that the
//! session's agent may act; consume the attempt by a conditional update; then run the exchange in its own task. The
//! browser waits at most ten seconds for it. A repeated callback gets the same response and has no effect. A `code`
//! without the cookie ends the attempt; an `error` without the cookie is ignored. Without a `state` that can be read
//! nothing is ended, because any website can send a browser here; the user is told and can go on.

use std::time::Duration;

use alter_core::{
    Attempt, AttemptStatus, AuditKind, Cause, ConfigId, Ended, ProviderWords, SessionId, secret,
    sign_in::session_of_state,
};
use alter_oauth::{BadCallback, Callback, CallbackOutcome, brought, check_iss, outcome_of, parse_callback};
use secrecy::SecretString;
use tracing::Instrument;

use super::{
    end::{Ending, end_failed},
    exchange::exchange,
    offer::agent_of,
    opener::learn_from_return,
    sign_in,
};
use crate::{Flows, context::hash_secret, fault::FlowFault};

/// How long the browser's request waits for the exchange; after that the browser gets the waiting page.
const WAIT: Duration = Duration::from_secs(10);

/// How many of a browser's sessions are looked at.
const SESSIONS_MAX: usize = 20;

/// A request to `/oauth/callback/{config_id}`.
pub struct CallbackRequest<'a> {
    /// The last path segment, as received.
    pub config_id: &'a str,
    /// The raw query string.
    pub query: &'a str,
    /// The sessions that the browser holds a key for.
    pub sessions: &'a [SessionId],
    /// For the log and the audit.
    pub request_id: &'a str,
}

/// What the browser gets.
#[derive(Debug)]
pub enum CallbackEnd {
    /// 303 to the session's page.
    ToSession(SessionId),
    /// 400: no attempt of ours matches, or none any more.
    NotOurs,
    /// What came cannot be read. With the session, if the browser has one that is at this provider.
    NotUnderstood(Option<SessionId>),
    /// 400: another browser started this.
    OtherBrowser,
}

/// Handles a callback. `cookie` returns the browser key for a session, if the browser sent one.
///
/// # Errors
/// Only our own failures; whatever the browser or the provider did wrong is a [`CallbackEnd`].
pub async fn callback(
    flows: &Flows,
    request: &CallbackRequest<'_>,
    cookie: impl Fn(&SessionId) -> Option<SecretString>,
) -> Result<CallbackEnd, FlowFault> {
    alter_failpoint::pass("read");
    let callback = match parse_callback(request.query) {
        Ok(callback) => callback,
        Err(why) => {
            // Whatever else is in the path is a stranger's, and may be long.
            let config_id = ConfigId::parse(request.config_id);
            let session = match &config_id {
                Some(config_id) => session_there(flows, request, config_id, &cookie).await?,
                None => None,
            };
            let (sid, config_id) =
                (session.as_ref().map(SessionId::as_str), config_id.as_ref().map(ConfigId::as_str));
            tracing::warn!(sid, request_id = request.request_id, config_id, %why, "a callback is not understood");
            return Ok(CallbackEnd::NotUnderstood(session));
        }
    };
    if let Some(sid) = session_of_state(&callback.state) {
        return sign_in::came_back(flows, request, sid, callback, cookie).await;
    }
    let state = secret::sha256(callback.state.as_bytes());
    let Some(attempt) = flows.store().find_attempt(&state).await? else {
        return Ok(CallbackEnd::NotOurs);
    };
    let Some(session) = flows.store().get_session(&attempt.sid).await? else {
        return Ok(CallbackEnd::NotOurs);
    };

    let callback = as_named(flows, &attempt, request.query, callback).await?;

    let same_browser = cookie(&session.sid).is_some_and(|key| session.is_browser(&hash_secret(&key)));
    let same_path = attempt.config_id.as_str() == request.config_id;
    let said = callback.said.clone();
    let refuse =
        |cause| refuse(flows, &attempt, Ending { said: said.clone(), ..ending(cause) }, request.request_id);
    match (&callback.outcome, same_browser, same_path) {
        (_, false, false) => return Ok(CallbackEnd::NotOurs),
        (CallbackOutcome::Error(_) | CallbackOutcome::Unreadable(_), false, true) => {
            return Ok(CallbackEnd::OtherBrowser);
        }
        (CallbackOutcome::Code(_), false, true) => {
            refuse(Cause::OtherBrowser).await?;
            return Ok(CallbackEnd::OtherBrowser);
        }
        // RFC 9700 section 4.4: the response arrived on another provider's redirect URI.
        (_, true, false) => {
            refuse(Cause::MixUp).await?;
            return Ok(CallbackEnd::ToSession(session.sid));
        }
        (_, true, true) => learn_from_return(flows, &session, &attempt).await,
    }
    let config = match flows.provider(attempt.app_id, &attempt.config_id).await {
        Err(fault) if fault.is_unproven() => {
            tracing::error!(sid = %session.sid, error = %fault, "a callback is refused");
            refuse(Cause::ProviderMisconfigured).await?;
            return Ok(CallbackEnd::ToSession(session.sid));
        }
        found => found?,
    };
    let config = config.and_then(|config| config.for_customer(&attempt.filled).ok());
    let iss_ok = config.as_ref().is_none_or(|c| check_iss(&c.recipe, callback.iss.as_deref()).is_ok());
    let brought = config.as_ref().map(|c| brought(&c.recipe, request.query)).unwrap_or_default();
    match callback.outcome {
        _ if config.is_none() => refuse(Cause::ProviderNotConfigured).await?,
        CallbackOutcome::Unreadable(why) => {
            tracing::warn!(sid = %session.sid, request_id = request.request_id, %why, "a callback is not understood");
            refuse(Cause::CallbackNotUnderstood).await?;
        }
        _ if !iss_ok => refuse(Cause::IssMismatch).await?,
        CallbackOutcome::Error(cause) => {
            let said = callback.said.as_ref().map(ProviderWords::as_str);
            tracing::info!(sid = %session.sid, request_id = request.request_id, %cause, said, "the provider sent an error");
            refuse(cause).await?;
        }
        CallbackOutcome::Code(code) => match agent_of(flows, &session).await? {
            // The code is not exchanged: what nobody may use is not asked for.
            Some(Err(stop)) => refuse(stop.into()).await?,
            _ => exchange_and_wait(flows, Attempt { brought, ..attempt }, code, request.request_id).await?,
        },
    }
    Ok(CallbackEnd::ToSession(session.sid))
}

/// Reads the decision again where the provider may carry the code in a parameter of another name.
async fn as_named(
    flows: &Flows,
    attempt: &Attempt,
    query: &str,
    callback: Callback,
) -> Result<Callback, FlowFault> {
    if !matches!(callback.outcome, CallbackOutcome::Unreadable(BadCallback::Empty)) {
        return Ok(callback);
    }
    let config = flows.unproven_provider(attempt.app_id, &attempt.config_id).await?;
    Ok(match config {
        Some(config) => outcome_of(&config.recipe, query, callback),
        None => callback,
    })
}

/// The one session of this browser that is at the provider, or the sign-in, of this callback URL; `None` if there are several.
async fn session_there(
    flows: &Flows,
    request: &CallbackRequest<'_>,
    config_id: &ConfigId,
    cookie: impl Fn(&SessionId) -> Option<SecretString>,
) -> Result<Option<SessionId>, FlowFault> {
    let mut there = Vec::new();
    for sid in request.sessions.iter().take(SESSIONS_MAX) {
        let (Some(key), Some(session)) = (cookie(sid), flows.store().get_session(sid).await?) else {
            continue;
        };
        if session.end().is_some() || !session.is_browser(&hash_secret(&key)) {
            continue;
        }
        let signs_in = session.data.sign_in.as_ref().and_then(|sign_in| sign_in.trip.as_ref());
        if signs_in.is_some_and(|trip| trip.config == *config_id) {
            there.push(session.sid);
            continue;
        }
        let Some(away) = session.data.underway.as_ref().filter(|away| !away.exchanging) else { continue };
        let config = flows.unproven_provider(session.app_id, config_id).await?;
        if config.is_some_and(|config| config.recipe.id == away.provider) {
            there.push(session.sid);
        }
    }
    Ok(if there.len() == 1 { there.pop() } else { None })
}

/// Ends the attempt, unless it has ended already or an exchange has consumed it.
async fn refuse(flows: &Flows, attempt: &Attempt, end: Ending, request_id: &str) -> Result<(), FlowFault> {
    if attempt.status != AttemptStatus::Started {
        return Ok(());
    }
    let (own, attempt, request_id) = (flows.clone(), attempt.clone(), request_id.to_owned());
    // In its own task, like the exchange: a request that is dropped half-way must not leave the attempt `consumed`.
    let work = async move {
        // The attempt we read may be stale. Consuming it first makes it ours, so a running exchange is not ended here.
        // An expired attempt cannot be consumed by anyone, so it may be ended without that.
        let now = own.now();
        let taken = own.store().consume_attempt(attempt.id, now).await?;
        if taken.is_first() || now >= attempt.expires_at {
            let (Ended::Done { .. } | Ended::Before) = end_failed(&own, &attempt, end, &request_id).await?;
        }
        Ok::<_, FlowFault>(())
    };
    let task = flows.inner.tasks.spawn(work.in_current_span());
    // The runtime has reported the panic; the reaper ends the attempt.
    task.await.unwrap_or(Ok(()))
}

async fn exchange_and_wait(
    flows: &Flows,
    attempt: Attempt,
    code: SecretString,
    request_id: &str,
) -> Result<(), FlowFault> {
    let (own, request_id) = (flows.clone(), request_id.to_owned());
    // In its own task from the consumption on: the browser may hang up at any moment, which drops this request, and the
    // code must not be lost with it (F26).
    let work = async move {
        let first = own.store().consume_attempt(attempt.id, own.now()).await?;
        if first.is_first() {
            own.waiting().tell(&attempt.sid);
            alter_failpoint::pass("consumed");
            exchange(&own, attempt, code, &request_id).await;
        }
        Ok::<_, FlowFault>(())
    };
    let task = flows.inner.tasks.spawn(work.in_current_span());
    match tokio::time::timeout(WAIT, task).await {
        Ok(Ok(consumed)) => consumed,
        // Still running: the browser gets the waiting page. Or it panicked, and the runtime has reported that.
        Err(_) | Ok(Err(_)) => Ok(()),
    }
}

fn ending(cause: Cause) -> Ending {
    let status = match cause {
        Cause::Denied => AttemptStatus::Denied,
        _ => AttemptStatus::Failed,
    };
    let audit = match cause {
        Cause::OtherBrowser => AuditKind::BrowserMismatch,
        _ => AuditKind::ConnectFailed,
    };
    Ending { status, cause, said: None, audit }
}
