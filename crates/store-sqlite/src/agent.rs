//! Agents and their keys. Every command first records its call's nonce, and writes its audit entry in the same commit as
//! its change.

use alter_core::{
    Agent, AgentCreated, AgentId, AgentStatus, AgentStore, ApiKey, AppId, AuditEntry, CallNonce, Hash,
    Idempotency, KeyAdded, KeyId, KeyRevoked, Micros, Saved, StoreError, agent::AGENT_KEYS_MAX,
};
use alter_rows::{
    Column, Noun,
    sql::Piece::{After, Names, Places},
    storable::{counter, json},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::append,
    fault::Fault,
    key::insert as insert_key,
    row::{bound, sql},
    statement::{all, one, run},
    store::record_nonce_if,
};

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
        let sql = sql!("SELECT {} FROM agents WHERE id = ?1 AND app_id = ?2", Names(Agent::COLUMNS));
        self.read(|c| one(c, sql, [id.to_string(), app.to_string()], Agent::read)).await
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
        let page = sql!(
            "SELECT {} FROM agents WHERE app_id = ?1 AND (?2 OR status <> 'revoked')
             ORDER BY created_at, id LIMIT ?3 OFFSET ?4",
            Names(Agent::COLUMNS),
        );
        let count = "SELECT COUNT(*) AS n FROM agents WHERE app_id = ?1 AND (?2 OR status <> 'revoked')";
        self.read(|c| {
            let app = app.to_string();
            let agents = all(c, page, params![app, revoked_too, limit, offset], Agent::read)?;
            let total = one(c, count, params![app, revoked_too], |row| row.get("n"))?;
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
        let sql = sql!(
            "SELECT {} FROM api_keys WHERE agent_id = ?1 AND app_id = ?2 ORDER BY created_at DESC, id",
            Names(ApiKey::COLUMNS)
        );
        self.read(|c| all(c, sql, [agent.to_string(), app.to_string()], ApiKey::read)).await
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
        let sql = sql!(
            "UPDATE api_keys SET deprecated_at = ?4
             WHERE id = ?3 AND agent_id = ?2 AND app_id = ?1 AND revoked_at IS NULL RETURNING {}",
            Names(ApiKey::COLUMNS)
        );
        self.write(move |c| {
            let values =
                params![app.to_string(), agent.to_string(), key.to_string(), deprecated_at.map(|at| at.0)];
            let changed = one(c, sql, values, ApiKey::read)?;
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
    let sql = sql!(
        "INSERT INTO agents ({}, idempotency_key, idempotency_hash) VALUES ({}, {}, {})",
        Names(Agent::WRITTEN),
        Places(Agent::WRITTEN),
        After(Agent::WRITTEN, 1),
        After(Agent::WRITTEN, 2),
    );
    let (same_key, same_body) = (idempotency.map(|i| i.key.clone()), idempotency.map(|i| i.body_hash));
    let values = agent.values()?.into_iter().chain([same_key.value()?, same_body.value()?]);
    run(c, sql, bound(values))?;
    insert_key(c, key)?;
    append(c, audit)?;
    Ok(AgentCreated::Stored)
}

fn by_idempotency_key(c: &Connection, app: AppId, key: &str) -> Result<Option<(Agent, Hash)>, Fault> {
    let sql = sql!(
        "SELECT {}, idempotency_hash FROM agents WHERE app_id = ?1 AND idempotency_key = ?2",
        Names(Agent::COLUMNS)
    );
    one(c, sql, params![app.to_string(), key], |row| Ok((Agent::read(row)?, row.get("idempotency_hash")?)))
}

fn named(c: &Connection, app: AppId, name: &str) -> Result<Option<Agent>, Fault> {
    let sql = sql!(
        "SELECT {} FROM agents WHERE app_id = ?1 AND name = ?2 AND status <> 'revoked'",
        Names(Agent::COLUMNS)
    );
    one(c, sql, params![app.to_string(), name], Agent::read)
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
            "UPDATE api_keys SET revoked_at = ?2, seal = NULL WHERE agent_id = ?1 AND revoked_at IS NULL",
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
    Ok(one(c, sql, [agent.to_string()], |row| row.get("n"))?.unwrap_or_default())
}

fn revoke_key(
    c: &Connection,
    (app, agent, key): (AppId, AgentId, KeyId),
    at: Micros,
    force: bool,
    audit: &AuditEntry,
) -> Result<KeyRevoked, Fault> {
    let find = sql!(
        "SELECT {} FROM api_keys WHERE id = ?3 AND agent_id = ?2 AND app_id = ?1",
        Names(ApiKey::COLUMNS)
    );
    let values = params![app.to_string(), agent.to_string(), key.to_string()];
    let Some(mut found) = one(c, find, values, ApiKey::read)? else { return Ok(KeyRevoked::NotFound) };
    if found.revoked_at.is_some() {
        return Ok(KeyRevoked::Already(Box::new(found)));
    }
    if !force && live_keys(c, agent)? == 1 {
        return Ok(KeyRevoked::LastActive);
    }
    run(c, "UPDATE api_keys SET revoked_at = ?2, seal = NULL WHERE id = ?1", params![key.to_string(), at.0])?;
    append(c, audit)?;
    (found.revoked_at, found.seal) = (Some(at), None);
    Ok(KeyRevoked::Done(Box::new(found)))
}

/// Whether a grant may be delegated to the agent: it belongs to the app and is active.
pub(crate) fn takes_delegations(c: &Connection, app: AppId, id: AgentId) -> Result<bool, Fault> {
    let sql = "SELECT id FROM agents WHERE id = ?1 AND app_id = ?2 AND status = 'active'";
    Ok(one(c, sql, [id.to_string(), app.to_string()], |_| Ok(()))?.is_some())
}

/// Whether the agent may get another key: it belongs to the app and is not revoked.
fn is_live(c: &Connection, app: AppId, id: AgentId) -> Result<bool, Fault> {
    let sql = "SELECT id FROM agents WHERE id = ?1 AND app_id = ?2 AND status <> 'revoked'";
    Ok(one(c, sql, [id.to_string(), app.to_string()], |_| Ok(()))?.is_some())
}

/// Whether the agent's keys work and the agent still has this version.
pub(crate) fn is_active(c: &Connection, app: AppId, id: AgentId, version: u64) -> Result<bool, Fault> {
    let sql = "SELECT id FROM agents WHERE id = ?1 AND app_id = ?2 AND version = ?3 AND status = 'active'";
    let values = params![id.to_string(), app.to_string(), counter(version)?];
    Ok(one(c, sql, values, |_| Ok(()))?.is_some())
}
