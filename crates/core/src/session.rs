//! A Connect session: one token, one browser, one flow, in which one or more providers are connected.
//!
//! `minted -> claimed -> done | failed | expired | cancelled`. Every move is a compare-and-set on `version`; a move that
//! does not apply changes nothing. The rules are pure functions of this row and the time; storage only saves.
//! [`crate::exit`] decides when a closed popup ends the flow.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AgentId, AppId, AttemptId, AuditEntry, AuthSession, CallNonce, Cause, ConfigId, Connection, Coop,
    Declined, Event, EventName, Failure, Filled, GrantId, Hash, IssuedResult, Level, Micros, Origin,
    Principal, ResultCode, ReturnUrl, Saved, SessionId, SignIn, Staged, StoreError, UserId, opener::Returned,
};

/// How long a started attempt may take, seconds. It may outlive the session (protocol 3).
pub const ATTEMPT_TTL: i64 = 600;
/// How long the app's page waits for an exchange, seconds: the token request, keys and userinfo at their slowest, and
/// once more by the reaper after a crash.
pub const EXCHANGE_MAX: i64 = 300;
/// How many attempts one session may have; each is a row.
const ATTEMPTS_MAX: u32 = 50;
/// How many choices of a provider are told to the app page. A user who goes back and forth for an hour must not grow the
/// row without limit; the other events are bounded by the attempts.
const CHOICES_TOLD_MAX: usize = 200;
/// How long the page waits for the app's first status call after the claim, seconds.
pub const STATUS_WAIT: i64 = 10;

/// A session as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Public id.
    pub sid: SessionId,
    /// The app that minted it.
    pub app_id: AppId,
    /// SHA-256 of the session token.
    pub token_hash: Hash,
    /// When it was minted.
    pub created_at: Micros,
    /// From then on nothing new can start.
    pub expires_at: Micros,
    /// Everything that no query needs.
    pub data: SessionData,
    /// Counts the saves; each change is a compare-and-set on it.
    pub version: u64,
}

/// The part of a session that storage keeps as one document. Rows that older versions wrote must stay readable, so a new
/// field needs `#[serde(default)]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionData {
    /// The one origin that may read the result; `None` = no page may: the session is for a link.
    pub allowed_origin: Option<Origin>,
    /// Where the redirect transport returns to; checked at mint.
    pub return_url: Option<ReturnUrl>,
    /// Provider ids that may be connected, in the order the app gave.
    pub providers: Vec<String>,
    /// Fixed at mint (T08).
    pub min_binding: Level,
    /// The user it was minted for; `None` = the grants will be the app's own.
    #[serde(default)]
    pub user: Option<SessionUser>,
    /// The agent that the grants will be delegated to.
    #[serde(default)]
    pub agent: Option<SessionAgent>,
    /// SHA-256 of the verifier that the app's backend keeps in the session of its own user (`code_challenge`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Hash>,
    /// The label that the grants will have.
    #[serde(default)]
    pub label: Option<String>,
    /// The placeholders of providers' hosts that the app filled at mint, by provider id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filled: BTreeMap<String, Filled>,
    /// Those that the person typed on our page. The app's own values come first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub typed: BTreeMap<String, Filled>,
    /// Minted, claimed or ended.
    pub state: State,
    /// The provider on the consent page; `None` = the user is on the picker.
    pub selected: Option<String>,
    /// What the newest consent page showed, as a hash; `None` = no page has been shown since the provider was chosen.
    #[serde(default)]
    pub shown: Option<String>,
    /// How many attempts have been started.
    #[serde(default)]
    pub attempts: u32,
    /// The attempt under way.
    #[serde(rename = "attempt")]
    pub underway: Option<Underway>,
    /// How the latest attempt failed, if the session went on.
    pub last_failure: Option<Failure>,
    /// The connections made so far.
    pub connections: Vec<Connection>,
    /// Those that wait for the app's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staged: Vec<Staged>,
    /// When the app confirmed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Micros>,
    /// The providers the user refused.
    pub declined: Vec<Declined>,
    /// What the app page is told, in order; a cursor counts them.
    pub events: Vec<Event>,
    /// Hints about the window.
    pub signals: Signals,
    /// The session's result code, once it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<IssuedResult>,
    /// It is an auth session: it connects nothing, and ends when somebody has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthSession>,
    /// The browser came by a link, and its user has to sign in at the app's identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
}

