//! Agents and their keys. Every command records the nonce of its call first, and its audit entry with what it changed.
//!
//! What counts an agent's keys, or rests on its status, locks the agent's row first: two commands at once would each
//! see the state before the other.

use alter_core::{
    Agent, AgentCreated, AgentId, AgentStatus, AgentStore, ApiKey, AppId, AuditEntry, CallNonce, Hash,
    Idempotency, KeyAdded, KeyId, KeyRevoked, Micros, Saved, StoreError, agent::AGENT_KEYS_MAX,
    store::storable,
};
use async_trait::async_trait;
use sqlx::{PgConnection, postgres::PgRow};

use crate::{
    PostgresStore,
    audit::append,
    column::{counter, json, parsed, read_counter, read_hash, read_json, read_text, read_time, text},
    fault::Fault,
    key::{self, key_columns, key_values, read_key},
    statement::{one, run, values},
    store::record_nonce_if,
};

macro_rules! columns {
    () => {
        "id, app_id, name, status, data, version, created_at, updated_at"
    };
}

const NAMED: &str =
    concat!("SELECT ", columns!(), " FROM agents WHERE app_id = $1 AND name = $2 AND status <> 'revoked'");

#[async_trait]
impl AgentStore for PostgresStore {
    async fn create_agent(
        &self,
        call: Option<CallNonce>,
        agent: Agent,
        key: ApiKey,
        idempotency: Option<Idempotency>,
        audit: AuditEntry,
    ) -> Result<AgentCreated, StoreError> {
        let (agent, key, idempotency, audit) = (&agent, &key, idempotency.as_ref(), &audit);
        self.write(|tx| {
            Box::pin(async move {
                let created = create(tx.c, agent, key, idempotency, audit).await?;
                record_nonce_if(matches!(created, AgentCreated::Stored), tx.c, call).await?;
                Ok(created)
            })
        })
        .await
    }

    async fn get_agent(&self, app: AppId, id: AgentId) -> Result<Option<Agent>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM agents WHERE id = $1 AND app_id = $2");
        self.one(sql, values![id.to_string(), app.to_string()], read_agent).await
    }

    async fn find_agent(&self, app: AppId, name: &str) -> Result<Option<Agent>, StoreError> {
        if !storable(name) {
            return Ok(None);
        }
        self.one(NAMED, values![app.to_string(), name], read_agent).await
    }

    async fn list_agents(
        &self,
        app: AppId,
        revoked_too: bool,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<Agent>, u64), StoreError> {
        let page = concat!(
            "SELECT ",
            columns!(),
            " FROM agents WHERE app_id = $1 AND ($2 OR status <> 'revoked')
              ORDER BY created_at, id LIMIT $3 OFFSET $4"
        );
        let count = "SELECT COUNT(*) AS n FROM agents WHERE app_id = $1 AND ($2 OR status <> 'revoked')";
        let app = app.to_string();
        let values = values![&*app, revoked_too, i64::from(limit), i64::from(offset)];
        let agents = self.all(page, values, read_agent).await?;
        let total = self.one(count, values![&*app, revoked_too], |row| read_counter(row, "n")).await?;
        Ok((agents, total.unwrap_or_default()))
    }

    async fn save_agent(
        &self,
        call: Option<CallNonce>,
        agent: &Agent,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError> {
        let audit = &audit;
        self.write(|tx| {
            Box::pin(async move {
                let saved = save(tx.c, agent, audit).await?;
                record_nonce_if(saved.is_done(), tx.c, call).await?;
                Ok(saved)
            })
        })
        .await
    }

    async fn insert_agent_key(
        &self,
        call: Option<CallNonce>,
        key: ApiKey,
        audit: AuditEntry,
    ) -> Result<KeyAdded, StoreError> {
        let app = key.app_id;
        let agent = key.agent_id.ok_or(StoreError::Unavailable("the key is no agent's".into()))?;
        let (key, audit) = (&key_values(&key)?, &audit);
        self.write(|tx| {
            Box::pin(async move {
                let room = lock(tx.c, app, agent).await?
                    && live_keys(tx.c, agent).await? < u64::from(AGENT_KEYS_MAX);
                record_nonce_if(room, tx.c, call).await?;
                if room {
                    run(tx.c, key::INSERT, key.clone()).await?;
                    append(tx.c, audit).await?;
                }
                Ok(if room { KeyAdded::Done } else { KeyAdded::NoRoom })
            })
        })
        .await
    }

    async fn list_agent_keys(&self, app: AppId, agent: AgentId) -> Result<Vec<ApiKey>, StoreError> {
        let sql = concat!(
            "SELECT ",
            key_columns!(),
            " FROM api_keys WHERE agent_id = $1 AND app_id = $2 ORDER BY created_at DESC, id"
        );
        self.all(sql, values![agent.to_string(), app.to_string()], read_key).await
    }

    async fn revoke_agent_key(
        &self,
        call: Option<CallNonce>,
        key: (AppId, AgentId, KeyId),
        at: Micros,
        force: bool,
        audit: AuditEntry,
    ) -> Result<KeyRevoked, StoreError> {
        let audit = &audit;
        self.write(|tx| {
            Box::pin(async move {
                let revoked = revoke_key(tx.c, key, at, force, audit).await?;
                record_nonce_if(matches!(revoked, KeyRevoked::Done(_)), tx.c, call).await?;
                Ok(revoked)
            })
        })
        .await
    }

    async fn deprecate_agent_key(
        &self,
        call: Option<CallNonce>,
        (app, agent, key): (AppId, AgentId, KeyId),
        deprecated_at: Option<Micros>,
        audit: AuditEntry,
    ) -> Result<Option<ApiKey>, StoreError> {
        let sql = concat!(
            "UPDATE api_keys SET deprecated_at = $4
             WHERE id = $3 AND agent_id = $2 AND app_id = $1 AND revoked_at IS NULL RETURNING ",
            key_columns!()
        );
        let values =
            &values![app.to_string(), agent.to_string(), key.to_string(), deprecated_at.map(|at| at.0)];
        let audit = &audit;
        self.write(|tx| {
            Box::pin(async move {
                let changed = one(tx.c, sql, values.clone(), read_key).await?;
                record_nonce_if(changed.is_some(), tx.c, call).await?;
                if changed.is_some() {
                    append(tx.c, audit).await?;
                }
                Ok(changed)
            })
        })
        .await
    }
}

