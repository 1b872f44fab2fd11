//! Revoking a grant: at once here, and as far as possible at the provider.
//!
//! The commit that revokes a grant wipes its sealed values. One token, sealed again for its own row, waits here until the
//! provider has answered (RFC 7009) or a day has passed. So a process that dies in between loses nothing, and nothing can
//! be released from this row.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AppId, AuditEntry, CallNonce, ConfigId, GrantId, Micros, RevocationId, Saved, StoreError};

/// What became of a grant at its provider after it was revoked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationOutcome {
    /// The provider has not answered yet and will be asked again.
    Pending,
    /// The provider confirmed.
    Confirmed,
    /// The provider was asked for a day and did not confirm, or the token could not be opened.
    GivenUp,
    /// The provider was not asked: other active grants here are for the same account, and it would end them all.
    Shared,
    /// The provider offers no way to revoke, or the operator removed it: the user can end the access in the account's
    /// settings at the provider.
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
    /// Random. A grant may have several requests: a refresh that was under way when it was revoked adds one.
    pub id: RevocationId,
    /// The grant that was revoked.
    pub grant_id: GrantId,
    /// Its app.
    pub app_id: AppId,
    /// The configuration it was made with.
    pub config_id: ConfigId,
    /// `token` holds the refresh token (`true`) or the access token (`false`).
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
    /// The call's nonce; `None` for a bearer call and for the operator.
    pub call: Option<CallNonce>,
    /// The app that owns the grant.
    pub app_id: AppId,
    /// The grant to revoke.
    pub grant_id: GrantId,
    /// The credential generation whose token `request` holds.
    pub generation: u64,
    /// The time of the commit.
    pub at: Micros,
    /// The reason in the app's words.
    pub reason: Option<String>,
    /// The request to the provider, or the reason why there is none.
    pub request: Result<Revocation, RevocationOutcome>,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// What storage must be able to do for revocations.
#[async_trait]
pub trait RevocationStore: Send + Sync {
    /// Revokes an active grant. Returns [`Saved::Moved`] when the grant is not active or has another generation; then the
    /// nonce is not recorded, but a nonce that was used before is still refused.
    async fn revoke_grant(&self, revoke: RevokeGrant) -> Result<Saved, StoreError>;
    /// Lists the requests that are due, oldest first.
    async fn list_due_revocations(&self, now: Micros, limit: u32) -> Result<Vec<Revocation>, StoreError>;
    /// Takes a request: counts the attempt and moves `next_at`, unless another process did so first.
    async fn claim_revocation(&self, revocation: &Revocation, next_at: Micros) -> Result<Saved, StoreError>;
    /// Ends a request: deletes its row, and records the outcome in the grant and the audit; the grant's outcome stays
    /// pending while it has another request. Returns [`Saved::Moved`] when the request had ended before.
    async fn end_revocation(
        &self,
        request: RevocationId,
        outcome: RevocationOutcome,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError>;
}
