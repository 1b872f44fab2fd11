//! The app's page fetches what became of its redirect flow (protocol 6): with the result code, which came by navigation to
//! the registered `return_url` alone, and with `v`, which never left the page that started the flow. Where the app has the
//! last word (L3), the page of a popup gets its result code here, by the session token and `v`: the claim has proven that
//! the page at the session's origin opened the popup. A browser that came without that proof never gets one here.
//!
//! 1. The code is the session's.
//! 2. `v` is the one behind the `cb` of the claim.
//! 3. The page is at the session's origin, or at that of its `return_url`.
//! 4. The code's five minutes are not over.
//!
//! Nothing is used up: an answer may be lost, so the same page may ask again. Without a code (the browser was not let in, or
//! keeps no cookie) the page hears of failures alone, never of connections: whoever began a flow has its `v`, and only the
//! way back shows that he is in the browser that went through it (threats 6.2).

use alter_core::{
    ClaimRefused, EndKind, Hash, Level, Mode, ResultCode, Session, SessionId, Staged, StoreError, exit,
    secret,
};
use secrecy::SecretString;

use super::{
    connected::{Connected, connected},
    foreign::ForeignPage,
    names::Names,
    status::{Status, StatusReport},
};
use crate::{Flows, callers::caller::ours, fault::FlowFault};

