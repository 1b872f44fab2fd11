//! Agents and their keys. Every command first records its call's nonce, and writes its audit entry in the same commit as
//! its change.
//!
//! A command that counts an agent's keys, or relies on its status, locks the agent's row first: otherwise two commands at
//! once would each see the state before the other.

use alter_core::{
    Agent, AgentCreated, AgentId, AgentStatus, AgentStore, ApiKey, AppId, AuditEntry, CallNonce, Hash,
    Idempotency, KeyAdded, KeyId, KeyRevoked, Micros, Saved, StoreError, agent::AGENT_KEYS_MAX,
    stored::storable,
};
use alter_rows::{
    Column, Noun,
    sql::Piece::{After, Names, Places},
    storable::{counter, json},
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    fault::Fault,
    key,
    row::{bound, sql},
    statement::{one, run, values},
    store::record_nonce_if,
};

const NAMED: &str = sql!(
    "SELECT {} FROM agents WHERE app_id = $1 AND name = $2 AND status <> 'revoked'",
    Names(Agent::COLUMNS)
);

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
        let sql = sql!("SELECT {} FROM agents WHERE id = $1 AND app_id = $2", Names(Agent::COLUMNS));
        self.one(sql, values![id.to_string(), app.to_string()], Agent::read).await
    }

    async fn find_agent(&self, app: AppId, name: &str) -> Result<Option<Agent>, StoreError> {
        if !storable(name) {
            return Ok(None);
        }
        self.one(NAMED, values![app.to_string(), name], Agent::read).await
    }

    async fn list_agents(
        &self,
        app: AppId,
        revoked_too: bool,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<Agent>, u64), StoreError> {
        let page = sql!(
            "SELECT {} FROM agents WHERE app_id = $1 AND ($2 OR status <> 'revoked')
             ORDER BY created_at, id LIMIT $3 OFFSET $4",
            Names(Agent::COLUMNS),
        );
        let count = "SELECT COUNT(*) AS n FROM agents WHERE app_id = $1 AND ($2 OR status <> 'revoked')";
        let app = app.to_string();
        let values = values![&*app, revoked_too, i64::from(limit), i64::from(offset)];
        let agents = self.all(page, values, Agent::read).await?;
        let total = self.one(count, values![&*app, revoked_too], |row| row.get("n")).await?;
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
        let (key, audit) = (&key, &audit);
        self.write(|tx| {
            Box::pin(async move {
                let room = lock(tx.c, app, agent).await?
                    && live_keys(tx.c, agent).await? < u64::from(AGENT_KEYS_MAX);
                record_nonce_if(room, tx.c, call).await?;
                if room {
                    key::insert(tx.c, key).await?;
                    append(tx.c, audit).await?;
                }
                Ok(if room { KeyAdded::Done } else { KeyAdded::NoRoom })
            })
        })
        .await
    }

    async fn list_agent_keys(&self, app: AppId, agent: AgentId) -> Result<Vec<ApiKey>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM api_keys WHERE agent_id = $1 AND app_id = $2 ORDER BY created_at DESC, id",
            Names(ApiKey::COLUMNS)
        );
        self.all(sql, values![agent.to_string(), app.to_string()], ApiKey::read).await
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
        let sql = sql!(
            "UPDATE api_keys SET deprecated_at = $4
             WHERE id = $3 AND agent_id = $2 AND app_id = $1 AND revoked_at IS NULL RETURNING {}",
            Names(ApiKey::COLUMNS)
        );
        let values =
            &values![app.to_string(), agent.to_string(), key.to_string(), deprecated_at.map(|at| at.0)];
        let audit = &audit;
        self.write(|tx| {
            Box::pin(async move {
                let changed = one(tx.c, sql, values.clone(), ApiKey::read).await?;
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

/// Inserts first and looks afterwards what was in the way: by then, whichever command came first has committed.
async fn create(
    c: &mut Connection,
    agent: &Agent,
    key: &ApiKey,
    idempotency: Option<&Idempotency>,
    audit: &AuditEntry,
) -> Result<AgentCreated, Fault> {
    let sql = sql!(
        "INSERT INTO agents ({}, idempotency_key, idempotency_hash) VALUES ({}, {}, {}) ON CONFLICT DO NOTHING",
        Names(Agent::WRITTEN),
        Places(Agent::WRITTEN),
        After(Agent::WRITTEN, 1),
        After(Agent::WRITTEN, 2),
    );
    let (same_key, same_body) = (idempotency.map(|i| i.key.clone()), idempotency.map(|i| i.body_hash));
    let values = bound(agent.values()?.into_iter().chain([same_key.value()?, same_body.value()?]));
    if run(c, sql, values).await? == 0 {
        return in_the_way(c, agent, idempotency).await;
    }
    key::insert(c, key).await?;
    append(c, audit).await?;
    Ok(AgentCreated::Stored)
}

/// Why an agent could not be stored: its idempotency key, its name, or its id.
async fn in_the_way(
    c: &mut Connection,
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
    c: &mut Connection,
    app: AppId,
    key: &str,
) -> Result<Option<(Agent, Hash)>, Fault> {
    let sql = sql!(
        "SELECT {}, idempotency_hash FROM agents WHERE app_id = $1 AND idempotency_key = $2",
        Names(Agent::COLUMNS)
    );
    one(c, sql, values![app.to_string(), key], |row| Ok((Agent::read(row)?, row.get("idempotency_hash")?)))
        .await
}

async fn save(c: &mut Connection, agent: &Agent, audit: &AuditEntry) -> Result<Saved, Fault> {
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
            "UPDATE api_keys SET revoked_at = $2, seal = NULL WHERE agent_id = $1 AND revoked_at IS NULL",
            "UPDATE delegations SET revoked_at = $2 WHERE agent_id = $1 AND revoked_at IS NULL",
        ] {
            run(c, cascade, values![&*id, agent.updated_at.0]).await?;
        }
    }
    append(c, audit).await?;
    Ok(Saved::Done)
}

/// Locks the agent, so that one command at a time counts its keys. Returns whether it belongs to the app and is not
/// revoked.
async fn lock(c: &mut Connection, app: AppId, agent: AgentId) -> Result<bool, Fault> {
    let sql = "SELECT status FROM agents WHERE id = $1 AND app_id = $2 FOR UPDATE";
    let values = values![agent.to_string(), app.to_string()];
    let status = one(c, sql, values, |row| row.get::<AgentStatus>("status")).await?;
    Ok(status.is_some_and(|status| status != AgentStatus::Revoked))
}

async fn live_keys(c: &mut Connection, agent: AgentId) -> Result<u64, Fault> {
    let sql = "SELECT COUNT(*) AS n FROM api_keys WHERE agent_id = $1 AND revoked_at IS NULL";
    Ok(one(c, sql, values![agent.to_string()], |row| row.get("n")).await?.unwrap_or_default())
}

async fn revoke_key(
    c: &mut Connection,
    (app, agent, key): (AppId, AgentId, KeyId),
    at: Micros,
    force: bool,
    audit: &AuditEntry,
) -> Result<KeyRevoked, Fault> {
    let find = sql!(
        "SELECT {} FROM api_keys WHERE id = $3 AND agent_id = $2 AND app_id = $1",
        Names(ApiKey::COLUMNS)
    );
    let values = values![app.to_string(), agent.to_string(), key.to_string()];
    lock(c, app, agent).await?;
    let Some(mut found) = one(c, find, values, ApiKey::read).await? else { return Ok(KeyRevoked::NotFound) };
    if found.revoked_at.is_some() {
        return Ok(KeyRevoked::Already(Box::new(found)));
    }
    if !force && live_keys(c, agent).await? == 1 {
        return Ok(KeyRevoked::LastActive);
    }
    let sql = "UPDATE api_keys SET revoked_at = $2, seal = NULL WHERE id = $1";
    run(c, sql, values![key.to_string(), at.0]).await?;
    append(c, audit).await?;
    (found.revoked_at, found.seal) = (Some(at), None);
    Ok(KeyRevoked::Done(Box::new(found)))
}

/// Whether a grant may be delegated to the agent: it belongs to the app and is active, and stays so until the commit.
pub(crate) async fn takes_delegations(c: &mut Connection, app: AppId, id: AgentId) -> Result<bool, Fault> {
    let sql = "SELECT id FROM agents WHERE id = $1 AND app_id = $2 AND status = 'active' FOR NO KEY UPDATE";
    Ok(one(c, sql, values![id.to_string(), app.to_string()], |_| Ok(())).await?.is_some())
}
