//! The status channel (protocol 5): how the app page learns what became of the flow. It carries states and grant
//! summaries, never a token or a code; grant summaries only for a session bound at L2 or better (T58).

use std::pin::pin;

use alter_core::{
    ClaimRefused, EndKind, Event, Failure, Level, Micros, Mode, Session, SessionId, Shown, StoreError, exit,
};

use super::{
    connected::{Connected, connected},
    foreign::ForeignPage,
    names::Names,
    opener::learn,
};
use crate::{Flows, callers::caller::ours, fault::FlowFault};

/// What the SDK sends.
#[derive(Debug, Default)]
pub struct StatusRequest<'a> {
    /// The SDK's flow id. Once a page has opened the session with one, only that one is answered.
    pub cb: Option<&'a str>,
    /// How many events the SDK has already.
    pub cursor: usize,
    /// Whether the SDK sees the popup as closed; `None` = it does not say.
    pub closed: Option<bool>,
    /// The app has given up (`close`, `destroy`, a new `open`).
    pub cancel: bool,
}

/// What the SDK gets.
#[derive(Debug)]
pub struct StatusReport {
    pub status: Status,
    /// How many events there are in all.
    pub cursor: usize,
    /// When the flow ends at the latest.
    pub deadline: Micros,
    /// The events after the request's cursor.
    pub events: Vec<Event>,
}