impl SessionData {
    /// Whether a page at this origin may read the result: a header's value, byte for byte.
    pub fn is_for_page_at(&self, origin: Option<&str>) -> bool {
        self.allowed_origin.as_ref().is_some_and(|allowed| allowed.is_named_by(origin))
    }

    /// What is filled in for a provider's placeholders: by the app, else by the person.
    pub fn filled_for(&self, provider: &str) -> Filled {
        let of = |all: &BTreeMap<String, Filled>| all.get(provider).cloned().unwrap_or_default();
        let mut filled = of(&self.typed);
        filled.extend(of(&self.filled));
        filled
    }

    /// The data of a session just minted.
    pub fn new(allowed_origin: Option<Origin>, providers: Vec<String>, min_binding: Level) -> Self {
        Self {
            allowed_origin,
            return_url: None,
            providers,
            min_binding,
            user: None,
            agent: None,
            challenge: None,
            label: None,
            filled: BTreeMap::new(),
            typed: BTreeMap::new(),
            state: State::Minted,
            selected: None,
            shown: None,
            attempts: 0,
            underway: None,
            last_failure: None,
            connections: Vec::new(),
            staged: Vec::new(),
            confirmed_at: None,
            declined: Vec::new(),
            events: Vec::new(),
            signals: Signals::default(),
            result: None,
            auth: None,
            sign_in: None,
        }
    }
}

/// The user that a session was minted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionUser {
    /// Our id for the user.
    pub id: UserId,
    /// The name that pages show.
    pub label: String,
}

/// The agent that a session's grants will be delegated to, with its name at the time of the mint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionAgent {
    /// Which agent.
    pub id: AgentId,
    /// The name that pages show.
    pub name: String,
}

/// Where a session stands, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No browser has opened it.
    Minted,
    /// A browser has opened it.
    Claimed(Claim),
    /// It is over.
    Ended {
        /// The browser that had opened it, if any.
        claim: Option<Claim>,
        /// How it ended.
        end: End,
    },
}

/// The browser that opened the session, and how it proved itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The level reached.
    pub level: Level,
    /// `cb`: the SDK's flow id; absent for the published client.
    pub cb: Option<String>,
    /// SHA-256 of the browser key in the cookie.
    pub browser: Hash,
    /// SHA-256 of the one-time marker that tells "no cookies" from "another browser".
    pub marker: Option<Hash>,
    /// When the browser claimed it.
    pub at: Micros,
    /// How the browser came, and how it goes back.
    #[serde(default, skip_serializing_if = "Mode::is_popup")]
    pub mode: Mode,
}

/// The two transports: how a browser comes to our pages and how it leaves them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In a window of its own. The app's page stays, and asks for the status.
    #[default]
    Popup,
    /// In the app's own window. The app's page is gone; the browser goes back to `return_url`.
    Redirect,
}

impl Mode {
    fn is_popup(&self) -> bool {
        *self == Self::Popup
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// One of the four ways.
    pub kind: EndKind,
    /// When it ended.
    pub at: Micros,
    /// The reason; only with [`EndKind::Failed`].
    pub failure: Option<Failure>,
}

/// The four ways to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    /// At least one connection was made and the user is finished; or somebody signed in for an auth session.
    Done,
    /// Nothing was connected, for a reason worth telling.
    Failed,
    /// Its time ran out, and nothing was connected.
    Expired,
    /// The user or the app left, and nothing was connected.
    Cancelled,
}

