//! The status channel (protocol 5): how the app page learns what became of the flow. It carries states and
//! grant summaries, never a token or a code; and grant summaries only for a session bound at L2 or better (T58).

use alter_core::{
    ClaimRefused, Connection, EndKind, Event, Failure, Level, Micros, Session, StoreError, exit,
};

use crate::Flows;

/// What the SDK sends.
#[derive(Debug, Default)]
pub struct StatusRequest<'a> {
    /// Its flow id.
    pub cb: Option<&'a str>,
    /// How many events it has.
    pub cursor: usize,
    /// What it sees of the popup.
    pub closed: Option<bool>,
    /// The app has given up (`close`, `destroy`, a new `open`).
    pub cancel: bool,
}

/// What the SDK gets.
#[derive(Debug)]
pub struct StatusReport {
    /// Where the flow stands.
    pub status: Status,
    /// How many events there are.
    pub cursor: usize,
    /// When it ends at the latest.
    pub deadline: Micros,
    /// Events after the given cursor.
    pub events: Vec<Event>,
}

/// Where the flow stands.
#[derive(Debug)]
pub enum Status {
    /// Going on.
    Open,
    /// Over, with connections.
    Completed(Vec<Connection>),
    /// Over, without; `None` = time ran out.
    Failed(Option<Failure>),
    /// The user left.
    Exited,
    /// Another flow opened the session.
    Taken(ClaimRefused),
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Malformed or unknown token.
    #[error("the session token is not valid")]
    InvalidToken,
    /// The page that asks is not the session's.
    #[error("the session belongs to another origin")]
    ForeignOrigin,
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the SDK's report and answers with ours. `origin` is the browser's `Origin` header; `None` when it is absent, or came twice.
///
/// # Errors
/// [`StatusError`].
pub async fn status(
    flows: &Flows,
    session_token: &str,
    origin: Option<&str>,
    request: &StatusRequest<'_>,
) -> Result<StatusReport, StatusError> {
    let session = flows.session_by_token(session_token).await?.ok_or(StatusError::InvalidToken)?;
    if !session.data.allowed_origin.is_named_by(origin) {
        return Err(StatusError::ForeignOrigin);
    }
    if let Some(reason) = taken(&session, request.cb) {
        let deadline = session.deadline();
        return Ok(StatusReport { status: Status::Taken(reason), cursor: 0, deadline, events: Vec::new() });
    }
    let now = flows.now();
    let updated = flows.update_session(session, |session| {
        let mut dirty = session.end().is_none() && session.window_reported(request.closed, now);
        if request.cancel && session.end().is_none() {
            session.finish(now);
            dirty = true;
        }
        Ok::<_, StoreError>((settle(session, now) || dirty, ()))
    });
    let (session, ()) = updated.await?.ok_or(StatusError::InvalidToken)?;
    Ok(report(&session, request.cursor))
}

/// Applies time and the exit rule; `true` when that ended the session.
pub(crate) fn settle(session: &mut Session, now: Micros) -> bool {
    if session.expire(now) {
        return true;
    }
    let left = session.end().is_none() && exit::is_left(session, now);
    if left {
        session.finish(now);
    }
    left
}

/// The token was opened by another flow: this one learns that, and nothing that it says of its window counts (S3).
fn taken(session: &Session, cb: Option<&str>) -> Option<ClaimRefused> {
    let (claim, cb) = (session.claim()?, cb?);
    let foreign = claim.cb.as_deref() != Some(cb);
    let reason = if session.end().is_some() { ClaimRefused::Used } else { ClaimRefused::OtherBrowser };
    foreign.then_some(reason)
}

fn report(session: &Session, cursor: usize) -> StatusReport {
    let data = &session.data;
    let status = match session.end() {
        None => Status::Open,
        Some(end) => match end.kind {
            EndKind::Done => Status::Completed(readable_connections(session)),
            EndKind::Failed => Status::Failed(end.failure.clone()),
            EndKind::Expired => Status::Failed(None),
            EndKind::Cancelled => Status::Exited,
        },
    };
    let events = data.events.get(cursor..).unwrap_or_default().to_vec();
    StatusReport { status, cursor: data.events.len(), deadline: session.deadline(), events }
}

fn readable_connections(session: &Session) -> Vec<Connection> {
    match session.claim() {
        Some(claim) if claim.level >= Level::L2 => session.data.connections.clone(),
        _ => Vec::new(),
    }
}
