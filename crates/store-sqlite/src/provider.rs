//! Provider configurations: one per app and provider id.

use alter_core::{AppId, AuditEntry, Changed, ConfigId, ProviderConfig, ProviderStore, StoreError};
use alter_rows::{
    Noun, Value,
    sql::Piece::{Excluded, Names, Places},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::{append, append_if},
    data_key::refuse_retired,
    fault::Fault,
    row::{bound, owned, sql},
    statement::{all, one, run},
};

#[async_trait]
impl ProviderStore for SqliteStore {
    async fn save_provider(
        &self,
        config: ProviderConfig,
        audit: AuditEntry,
    ) -> Result<ProviderConfig, StoreError> {
        let values = owned(config.values()?);
        self.write(move |c| {
            let saved = save(c, &config, values)?;
            append(c, &audit)?;
            Ok(saved)
        })
        .await
    }

    async fn get_provider(&self, config_id: &ConfigId) -> Result<Option<ProviderConfig>, StoreError> {
        let sql = sql!("SELECT {} FROM providers WHERE config_id = ?1", Names(ProviderConfig::COLUMNS));
        self.read(|c| one(c, sql, [config_id.as_str()], ProviderConfig::read)).await
    }

    async fn list_provider_ids(&self, app: AppId) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT provider FROM providers WHERE app_id = ?1 ORDER BY provider";
        self.read(|c| all(c, sql, [app.to_string()], |row| row.get("provider"))).await
    }

    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM providers WHERE app_id = ?1 ORDER BY provider",
            Names(ProviderConfig::COLUMNS)
        );
        self.read(|c| all(c, sql, [app.to_string()], ProviderConfig::read)).await
    }

    async fn delete_provider(
        &self,
        app: AppId,
        provider: &str,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError> {
        let sql = "DELETE FROM providers WHERE app_id = ?1 AND provider = ?2";
        let provider = provider.to_owned();
        self.write(move |c| {
            let changed = Changed::when(run(c, sql, params![app.to_string(), provider])? == 1);
            append_if(changed.is_done(), c, &audit)?;
            Ok(changed)
        })
        .await
    }
}

/// A provider that is configured again keeps its `config_id` and `created_at`.
fn save(c: &Connection, config: &ProviderConfig, values: Vec<Value<'_>>) -> Result<ProviderConfig, Fault> {
    refuse_retired(c, config.app_id, [config.client_secret.as_ref(), config.seal.as_ref()])?;
    let sql = sql!(
        "INSERT INTO providers ({}) VALUES ({}) ON CONFLICT (app_id, provider) DO UPDATE SET {} RETURNING {}",
        Names(ProviderConfig::WRITTEN),
        Places(ProviderConfig::WRITTEN),
        Excluded(ProviderConfig::WRITTEN, &["config_id", "app_id", "provider", "created_at"]),
        Names(ProviderConfig::COLUMNS),
    );
    one(c, sql, bound(values), ProviderConfig::read)?.ok_or(Fault::corrupt("config_id"))
}
