//! Getting in (protocol 2): a browser presents the token and a proof of the app page that started it.
//!
//! 1. Find the session.
//! 2. The browser that has it already is simply let through.
//! 3. Judge the proof: which level does it reach?
//! 4. Claim by compare-and-set; the first browser wins. A refused claim changes nothing.

use alter_core::{
    App, AuditEntry, AuditKind, Claim, ClaimRefused, Hash, Level, Origin, Session, SessionId, StoreError,
    secret,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{Flows, context::hash_secret, metrics};

/// What the connect page may know before the claim.
#[derive(Debug)]
pub struct Peek {
    /// Whom the page may talk to.
    pub allowed_origin: Origin,
    /// Shown while it waits.
    pub app_name: String,
}

/// What a browser brings to show where it comes from.
pub enum Proof<'a> {
    /// Door A: a form POST, with the browser's own `Origin` header.
    FormOrigin {
        /// The header; `None` when it is absent, or came twice.
        origin: Option<&'a str>,
        /// The SDK's flow id.
        cb: &'a str,
    },
    /// Door B: the opener answered with `v`, and `cb` = base64url(SHA-256 of the 32 bytes that `v` encodes).
    Opener {
        /// The SDK's flow id.
        cb: &'a str,
        /// What the opener disclosed.
        v: &'a str,
    },
    /// Door C: the marks of client 0.8.0.
    Marks(Marks),
    /// Door D: none. Links are not built yet.
    None,
}

/// What the connect page saw of how it was opened (threats 6.3).
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// `window.opener` is there.
    pub opener: bool,
    /// `window.name`.
    pub name: String,
    /// `document.referrer`.
    pub referrer: String,
    /// `Sec-Fetch-Site` of the page's own request, as the server saw it.
    pub site: String,
}

/// A browser is in.
#[derive(Debug)]
pub struct Claimed {
    /// Which session.
    pub sid: SessionId,
    /// The browser key for the cookie; `None` when this browser has it already.
    pub browser_key: Option<SecretString>,
    /// The one-time marker for the redirect.
    pub marker: Option<SecretString>,
    /// Seconds the cookie should live.
    pub max_age: i64,
}

/// Why a browser is not let in.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Malformed or unknown.
    #[error("the session token is not valid")]
    InvalidToken,
    /// Expired, used, or another browser's.
    #[error("the session cannot be opened: {0:?}")]
    Refused(ClaimRefused),
    /// The proof is missing or below the session's level.
    #[error("the page was not opened by the app")]
    Binding {
        /// The app that it must be opened from.
        app_name: String,
    },
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the connect page may know of a token. Changes nothing.
///
/// # Errors
/// [`ClaimError::InvalidToken`], uniformly; [`ClaimError::Refused`] when the session is over.
pub async fn peek(flows: &Flows, session_token: &str) -> Result<Peek, ClaimError> {
    let session = flows.session_by_token(session_token).await?.ok_or(ClaimError::InvalidToken)?;
    if session.claim().is_none() {
        still_open(flows, &session)?;
    }
    let app = flows.app_of(session.app_id).await?;
    Ok(Peek { allowed_origin: session.data.allowed_origin, app_name: app.settings.name })
}

/// `minted -> claimed`. `cookie` gives the browser key of the cookie for a session, if the browser sent one.
///
/// # Errors
/// [`ClaimError`]; the session is unchanged.
pub async fn claim(
    flows: &Flows,
    session_token: &str,
    proof: &Proof<'_>,
    cookie: impl Fn(&SessionId) -> Option<SecretString>,
) -> Result<Claimed, ClaimError> {
    let session = flows.session_by_token(session_token).await?.ok_or(ClaimError::InvalidToken)?;
    let sid = session.sid.clone();
    let max_age =
        session.expires_at.plus_seconds(alter_core::session::TRANSACTION_TTL).since(flows.now()) / 1_000_000;
    if cookie(&sid).is_some_and(|key| session.is_browser(&hash_secret(&key))) {
        return Ok(Claimed { sid, browser_key: None, marker: None, max_age });
    }
    if session.claim().is_some() {
        return Err(ClaimError::Refused(why_taken(flows, &session)));
    }
    still_open(flows, &session)?;
    let app = flows.app_of(session.app_id).await?;
    let refused = || ClaimError::Binding { app_name: app.settings.name.clone() };
    let (level, cb) = judge(&session, &app, proof).ok_or_else(refused)?;

    let (browser_key, marker) = (flows.fresh_secret(), flows.fresh_secret());
    let claim = Claim {
        level,
        cb,
        browser: hash_secret(&browser_key),
        marker: Some(hash_secret(&marker)),
        at: flows.now(),
    };
    let claimed = flows.update_session(session, |session| match session.claim_by(claim.clone()) {
        Ok(()) => Ok((true, ())),
        Err(ClaimRefused::Binding) => Err(refused()),
        Err(reason) => Err(ClaimError::Refused(reason)),
    });
    let (session, ()) = claimed.await?.ok_or(ClaimError::InvalidToken)?;
    metrics::claimed(level);
    // The claim stands: without its cookie the browser would be locked out of its own session.
    if let Err(error) = flows.store().append_audit(claimed_entry(&session, level, flows.now())).await {
        metrics::audit_failed();
        tracing::error!(%sid, %error, "the claim could not be written to the audit");
    }
    Ok(Claimed { sid, browser_key: Some(browser_key), marker: Some(marker), max_age })
}