/// What the page has.
#[derive(Debug, Clone, Copy)]
pub enum Ticket<'a> {
    /// The code that the way back brought.
    Code(&'a str),
    /// The session's public id alone.
    Sid(&'a str),
    /// The session token, which the page of a popup still has.
    Token(&'a str),
}

/// What the page is told.
#[derive(Debug)]
pub struct Told {
    pub report: StatusReport,
    /// Only where the app's backend has to confirm something.
    pub waits: Option<Waits>,
}

/// A flow in which the app has the last word.
#[derive(Debug)]
pub struct Waits {
    /// By which the backend confirms.
    pub code: ResultCode,
    /// What it has to confirm.
    pub staged: Vec<Staged>,
    /// What needs no word: other accounts of the same flow.
    pub made: Vec<Connected>,
}

impl<'a> Ticket<'a> {
    /// What the way back had first: a code, or the session's id in the place of one.
    pub fn read(text: &'a str) -> Self {
        if SessionId::parse(text).is_some() { Self::Sid(text) } else { Self::Code(text) }
    }
}

/// Why the page is told nothing.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error("the result code is malformed or unknown")]
    UnknownCode,
    #[error("the session token is malformed or unknown")]
    UnknownToken,
    #[error("the result code has expired")]
    Expired,
    /// `v` is missing or wrong.
    #[error("the page did not start this flow")]
    NotStartedHere,
    /// The browser named no origin, or two.
    #[error("nobody knows which page asks")]
    NoOrigin,
    #[error("{0}")]
    OtherOrigin(ForeignPage),
    /// Our own failure.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ResultError; }

/// Returns what became of a flow. `origin` is the browser's `Origin` header; `None` when it is absent or came twice.
///
/// # Errors
/// [`ResultError`].
pub async fn result(
    flows: &Flows,
    ticket: Ticket<'_>,
    v: &str,
    origin: Option<&str>,
) -> Result<Told, ResultError> {
    match ticket {
        Ticket::Code(code) => by_code(flows, code, v, origin).await,
        Ticket::Sid(sid) => Ok(Told { report: by_sid(flows, sid, v, origin).await?, waits: None }),
        Ticket::Token(token) => by_token(flows, token, v, origin).await,
    }
}

async fn by_code(flows: &Flows, code: &str, v: &str, origin: Option<&str>) -> Result<Told, ResultError> {
    let code = ResultCode::parse(code).ok_or(ResultError::UnknownCode)?;
    let session = flows.store().get_session(code.sid()).await?.ok_or(ResultError::UnknownCode)?;
    let issued = session.data.result.as_ref().filter(|issued| issued.is(&code));
    let issued = issued.ok_or(ResultError::UnknownCode)?;
    if !flow_id(v).is_some_and(|cb| started_by(&session, &cb)) {
        return Err(ResultError::NotStartedHere);
    }
    is_there(&session, origin)?;
    if issued.is_over(flows.now()) {
        return Err(ResultError::Expired);
    }
    Ok(told(flows, &session, code).await?)
}

async fn told(flows: &Flows, session: &Session, code: ResultCode) -> Result<Told, StoreError> {
    let outcome = outcome(flows, session).await?;
    let waits = match outcome {
        Status::Pending => {
            let (staged, made) = (session.data.staged.clone(), connected(flows, session).await?);
            Some(Waits { code, staged, made })
        }
        _ => None,
    };
    Ok(Told { report: report(session, outcome), waits })
}

/// The page of a popup. Whoever holds token and `v` could derive the code as well: what keeps it from a page that began a
/// flow for somebody else is that the code counts for a browser alone that the app's own page sent here.
async fn by_token(flows: &Flows, token: &str, v: &str, origin: Option<&str>) -> Result<Told, ResultError> {
    let refused = || ResultError::NotStartedHere;
    let session = flows.session_by_token(token).await?.ok_or(ResultError::UnknownToken)?;
    is_there(&session, origin)?;
    let cb = flow_id(v).filter(|cb| started_by(&session, cb) && opened_by_the_app(&session));
    cb.ok_or_else(refused)?;
    let now = flows.now();
    let code = ResultCode::derive(&session.sid, &SecretString::from(v.to_owned()));
    let issued = flows.update_session(session, |session| {
        let ended = exit::settle(session, now);
        let issued = session.awaits_the_app() && session.issue_result(&code, now);
        Ok::<_, StoreError>((ended || issued, ()))
    });
    let (session, ()) = issued.await?.ok_or_else(refused)?;
    Ok(told(flows, &session, code).await?)
}

/// A popup whose opener is proven.
fn opened_by_the_app(session: &Session) -> bool {
    session.claim().is_some_and(|claim| claim.level >= Level::L2 && claim.mode == Mode::Popup)
}

async fn by_sid(
    flows: &Flows,
    sid: &str,
    v: &str,
    origin: Option<&str>,
) -> Result<StatusReport, ResultError> {
    let refused = || ResultError::NotStartedHere;
    let cb = flow_id(v).ok_or_else(refused)?;
    let sid = SessionId::parse(sid).ok_or_else(refused)?;
    let session = flows.store().get_session(&sid).await?.ok_or_else(refused)?;
    // Nobody has proven to know more than an id: the page is not told where it should be.
    is_there(&session, origin).map_err(|error| match error {
        ResultError::OtherOrigin(_) => refused(),
        error => error,
    })?;
    let (now, here) = (flows.now(), started_by(&session, &cb));
    let settled = flows.update_session(session, |session| {
        let ended = (here && session.left_without_cookie(now)) || exit::settle(session, now);
        Ok::<_, StoreError>((ended, ()))
    });
    let (session, ()) = settled.await?.ok_or_else(refused)?;
    if session.claim().is_none() && session.end().is_none() {
        return Err(refused());
    }
    let failed = failed(flows, &session, here || session.claim().is_none()).await?;
    Ok(report(&session, failed))
}

/// What may be told without the code: nothing of a connection.
async fn failed(flows: &Flows, session: &Session, here: bool) -> Result<Status, StoreError> {
    match outcome(flows, session).await? {
        Status::Completed(_) | Status::Pending => taken(flows, session).await,
        _ if !here => taken(flows, session).await,
        outcome => Ok(outcome),
    }
}

/// The `cb` of a `v`; `None` when it is none.
fn flow_id(v: &str) -> Option<String> {
    let bytes = secret::from_base64url(v).filter(|bytes| bytes.len() == size_of::<Hash>())?;
    Some(secret::base64url(&secret::sha256(&bytes)))
}

fn started_by(session: &Session, cb: &str) -> bool {
    let claimed = session.claim().and_then(|claim| claim.cb.as_deref());
    claimed.is_some_and(|claimed| secret::same(claimed.as_bytes(), cb.as_bytes()))
}

fn is_there(session: &Session, origin: Option<&str>) -> Result<(), ResultError> {
    let returned = session.data.return_url.as_ref().is_some_and(|url| url.is_named_by(origin));
    if returned || session.data.is_for_page_at(origin) {
        return Ok(());
    }
    let foreign = ForeignPage::noticed(session, origin);
    Err(foreign.map_or(ResultError::NoOrigin, ResultError::OtherOrigin))
}

/// Another flow has the session.
async fn taken(flows: &Flows, session: &Session) -> Result<Status, StoreError> {
    let reason = if session.end().is_some() { ClaimRefused::Used } else { ClaimRefused::OtherBrowser };
    Ok(Status::Taken(reason, Names::of(flows, session, None).await?))
}

/// What became of a redirect flow. Its app page was told nothing before, so a connection that arrived after the end counts.
pub(super) async fn outcome(flows: &Flows, session: &Session) -> Result<Status, StoreError> {
    let Some(end) = session.end() else { return Ok(Status::Open) };
    if session.awaits_the_app() {
        return Ok(Status::Pending);
    }
    if !session.data.connections.is_empty() {
        return Ok(Status::Completed(connected(flows, session).await?));
    }
    Ok(match end.kind {
        EndKind::Done => Status::Completed(Vec::new()),
        EndKind::Cancelled => Status::Exited,
        EndKind::Failed | EndKind::Expired => {
            let names = Names::of(flows, session, end.failure.as_ref()).await?;
            Status::Failed(end.failure.clone(), names)
        }
    })
}

fn report(session: &Session, status: Status) -> StatusReport {
    let events = match &status {
        Status::Taken(..) => Vec::new(),
        _ => session.data.events.clone(),
    };
    StatusReport { status, cursor: events.len(), deadline: session.deadline(), events }
}
