//! Agents and their keys. Every command records the nonce of its call first, and its audit entry with what it changed.

use alter_core::{
    Agent, AgentCreated, AgentId, AgentStatus, AgentStore, ApiKey, AppId, AuditEntry, CallNonce, Hash,
    Idempotency, KeyAdded, KeyId, KeyRevoked, Micros, Saved, StoreError, agent::AGENT_KEYS_MAX,
};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use crate::{
    SqliteStore,
    audit::append,
    column::{counter, json, parsed, read_counter, read_hash, read_json, read_text, read_time, text},
    fault::Fault,
    key::{insert as insert_key, key_columns, read_key},
    statement::{all, one, run},
    store::record_nonce_if,
};

macro_rules! columns {
    () => {
        "id, app_id, name, status, data, version, created_at, updated_at"
    };
}

#[async_trait]
impl AgentStore for SqliteStore {
    async fn create_agent(
        &self,
        call: Option<CallNonce>,
        agent: Agent,
        key: ApiKey,
        idempotency: Option<Idempotency>,
        audit: AuditEntry,
    ) -> Result<AgentCreated, StoreError> {
        self.write(move |c| {
            let created = create(c, &agent, &key, idempotency.as_ref(), &audit)?;
            record_nonce_if(matches!(created, AgentCreated::Stored), c, call)?;
            Ok(created)
        })
        .await
    }

    async fn get_agent(&self, app: AppId, id: AgentId) -> Result<Option<Agent>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM agents WHERE id = ?1 AND app_id = ?2");
        self.read(|c| one(c, sql, [id.to_string(), app.to_string()], read_agent)).await
    }

    async fn find_agent(&self, app: AppId, name: &str) -> Result<Option<Agent>, StoreError> {
        self.read(|c| named(c, app, name)).await
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
            " FROM agents WHERE app_id = ?1 AND (?2 OR status <> 'revoked')
              ORDER BY created_at, id LIMIT ?3 OFFSET ?4"
        );
        let count = "SELECT COUNT(*) AS n FROM agents WHERE app_id = ?1 AND (?2 OR status <> 'revoked')";
        self.read(|c| {
            let app = app.to_string();
            let agents = all(c, page, params![app, revoked_too, limit, offset], read_agent)?;
            let total = one(c, count, params![app, revoked_too], |row| read_counter(row, "n"))?;
            Ok((agents, total.unwrap_or_default()))
        })
        .await
    }

    async fn save_agent(
        &self,
        call: Option<CallNonce>,
        agent: &Agent,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError> {
        let agent = agent.clone();
        self.write(move |c| {
            let saved = save(c, &agent, &audit)?;
            record_nonce_if(saved.is_done(), c, call)?;
            Ok(saved)
        })
        .await
    }

    async fn insert_agent_key(
        &self,
        call: Option<CallNonce>,
        key: ApiKey,
        audit: AuditEntry,
    ) -> Result<KeyAdded, StoreError> {
        let agent = key.agent_id.ok_or(StoreError::Unavailable("the key is no agent's".into()))?;
        self.write(move |c| {
            let room = is_live(c, key.app_id, agent)? && live_keys(c, agent)? < u64::from(AGENT_KEYS_MAX);
            record_nonce_if(room, c, call)?;
            if room {
                insert_key(c, &key)?;
                append(c, &audit)?;
            }
            Ok(if room { KeyAdded::Done } else { KeyAdded::NoRoom })
        })
        .await
    }

    async fn list_agent_keys(&self, app: AppId, agent: AgentId) -> Result<Vec<ApiKey>, StoreError> {
        let sql = concat!(
            "SELECT ",
            key_columns!(),
            " FROM api_keys WHERE agent_id = ?1 AND app_id = ?2 ORDER BY created_at DESC, id"
        );
        self.read(|c| all(c, sql, [agent.to_string(), app.to_string()], read_key)).await
    }

    async fn revoke_agent_key(
        &self,
        call: Option<CallNonce>,
        key: (AppId, AgentId, KeyId),
        at: Micros,
        force: bool,
        audit: AuditEntry,
    ) -> Result<KeyRevoked, StoreError> {
        self.write(move |c| {
            let revoked = revoke_key(c, key, at, force, &audit)?;
            record_nonce_if(matches!(revoked, KeyRevoked::Done(_)), c, call)?;
            Ok(revoked)
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
            "UPDATE api_keys SET deprecated_at = ?4
             WHERE id = ?3 AND agent_id = ?2 AND app_id = ?1 AND revoked_at IS NULL RETURNING ",
            key_columns!()
        );
        self.write(move |c| {
            let values =
                params![app.to_string(), agent.to_string(), key.to_string(), deprecated_at.map(|at| at.0)];
            let changed = one(c, sql, values, read_key)?;
            record_nonce_if(changed.is_some(), c, call)?;
            if changed.is_some() {
                append(c, &audit)?;
            }
            Ok(changed)
        })
        .await
    }
}

fn create(
    c: &Connection,
    agent: &Agent,
    key: &ApiKey,
    idempotency: Option<&Idempotency>,
    audit: &AuditEntry,
) -> Result<AgentCreated, Fault> {
    if let Some(same) = idempotency
        && let Some((known, hash)) = by_idempotency_key(c, agent.app_id, &same.key)?
    {
        return Ok(AgentCreated::Known(Box::new(known), hash));
    }
    if named(c, agent.app_id, &agent.name)?.is_some() {
        return Ok(AgentCreated::NameTaken);
    }
    let sql = concat!(
        "INSERT INTO agents (",
        columns!(),
        ", idempotency_key, idempotency_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    );
    let values = params![
        agent.id.to_string(),
        agent.app_id.to_string(),
        text(&agent.name)?,
        agent.status.as_str(),
        json(&agent.data)?,
        counter(agent.version)?,
        agent.created_at.0,
        agent.updated_at.0,
        idempotency.map(|i| text(&i.key)).transpose()?,
        idempotency.map(|i| i.body_hash),
    ];
    run(c, sql, values)?;
    insert_key(c, key)?;
    append(c, audit)?;
    Ok(AgentCreated::Stored)
}

fn by_idempotency_key(c: &Connection, app: AppId, key: &str) -> Result<Option<(Agent, Hash)>, Fault> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", idempotency_hash FROM agents WHERE app_id = ?1 AND idempotency_key = ?2"
    );
    one(c, sql, params![app.to_string(), key], |row| {
        Ok((read_agent(row)?, read_hash(row, "idempotency_hash")?))
    })
}

