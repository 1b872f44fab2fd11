//! Which page a browser gets at `/connect/s/{sid}`.

use alter_core::{
    Cause, Connection, EndKind, Failure, Hash, Micros, Session, SessionId, SignInFault, Staged, State,
    StoreError,
};
use secrecy::SecretString;

use crate::{
    Flows,
    callers::{auth_session, caller::ours},
    connect::{
        consent::{AppReach, app_reach},
        offer::{Offer, log_stopped},
        way_back::{WayBack, goes_back, way_back},
    },
    context::hash_secret,
    fault::FlowFault,
};

/// A page to render.
#[derive(Debug)]
pub struct PageView {
    /// The session, with this page counted.
    pub session: Session,
    pub offer: Offer,
    pub screen: Screen,
    /// The page's instance number: a later page of the session has a higher one.
    pub instance: u64,
}

impl PageView {
    /// Whether the flow is over and its browser goes back to the app's page ([`crate::connect::leave`]).
    pub fn goes_back(&self) -> bool {
        let over = self.session.end().is_some() || self.screen == Screen::Expired;
        over && goes_back(&self.session)
    }
}

/// What to show.
#[derive(Debug, Clone, PartialEq)]
pub enum Screen {
    /// Sign in at the app's identity provider first; with the reason why that came to nothing before.
    SignIn(Option<SignInFault>),
    /// Choose a provider; those connected already are ticked.
    Picker,
    /// Say where the account at this provider is: its host differs per customer.
    Customer(String),
    /// Approve this provider.
    Consent(String),
    /// An exchange with this provider is under way.
    Waiting(Option<String>),
    /// Ask whether the agent may use what this connection's provider granted unasked.
    Extra(Connection),
    /// Somebody has signed in for an auth session.
    SignedIn,
    /// The session is over, with these connections.
    Done(Vec<Connection>),
    /// The user's part is over; the app has to confirm these connections.
    Awaiting(Vec<Staged>),
    Failed {
        failure: Failure,
        /// The session is over: nothing more can be tried.
        over: bool,
    },
    Expired,
    /// The user or the app left.
    Cancelled,
    /// The app page has never contacted this server.
    AppUnreachable,
}

/// Why there is no page of a session to show.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("no such session")]
    NotFound,
    #[error("another browser has this session")]
    WrongBrowser,
    /// The browser was just given the cookie and did not keep it. A redirect flow has a way back.
    #[error("the browser keeps no cookies")]
    CookiesBlocked(Option<Box<WayBack>>),
    /// Our own failure.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { PageError; }

/// Returns the session's page for this browser, and counts it as served.
///
/// # Errors
/// [`PageError`].
pub async fn open_page(
    flows: &Flows,
    sid: &SessionId,
    browser: Option<&Hash>,
    marker: Option<&SecretString>,
) -> Result<PageView, PageError> {
    let now = flows.now();
    let marker = marker.map(hash_secret);
    let session = flows.store().get_session(sid).await?.ok_or(PageError::NotFound)?;
    match is_theirs(&session, browser, marker) {
        Ok(()) => {}
        Err(PageError::CookiesBlocked(_)) => return Err(without_cookie(flows, session, now).await?),
        Err(error) => return Err(error),
    }
    auth_session::withdraw(flows, &session).await?;
    let offer = Offer::read(flows, &session).await?;
    let served = flows.update_session(session, |session| {
        is_theirs(session, browser, marker)?;
        let expired = session.expire(now);
        if let State::Claimed(claim) = &mut session.data.state {
            claim.marker = None;
        }
        let instance = session.page_served(now);
        // What becomes of a token is not to be overtaken by somebody who looks at the last page.
        let counts = session.data.auth.is_none() || session.end().is_none() || expired;
        Ok::<_, PageError>((counts, (instance, show(session, &offer, now))))
    });
    let (session, (instance, stopped)) = served.await?.ok_or(PageError::NotFound)?;
    if let Some(failure) = stopped {
        log_stopped(sid, &failure);
    }
    let screen = match screen(&session, now) {
        Screen::Consent(provider) if !offer.open_parameters(&session, &provider).is_empty() => {
            Screen::Customer(provider)
        }
        screen => screen,
    };
    Ok(PageView { session, offer, screen, instance })
}

