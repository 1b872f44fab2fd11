//! An attempt to connect one provider, from the authorization request to the grant.
//!
//! `started -> consumed -> sent -> succeeded | denied | failed | interrupted`; where the app has the last word, `sent ->
//! staged -> succeeded | failed` ([`crate::staged`]). `state` is 256 random bits, stored
//! hashed, and consumed by one conditional update: a callback that comes twice exchanges once (T17). The raw token
//! answer is stored sealed (`body`) before it is looked at, so that a crash after that point loses nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AppId, AttemptId, AuditEntry, ConfigId, Connection, Delegation, EndKind, Failure, Filled, Grant, Hash,
    Micros, Saved, Session, SessionId, Staged, StoreError,
};

/// An attempt as stored.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Random; never sent to the provider (`state` is).
    pub id: AttemptId,
    /// The session in which the user approved.
    pub sid: SessionId,
    /// The session's app.
    pub app_id: AppId,
    /// The provider configuration; the browser must come back on its callback path.
    pub config_id: ConfigId,
    /// SHA-256 of `state`.
    pub state_hash: Hash,
    /// Sealed PKCE verifier; every attempt has one (T22).
    pub verifier: Vec<u8>,
    /// OIDC nonce, base64url; sent only with the `openid` scope.
    pub nonce: String,
    /// Sent in both requests, byte for byte (T30).
    pub redirect_uri: String,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// When the user left for the provider.
    pub created_at: Micros,
    /// Until when the callback is accepted.
    pub expires_at: Micros,
    /// How far the attempt has got.
    pub status: AttemptStatus,
    /// When it entered that status; for `Sent`, when we sent the token request.
    pub status_at: Micros,
    /// The sealed raw token answer, once there is one.
    pub body: Option<Vec<u8>>,
    /// The placeholders of the provider's URLs that were filled for this customer: the hosts that the user was sent to, and
    /// no others, are asked.
    pub filled: Filled,
    /// What the browser brought beside the code.
    pub brought: Brought,
    /// Whose account it is, sealed; only while the attempt is staged.
    pub staged: Option<Vec<u8>>,
}

/// What the browser brought beside a code. It can be edited there: it is shown, and nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Brought {
    /// The scopes that the authorization response names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Facts, by the names that the recipe gives them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptStatus {
    /// The user is at the provider.
    Started,
    /// A callback has consumed `state`.
    Consumed,
    /// The token request may have left this server.
    Sent,
    /// The account is known, and the app has to confirm.
    Staged,
    /// A grant was stored.
    Succeeded,
    /// The user refused.
    Denied,
    /// The provider refused, or its answer was not good.
    Failed,
    /// We lost the attempt before the provider's answer was in the journal.
    Interrupted,
}

impl AttemptStatus {
    /// The name in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Consumed => "consumed",
            Self::Sent => "sent",
            Self::Staged => "staged",
            Self::Succeeded => "succeeded",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        use AttemptStatus as S;
        [S::Started, S::Consumed, S::Sent, S::Staged, S::Succeeded, S::Denied, S::Failed, S::Interrupted]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// Everything that a connection changes that waits for the app, in one commit.
#[derive(Debug, Clone)]
pub struct StageConnect {
    /// The attempt's session, which gets the connection.
    pub sid: SessionId,
    /// Its app.
    pub app_id: AppId,
    /// Whose account it is, sealed.
    pub account: Vec<u8>,
    /// What the session records; its `attempt` moves `sent -> staged`.
    pub staged: Staged,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// Everything that a successful connection changes, in one commit.
#[derive(Debug, Clone)]
pub struct CompleteConnect {
    /// The attempt that moves to `succeeded`.
    pub attempt: AttemptId,
    /// Where it moves from: [`AttemptStatus::Sent`], or [`AttemptStatus::Staged`] with the app's word.
    pub from: AttemptStatus,
    /// The attempt's session, which gets the connection.
    pub sid: SessionId,
    /// The grant to write. `grant.credential.generation` is 1 for a new grant, or one more than the stored one.
    pub grant: Grant,
    /// The delegation to write with the grant, if the session has an agent.
    pub delegation: Option<Delegation>,
    /// What the session records; its `grant_id` is `grant.id`.
    pub connection: Connection,
    /// What the audit records.
    pub audit: AuditEntry,
    /// The time of the commit.
    pub at: Micros,
}

/// The result of [`AttemptStore::consume_attempt`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    /// The attempt belongs to the caller, and to nobody else.
    First,
    /// Another caller was first, or the attempt has expired.
    Late,
}

impl Consumed {
    /// Whether the attempt belongs to the caller.
    pub fn is_first(self) -> bool {
        self == Self::First
    }
}

/// The result of ending an attempt.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The attempt has ended now.
    Done {
        /// How the session ended with it; `None` when the session goes on, or had ended before.
        session: Option<EndKind>,
    },
    /// The attempt had ended before; nothing was stored.
    Before,
}