/// Stores first and asks afterwards what was in the way: whoever came first has committed by then.
async fn create(
    c: &mut PgConnection,
    agent: &Agent,
    key: &ApiKey,
    idempotency: Option<&Idempotency>,
    audit: &AuditEntry,
) -> Result<AgentCreated, Fault> {
    let sql = concat!(
        "INSERT INTO agents (",
        columns!(),
        ", idempotency_key, idempotency_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT DO NOTHING"
    );
    let values = values![
        agent.id.to_string(),
        agent.app_id.to_string(),
        text(&agent.name)?,
        agent.status.as_str(),
        json(&agent.data)?,
        counter(agent.version)?,
        agent.created_at.0,
        agent.updated_at.0,
        idempotency.map(|i| text(&i.key)).transpose()?,
        idempotency.map(|i| &i.body_hash[..]),
    ];
    if run(c, sql, values).await? == 0 {
        return in_the_way(c, agent, idempotency).await;
    }
    run(c, key::INSERT, key_values(key)?).await?;
    append(c, audit).await?;
    Ok(AgentCreated::Stored)
}

/// Why an agent could not be stored: its idempotency key, its name, or its id.
async fn in_the_way(
    c: &mut PgConnection,
    agent: &Agent,
    idempotency: Option<&Idempotency>,
) -> Result<AgentCreated, Fault> {
    if let Some(same) = idempotency
        && let Some((known, hash)) = by_idempotency_key(c, agent.app_id, &same.key).await?
    {
        return Ok(AgentCreated::Known(Box::new(known), hash));
    }
    match one(c, NAMED, values![agent.app_id.to_string(), &*agent.name], |_| Ok(())).await? {
        Some(()) => Ok(AgentCreated::NameTaken),
        None => Err(StoreError::Exists.into()),
    }
}

async fn by_idempotency_key(
    c: &mut PgConnection,
    app: AppId,
    key: &str,
) -> Result<Option<(Agent, Hash)>, Fault> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", idempotency_hash FROM agents WHERE app_id = $1 AND idempotency_key = $2"
    );
    one(c, sql, values![app.to_string(), key], |row| {
        Ok((read_agent(row)?, read_hash(row, "idempotency_hash")?))
    })
    .await
}

