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

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    data_key::refuse_retired,
    fault::Fault,
    row::{bound, sql},
    statement::{run, values},
};

const INSERT: &str =
    sql!("INSERT INTO api_keys ({}) VALUES ({})", Names(ApiKey::WRITTEN), Places(ApiKey::WRITTEN));

const FIND: &str = sql!(
    "SELECT {}, {}, {} FROM api_keys k JOIN apps a ON a.id = k.app_id LEFT JOIN agents g ON g.id = k.agent_id
     WHERE k.hash = $1",
    Of("k.", ApiKey::COLUMNS),
    Joined("a.", App::COLUMNS, App::JOINED),
    Joined("g.", Agent::COLUMNS, Agent::JOINED),
);

#[async_trait]
impl KeyStore for PostgresStore {
    async fn insert_key(&self, key: ApiKey, audit: AuditEntry) -> Result<(), StoreError> {
        let (key, audit) = (&key, &audit);
        self.write(|tx| {
            Box::pin(async move {
                insert(tx.c, key).await?;
                append(tx.c, audit).await
            })
        })
        .await
    }

    async fn find_key(&self, hash: &Hash) -> Result<Option<FoundKey>, StoreError> {
        self.one(FIND, values![&hash[..]], read_found).await
    }

    async fn list_keys(&self, app: AppId) -> Result<Vec<ApiKey>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM api_keys WHERE app_id = $1 ORDER BY created_at DESC, id",
            Names(ApiKey::COLUMNS)
        );
        self.all(sql, values![app.to_string()], ApiKey::read).await
    }

    async fn seal_key(&self, key: ApiKey, audit: AuditEntry) -> Result<Changed, StoreError> {
        let (key, audit) = (&key, &audit);
        self.write(|tx| {
            Box::pin(async move {
                let changed = seal(tx.c, key).await?;
                if changed.is_done() {
                    append(tx.c, audit).await?;
                }
                Ok(changed)
            })
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
        let sql = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $3), seal = NULL
                   WHERE id = $2 AND app_id = $1";
        self.change(sql, values![app.to_string(), key.to_string(), at.0], audit).await
    }
}

/// Stores a new key.
pub(crate) async fn insert(c: &mut Connection, key: &ApiKey) -> Result<(), Fault> {
    refuse_retired(c, key.app_id, &[key.seal.as_deref()]).await?;
    run(c, INSERT, bound(key.values()?)).await?;
    Ok(())
}

/// Puts a seal on a key that has none and is not revoked.
async fn seal(c: &mut Connection, key: &ApiKey) -> Result<Changed, Fault> {
    refuse_retired(c, key.app_id, &[key.seal.as_deref()]).await?;
    let sql = "UPDATE api_keys SET seal = $3
               WHERE id = $2 AND app_id = $1 AND seal IS NULL AND revoked_at IS NULL";
    let values = values![key.app_id.to_string(), key.id.to_string(), key.seal.as_deref()];
    Ok(Changed::when(run(c, sql, values).await? == 1))
}
