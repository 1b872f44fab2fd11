//! Provider configurations: one per app and provider id.

use alter_core::{
    AppId, AuditEntry, Changed, ConfigId, Opener, ProviderConfig, ProviderStore, Saved, Shown, StoreError,
    opener::KEPT_MIN,
};
use alter_rows::{
    Noun, Value,
    provider::read_opener,
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

const FIND: &str =
    sql!("SELECT {} FROM providers WHERE app_id = ?1 AND provider = ?2", Names(ProviderConfig::COLUMNS));

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

    async fn seal_provider(&self, config: ProviderConfig, audit: AuditEntry) -> Result<Saved, StoreError> {
        self.write(move |c| {
            let saved = seal(c, &config)?;
            append_if(saved.is_done(), c, &audit)?;
            Ok(saved)
        })
        .await
    }

    async fn find_provider(&self, app: AppId, provider: &str) -> Result<Option<ProviderConfig>, StoreError> {
        self.read(|c| one(c, FIND, params![app.to_string(), provider], ProviderConfig::read)).await
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

    async fn get_opener(&self, config_id: &ConfigId) -> Result<Option<Opener>, StoreError> {
        let sql = "SELECT opener_kept, opener_severed FROM providers WHERE config_id = ?1";
        self.read(|c| one(c, sql, [config_id.as_str()], read_opener)).await
    }

    async fn learn_opener(&self, config_id: &ConfigId, shown: Shown) -> Result<(), StoreError> {
        let id = config_id.as_str().to_owned();
        let kept =
            "UPDATE providers SET opener_kept = opener_kept + 1 WHERE config_id = ?1 AND opener_kept < ?2";
        let severed = "UPDATE providers SET opener_severed = 1 WHERE config_id = ?1";
        self.write(move |c| {
            match shown {
                Shown::Keeps => run(c, kept, params![id, KEPT_MIN])?,
                Shown::Severs => run(c, severed, params![id])?,
            };
            Ok(())
        })
        .await
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

fn seal(c: &Connection, config: &ProviderConfig) -> Result<Saved, Fault> {
    refuse_retired(c, config.app_id, [config.seal.as_ref()])?;
    let (app, provider) = (config.app_id.to_string(), &config.recipe.id);
    let stored = one(c, FIND, params![app, provider], ProviderConfig::read)?;
    if !stored.is_some_and(|stored| stored.seal.is_none() && stored.digest() == config.digest()) {
        return Ok(Saved::Moved);
    }
    let sql = "UPDATE providers SET seal = ?3 WHERE app_id = ?1 AND provider = ?2";
    Ok(Saved::when(run(c, sql, params![app, provider, config.seal])? == 1))
}

/// A provider that is configured again keeps its `config_id` and `created_at`.
fn save(c: &Connection, config: &ProviderConfig, values: Vec<Value<'_>>) -> Result<ProviderConfig, Fault> {
    refuse_retired(c, config.app_id, [config.client_secret.as_ref(), config.seal.as_ref()])?;
    let sql = sql!(
        "INSERT INTO providers ({}) VALUES ({}) ON CONFLICT (app_id, provider)
         DO UPDATE SET {}, opener_kept = 0 RETURNING {}",
        Names(ProviderConfig::WRITTEN),
        Places(ProviderConfig::WRITTEN),
        Excluded(ProviderConfig::WRITTEN, &["config_id", "app_id", "provider", "created_at"]),
        Names(ProviderConfig::COLUMNS),
    );
    one(c, sql, bound(values), ProviderConfig::read)?.ok_or(Fault::corrupt("config_id"))
}
