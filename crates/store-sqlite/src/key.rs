//! API keys, by hash.

use alter_core::{ApiKey, App, AppId, Hash, KeyId, KeyStore, Micros, StoreError};
use async_trait::async_trait;
use rusqlite::{Row, params};

use crate::{
    SqliteStore,
    column::{parsed, read_hash, read_json, read_optional_time, read_text, read_time, text},
    fault::Fault,
    statement::{all, one, run},
};

#[async_trait]
impl KeyStore for SqliteStore {
    async fn insert_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.write(move |c| {
            run(
                c,
                "INSERT INTO api_keys (id, app_id, hash, prefix, name, created_at, revoked_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    key.id.to_string(),
                    key.app_id.to_string(),
                    key.hash,
                    text(&key.prefix)?,
                    text(&key.name)?,
                    key.created_at.0,
                    key.revoked_at.map(|at| at.0),
                ],
            )?;
            Ok(())
        })
        .await
    }

    async fn find_key(&self, hash: &Hash) -> Result<Option<(ApiKey, App)>, StoreError> {
        let sql = "SELECT k.id, k.app_id, k.hash, k.prefix, k.name, k.created_at, k.revoked_at,
                          a.settings AS app_settings, a.wrapped_key AS app_wrapped_key,
                          a.created_at AS app_created_at
                   FROM api_keys k JOIN apps a ON a.id = k.app_id
                   WHERE k.hash = ?1";
        self.read(|c| one(c, sql, [hash], read_key_and_app)).await
    }

    async fn list_keys(&self, app: AppId) -> Result<Vec<ApiKey>, StoreError> {
        let sql = "SELECT id, app_id, hash, prefix, name, created_at, revoked_at FROM api_keys
                   WHERE app_id = ?1 ORDER BY created_at DESC, id";
        self.read(|c| all(c, sql, [app.to_string()], read_key)).await
    }

    async fn revoke_key(&self, app: AppId, key: KeyId, at: Micros) -> Result<bool, StoreError> {
        let sql = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?3) WHERE id = ?2 AND app_id = ?1";
        self.write(move |c| Ok(run(c, sql, params![app.to_string(), key.to_string(), at.0])? == 1)).await
    }
}

fn read_key(row: &Row<'_>) -> Result<ApiKey, Fault> {
    Ok(ApiKey {
        id: parsed(row, "id", KeyId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        hash: read_hash(row, "hash")?,
        prefix: read_text(row, "prefix")?,
        name: read_text(row, "name")?,
        created_at: read_time(row, "created_at")?,
        revoked_at: read_optional_time(row, "revoked_at")?,
    })
}

fn read_key_and_app(row: &Row<'_>) -> Result<(ApiKey, App), Fault> {
    let key = read_key(row)?;
    let app = App {
        id: key.app_id,
        settings: read_json(row, "app_settings")?,
        wrapped_key: row.get("app_wrapped_key")?,
        created_at: read_time(row, "app_created_at")?,
    };
    Ok((key, app))
}
