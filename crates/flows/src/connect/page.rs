//! Which page a browser sees at `/connect/s/{sid}`.

use alter_core::{
    App, Cause, Connection, EndKind, Failure, Hash, ProviderConfig, Session, SessionId, State, StoreError,
};
use secrecy::SecretString;

use crate::{
    Flows,
    connect::consent::{AppReach, app_reach},
    context::hash_secret,
};

/// A page to render.
#[derive(Debug)]
pub struct PageView {
    /// The session as it is now.
    pub session: Session,
    /// Its app.
    pub app: App,
    /// What to show.
    pub screen: Screen,
    /// The configurations of the session's providers, in the session's order.
    pub providers: Vec<ProviderConfig>,
    /// The page's instance number.
    pub instance: u64,
}

/// What to show.
#[derive(Debug, Clone, PartialEq)]
pub enum Screen {
    /// Choose a provider; `connections` are ticked.
    Picker,
    /// Approve this provider.
    Consent(String),
    /// The exchange decides.
    Waiting(Option<String>),
    /// Over, with connections.
    Done(Vec<Connection>),
    /// Failed; `over` when the session is.
    Failed {
        /// How.
        failure: Failure,
        /// Nothing more can be tried.
        over: bool,
    },
    /// Time has passed.
    Expired,
    /// Left.
    Cancelled,
    /// The app page was never heard of.
    AppUnreachable,
}

/// Why there is no page of a session to show.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Unknown.
    #[error("no such session")]
    NotFound,
    /// Another browser's.
    #[error("another browser has this session")]
    WrongBrowser,
    /// The browser that has just been given the cookie did not keep it.
    #[error("the browser keeps no cookies")]
    CookiesBlocked,
    /// Ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The page of a session for this browser. Counts as a page served.
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
    let configured = flows.store().list_providers(app.id).await?;
    let find = |id: &String| configured.iter().find(|c| c.recipe.id == *id).cloned();
    let providers = session.data.providers.iter().filter_map(find).collect();
    let screen = screen(&session, now);
    Ok(PageView { session, app, screen, providers, instance })
}

/// Which page the session is at, without serving it (the waiting page asks).
///
/// # Errors
/// [`PageError`].
pub async fn screen_of(flows: &Flows, sid: &SessionId, browser: &Hash) -> Result<Screen, PageError> {
    let session = flows.store().get_session(sid).await?.ok_or(PageError::NotFound)?;
    match session.is_browser(browser) {
        true => Ok(screen(&session, flows.now())),
        false => Err(PageError::WrongBrowser),
    }
}

fn screen(session: &Session, now: alter_core::Micros) -> Screen {
    let data = &session.data;
    match &data.state {
        State::Minted => Screen::Expired,
        // A connection that arrived after the end was announced was made all the same: the page says so.
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
    /// The failure is a refusal by the user.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Failed { failure, .. } if failure.cause == Cause::Denied)
    }
}
