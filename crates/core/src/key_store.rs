//! The port for API keys. It is not in `key`, because finding a key also finds its app and its agent.

use async_trait::async_trait;

use crate::{Agent, App, AppId, AuditEntry, Changed, Hash, KeyId, Micros, StoreError};

use crate::ApiKey;

/// A key that a caller presented, with its app and agent.
#[derive(Debug, Clone)]
pub struct FoundKey {
    /// The key.
    pub key: ApiKey,
    /// Its app.
    pub app: App,
    /// Its agent, if it is an agent's.
    pub agent: Option<Agent>,
}

/// What storage must be able to do for keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Stores a new key of an app.
    async fn insert_key(&self, key: ApiKey, audit: AuditEntry) -> Result<(), StoreError>;
    /// Finds a key, revoked or not, with its app and agent, by the hash of what was presented (T60: never by comparing keys).
    async fn find_key(&self, hash: &Hash) -> Result<Option<FoundKey>, StoreError>;
    /// Lists the keys of an app and of its agents, newest first.
    async fn list_keys(&self, app: AppId) -> Result<Vec<ApiKey>, StoreError>;
    /// Stores the seal of a key that has none and is not revoked.
    async fn seal_key(&self, key: ApiKey, audit: AuditEntry) -> Result<Changed, StoreError>;
    /// Revokes a key, and takes off its seal. Revoking it again changes nothing.
    async fn revoke_key(
        &self,
        app: AppId,
        key: KeyId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError>;
}