/// The app's page hears of it too, unless the cookie comes after all.
async fn without_cookie(flows: &Flows, session: Session, now: Micros) -> Result<PageError, PageError> {
    let way = if goes_back(&session) { way_back(flows, &session).await? } else { None };
    if session.end().is_none() {
        let noted = flows.update_session(session, |s| Ok::<_, StoreError>((s.came_without_cookie(now), ())));
        noted.await?;
    }
    Ok(PageError::CookiesBlocked(way.map(Box::new)))
}

fn is_theirs(session: &Session, browser: Option<&Hash>, marker: Option<Hash>) -> Result<(), PageError> {
    if browser.is_some_and(|b| session.is_browser(b)) {
        return Ok(());
    }
    let fresh = session.claim().and_then(|c| c.marker).is_some_and(|m| Some(m) == marker);
    Err(if fresh && browser.is_none() { PageError::CookiesBlocked(None) } else { PageError::WrongBrowser })
}

/// Remembers what a consent page shows. A page that could only be approved in vain is not shown: returns why not. Nor is a
/// question about an agent that was stopped.
fn show(session: &mut Session, offer: &Offer, now: Micros) -> Option<Failure> {
    while let Some(connection) = session.asking().cloned()
        && offer.shown_extra(session, &connection).is_none()
    {
        session.answered(connection.grant_id, now);
    }
    let Screen::Consent(provider) = screen(session, now) else { return None };
    let stop = offer.stop(&provider);
    match &stop {
        Some(failure) => session.attempt_failed(failure.clone(), now),
        None if !offer.open_parameters(session, &provider).is_empty() => {}
        None => session.data.shown = offer.shown(session, &provider),
    }
    stop
}

/// Returns which page the session is at, without serving it (the waiting page asks).
///
/// # Errors
/// [`PageError`].
pub async fn screen_of(flows: &Flows, sid: &SessionId, browser: &Hash) -> Result<Screen, PageError> {
    let session = flows.store().get_session(sid).await?.ok_or(PageError::NotFound)?;
    if session.is_browser(browser) { Ok(screen(&session, flows.now())) } else { Err(PageError::WrongBrowser) }
}

fn screen(session: &Session, now: Micros) -> Screen {
    let data = &session.data;
    match &data.state {
        State::Minted => Screen::Expired,
        // A connection that arrived after the end was announced still exists, so the page shows it.
        State::Ended { .. } if !data.connections.is_empty() => Screen::Done(data.connections.clone()),
        State::Ended { end, .. } if data.auth.is_some() && end.kind == EndKind::Done => Screen::SignedIn,
        State::Ended { .. } if session.awaits_the_app() => Screen::Awaiting(data.staged.clone()),
        State::Ended { end, .. } => match (end.kind, &end.failure) {
            (EndKind::Failed, Some(failure)) => Screen::Failed { failure: failure.clone(), over: true },
            (EndKind::Expired, _) => Screen::Expired,
            _ => Screen::Cancelled,
        },
        State::Claimed(_) if session.has_to_sign_in() && now < session.expires_at => {
            Screen::SignIn(data.sign_in.as_ref().and_then(|sign_in| sign_in.fault))
        }
        State::Claimed(_) => {
            let exchanging = data.underway.as_ref().filter(|a| a.exchanging);
            if let (None, Some(connection)) = (exchanging, session.asking()) {
                return Screen::Extra(connection.clone());
            }
            match (exchanging, &data.last_failure, &data.selected) {
                (Some(attempt), _, _) => Screen::Waiting(Some(attempt.provider.clone())),
                _ if !session.can_start(now) => Screen::Expired,
                _ if app_reach(session, now) == AppReach::Unreachable => Screen::AppUnreachable,
                (None, Some(failure), _) => Screen::Failed { failure: failure.clone(), over: false },
                (None, None, Some(provider)) => Screen::Consent(provider.clone()),
                (None, None, None) => Screen::Picker,
            }
        }
    }
}

impl Screen {
    /// The user refused.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Failed { failure, .. } if failure.cause == Cause::Denied)
    }
}