impl EndKind {
    /// The state's name in storage and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The attempt under way, as far as the session needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Underway {
    /// Which attempt. Stored documents call it by the name that attempts had first.
    #[serde(rename = "transaction")]
    pub attempt: AttemptId,
    /// Which provider.
    pub provider: String,
    /// Whether the provider's pages sever the popup from its opener.
    pub coop: Coop,
    /// When the user left for the provider.
    pub started_at: Micros,
    /// Until when the user may come back.
    pub expires_at: Micros,
    /// The code has arrived; from here only the exchange may end this attempt.
    pub exchanging: bool,
    /// The configuration; `None` in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigId>,
    /// The newest page when the user left; `None` in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u64>,
}

/// Hints about the popup. None of them decides anything by itself (B8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// Since when the SDK has seen `popup.closed`.
    pub closed_since: Option<Micros>,
    /// When the SDK's first status call came.
    pub first_status_at: Option<Micros>,
    /// Instance number of the newest page served.
    pub page_instance: u64,
    /// The last sign of life of one of our pages: served, `seen`, or an action.
    pub page_at: Option<Micros>,
    /// When the newest page said goodbye.
    pub bye_at: Option<Micros>,
    /// Since when the browser that claimed the session is known to have kept no cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookieless_since: Option<Micros>,
    /// The popup looked closed and then open again: what it looks like says nothing in this browser.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flickered: bool,
    /// The flow has come back from a provider of whose pages nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Returned>,
}

/// Why a claim was refused. A refused claim never uses up the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimRefused {
    /// The session's time has passed.
    Expired,
    /// The session has ended.
    Used,
    /// The user or the app has left.
    Cancelled,
    /// Another browser has the session.
    OtherBrowser,
    /// The proof is below the session's `min_binding`.
    Binding,
}

impl Session {
    /// The claim, if there ever was one.
    pub fn claim(&self) -> Option<&Claim> {
        match &self.data.state {
            State::Minted => None,
            State::Claimed(claim) => Some(claim),
            State::Ended { claim, .. } => claim.as_ref(),
        }
    }

    /// How the session ended, if it has.
    pub fn end(&self) -> Option<&End> {
        match &self.data.state {
            State::Ended { end, .. } => Some(end),
            _ => None,
        }
    }