/// Where the flow stands.
#[derive(Debug)]
pub enum Status {
    /// Not over yet.
    Open,
    /// Over for the user; the app's backend has to confirm. The code for that is never here.
    Pending,
    /// Over, with connections; the list is empty below L2, and in the status of a redirect flow.
    Completed(Vec<Connected>),
    /// Over, without connections; `None` = the session expired.
    Failed(Option<Failure>, Names),
    /// The user or the app left.
    Exited,
    /// Another flow has opened the session.
    Taken(ClaimRefused, Names),
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The token is malformed or unknown.
    #[error("the session token is not valid")]
    InvalidToken,
    /// The browser named no origin, or two.
    #[error("nobody knows which page asks")]
    NoOrigin,
    #[error("{0}")]
    OtherOrigin(ForeignPage),
    /// Our own failure.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { StatusError; }

impl StatusReport {
    /// Whether it says more than that the flow goes on.
    fn is_news(&self) -> bool {
        !matches!(self.status, Status::Open) || !self.events.is_empty()
    }
}

/// Takes the SDK's report and returns ours. `origin` is the browser's `Origin` header; `None` when it is absent or came
/// twice.
///
/// # Errors
/// [`StatusError`].
pub async fn status(
    flows: &Flows,
    session_token: &str,
    origin: Option<&str>,
    request: &StatusRequest<'_>,
) -> Result<StatusReport, StatusError> {
    first_look(flows, session_token, origin, request).await.map(|(_, report)| report)
}

/// Like [`status`], but a report without news waits for some: until anything that it says changes, `enough` resolves, or
/// the same session is asked about again.
///
/// # Errors
/// [`StatusError`].
pub async fn status_with_news(
    flows: &Flows,
    session_token: &str,
    origin: Option<&str>,
    request: &StatusRequest<'_>,
    enough: impl Future<Output = ()>,
) -> Result<StatusReport, StatusError> {
    let (sid, first) = first_look(flows, session_token, origin, request).await?;
    if first.is_news() {
        return Ok(first);
    }
    let waiter = flows.waiting().begin(&sid);
    let mut enough = pin!(enough);
    loop {
        // Also once before waiting: something may have happened since the first look, when nobody was to be woken.
        let (session, report) = look_again(flows, &sid, request).await?;
        // The user has come back: what the page says next about its popup is what is learnt from.
        let came_back = session.data.signals.returned.is_some();
        let moved = came_back || report.deadline != first.deadline;
        if moved || report.is_news() || !waiter.saw(&session) {
            return Ok(report);
        }
        tokio::select! {
            () = &mut enough => return Ok(report),
            () = waiter.woken() => {}
        }
    }
}

async fn first_look(
    flows: &Flows,
    session_token: &str,
    origin: Option<&str>,
    request: &StatusRequest<'_>,
) -> Result<(SessionId, StatusReport), StatusError> {
    let session = flows.session_by_token(session_token).await?.ok_or(StatusError::InvalidToken)?;
    if !session.data.is_for_page_at(origin) {
        let foreign = ForeignPage::noticed(&session, origin);
        return Err(foreign.map_or(StatusError::NoOrigin, StatusError::OtherOrigin));
    }
    if let Some(reason) = taken(&session, request.cb) {
        let report = told_taken(flows, &session, reason).await?;
        return Ok((session.sid, report));
    }
    let now = flows.now();
    let updated = flows.update_session(session, |session| {
        let came_back = session.data.signals.returned.is_some() && request.closed.is_some();
        let kept = request.closed.and_then(|closed| session.kept_since_return(closed, now));
        let reported = session.end().is_none() && session.window_reported(request.closed, now);
        let mut dirty = came_back || reported;
        if request.cancel && session.end().is_none() {
            session.finish(now);
            dirty = true;
        }
        Ok::<_, StoreError>((exit::settle(session, now) || dirty, kept))
    });
    let (session, kept) = updated.await?.ok_or(StatusError::InvalidToken)?;
    if let Some(config) = kept {
        learn(flows, &config, Shown::Keeps).await;
    }
    let report = report(flows, &session, request).await?;
    Ok((session.sid, report))
}

/// Nothing is reported a second time: what the page saw when it asked may be old by now.
async fn look_again(
    flows: &Flows,
    sid: &SessionId,
    request: &StatusRequest<'_>,
) -> Result<(Session, StatusReport), StatusError> {
    let now = flows.now();
    let settled =
        flows.update_session_by_id(sid, |session| Ok::<_, StoreError>((exit::settle(session, now), ())));
    let (session, ()) = settled.await?.ok_or(StatusError::InvalidToken)?;
    let report = match taken(&session, request.cb) {
        Some(reason) => told_taken(flows, &session, reason).await?,
        None => report(flows, &session, request).await?,
    };
    Ok((session, report))
}

async fn told_taken(
    flows: &Flows,
    session: &Session,
    reason: ClaimRefused,
) -> Result<StatusReport, StoreError> {
    let status = Status::Taken(reason, Names::of(flows, session, None).await?);
    Ok(StatusReport { status, cursor: 0, deadline: session.deadline(), events: Vec::new() })
}

/// Whether another flow has opened the session. Then this flow learns only that, and its own reports do not count (S3).
/// Who leaves `cb` out holds the token and nothing else, so it is another flow too. Only a claim without a `cb` (client
/// 0.8.0) has a flow without one.
fn taken(session: &Session, cb: Option<&str>) -> Option<ClaimRefused> {
    let foreign = session.claim()?.cb.as_deref() != cb;
    let reason = if session.end().is_some() { ClaimRefused::Used } else { ClaimRefused::OtherBrowser };
    foreign.then_some(reason)
}

async fn report(
    flows: &Flows,
    session: &Session,
    request: &StatusRequest<'_>,
) -> Result<StatusReport, StoreError> {
    let data = &session.data;
    // A popup that was closed is a user who left, whatever else ran out.
    let closed = data.signals.closed_since.is_some() || request.closed == Some(true);
    let closed = closed && !session.is_redirect();
    let status = match session.end() {
        None => Status::Open,
        Some(_) if session.awaits_the_app() => Status::Pending,
        Some(end) => match end.kind {
            EndKind::Done => Status::Completed(readable_connections(flows, session).await?),
            EndKind::Expired if closed => Status::Exited,
            EndKind::Failed | EndKind::Expired => {
                let failure = end.failure.clone();
                let names = Names::of(flows, session, failure.as_ref()).await?;
                Status::Failed(failure, names)
            }
            EndKind::Cancelled => Status::Exited,
        },
    };
    let events = data.events.get(request.cursor..).unwrap_or_default().to_vec();
    Ok(StatusReport { status, cursor: data.events.len(), deadline: session.deadline(), events })
}

/// Those of a redirect flow come by navigation alone ([`super::result`]).
async fn readable_connections(flows: &Flows, session: &Session) -> Result<Vec<Connected>, StoreError> {
    match session.claim() {
        Some(claim) if claim.level >= Level::L2 && claim.mode == Mode::Popup => {
            connected(flows, session).await
        }
        _ => Ok(Vec::new()),
    }
}
