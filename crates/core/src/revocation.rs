//! Revoking a grant: at once here, and as well as can be at the provider.
//!
//! The grant's sealed values are gone with the commit that revokes it. One token, sealed again for a row of its own,
//! waits here until the provider has answered (RFC 7009) or has not for a day: a process that dies in between loses
//! nothing, and nothing can be released from this row.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AppId, AuditEntry, CallNonce, ConfigId, GrantId, Micros, Saved, StoreError};

/// What became of a grant at its provider after it was revoked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationOutcome {
    /// It has not answered yet; it is asked again.
    Pending,
    /// It confirmed.
    Confirmed,
    /// It was asked for a day and did not confirm.
    GivenUp,
    /// It was not asked: other active grants here are of the same account, and it would end them all.
    Shared,
    /// It offers no way to revoke, or the operator removed it: end the access in the account's own settings there.
    NotOffered,
}

impl RevocationOutcome {
    /// The name in storage and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::GivenUp => "given_up",
            Self::Shared => "shared",
            Self::NotOffered => "not_offered",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Confirmed, Self::GivenUp, Self::Shared, Self::NotOffered]
            .into_iter()
            .find(|o| o.as_str() == text)
    }
}

/// A request to a provider that is still to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The grant that was revoked.
    pub grant_id: GrantId,
    /// Its app.
    pub app_id: AppId,
    /// The configuration it was made with.
    pub config_id: ConfigId,
    /// What is sealed: the refresh token (`true`) or the access token.
    pub is_refresh_token: bool,
    /// The token, sealed for this row.
    pub token: Vec<u8>,
    /// How often the provider was asked.
    pub attempts: u32,
    /// When it may be asked next.
    pub next_at: Micros,
    /// When the grant was revoked.
    pub created_at: Micros,
}

/// Everything that revoking a grant changes, in one commit: the grant (whose sealed values are wiped), its delegations,
/// the request to the provider, the audit.
#[derive(Debug, Clone)]
pub struct RevokeGrant {
    /// The nonce of the call.
    pub call: Option<CallNonce>,
    /// Of this app.
    pub app_id: AppId,
    /// Which grant.
    pub grant_id: GrantId,
    /// The generation whose token `request` holds.
    pub generation: u64,
    /// When.
    pub at: Micros,
    /// Why, in the app's words.
    pub reason: Option<String>,
    /// What is to be asked of the provider, or why nothing is.
    pub request: Result<Revocation, RevocationOutcome>,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// What storage must be able to do for revocations.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Revokes an active grant; [`Saved::Moved`] when it is not active or its generation has moved. Then the nonce is not
    /// recorded, but a known one is refused.
    async fn revoke_grant(&self, revoke: RevokeGrant) -> Result<Saved, StoreError>;
    /// Requests whose time has come, oldest first.
    async fn list_due_revocations(&self, now: Micros, limit: u32) -> Result<Vec<Revocation>, StoreError>;
    /// Takes one: the attempt is counted and `next_at` moved, unless somebody else did so first.
    async fn claim_revocation(&self, revocation: &Revocation, next_at: Micros) -> Result<Saved, StoreError>;
    /// The request is over: its row is deleted, the grant keeps the outcome, the audit records it. [`Saved::Moved`] when
    /// it was over before.
    async fn end_revocation(
        &self,
        grant: GrantId,
        outcome: RevocationOutcome,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError>;
}
