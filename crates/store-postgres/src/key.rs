//! API keys, by hash: the apps' own and their agents'.

use alter_core::{AgentId, ApiKey, App, AppId, Changed, FoundKey, Hash, KeyId, KeyStore, Micros, StoreError};
use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgRow};

use crate::{
    PostgresStore,
    agent::read_agent_of_key,
    column::{parsed, read, read_hash, read_json, read_optional_time, read_text, read_time, text},
    fault::Fault,
    statement::values,
};

macro_rules! key_columns {
    () => {
        "id, app_id, agent_id, hash, prefix, name, created_at, deprecated_at, revoked_at"
    };
}
pub(crate) use key_columns;

pub(crate) const INSERT: &str =
    concat!("INSERT INTO api_keys (", key_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");

const FIND: &str = "SELECT k.id, k.app_id, k.agent_id, k.hash, k.prefix, k.name, k.created_at, k.deprecated_at,
           k.revoked_at, a.settings AS app_settings, a.wrapped_key AS app_wrapped_key,
           a.created_at AS app_created_at, g.name AS agent_name, g.status AS agent_status, g.data AS agent_data,
           g.version AS agent_version, g.created_at AS agent_created_at, g.updated_at AS agent_updated_at
    FROM api_keys k JOIN apps a ON a.id = k.app_id LEFT JOIN agents g ON g.id = k.agent_id
    WHERE k.hash = $1";

#[async_trait]
impl KeyStore for PostgresStore {
    async fn insert_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.run(INSERT, key_values(&key)?).await.map(|_| ())
    }

    async fn find_key(&self, hash: &Hash) -> Result<Option<FoundKey>, StoreError> {
        self.one(FIND, values![&hash[..]], read_found).await
    }

    async fn list_keys(&self, app: AppId) -> Result<Vec<ApiKey>, StoreError> {
        let sql = concat!(
            "SELECT ",
            key_columns!(),
            " FROM api_keys WHERE app_id = $1 ORDER BY created_at DESC, id"
        );
        self.all(sql, values![app.to_string()], read_key).await
    }

    async fn revoke_key(&self, app: AppId, key: KeyId, at: Micros) -> Result<Changed, StoreError> {
        let sql = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $3) WHERE id = $2 AND app_id = $1";
        Ok(Changed::when(self.run(sql, values![app.to_string(), key.to_string(), at.0]).await? == 1))
    }
}

/// The values of [`INSERT`].
pub(crate) fn key_values(key: &ApiKey) -> Result<PgArguments, StoreError> {
    Ok(values![
        key.id.to_string(),
        key.app_id.to_string(),
        key.agent_id.map(|id| id.to_string()),
        &key.hash[..],
        text(&key.prefix)?,
        text(&key.name)?,
        key.created_at.0,
        key.deprecated_at.map(|at| at.0),
        key.revoked_at.map(|at| at.0),
    ])
}

pub(crate) fn read_key(row: &PgRow) -> Result<ApiKey, Fault> {
    let agent: Option<&str> = read(row, "agent_id")?;
    let agent_id = agent.map(|id| AgentId::parse(id).ok_or(Fault::corrupt("agent_id"))).transpose()?;
    Ok(ApiKey {
        id: parsed(row, "id", KeyId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        agent_id,
        hash: read_hash(row, "hash")?,
        prefix: read_text(row, "prefix")?,
        name: read_text(row, "name")?,
        created_at: read_time(row, "created_at")?,
        deprecated_at: read_optional_time(row, "deprecated_at")?,
        revoked_at: read_optional_time(row, "revoked_at")?,
    })
}

fn read_found(row: &PgRow) -> Result<FoundKey, Fault> {
    let key = read_key(row)?;
    let app = App {
        id: key.app_id,
        settings: read_json(row, "app_settings")?,
        wrapped_key: read(row, "app_wrapped_key")?,
        created_at: read_time(row, "app_created_at")?,
    };
    let agent = key.agent_id.map(|id| read_agent_of_key(row, id, key.app_id)).transpose()?;
    Ok(FoundKey { key, app, agent })
}
