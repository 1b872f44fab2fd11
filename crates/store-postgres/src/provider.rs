//! Provider configurations: one per app and provider id.

use alter_core::{
    AppId, AuditEntry, Changed, ConfigId, Opener, ProviderConfig, ProviderStore, Saved, Shown, StoreError,
    opener::KEPT_MIN, stored::storable,
};
use alter_rows::{
    Noun,
    provider::read_opener,
    sql::Piece::{Excluded, Names, Places},
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    data_key::refuse_retired,
    fault::Fault,
    row::{bound, sql},
    statement::{one, run, values},
};

/// A provider that is configured again keeps its `config_id` and `created_at`.
const SAVE: &str = sql!(
    "INSERT INTO providers ({}) VALUES ({}) ON CONFLICT (app_id, provider)
     DO UPDATE SET {}, opener_kept = 0 RETURNING {}",
    Names(ProviderConfig::WRITTEN),
    Places(ProviderConfig::WRITTEN),
    Excluded(ProviderConfig::WRITTEN, &["config_id", "app_id", "provider", "created_at"]),
    Names(ProviderConfig::COLUMNS),
);

const FIND: &str =
    sql!("SELECT {} FROM providers WHERE app_id = $1 AND provider = $2", Names(ProviderConfig::COLUMNS));

const LOCK: &str = sql!(
    "SELECT {} FROM providers WHERE app_id = $1 AND provider = $2 FOR UPDATE",
    Names(ProviderConfig::COLUMNS)
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

    async fn seal_provider(&self, config: ProviderConfig, audit: AuditEntry) -> Result<Saved, StoreError> {
        let (config, audit) = (&config, &audit);
        self.write(|tx| {
            Box::pin(async move {
                let saved = seal(tx.c, config).await?;
                if saved.is_done() {
                    append(tx.c, audit).await?;
                }
                Ok(saved)
            })
        })
        .await
    }

    async fn find_provider(&self, app: AppId, provider: &str) -> Result<Option<ProviderConfig>, StoreError> {
        if !storable(provider) {
            return Ok(None);
        }
        self.one(FIND, values![app.to_string(), provider], ProviderConfig::read).await
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

    async fn get_opener(&self, config_id: &ConfigId) -> Result<Option<Opener>, StoreError> {
        let sql = "SELECT opener_kept, opener_severed FROM providers WHERE config_id = $1";
        self.one(sql, values![config_id.as_str()], read_opener).await
    }

    async fn learn_opener(&self, config_id: &ConfigId, shown: Shown) -> Result<(), StoreError> {
        let kept =
            "UPDATE providers SET opener_kept = opener_kept + 1 WHERE config_id = $1 AND opener_kept < $2";
        let severed = "UPDATE providers SET opener_severed = TRUE WHERE config_id = $1";
        match shown {
            Shown::Keeps => self.run(kept, values![config_id.as_str(), i64::from(KEPT_MIN)]).await?,
            Shown::Severs => self.run(severed, values![config_id.as_str()]).await?,
        };
        Ok(())
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

async fn seal(c: &mut Connection, config: &ProviderConfig) -> Result<Saved, Fault> {
    refuse_retired(c, config.app_id, &[config.seal.as_deref()]).await?;
    let (app, provider) = (config.app_id.to_string(), config.recipe.id.as_str());
    let stored = one(c, LOCK, values![app.clone(), provider], ProviderConfig::read).await?;
    if !stored.is_some_and(|stored| stored.seal.is_none() && stored.digest() == config.digest()) {
        return Ok(Saved::Moved);
    }
    let sql = "UPDATE providers SET seal = $3 WHERE app_id = $1 AND provider = $2";
    Ok(Saved::when(run(c, sql, values![app, provider, config.seal.as_deref()]).await? == 1))
}
