//! API keys, by hash: the apps' own and their agents'.

use alter_core::{
    Agent, ApiKey, App, AppId, AuditEntry, Changed, FoundKey, Hash, KeyId, KeyStore, Micros, StoreError,
};
use alter_rows::{
    Noun,
    key::read_found,
    sql::Piece::{Joined, Names, Of, Places},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::{append, append_if},
    data_key::refuse_retired,
    fault::Fault,
    row::{bound, sql},
    statement::{all, one, run},
};

const FIND: &str = sql!(
    "SELECT {}, {}, {} FROM api_keys k JOIN apps a ON a.id = k.app_id LEFT JOIN agents g ON g.id = k.agent_id
     WHERE k.hash = ?1",
    Of("k.", ApiKey::COLUMNS),
    Joined("a.", App::COLUMNS, App::JOINED),
    Joined("g.", Agent::COLUMNS, Agent::JOINED),
);

#[async_trait]
impl KeyStore for SqliteStore {
    async fn insert_key(&self, key: ApiKey, audit: AuditEntry) -> Result<(), StoreError> {
        self.write(move |c| {
            insert(c, &key)?;
            append(c, &audit)
        })
        .await
    }

    async fn find_key(&self, hash: &Hash) -> Result<Option<FoundKey>, StoreError> {
        self.read(|c| one(c, FIND, [hash], read_found)).await
    }

    async fn list_keys(&self, app: AppId) -> Result<Vec<ApiKey>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM api_keys WHERE app_id = ?1 ORDER BY created_at DESC, id",
            Names(ApiKey::COLUMNS)
        );
        self.read(|c| all(c, sql, [app.to_string()], ApiKey::read)).await
    }

    async fn seal_key(&self, key: ApiKey, audit: AuditEntry) -> Result<Changed, StoreError> {
        self.write(move |c| {
            let changed = seal(c, &key)?;
            append_if(changed.is_done(), c, &audit)?;
            Ok(changed)
        })
        .await
    }

    async fn revoke_key(
        &self,
        app: AppId,
        key: KeyId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError> {
        let sql = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?3), seal = NULL
                   WHERE id = ?2 AND app_id = ?1";
        self.write(move |c| {
            let changed = Changed::when(run(c, sql, params![app.to_string(), key.to_string(), at.0])? == 1);
            append_if(changed.is_done(), c, &audit)?;
            Ok(changed)
        })
        .await
    }
}

/// Puts a seal on a key that has none and is not revoked.
fn seal(c: &Connection, key: &ApiKey) -> Result<Changed, Fault> {
    refuse_retired(c, key.app_id, [key.seal.as_ref()])?;
    let sql = "UPDATE api_keys SET seal = ?3
               WHERE id = ?2 AND app_id = ?1 AND seal IS NULL AND revoked_at IS NULL";
    let values = params![key.app_id.to_string(), key.id.to_string(), key.seal];
    Ok(Changed::when(run(c, sql, values)? == 1))
}

/// Stores a new key.
pub(crate) fn insert(c: &Connection, key: &ApiKey) -> Result<(), Fault> {
    refuse_retired(c, key.app_id, [key.seal.as_ref()])?;
    let sql = sql!("INSERT INTO api_keys ({}) VALUES ({})", Names(ApiKey::WRITTEN), Places(ApiKey::WRITTEN));
    run(c, sql, bound(key.values()?))?;
    Ok(())
}
