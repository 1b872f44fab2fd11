//! Which page a browser gets at `/connect/s/{sid}`.

use alter_core::{App, Cause, Connection, EndKind, Failure, Hash, ProviderConfig, Session, SessionId, State};
use secrecy::SecretString;

use crate::{
    Flows,
    callers::caller::ours,
    connect::consent::{AppReach, app_reach},
    context::hash_secret,
    fault::FlowFault,
};

/// A page to render.
#[derive(Debug)]
pub struct PageView {
    /// The session, with this page counted.
    pub session: Session,
    pub app: App,
    pub screen: Screen,
    /// The configurations of the session's providers, in the session's order.
    pub providers: Vec<ProviderConfig>,
    /// The page's instance number: a later page of the session has a higher one.
    pub instance: u64,
}

/// What to show.
#[derive(Debug, Clone, PartialEq)]
pub enum Screen {
    /// Choose a provider; those connected already are ticked.
    Picker,
    /// Approve this provider.
    Consent(String),
    /// An exchange with this provider is under way.
    Waiting(Option<String>),
    /// The session is over, with these connections.
    Done(Vec<Connection>),
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
    /// The browser was just given the cookie and did not keep it.
    #[error("the browser keeps no cookies")]
    CookiesBlocked,
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
    let served = flows.update_session_by_id(sid, |session| {
        if !browser.is_some_and(|b| session.is_browser(b)) {
            let fresh = session.claim().and_then(|c| c.marker).is_some_and(|m| Some(m) == marker);
            return Err(if fresh && browser.is_none() {
                PageError::CookiesBlocked
            } else {
                PageError::WrongBrowser
            });
        }
        session.expire(now);
        if let State::Claimed(claim) = &mut session.data.state {
            claim.marker = None;
        }
        let instance = session.page_served(now);
        Ok((true, instance))
    });
    let (session, instance) = served.await?.ok_or(PageError::NotFound)?;
    let app = flows.app_of(session.app_id).await?;
    let configured = flows.providers(app.id).await?;
    let find = |id: &String| configured.iter().find(|c| c.recipe.id == *id).cloned();
    let providers = session.data.providers.iter().filter_map(find).collect();
    let screen = screen(&session, now);
    Ok(PageView { session, app, screen, providers, instance })
}

/// Returns which page the session is at, without serving it (the waiting page asks).
///
/// # Errors
/// [`PageError`].
pub async fn screen_of(flows: &Flows, sid: &SessionId, browser: &Hash) -> Result<Screen, PageError> {
    let session = flows.store().get_session(sid).await?.ok_or(PageError::NotFound)?;
    if session.is_browser(browser) { Ok(screen(&session, flows.now())) } else { Err(PageError::WrongBrowser) }
}

fn screen(session: &Session, now: alter_core::Micros) -> Screen {
    let data = &session.data;
    match &data.state {
        State::Minted => Screen::Expired,
        // A connection that arrived after the end was announced still exists, so the page shows it.
        State::Ended { .. } if !data.connections.is_empty() => Screen::Done(data.connections.clone()),
        State::Ended { end, .. } => match (end.kind, &end.failure) {
            (EndKind::Failed, Some(failure)) => Screen::Failed { failure: failure.clone(), over: true },
            (EndKind::Expired, _) => Screen::Expired,
            _ => Screen::Cancelled,
        },
        State::Claimed(_) => {
            let exchanging = data.underway.as_ref().filter(|a| a.exchanging);
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
