//! A grant: one account at one provider that one app may use, and the sealed credential behind it.
//!
//! Grants belong to the app (`principal_type: system` on the wire): users and agents are not built yet.

use async_trait::async_trait;

use crate::{AppId, AuditEntry, CallNonce, ConfigId, GrantId, Level, Micros, StoreError};

/// A grant as stored.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Its id; kept when the same account is connected again.
    pub id: GrantId,
    /// Whose it is.
    pub app_id: AppId,
    /// Provider id.
    pub provider: String,
    /// The configuration it was made with.
    pub config_id: ConfigId,
    /// The provider's stable id of the account. Unique with app and provider.
    pub subject: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// A name to show.
    pub account_display_name: Option<String>,
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
    /// The sealed credential.
    pub credential: Credential,
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
    /// Of this app; a grant of another app is `None` like an unknown one (T72).
    async fn get_grant(&self, app: AppId, id: GrantId) -> Result<Option<Grant>, StoreError>;
    /// By account.
    async fn find_grant(
        &self,
        app: AppId,
        provider: &str,
        subject: &str,
    ) -> Result<Option<Grant>, StoreError>;
    /// Newest first.
    async fn list_grants(&self, app: AppId, limit: u32, offset: u32) -> Result<Vec<Grant>, StoreError>;
    /// Before a credential leaves (T97): the nonce, the check that the grant still has this generation, and the
    /// audit entry, in one durable commit. `false` when the grant is gone or has moved: read again.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`]; anything else means that nothing may be released.
    async fn release_credential(
        &self,
        call: Option<CallNonce>,
        grant: GrantId,
        generation: u64,
        audit: AuditEntry,
    ) -> Result<bool, StoreError>;
}
