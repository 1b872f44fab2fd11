//! Claiming a session (protocol 2): a browser presents the session token and a proof of the app page that opened it.
//!
//! 1. Find the session.
//! 2. Let the browser through if it has claimed the session already.
//! 3. Judge which level the proof reaches.
//! 4. Claim by compare-and-set: the first browser wins. A refused claim changes nothing.

use alter_core::{
    App, AuditEntry, AuditKind, Claim, ClaimRefused, Hash, Level, Mode, Origin, Session, SessionId, SignIn,
    StoreError, secret,
};
use secrecy::{ExposeSecret, SecretString};

use super::foreign::ForeignPage;
use crate::{
    Flows,
    callers::{auth_session, caller::ours},
    context::hash_secret,
    fault::FlowFault,
    metrics,
};

/// What the connect page may know before the claim.
#[derive(Debug)]
pub struct Peek {
    /// The only origin that the page may exchange messages with; `None` = with nobody.
    pub allowed_origin: Option<Origin>,
    /// Shown while the page waits.
    pub app_name: String,
}

/// What a browser presents to prove which page opened it.
pub enum Proof<'a> {
    /// Door A: a form POST, with the `Origin` header that the browser sets.
    FormOrigin {
        /// The header; `None` when it is absent or came twice.
        origin: Option<&'a str>,
        /// The SDK's flow id.
        cb: &'a str,
    },
    /// Door B: the opener sent `v`, and `cb` = base64url(SHA-256 of the 32 bytes that `v` encodes).
    Opener {
        /// The SDK's flow id.
        cb: &'a str,
        /// The secret behind `cb`, base64url.
        v: &'a str,
    },
    /// Door B by a redirect, which has no opener: the proof comes at the end, where the app has the last word.
    AtTheEnd {
        /// The SDK's flow id.
        cb: &'a str,
        marks: Option<Marks>,
    },
    /// Door C: the marks of client 0.8.0. Door D: a link, and at L3 whatever the server sent here.
    Marks(Marks),
    /// A page that says nothing of how it was opened.
    None,
}

/// What the connect page saw about how it was opened (threats 6.3).
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// `window.opener` exists.
    pub opener: bool,
    /// `window.name`.
    pub name: String,
    /// `document.referrer`.
    pub referrer: String,
    /// `Sec-Fetch-Site` of the page's own request, as the server saw it.
    pub site: String,
    /// `history.length`. It is 1 in a window that was opened on our page and has shown nothing else; a redirect by a server
    /// and one by a page that is still loading add nothing. `None` = the page did not say.
    pub history: Option<u32>,
}

impl Marks {
    /// The window has an opener, and the name that client 0.8.0 gives its popup.
    fn are_of_a_popup(&self) -> bool {
        self.opener && self.name == "alter_oauth_popup"
    }
}

/// Why a proof does not suffice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindingFault {
    /// There is no proof, a wrong one, or one below the session's level.
    Page,
    /// The app's page left by an address and not by a form, which its CSP `form-action` forbids.
    NoForm,
    /// The browser says that the page is at another origin than the session's.
    OtherOrigin(ForeignPage),
    /// Every other mark of client 0.8.0 is there, at most the Referer is missing, but the window has shown other pages before
    /// ours. That client opens a new window; a hostile page leads an old one over a redirect of the app.
    UsedWindow,
}

/// The browser may use the session.
#[derive(Debug)]
pub struct Claimed {
    pub sid: SessionId,
    /// The browser key for the cookie; `None` when this browser has it already.
    pub browser_key: Option<SecretString>,
    /// The one-time marker for the redirect, by which a browser that keeps no cookies is recognised; `None` when this
    /// browser has its cookie already.
    pub marker: Option<SecretString>,
    /// The cookie's lifetime, seconds.
    pub max_age: i64,
}

/// Why a browser may not use the session.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The token is malformed or unknown.
    #[error("the session token is not valid")]
    InvalidToken,
    /// The session is expired, used or cancelled, or another browser has it.
    #[error("the session cannot be opened: {0:?}")]
    Refused(ClaimRefused),
    /// There is no proof, or it is below the session's level.
    #[error("the page was not opened by the app")]
    Binding {
        /// The app that must open the page.
        app_name: String,
        why: BindingFault,
    },
    /// The browser came by a redirect, but the session was minted without a `return_url`.
    #[error("the session has no return_url to go back to")]
    ReturnUrlRequired {
        /// The app that minted it.
        app_name: String,
        /// Where its page is, if it has one.
        allowed_origin: Option<Origin>,
    },
    /// Our own failure.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { ClaimError; }

