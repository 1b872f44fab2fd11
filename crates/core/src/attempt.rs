//! An attempt: one attempt to connect one provider, from the authorization request to the grant.
//!
//! `started -> consumed -> sent -> succeeded | denied | failed | interrupted`. `state` is 256 random bits, stored
//! hashed, and consumed by one conditional update: a callback that comes twice exchanges once (T17). The raw token
//! answer is stored sealed (`body`) before it is looked at, so that a crash after that point loses nothing.

use async_trait::async_trait;

use crate::{
    AppId, AttemptId, AuditEntry, ConfigId, Connection, Delegation, EndKind, Failure, Grant, Hash, Micros,
    Saved, Session, SessionId, StoreError,
};

/// An attempt as stored.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Its session.
    pub sid: SessionId,
    /// Its app.
    pub app_id: AppId,
    /// The configuration whose callback path it must come back on.
    pub config_id: ConfigId,
    /// SHA-256 of `state`.
    pub state_hash: Hash,
    /// Sealed PKCE verifier; every attempt has one (T22).
    pub verifier: Vec<u8>,
    /// OIDC nonce; sent only with the `openid` scope.
    pub nonce: String,
    /// Sent in both requests, byte for byte (T30).
    pub redirect_uri: String,
    /// Asked for.
    pub scopes: Vec<String>,
    /// When the user left for the provider.
    pub created_at: Micros,
    /// Until when the callback is accepted.
    pub expires_at: Micros,
    /// Where it stands.
    pub status: AttemptStatus,
    /// When it entered that status.
    pub status_at: Micros,
    /// The sealed raw token answer, once there is one.
    pub body: Option<Vec<u8>>,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptStatus {
    /// The user is at the provider.
    Started,
    /// The callback took it.
    Consumed,
    /// The token request may have left.
    Sent,
    /// A grant was stored.
    Succeeded,
    /// The user refused.
    Denied,
    /// It failed.
    Failed,
    /// We lost it between request and answer.
    Interrupted,
}

impl AttemptStatus {
    /// The name in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Consumed => "consumed",
            Self::Sent => "sent",
            Self::Succeeded => "succeeded",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        use AttemptStatus as S;
        [S::Started, S::Consumed, S::Sent, S::Succeeded, S::Denied, S::Failed, S::Interrupted]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// Everything that a successful connection changes, in one commit.
#[derive(Debug, Clone)]
pub struct CompleteConnect {
    /// Moves `sent -> succeeded`.
    pub attempt: AttemptId,
    /// Its session, which gets the connection.
    pub sid: SessionId,
    /// The grant to write. `grant.credential.generation` is 1 for a new grant, or one more than the stored one.
    pub grant: Grant,
    /// The delegation to write with it, when the session named an agent.
    pub delegation: Option<Delegation>,
    /// What the session records; its `grant_id` is `grant.id`.
    pub connection: Connection,
    /// What the audit records.
    pub audit: AuditEntry,
    /// Now.
    pub at: Micros,
}

/// What became of taking an attempt.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    /// The caller has it, and nobody else.
    First,
    /// Somebody else was first, or time is up.
    Late,
}

impl Consumed {
    /// Whether the caller has it.
    pub fn is_first(self) -> bool {
        self == Self::First
    }
}

/// What became of ending an attempt.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It has ended now, and the session with it as `session` says.
    Done {
        /// How the session ended; `None` when it goes on, or had ended before.
        session: Option<EndKind>,
    },
    /// It had ended before; nothing was stored.
    Before,
}

impl Ended {
    /// Whether this command ended it.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// What storage must be able to do for attempts. Each command is one atomic transaction; each that changes the
/// session loads it, applies the rule of `core::session`, and saves it inside.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Saves `session` (compare-and-set as [`crate::SessionStore::save_session`]) and stores the attempt; [`Saved::Moved`]
    /// when the session has moved.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`] of the verifier.
    async fn start_attempt(&self, session: &Session, attempt: Attempt) -> Result<Saved, StoreError>;
    /// By the hash of `state`, in any status.
    async fn find_attempt(&self, state_hash: &Hash) -> Result<Option<Attempt>, StoreError>;
    /// `started -> consumed` when not expired, by one conditional update; the session's attempt becomes `exchanging`.
    async fn consume_attempt(&self, id: AttemptId, now: Micros) -> Result<Consumed, StoreError>;
    /// `consumed -> sent`, durable before the request leaves.
    async fn mark_sent(&self, id: AttemptId, now: Micros) -> Result<Saved, StoreError>;
    /// Stores the sealed raw token answer of a `sent` attempt.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`].
    async fn save_body(&self, id: AttemptId, sealed: Vec<u8>) -> Result<Saved, StoreError>;
    /// `sent -> succeeded`, with grant, delegation, session and audit; the verifier and the body are wiped. [`Ended::Before`]
    /// when the attempt was not `sent` (it was completed already, or given up).
    ///
    /// # Errors
    /// [`StoreError::Moved`] when the grant's generation has moved or it was revoked, or when the delegation's agent is
    /// revoked; [`StoreError::Exists`] when another active grant of the same account exists; [`StoreError::KeyRetired`].
    async fn complete_connect(&self, complete: CompleteConnect) -> Result<Ended, StoreError>;
    /// `started | consumed | sent -> status` (denied, failed or interrupted), with the session's rule
    /// [`Session::attempt_failed`] and audit; verifier and body are wiped. [`Ended::Before`] also for
    /// `interrupted` when the answer is in the journal: then there is something to go on with.
    async fn fail_attempt(
        &self,
        id: AttemptId,
        status: AttemptStatus,
        failure: Failure,
        audit: AuditEntry,
        now: Micros,
    ) -> Result<Ended, StoreError>;
    /// `consumed` or `sent` since before `before`, oldest first.
    async fn list_stuck_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError>;
}