fn named(c: &Connection, app: AppId, name: &str) -> Result<Option<Agent>, Fault> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM agents WHERE app_id = ?1 AND name = ?2 AND status <> 'revoked'"
    );
    one(c, sql, params![app.to_string(), name], read_agent)
}

fn save(c: &Connection, agent: &Agent, audit: &AuditEntry) -> Result<Saved, Fault> {
    let sql = "UPDATE agents SET status = ?4, data = ?5, updated_at = ?6, version = version + 1
               WHERE id = ?1 AND app_id = ?2 AND version = ?3 AND status <> 'revoked'";
    let id = agent.id.to_string();
    let values = params![
        id,
        agent.app_id.to_string(),
        counter(agent.version)?,
        agent.status.as_str(),
        json(&agent.data)?,
        agent.updated_at.0,
    ];
    if run(c, sql, values)? == 0 {
        return Ok(Saved::Moved);
    }
    if agent.status == AgentStatus::Revoked {
        for cascade in [
            "UPDATE api_keys SET revoked_at = ?2 WHERE agent_id = ?1 AND revoked_at IS NULL",
            "UPDATE delegations SET revoked_at = ?2 WHERE agent_id = ?1 AND revoked_at IS NULL",
        ] {
            run(c, cascade, params![id, agent.updated_at.0])?;
        }
    }
    append(c, audit)?;
    Ok(Saved::Done)
}

fn live_keys(c: &Connection, agent: AgentId) -> Result<u64, Fault> {
    let sql = "SELECT COUNT(*) AS n FROM api_keys WHERE agent_id = ?1 AND revoked_at IS NULL";
    Ok(one(c, sql, [agent.to_string()], |row| read_counter(row, "n"))?.unwrap_or_default())
}

fn revoke_key(
    c: &Connection,
    (app, agent, key): (AppId, AgentId, KeyId),
    at: Micros,
    force: bool,
    audit: &AuditEntry,
) -> Result<KeyRevoked, Fault> {
    let find =
        concat!("SELECT ", key_columns!(), " FROM api_keys WHERE id = ?3 AND agent_id = ?2 AND app_id = ?1");
    let values = params![app.to_string(), agent.to_string(), key.to_string()];
    let Some(mut found) = one(c, find, values, read_key)? else { return Ok(KeyRevoked::NotFound) };
    if found.revoked_at.is_some() {
        return Ok(KeyRevoked::Already(Box::new(found)));
    }
    if !force && live_keys(c, agent)? == 1 {
        return Ok(KeyRevoked::LastActive);
    }
    run(c, "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1", params![key.to_string(), at.0])?;
    append(c, audit)?;
    found.revoked_at = Some(at);
    Ok(KeyRevoked::Done(Box::new(found)))
}

/// The agent may be given what is being delegated: it is the app's and not revoked.
pub(crate) fn is_live(c: &Connection, app: AppId, id: AgentId) -> Result<bool, Fault> {
    let sql = "SELECT id FROM agents WHERE id = ?1 AND app_id = ?2 AND status <> 'revoked'";
    Ok(one(c, sql, [id.to_string(), app.to_string()], |_| Ok(()))?.is_some())
}

/// The agent's keys work, and nothing about it has changed since this version.
pub(crate) fn is_active(c: &Connection, app: AppId, id: AgentId, version: u64) -> Result<bool, Fault> {
    let sql = "SELECT id FROM agents WHERE id = ?1 AND app_id = ?2 AND version = ?3 AND status = 'active'";
    let values = params![id.to_string(), app.to_string(), counter(version)?];
    Ok(one(c, sql, values, |_| Ok(()))?.is_some())
}

pub(crate) fn read_agent(row: &Row<'_>) -> Result<Agent, Fault> {
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
pub(crate) fn read_agent_of_key(row: &Row<'_>, id: AgentId, app_id: AppId) -> Result<Agent, Fault> {
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
