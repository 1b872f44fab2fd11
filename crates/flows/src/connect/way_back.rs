//! The way back from our pages to the app's page (protocol 6): where a redirect flow goes when it is over, and where a
//! browser goes that was not let in.

use alter_core::{ResultCode, ReturnUrl, Session, SessionId, StoreError};
use secrecy::SecretString;

use super::{names::Names, page::PageError, result::outcome, status::Status};
use crate::{Flows, context::hash_secret};

/// Where to go back to, and what people call the two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    pub sid: SessionId,
    pub return_url: ReturnUrl,
    pub names: Names,
}

/// A browser leaves our pages.
#[derive(Debug)]
pub enum Leave {
    /// The flow is not over, or it has no other page to go to: its own page says what is due.
    Stay,
    /// Back to the app, with what became of the flow.
    Back(Box<Left>),
}

/// What a browser takes along to the app's page.
#[derive(Debug)]
pub struct Left {
    pub way: WayBack,
    pub outcome: Status,
    pub code: ResultCode,
}

/// The browser that claimed a session leaves for the app's page. Issues the result code, once.
///
/// # Errors
/// [`PageError`].
pub async fn leave(flows: &Flows, sid: &SessionId, key: &SecretString) -> Result<Leave, PageError> {
    let now = flows.now();
    let (browser, code) = (hash_secret(key), ResultCode::derive(sid, key));
    let left = flows.update_session_by_id(sid, |session| {
        if !session.is_browser(&browser) {
            return Err(PageError::WrongBrowser);
        }
        if !goes_back(session) {
            return Ok((false, ()));
        }
        let ended = session.expire(now) || session.left_late(now);
        let issued = session.end().is_some() && session.issue_result(&code, now);
        Ok((ended || issued, ()))
    });
    let (session, ()) = left.await?.ok_or(PageError::NotFound)?;
    match way_back(flows, &session).await? {
        Some(way) if session.is_redirect() && session.end().is_some() => {
            let outcome = outcome(flows, &session).await?;
            Ok(Leave::Back(Box::new(Left { way, outcome, code })))
        }
        _ => Ok(Leave::Stay),
    }
}

/// Whether the session's browser goes back to the app's page by itself.
pub(super) fn goes_back(session: &Session) -> bool {
    session.is_redirect() && session.data.return_url.is_some()
}

/// The way back for a browser that holds a session's token and was not let in; `None` without a session or a `return_url`.
///
/// # Errors
/// Storage failed.
pub async fn way_back_of(flows: &Flows, session_token: &str) -> Result<Option<WayBack>, StoreError> {
    match flows.session_by_token(session_token).await? {
        Some(session) => way_back(flows, &session).await,
        None => Ok(None),
    }
}

pub(super) async fn way_back(flows: &Flows, session: &Session) -> Result<Option<WayBack>, StoreError> {
    let Some(return_url) = session.data.return_url.clone() else { return Ok(None) };
    let failure = session.end().and_then(|end| end.failure.as_ref());
    let names = Names::of(flows, session, failure).await?;
    Ok(Some(WayBack { sid: session.sid.clone(), return_url, names }))
}