    /// The state's name in storage and logs.
    pub fn state_name(&self) -> &'static str {
        match &self.data.state {
            State::Minted => "minted",
            State::Claimed(_) => "claimed",
            State::Ended { end, .. } => end.kind.as_str(),
        }
    }

    /// When the session ends at the latest: at its own expiry, or at that of the attempt under way (T54).
    pub fn deadline(&self) -> Micros {
        self.data.underway.as_ref().map_or(self.expires_at, |a| self.expires_at.max(a.expires_at))
    }

    /// Who will own the grants.
    pub fn principal(&self) -> Principal {
        self.data.user.as_ref().map_or(Principal::App, |user| Principal::User(user.id))
    }

    /// Only one provider is offered: no picker.
    pub fn is_single(&self) -> bool {
        self.data.providers.len() == 1
    }

    /// Whether the browser came by a redirect of its whole page, so that no app page is open beside ours.
    pub fn is_redirect(&self) -> bool {
        self.claim().is_some_and(|claim| claim.mode == Mode::Redirect)
    }

    /// Issues the session's result code; returns whether that changed anything. The first one stays: its time is not
    /// renewed, and no other code takes its place.
    pub fn issue_result(&mut self, code: &ResultCode, now: Micros) -> bool {
        let first = self.data.result.is_none();
        self.data.result.get_or_insert_with(|| IssuedResult::new(code, now));
        first
    }

    /// Whether this browser claimed the session.
    pub fn is_browser(&self, browser: &Hash) -> bool {
        self.claim().is_some_and(|claim| crate::secret::same(&claim.browser, browser))
    }

    /// `minted -> claimed`. The caller has judged the proof; this method checks state, time and level.
    ///
    /// # Errors
    /// [`ClaimRefused`]; the session is unchanged.
    pub fn claim_by(&mut self, claim: Claim) -> Result<(), ClaimRefused> {
        match &self.data.state {
            State::Claimed(_) => return Err(ClaimRefused::OtherBrowser),
            State::Ended { end, .. } if end.kind == EndKind::Expired => return Err(ClaimRefused::Expired),
            State::Ended { end, .. } if end.kind == EndKind::Cancelled => {
                return Err(ClaimRefused::Cancelled);
            }
            State::Ended { .. } => return Err(ClaimRefused::Used),
            State::Minted if claim.at >= self.expires_at => return Err(ClaimRefused::Expired),
            // At L3 the level is fixed when the app confirms; a link's, when its user has signed in.
            State::Minted
                if claim.level < self.data.min_binding
                    && !self.is_confirmed_by_app()
                    && !self.has_to_sign_in() =>
            {
                return Err(ClaimRefused::Binding);
            }
            State::Minted => {}
        }
        let at = claim.at;
        self.data.state = State::Claimed(claim);
        self.select_single(at);
        Ok(())
    }

    /// Only one provider is offered, so it is chosen.
    pub(crate) fn select_single(&mut self, at: Micros) {
        if let [only] = self.data.providers.as_slice() {
            let only = only.clone();
            self.select(&only, at);
        }
    }

    /// The user chose a provider; returns `false` when the provider is not offered or the session is not open.
    pub fn select(&mut self, provider: &str, at: Micros) -> bool {
        if !self.can_start(at) || !self.data.providers.iter().any(|p| p == provider) {
            return false;
        }
        self.data.selected = Some(provider.to_owned());
        self.data.shown = None;
        self.data.last_failure = None;
        self.push_event(EventName::ProviderSelected, provider, at);
        true
    }

    /// Back to the picker.
    pub fn deselect(&mut self) {
        if !self.is_single() && matches!(self.data.state, State::Claimed(_)) {
            self.data.selected = None;
            self.data.last_failure = None;
        }
    }

    /// Whether an attempt may start: the session is claimed, nobody has to sign in first, it is not expired, no code is being
    /// exchanged, and it has had fewer than 50 attempts.
    pub fn can_start(&self, now: Micros) -> bool {
        matches!(self.data.state, State::Claimed(_))
            && !self.has_to_sign_in()
            && now < self.expires_at
            && !self.is_exchanging()
            && self.data.attempts < ATTEMPTS_MAX
    }

    /// Whether a code has arrived and is being exchanged: until that ends, nothing else may end the flow.
    pub fn is_exchanging(&self) -> bool {
        self.data.underway.as_ref().is_some_and(|a| a.exchanging)
    }

    /// The user approved: `attempt` is under way.
    pub fn start(&mut self, attempt: Underway) {
        let (provider, at) = (attempt.provider.clone(), attempt.started_at);
        self.data.attempts += 1;
        self.data.underway = Some(attempt);
        self.data.last_failure = None;
        self.push_event(EventName::OauthStarted, &provider, at);
    }

    /// The code of `attempt` has arrived. A code that came in the last second still gets its exchange.
    pub fn exchanging(&mut self, attempt: AttemptId, now: Micros) {
        let Some(attempt) = self.data.underway.as_mut().filter(|a| a.attempt == attempt) else { return };
        attempt.exchanging = true;
        attempt.expires_at = attempt.expires_at.max(now.plus_seconds(EXCHANGE_MAX));
        let signals = &mut self.data.signals;
        let watched =
            signals.first_status_at.is_some() && signals.closed_since.is_none() && !signals.flickered;
        let to_learn = attempt.config.clone().filter(|_| watched && attempt.coop == Coop::Unknown);
        let page = signals.page_instance;
        signals.returned = to_learn.map(|config| Returned { config, at: now, page });
    }

    /// The attempt's connection was made. If only one provider is offered, the session is done, unless the user is to be asked
    /// something about the connection. If the session ended in the meantime, it keeps its end, but the connection is still
    /// recorded.
    pub fn connected(&mut self, attempt: AttemptId, connection: Connection) {
        let (provider, at) = (connection.provider.clone(), connection.at);
        self.data.connections.retain(|c| c.grant_id != connection.grant_id);
        self.data.connections.push(connection);
        self.back_from(attempt, &provider, at);
        self.push_event(EventName::OauthComplete, &provider, at);
        self.finish_single(at);
    }

    /// The user is back from a provider with success.
    pub(crate) fn back_from(&mut self, attempt: AttemptId, provider: &str, at: Micros) {
        self.back_from_provider(at);
        // Another attempt may be under way in a second tab; that one goes on.
        self.data.underway.take_if(|a| a.attempt == attempt);
        self.data.selected = None;
        self.data.last_failure = None;
        self.data.declined.retain(|d| d.provider != provider);
    }

    /// The first connection about which the user is to be asked something; `None` once the session is over.
    pub fn asking(&self) -> Option<&Connection> {
        let open = self.end().is_none();
        self.data.connections.iter().find(|connection| open && !connection.unanswered.is_empty())
    }

    /// The user has answered the question about a connection, or there is nothing to ask any more.
    pub fn answered(&mut self, grant: GrantId, at: Micros) {
        for connection in self.data.connections.iter_mut().filter(|c| c.grant_id == grant) {
            connection.unanswered.clear();
        }
        self.finish_single(at);
    }

    pub(crate) fn finish_single(&mut self, at: Micros) {
        if self.is_single() && self.asking().is_none() {
            self.finish(at);
        }
    }

    /// This attempt failed. If the user has started another one since, this failure changes nothing.
    pub fn attempt_ended(&mut self, attempt: AttemptId, failure: Failure, at: Micros) {
        if self.data.underway.as_ref().is_none_or(|a| a.attempt == attempt) {
            self.attempt_failed(failure, at);
        }
    }

    /// An attempt failed. With the last or only provider, or when no other provider would help, that ends the session;
    /// otherwise the user may choose again.
    pub fn attempt_failed(&mut self, failure: Failure, at: Micros) {
        self.data.underway = None;
        self.back_from_provider(at);
        if let (Cause::Denied, Some(provider)) = (&failure.cause, &failure.provider) {
            self.data.declined.retain(|d| d.provider != *provider);
            self.data.declined.push(Declined { provider: provider.clone(), at });
        }
        let all_declined =
            self.data.providers.iter().all(|p| self.data.declined.iter().any(|d| d.provider == *p));
        let nothing_left = all_declined || failure.cause.ends_the_session();
        if self.is_single() || (nothing_left && !self.has_connected()) {
            self.finish_with(EndKind::Failed, Some(failure), at);
        } else {
            self.data.last_failure = Some(failure);
        }
    }

    /// The user has finished: the session ends as done if it has connections, otherwise as cancelled.
    pub fn finish(&mut self, at: Micros) {
        self.finish_with(EndKind::Cancelled, None, at);
    }

    /// Ends the session if its time has run out, and returns whether it did. While a code is exchanged it has not: the
    /// exchange, or the reaper after a crash, ends the attempt, and an end that was told never changes.
    pub fn expire(&mut self, now: Micros) -> bool {
        let due = self.end().is_none() && self.expires_by().is_some_and(|at| now >= at);
        if due {
            self.finish_with(EndKind::Expired, None, now);
        }
        due
    }

    /// The user leaves the page which says that the time is over: an attempt under way gets no more of it. Returns whether
    /// that ended the session.
    pub fn left_late(&mut self, now: Micros) -> bool {
        let claimed = matches!(self.data.state, State::Claimed(_));
        let has_time = self.has_to_sign_in() && now < self.expires_at;
        let late = claimed && !has_time && !self.can_start(now) && !self.is_exchanging();
        if late {
            self.finish_with(EndKind::Expired, None, now);
        }
        late
    }

    /// When its time has run out; `None` = not while a code is exchanged.
    pub(crate) fn expires_by(&self) -> Option<Micros> {
        (!self.is_exchanging()).then(|| self.deadline())
    }

    /// Somebody has signed in, and an auth session wants no more.
    pub(crate) fn finish_auth(&mut self, at: Micros) {
        if let State::Claimed(claim) = &self.data.state {
            let claim = Some(claim.clone());
            self.data.state = State::Ended { claim, end: End { kind: EndKind::Done, at, failure: None } };
        }
    }

    /// Ends the session, once. If anything was connected, the end is `done`, whatever the cause.
    fn finish_with(&mut self, kind: EndKind, failure: Option<Failure>, at: Micros) {
        let claim = match std::mem::replace(&mut self.data.state, State::Minted) {
            State::Minted => None,
            State::Claimed(claim) => Some(claim),
            ended @ State::Ended { .. } => {
                self.data.state = ended;
                return;
            }
        };
        let end = if self.has_connected() {
            End { kind: EndKind::Done, at, failure: None }
        } else {
            End { kind, at, failure }
        };
        self.data.state = State::Ended { claim, end };
    }

    /// The user is on the way back to one of our pages. Two earlier signals are therefore no signs of leaving: the goodbye on
    /// the way to the provider, and a popup that only looked closed because of the provider's COOP (T36).
    fn back_from_provider(&mut self, at: Micros) {
        self.data.signals.page_at = Some(at);
        self.data.signals.bye_at = None;
    }

    pub(crate) fn push_event(&mut self, name: EventName, provider: &str, at: Micros) {
        let told = || self.data.events.iter().filter(|e| e.name == EventName::ProviderSelected).count();
        if name != EventName::ProviderSelected || told() < CHOICES_TOLD_MAX {
            self.data.events.push(Event { name, provider: Some(provider.to_owned()), at });
        }
    }
}

