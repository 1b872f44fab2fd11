//! A provider as one app has it configured: its recipe, client and scopes, and its own callback path.

use async_trait::async_trait;

use crate::{AppId, AuditEntry, Changed, ConfigId, Micros, Recipe, StoreError};

/// One provider as one app uses it, with its own callback path `/oauth/callback/{config_id}` (T09).
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Globally unique, `pc_` and 26 characters; kept when the operator configures the provider again.
    pub config_id: ConfigId,
    /// The app that uses it.
    pub app_id: AppId,
    /// The facts about the provider, fixed when it was configured: a later change of a discovery document changes nothing
    /// (T20).
    pub recipe: Recipe,
    /// The public id of our client at the provider.
    pub client_id: String,
    /// Sealed; `None` for a public client.
    pub client_secret: Option<Vec<u8>>,
    /// Counts the secrets that this row has held, from 1; part of the sealed value's place.
    pub generation: u64,
    /// The scopes asked for in every flow.
    pub scopes: Vec<String>,
    /// When the operator first configured it.
    pub created_at: Micros,
    /// When the operator last configured it.
    pub updated_at: Micros,
}

/// What storage must be able to do for provider configurations.
#[async_trait]
pub trait ProviderStore: Send + Sync {
    /// Inserts the configuration, or replaces everything but `config_id` and `created_at` in the row with the same app and
    /// provider id. Returns the row as stored.
    async fn save_provider(
        &self,
        config: ProviderConfig,
        audit: AuditEntry,
    ) -> Result<ProviderConfig, StoreError>;
    /// Finds a configuration of any app by its id: the callback knows nothing else.
    async fn get_provider(&self, config_id: &ConfigId) -> Result<Option<ProviderConfig>, StoreError>;
    /// Lists an app's provider ids, in order. Minting needs no more, and loading all recipes made it about two thirds
    /// slower (17 providers).
    async fn list_provider_ids(&self, app: AppId) -> Result<Vec<String>, StoreError>;
    /// Lists an app's configurations by provider id.
    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError>;
    /// Removes a configuration.
    async fn delete_provider(
        &self,
        app: AppId,
        provider: &str,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError>;
}
