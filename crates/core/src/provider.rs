//! What one app configured of a provider: its recipe, client and scopes, with a callback path of its own.

use async_trait::async_trait;

use crate::{AppId, Changed, ConfigId, Micros, Recipe, StoreError};

/// One provider as one app uses it. The callback path `/oauth/callback/{config_id}` is its own (T09).
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Globally unique, `pc_` and 26 characters; kept when the operator configures the provider again.
    pub config_id: ConfigId,
    /// Whose it is.
    pub app_id: AppId,
    /// The facts, pinned at configuration: a discovery document that changes later changes nothing (T20).
    pub recipe: Recipe,
    /// Public identifier of our client at the provider.
    pub client_id: String,
    /// Sealed; `None` for a public client.
    pub client_secret: Option<Vec<u8>>,
    /// Counts the secrets that this row has held: part of the sealed value's place.
    pub generation: u64,
    /// Asked for in every flow.
    pub scopes: Vec<String>,
    /// When it was configured first.
    pub created_at: Micros,
    /// When it was configured last.
    pub updated_at: Micros,
}

/// What storage must be able to do for provider configurations.
#[async_trait]
pub trait ProviderStore: Send + Sync {
    /// Inserts, or replaces everything but `config_id` and `created_at` of the row with the same app and provider
    /// id. Answers the row as stored.
    async fn save_provider(&self, config: ProviderConfig) -> Result<ProviderConfig, StoreError>;
    /// By its id, of any app: the callback knows nothing else.
    async fn get_provider(&self, config_id: &ConfigId) -> Result<Option<ProviderConfig>, StoreError>;
    /// Provider ids of all of an app, in their order. Minting needs no more, and reading seventeen recipes beside made a mint
    /// two thirds dearer.
    async fn list_provider_ids(&self, app: AppId) -> Result<Vec<String>, StoreError>;
    /// All of an app, by provider id.
    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError>;
    /// Removes it.
    async fn delete_provider(&self, app: AppId, provider: &str) -> Result<Changed, StoreError>;
}