/// What storage must be able to do for sessions.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a new session, and records the nonce of the mint call in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`]: nothing was stored.
    async fn insert_session(&self, call: Option<CallNonce>, session: Session) -> Result<(), StoreError>;
    /// Finds a session by its public id.
    async fn get_session(&self, sid: &SessionId) -> Result<Option<Session>, StoreError>;
    /// Finds a session by the hash of its token.
    async fn find_session(&self, token_hash: &Hash) -> Result<Option<Session>, StoreError>;
    /// Saves `data` if the stored version is still `session.version`, and raises it.
    async fn save_session(&self, session: &Session) -> Result<Saved, StoreError>;
    /// The versions of those of these sessions that are there, in any order. One question for all of them: a process asks
    /// for everybody who waits, several times a second.
    async fn list_session_versions(&self, sids: &[SessionId]) -> Result<Vec<(SessionId, u64)>, StoreError>;
    /// Lists sessions that have not ended although `expires_at` has passed, oldest first.
    async fn list_lapsed_sessions(&self, now: Micros, limit: u32) -> Result<Vec<Session>, StoreError>;
    /// Like [`Self::save_session`], and stores the sealed user token of an auth session beside it; `None` wipes the one that is
    /// there. `audit` is in the same commit: no token leaves without its entry.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`].
    async fn save_session_with_token(
        &self,
        session: &Session,
        token: Option<Vec<u8>>,
        audit: Option<AuditEntry>,
    ) -> Result<Saved, StoreError>;
    /// The sealed user token of an auth session, if one is there.
    async fn get_user_token(&self, sid: &SessionId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Lists auth sessions that have a user token beside them, those that expire first at the top.
    async fn list_sessions_with_token(&self, limit: u32) -> Result<Vec<Session>, StoreError>;
    /// Removes sessions (with their attempts) that expired before `before`; returns how many.
    async fn delete_old_sessions(&self, before: Micros, limit: u32) -> Result<u64, StoreError>;
}

#[cfg(test)]
#[path = "session_tests.rs"]
pub(crate) mod tests;