async fn save(c: &mut PgConnection, agent: &Agent, audit: &AuditEntry) -> Result<Saved, Fault> {
    let sql = "UPDATE agents SET status = $4, data = $5, updated_at = $6, version = version + 1
               WHERE id = $1 AND app_id = $2 AND version = $3 AND status <> 'revoked'";
    let id = agent.id.to_string();
    let values = values![
        &*id,
        agent.app_id.to_string(),
        counter(agent.version)?,
        agent.status.as_str(),
        json(&agent.data)?,
        agent.updated_at.0,
    ];
    if run(c, sql, values).await? == 0 {
        return Ok(Saved::Moved);
    }
    if agent.status == AgentStatus::Revoked {
        for cascade in [
            "UPDATE api_keys SET revoked_at = $2 WHERE agent_id = $1 AND revoked_at IS NULL",
            "UPDATE delegations SET revoked_at = $2 WHERE agent_id = $1 AND revoked_at IS NULL",
        ] {
            run(c, cascade, values![&*id, agent.updated_at.0]).await?;
        }
    }
    append(c, audit).await?;
    Ok(Saved::Done)
}

/// One command at a time counts the agent's keys. Whether it is the app's and not revoked.
async fn lock(c: &mut PgConnection, app: AppId, agent: AgentId) -> Result<bool, Fault> {
    let sql = "SELECT status FROM agents WHERE id = $1 AND app_id = $2 FOR UPDATE";
    let values = values![agent.to_string(), app.to_string()];
    let status = one(c, sql, values, |row| parsed(row, "status", AgentStatus::parse)).await?;
    Ok(status.is_some_and(|status| status != AgentStatus::Revoked))
}

async fn live_keys(c: &mut PgConnection, agent: AgentId) -> Result<u64, Fault> {
    let sql = "SELECT COUNT(*) AS n FROM api_keys WHERE agent_id = $1 AND revoked_at IS NULL";
    Ok(one(c, sql, values![agent.to_string()], |row| read_counter(row, "n")).await?.unwrap_or_default())
}

async fn revoke_key(
    c: &mut PgConnection,
    (app, agent, key): (AppId, AgentId, KeyId),
    at: Micros,
    force: bool,
    audit: &AuditEntry,
) -> Result<KeyRevoked, Fault> {
    let find =
        concat!("SELECT ", key_columns!(), " FROM api_keys WHERE id = $3 AND agent_id = $2 AND app_id = $1");
    let values = values![app.to_string(), agent.to_string(), key.to_string()];
    lock(c, app, agent).await?;
    let Some(mut found) = one(c, find, values, read_key).await? else { return Ok(KeyRevoked::NotFound) };
    if found.revoked_at.is_some() {
        return Ok(KeyRevoked::Already(Box::new(found)));
    }
    if !force && live_keys(c, agent).await? == 1 {
        return Ok(KeyRevoked::LastActive);
    }
    run(c, "UPDATE api_keys SET revoked_at = $2 WHERE id = $1", values![key.to_string(), at.0]).await?;
    append(c, audit).await?;
    found.revoked_at = Some(at);
    Ok(KeyRevoked::Done(Box::new(found)))
}

/// The agent may be given what is being delegated: it is the app's and not revoked, and stays so until the commit.
pub(crate) async fn is_live(c: &mut PgConnection, app: AppId, id: AgentId) -> Result<bool, Fault> {
    let sql = "SELECT id FROM agents WHERE id = $1 AND app_id = $2 AND status <> 'revoked' FOR NO KEY UPDATE";
    Ok(one(c, sql, values![id.to_string(), app.to_string()], |_| Ok(())).await?.is_some())
}

pub(crate) fn read_agent(row: &PgRow) -> Result<Agent, Fault> {
    Ok(Agent {
        id: parsed(row, "id", AgentId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        name: read_text(row, "name")?,
        status: parsed(row, "status", AgentStatus::parse)?,
        data: read_json(row, "data")?,
        version: read_counter(row, "version")?,
        created_at: read_time(row, "created_at")?,
        updated_at: read_time(row, "updated_at")?,
    })
}

/// The agent beside its key, under the names of that join.
pub(crate) fn read_agent_of_key(row: &PgRow, id: AgentId, app_id: AppId) -> Result<Agent, Fault> {
    Ok(Agent {
        id,
        app_id,
        name: read_text(row, "agent_name")?,
        status: parsed(row, "agent_status", AgentStatus::parse)?,
        data: read_json(row, "agent_data")?,
        version: read_counter(row, "agent_version")?,
        created_at: read_time(row, "agent_created_at")?,
        updated_at: read_time(row, "agent_updated_at")?,
    })
}