/// Returns what the connect page may know about a session token. Changes nothing.
///
/// # Errors
/// [`ClaimError::InvalidToken`] for malformed and unknown tokens alike; [`ClaimError::Refused`] when the session is over.
pub async fn peek(flows: &Flows, session_token: &str) -> Result<Peek, ClaimError> {
    let session = session_of(flows, session_token).await?.ok_or(ClaimError::InvalidToken)?;
    if session.claim().is_none() {
        still_open(flows, &session)?;
    }
    not_withdrawn(flows, &session).await?;
    let app = flows.app_of(session.app_id).await?;
    Ok(Peek { allowed_origin: session.data.allowed_origin, app_name: app.settings.name })
}

/// Claims a session: `minted -> claimed`. `mode` is how the browser says that it came; `cookie` returns the browser key for a
/// session, if the browser sent one.
///
/// # Errors
/// [`ClaimError`]; the session is unchanged.
pub async fn claim(
    flows: &Flows,
    session_token: &str,
    proof: &Proof<'_>,
    mode: Mode,
    cookie: impl Fn(&SessionId) -> Option<SecretString>,
) -> Result<Claimed, ClaimError> {
    let session = session_of(flows, session_token).await?.ok_or(ClaimError::InvalidToken)?;
    let sid = session.sid.clone();
    let max_age =
        session.expires_at.plus_seconds(alter_core::session::ATTEMPT_TTL).since(flows.now()) / 1_000_000;
    if cookie(&sid).is_some_and(|key| session.is_browser(&hash_secret(&key))) {
        return Ok(Claimed { sid, browser_key: None, marker: None, max_age });
    }
    if session.claim().is_some() {
        return Err(ClaimError::Refused(why_taken(flows, &session)));
    }
    still_open(flows, &session)?;
    not_withdrawn(flows, &session).await?;
    let app = flows.app_of(session.app_id).await?;
    let refused = |why| ClaimError::Binding { app_name: app.settings.name.clone(), why };
    let Judged { level, cb, signs_in, is_link } = judge(&session, &app, proof).map_err(refused)?;
    // The code for the app's word comes by navigation alone, to whoever is in front of this browser. A link has no page beside
    // it either, and need not have one to go back to.
    let goes_back = is_unproven(&session, level) || (is_link && session.data.return_url.is_some());
    let mode = if goes_back { Mode::Redirect } else { mode };
    has_way_back(&session, &app, mode)?;

    let (browser_key, marker) = (flows.fresh_secret(), flows.fresh_secret());
    let claim = Claim {
        level,
        cb,
        browser: hash_secret(&browser_key),
        marker: Some(hash_secret(&marker)),
        at: flows.now(),
        mode,
    };
    let claimed = flows.update_session(session, |session| {
        session.data.sign_in = signs_in.then(SignIn::default);
        match session.claim_by(claim.clone()) {
            Ok(()) => Ok((true, ())),
            Err(ClaimRefused::Binding) => Err(refused(BindingFault::Page)),
            Err(reason) => Err(ClaimError::Refused(reason)),
        }
    });
    let (session, ()) = claimed.await?.ok_or(ClaimError::InvalidToken)?;
    metrics::claimed(level);
    // An audit failure does not undo the claim: without its cookie the browser would be locked out of its own session.
    if let Err(error) = flows.store().append_audit(claimed_entry(&session, level, flows.now())).await {
        metrics::audit_failed();
        tracing::error!(%sid, %error, "the claim could not be written to the audit");
    }
    Ok(Claimed { sid, browser_key: Some(browser_key), marker: Some(marker), max_age })
}

/// A browser opens a session or an auth session; whose token it is, only the connect page need not know.
async fn session_of(flows: &Flows, token: &str) -> Result<Option<Session>, StoreError> {
    match flows.session_by_token(token).await? {
        Some(session) => Ok(Some(session)),
        None => flows.auth_session_by_token(token).await,
    }
}

