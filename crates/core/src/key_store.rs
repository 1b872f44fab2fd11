//! The port for API keys. It stands apart from the key, because finding a key finds its app and its agent with it.

use async_trait::async_trait;

use crate::{Agent, App, AppId, Changed, Hash, KeyId, Micros, StoreError};

use crate::ApiKey;

/// A key that was presented, and whose it is.
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
    async fn insert_key(&self, key: ApiKey) -> Result<(), StoreError>;
    /// By the hash of what was presented, revoked ones included, with its app and agent (T60: never by comparing keys).
    async fn find_key(&self, hash: &Hash) -> Result<Option<FoundKey>, StoreError>;
    /// All of an app, its agents' too, newest first.
    async fn list_keys(&self, app: AppId) -> Result<Vec<ApiKey>, StoreError>;
    /// Revokes one. Revoking again changes nothing.
    async fn revoke_key(&self, app: AppId, key: KeyId, at: Micros) -> Result<Changed, StoreError>;
}