impl Ended {
    /// Whether this command ended the attempt.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// What storage must be able to do for attempts. Each command is one atomic transaction. A command that changes the
/// session loads it, applies the rule in [`crate::session`], and saves it inside that transaction.
#[async_trait]
pub trait AttemptStore: Send + Sync {
    /// Saves `session` by compare-and-set, like [`crate::SessionStore::save_session`], and stores the attempt. Returns
    /// [`Saved::Moved`] when the session has changed.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`]: the verifier is sealed under a retired key.
    async fn start_attempt(&self, session: &Session, attempt: Attempt) -> Result<Saved, StoreError>;
    /// Finds an attempt by the hash of `state`, in any status.
    async fn find_attempt(&self, state_hash: &Hash) -> Result<Option<Attempt>, StoreError>;
    /// `started -> consumed` if the attempt has not expired, by one conditional update. Marks the session's attempt as
    /// `exchanging`.
    async fn consume_attempt(&self, id: AttemptId, now: Micros) -> Result<Consumed, StoreError>;
    /// `consumed -> sent`, durably, before the request leaves, with what the browser brought: a replay needs it.
    async fn mark_sent(&self, id: AttemptId, brought: &Brought, now: Micros) -> Result<Saved, StoreError>;
    /// Stores the sealed raw token answer of a `sent` attempt.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`].
    async fn save_body(&self, id: AttemptId, sealed: Vec<u8>) -> Result<Saved, StoreError>;
    /// `sent -> staged`, with session and audit; wipes the verifier and keeps the body. Returns [`Ended::Before`] when the
    /// attempt was not `sent`.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`].
    async fn stage_connect(&self, stage: StageConnect) -> Result<Ended, StoreError>;
    /// `sent | staged -> succeeded`, with grant, delegation, session and audit; wipes the sealed values. Returns
    /// [`Ended::Before`] when the attempt was not in [`CompleteConnect::from`] (it was completed already, or given up).
    ///
    /// # Errors
    /// [`StoreError::Moved`] when the grant has another generation or was revoked, or when the delegation's agent is
    /// suspended or revoked; [`StoreError::Exists`] when another active grant of the same account exists; [`StoreError::KeyRetired`].
    async fn complete_connect(&self, complete: CompleteConnect) -> Result<Ended, StoreError>;
    /// `started | consumed | sent -> status` (denied, failed or interrupted), with the session's rule
    /// [`Session::attempt_failed`] and the audit entry; wipes verifier and body. Returns [`Ended::Before`] also for
    /// `interrupted` when the answer is in the journal: such an attempt can still be replayed.
    async fn fail_attempt(
        &self,
        id: AttemptId,
        status: AttemptStatus,
        failure: Failure,
        audit: AuditEntry,
        now: Micros,
    ) -> Result<Ended, StoreError>;
    /// `staged -> failed`, with the session's rule [`Session::discarded`] and the audit entry; wipes the sealed values.
    async fn discard_staged(
        &self,
        id: AttemptId,
        failure: Failure,
        audit: AuditEntry,
        now: Micros,
    ) -> Result<Ended, StoreError>;
    /// Lists a session's staged attempts, oldest first.
    async fn list_staged_attempts(&self, sid: &SessionId) -> Result<Vec<Attempt>, StoreError>;
    /// Lists attempts that have been `staged` since before `before`, oldest first.
    async fn list_waiting_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError>;
    /// Lists attempts that have been `consumed` or `sent` since before `before`, oldest first.
    async fn list_stuck_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError>;
}