fn still_open(flows: &Flows, session: &Session) -> Result<(), ClaimError> {
    match session.end() {
        Some(_) => Err(ClaimError::Refused(why_taken(flows, session))),
        None if session.claim().is_none() && flows.now() >= session.expires_at => {
            Err(ClaimError::Refused(ClaimRefused::Expired))
        }
        None => Ok(()),
    }
}

/// Of a session that someone has, or that is over, as seen by a browser that does not have it.
fn why_taken(flows: &Flows, session: &Session) -> ClaimRefused {
    match session.end() {
        Some(end) if end.kind == alter_core::EndKind::Expired => ClaimRefused::Expired,
        Some(end) if end.kind == alter_core::EndKind::Cancelled => ClaimRefused::Cancelled,
        Some(_) => ClaimRefused::Used,
        None if flows.now() >= session.deadline() => ClaimRefused::Expired,
        None => ClaimRefused::OtherBrowser,
    }
}

/// The level that a proof reaches and the flow id it carries; `None` when it proves nothing.
fn judge(session: &Session, app: &App, proof: &Proof<'_>) -> Option<(Level, Option<String>)> {
    match proof {
        Proof::FormOrigin { origin, cb } => {
            let same = session.data.allowed_origin.is_named_by(*origin);
            (same && is_flow_id(cb)).then(|| (Level::L2, Some((*cb).to_owned())))
        }
        Proof::Opener { cb, v } => {
            let bytes = secret::from_base64url(v).filter(|bytes| bytes.len() == size_of::<Hash>())?;
            let matches = secret::base64url(&secret::sha256(&bytes)) == **cb;
            matches.then(|| (Level::L2, Some((*cb).to_owned())))
        }
        Proof::Marks(marks) => {
            let referrer = url::Url::parse(&marks.referrer).ok().and_then(|url| Origin::of(&url).ok());
            let proven = app.settings.legacy_clients
                && marks.opener
                && marks.name == "alter_oauth_popup"
                && marks.site != "none"
                && referrer.as_ref() == Some(&session.data.allowed_origin);
            proven.then_some((Level::L1, None))
        }
        Proof::None => None,
    }
}

/// base64url of 32 bytes.
fn is_flow_id(cb: &str) -> bool {
    secret::from_base64url(cb).is_some_and(|bytes| bytes.len() == size_of::<Hash>())
}

fn claimed_entry(session: &Session, level: Level, at: alter_core::Micros) -> AuditEntry {
    let details = serde_json::json!({ "level": level.as_str() });
    AuditEntry {
        sid: Some(session.sid.clone()),
        user_id: session.principal().user(),
        agent_id: session.data.agent.as_ref().map(|agent| agent.id),
        ..AuditEntry::new(session.app_id, at, AuditKind::SessionClaimed, details)
    }
}

/// Live sessions that one browser may keep cookies for (T48).
const SESSIONS_PER_BROWSER: usize = 10;

/// Of the sessions that a browser holds cookies for, those whose cookies should go to make room for one more:
/// first what is over or unknown, then the oldest.
///
/// # Errors
/// Storage.
pub async fn surplus_sessions(flows: &Flows, held: Vec<SessionId>) -> Result<Vec<SessionId>, StoreError> {
    if held.len() < SESSIONS_PER_BROWSER {
        return Ok(Vec::new());
    }
    let mut live = Vec::new();
    let mut surplus = Vec::new();
    for sid in held {
        match flows.store().get_session(&sid).await? {
            Some(session) if session.end().is_none() => live.push((session.created_at, sid)),
            _ => surplus.push(sid),
        }
    }
    live.sort_by_key(|(at, _)| *at);
    let too_many = live.len().saturating_sub(SESSIONS_PER_BROWSER - 1);
    surplus.extend(live.into_iter().take(too_many).map(|(_, sid)| sid));
    Ok(surplus)
}

/// The browser key of a cookie, hashed for comparison. Empty or oversized values are no key.
pub fn browser_hash(key: &SecretString) -> Option<Hash> {
    (key.expose_secret().len() == 43).then(|| hash_secret(key))
}
