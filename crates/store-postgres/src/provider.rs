//! Provider configurations: one per app and provider id.

use alter_core::{
    AppId, AuditEntry, Changed, ConfigId, ProviderConfig, ProviderStore, StoreError, stored::storable,
};
use alter_rows::{
    Noun,
    sql::Piece::{Excluded, Names, Places},
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    data_key::refuse_retired,
    fault::Fault,
    row::{bound, sql},
    statement::{one, values},
};

/// A provider that is configured again keeps its `config_id` and `created_at`.
const SAVE: &str = sql!(
    "INSERT INTO providers ({}) VALUES ({}) ON CONFLICT (app_id, provider) DO UPDATE SET {} RETURNING {}",
    Names(ProviderConfig::WRITTEN),
    Places(ProviderConfig::WRITTEN),
    Excluded(ProviderConfig::WRITTEN, &["config_id", "app_id", "provider", "created_at"]),
    Names(ProviderConfig::COLUMNS),
);

#[async_trait]
impl ProviderStore for PostgresStore {
    async fn save_provider(
        &self,
        config: ProviderConfig,
        audit: AuditEntry,
    ) -> Result<ProviderConfig, StoreError> {
        let values = bound(config.values()?);
        let (config, audit) = (&config, &audit);
        self.write(|tx| {
            let values = values.clone();
            Box::pin(async move {
                let sealed = [config.client_secret.as_deref(), config.seal.as_deref()];
                refuse_retired(tx.c, config.app_id, &sealed).await?;
                let saved = one(tx.c, SAVE, values, ProviderConfig::read).await?;
                append(tx.c, audit).await?;
                saved.ok_or(Fault::corrupt("config_id"))
            })
        })
        .await
    }

    async fn get_provider(&self, config_id: &ConfigId) -> Result<Option<ProviderConfig>, StoreError> {
        let sql = sql!("SELECT {} FROM providers WHERE config_id = $1", Names(ProviderConfig::COLUMNS));
        self.one(sql, values![config_id.as_str()], ProviderConfig::read).await
    }

    async fn list_provider_ids(&self, app: AppId) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT provider FROM providers WHERE app_id = $1 ORDER BY provider";
        self.all(sql, values![app.to_string()], |row| row.get("provider")).await
    }

    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM providers WHERE app_id = $1 ORDER BY provider",
            Names(ProviderConfig::COLUMNS)
        );
        self.all(sql, values![app.to_string()], ProviderConfig::read).await
    }

    async fn delete_provider(
        &self,
        app: AppId,
        provider: &str,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError> {
        if !storable(provider) {
            return Ok(Changed::Absent);
        }
        let sql = "DELETE FROM providers WHERE app_id = $1 AND provider = $2";
        self.change(sql, values![app.to_string(), provider], audit).await
    }
}
