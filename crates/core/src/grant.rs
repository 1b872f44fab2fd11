//! A grant: one account at one provider that one app may use, and the sealed credential behind it.
//!
//! A grant is a user's, or the app's own where it was connected without a user token (`principal_type` `user` and
//! `system` on the wire). It is `active` until it is revoked, for good: the same account connected again makes a new one.

use async_trait::async_trait;

use crate::{
    AgentId, AppId, AuditEntry, CallNonce, ConfigId, Delegation, GrantId, Level, Micros, Principal,
    RevocationOutcome, Saved, StoreError,
};

/// How exactly [`Grant::last_used_at`] is kept, seconds: a busy grant's row is not rewritten by every call.
pub const LAST_USED_STEP: i64 = 60;

/// A grant as stored.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its id; kept when the same account is connected again.
    pub id: GrantId,
    /// Whose it is.
    pub app_id: AppId,
    /// Whose of the app's users', or the app's own.
    pub principal: Principal,
    /// Provider id.
    pub provider: String,
    /// The configuration it was made with.
    pub config_id: ConfigId,
    /// The provider's stable id of the account. Unique with app, principal and provider among active grants.
    pub subject: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// A name to show.
    pub account_display_name: Option<String>,
    /// What the app calls it, to choose among several (`requested_grant.label`).
    pub label: Option<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// Asked for and not granted.
    pub missing_scopes: Vec<String>,
    /// How well the session was bound.
    pub level: Level,
    /// When it was made.
    pub created_at: Micros,
    /// When it was last connected.
    pub updated_at: Micros,
    /// When a token of it was last released, to [`LAST_USED_STEP`].
    pub last_used_at: Option<Micros>,
    /// Set when it was revoked: then the credential's sealed values are empty.
    pub revoked: Option<RevokedGrant>,
    /// The sealed credential.
    pub credential: Credential,
}

/// How a grant was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedGrant {
    /// When.
    pub at: Micros,
    /// Why, in the app's words.
    pub reason: Option<String>,
    /// What became of it at the provider.
    pub outcome: RevocationOutcome,
}

impl Grant {
    /// `active` or `revoked`.
    pub fn status(&self) -> GrantStatus {
        if self.revoked.is_some() { GrantStatus::Revoked } else { GrantStatus::Active }
    }
}

/// Where a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantStatus {
    /// Usable.
    Active,
    /// Over, for good.
    Revoked,
}

impl GrantStatus {
    /// The name in storage and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

/// Which grants of an app. Every field that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// Whose.
    pub principal: Option<Principal>,
    /// Delegated to this agent: neither delegation nor grant is revoked.
    pub agent: Option<AgentId>,
    /// Provider id.
    pub provider: Option<String>,
    /// Where they stand.
    pub status: Option<GrantStatus>,
    /// `account_identifier`, to the byte.
    pub account: Option<String>,
    /// `label`, to the byte.
    pub label: Option<String>,
}

/// A grant in a list.
#[derive(Debug, Clone)]
pub struct ListedGrant {
    /// The grant.
    pub grant: Grant,
    /// Agents with a live delegation, by id.
    pub agents: Vec<AgentId>,
    /// The delegation to the filter's agent, when there is one.
    pub delegation: Option<Delegation>,
}

/// The last check before a credential leaves, and the record that it did.
#[derive(Debug, Clone)]
pub struct ReleaseCredential {
    /// The nonce of the call.
    pub call: Option<CallNonce>,
    /// Of this app.
    pub app_id: AppId,
    /// Which grant.
    pub grant_id: GrantId,
    /// The generation that was opened.
    pub generation: u64,
    /// The agent that asks, and the version of it that was judged: it must be active and still have that version, with a
    /// live delegation.
    pub agent: Option<(AgentId, u64)>,
    /// When.
    pub at: Micros,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// A credential as stored: sealed values, and what may be known without opening them.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Counts the values this row has held, from 1: part of each sealed value's place.
    pub generation: u64,
    /// As the provider wrote it; `Bearer` when it wrote none.
    pub token_type: String,
    /// When the access token ends; `None` = the provider did not say.
    pub expires_at: Option<Micros>,
    /// Sealed.
    pub access_token: Vec<u8>,
    /// Sealed.
    pub refresh_token: Option<Vec<u8>>,
    /// Sealed.
    pub id_token: Option<Vec<u8>>,
}

/// What storage must be able to do for grants.
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// Of this app, revoked or not; a grant of another app is `None` like an unknown one (T72).
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError>;
    /// The active grant of an account.
    async fn find_grant(
        &self,
        app: AppId,
        principal: Principal,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Grant>, StoreError>;
    /// Newest first.
    async fn list_grants(
        &self,
        app: AppId,
        filter: &GrantFilter,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<ListedGrant>, StoreError>;
    /// How many [`Self::list_grants`] would find in all.
    async fn count_grants(&self, app: AppId, filter: &GrantFilter) -> Result<u64, StoreError>;
    /// Whether an active grant of this account is there, whosever it is.
    async fn has_grant_of_account(
        &self,
        app: AppId,
        provider: &str,
        subject: &str,
    ) -> Result<bool, StoreError>;
    /// Before a credential leaves (T97, T98): the nonce, the checks, `last_used_at` and the audit entry, in one durable
    /// commit. [`Saved::Moved`] when the grant is gone, revoked or has moved, or the agent has no live delegation.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`]; anything else means that nothing may be released.
    async fn release_credential(&self, release: ReleaseCredential) -> Result<Saved, StoreError>;
}