/// Whether a browser was let in for the app's word alone.
fn is_unproven(session: &Session, level: Level) -> bool {
    session.is_confirmed_by_app() && level < Level::L2
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

async fn not_withdrawn(flows: &Flows, session: &Session) -> Result<(), ClaimError> {
    match auth_session::withdraw(flows, session).await? {
        true => Err(ClaimError::Refused(ClaimRefused::Cancelled)),
        false => Ok(()),
    }
}

/// Why a browser that does not have the session is refused: the session is over, or another browser has it.
fn why_taken(flows: &Flows, session: &Session) -> ClaimRefused {
    match session.end() {
        Some(end) if end.kind == alter_core::EndKind::Expired => ClaimRefused::Expired,
        Some(end) if end.kind == alter_core::EndKind::Cancelled => ClaimRefused::Cancelled,
        Some(_) => ClaimRefused::Used,
        None if flows.now() >= session.deadline() => ClaimRefused::Expired,
        None => ClaimRefused::OtherBrowser,
    }
}

/// What a proof is worth.
struct Judged {
    level: Level,
    /// The flow id that it carries.
    cb: Option<String>,
    /// The browser's user has to sign in before anything else.
    signs_in: bool,
    /// It is no proof: the browser came by a link.
    is_link: bool,
}

impl Judged {
    fn proven(level: Level, cb: Option<&str>) -> Self {
        Self { level, cb: cb.map(str::to_owned), signs_in: false, is_link: false }
    }

    /// With a flow id, if it is one.
    fn flow(level: Level, cb: &str) -> Result<Self, BindingFault> {
        is_flow_id(cb).then(|| Self::proven(level, Some(cb))).ok_or(BindingFault::Page)
    }
}

/// Returns what a proof is worth for a session of this app, as the app is set now.
fn judge(session: &Session, app: &App, proof: &Proof<'_>) -> Result<Judged, BindingFault> {
    match proof {
        // No page of the app has any part in it.
        Proof::Marks(_) if session.data.auth.is_some() => link(session, app).ok_or(BindingFault::Page),
        _ if session.data.auth.is_some() => Err(BindingFault::Page),
        Proof::Marks(marks) if session.is_confirmed_by_app() => {
            judge_unproven(session, marks).map(|()| Judged::proven(Level::L0, None))
        }
        Proof::AtTheEnd { cb, marks } if session.is_confirmed_by_app() => {
            judge_unproven(session, marks.as_ref().ok_or(BindingFault::Page)?)?;
            Judged::flow(Level::L0, cb)
        }
        Proof::FormOrigin { origin, cb } => {
            if !session.data.is_for_page_at(*origin) {
                let foreign = ForeignPage::noticed(session, *origin);
                return Err(foreign.map_or(BindingFault::Page, BindingFault::OtherOrigin));
            }
            Judged::flow(Level::L2, cb)
        }
        // A session for a link has no page that could have answered.
        Proof::Opener { .. } if session.data.allowed_origin.is_none() => Err(BindingFault::Page),
        Proof::Opener { cb, v } => {
            let bytes = secret::from_base64url(v).filter(|bytes| bytes.len() == size_of::<Hash>());
            let matches = bytes.is_some_and(|bytes| secret::base64url(&secret::sha256(&bytes)) == **cb);
            matches.then(|| Judged::proven(Level::L2, Some(cb))).ok_or(BindingFault::Page)
        }
        Proof::Marks(marks) if app.settings.legacy_clients && marks.are_of_a_popup() => {
            judge_marks(session, app, marks).map(|()| Judged::proven(Level::L1, None))
        }
        Proof::Marks(marks) => match link(session, app) {
            Some(link) => Ok(link),
            None => judge_marks(session, app, marks).map(|()| Judged::proven(Level::L1, None)),
        },
        Proof::AtTheEnd { cb, .. } => {
            let link = link(session, app).filter(|_| is_flow_id(cb)).ok_or(BindingFault::NoForm)?;
            Ok(Judged { cb: Some((*cb).to_owned()), ..link })
        }
        Proof::None => link(session, app).ok_or(BindingFault::Page),
    }
}

/// What a browser may do that proves nothing of the app's page (S9): its user signs in at the app's identity provider, or the
/// operator lets links in without proof. `None` = neither.
fn link(session: &Session, app: &App) -> Option<Judged> {
    let has_somebody = session.data.user.is_some() || session.data.auth.is_some();
    let signs_in = app.sign_in().is_some() && has_somebody;
    let unverified = session.data.auth.is_none()
        && app.settings.allow_unverified_links
        && session.data.min_binding == Level::L0;
    (signs_in || unverified).then_some(Judged { level: Level::L0, cb: None, signs_in, is_link: true })
}

/// Who came by a redirect must be able to go back (S5).
fn has_way_back(session: &Session, app: &App, mode: Mode) -> Result<(), ClaimError> {
    if mode == Mode::Popup || session.data.return_url.is_some() {
        return Ok(());
    }
    tracing::warn!(
        sid = %session.sid, app = %app.id,
        "a redirect was refused: its session was minted without return_url (POST /sdk/oauth/connect/session)"
    );
    let allowed_origin = session.data.allowed_origin.clone();
    Err(ClaimError::ReturnUrlRequired { app_name: app.settings.name.clone(), allowed_origin })
}

/// A browser that proves nothing is let in where the app has the last word (S9), unless it says that another site sent it.
/// An attacker may hide that; his flow then ends at the app, where the user is another.
fn judge_unproven(session: &Session, marks: &Marks) -> Result<(), BindingFault> {
    if marks.referrer.is_empty() {
        return Ok(());
    }
    let page = url::Url::parse(&marks.referrer).ok().map(|url| url.origin().ascii_serialization());
    let returns = session.data.return_url.as_ref().is_some_and(|url| url.is_named_by(page.as_deref()));
    if returns || session.data.is_for_page_at(page.as_deref()) {
        return Ok(());
    }
    let foreign = ForeignPage::noticed(session, page.as_deref());
    Err(foreign.map_or(BindingFault::Page, BindingFault::OtherOrigin))
}

fn judge_marks(session: &Session, app: &App, marks: &Marks) -> Result<(), BindingFault> {
    let allowed = session.data.allowed_origin.as_ref();
    let referrer = url::Url::parse(&marks.referrer).ok().and_then(|url| Origin::of(&url).ok());
    let elsewhere = referrer.as_ref().filter(|page| marks.opener && Some(*page) != allowed);
    let client = app.settings.legacy_clients && marks.are_of_a_popup() && marks.site != "none";
    let from_app = referrer.is_some() && referrer.as_ref() == allowed;
    // From a window that is used again, WebKit sends no Referer: it asks the policy of our page that is there.
    let again = marks.referrer.is_empty() && marks.history.is_some_and(|length| length > 1);
    match marks.history {
        Some(1) if client && from_app => Ok(()),
        history if client && (from_app || again) => {
            tracing::info!(
                sid = %session.sid, history,
                "a window that had shown other pages was refused: client 0.8.0 opens a new one, with a history of 1"
            );
            Err(BindingFault::UsedWindow)
        }
        _ => {
            let foreign = elsewhere.and_then(|page| ForeignPage::noticed(session, Some(page.as_str())));
            Err(foreign.map_or(BindingFault::Page, BindingFault::OtherOrigin))
        }
    }
}

/// A flow id is base64url of 32 bytes.
fn is_flow_id(cb: &str) -> bool {
    secret::from_base64url(cb).is_some_and(|bytes| bytes.len() == size_of::<Hash>())
}

fn claimed_entry(session: &Session, level: Level, at: alter_core::Micros) -> AuditEntry {
    let level = if is_unproven(session, level) { "unproven" } else { level.as_str() };
    let details = serde_json::json!({ "level": level });
    AuditEntry {
        sid: Some(session.sid.clone()),
        user_id: session.principal().user(),
        agent_id: session.data.agent.as_ref().map(|agent| agent.id),
        ..AuditEntry::new(session.app_id, at, AuditKind::SessionClaimed, details)
    }
}

/// How many live sessions one browser may keep cookies for (T48).
const SESSIONS_PER_BROWSER: usize = 10;

/// Returns the sessions whose cookies the browser should drop to make room for one more: all that are over or unknown,
/// then the oldest.
///
/// # Errors
/// Storage failed.
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

/// Hashes a cookie's browser key for comparison. A value that is not 43 characters long is not a key: `None`.
pub fn browser_hash(key: &SecretString) -> Option<Hash> {
    (key.expose_secret().len() == 43).then(|| hash_secret(key))
}
