//! Agents: how an app's backend or the operator makes, finds, changes and deletes them (wire 3.12).
//!
//! Only the app's own key manages agents; an agent's key may read only its own agent. Each change, the call's nonce and
//! an audit entry are one commit.

use alter_core::{
    Agent, AgentCreated, AgentData, AgentId, AgentStatus, App, AppId, AuditKind, Idempotency, KeyId, KeyType,
    StoreError,
};
use serde_json::{Value, json};

use super::agent_checks::{
    AgentChange, AgentError, NewAgent, about, agent_to_manage, check_change, check_new, check_scopes,
};
use crate::{Caller, Flows, NewKey, Operator, actor::Actor, callers::caller::Spent, rounds::Rounds};

/// How many times a change is tried.
const ROUNDS: usize = 8;

/// An agent just made, or made earlier with the same idempotency key.
#[derive(Debug)]
pub struct MadeAgent {
    pub agent: Agent,
    /// The agent's first key, shown once; `None` when the idempotency key was used before.
    pub key: Option<NewKey>,
    /// The id of the agent's first key; for a repeated call, of its oldest key.
    pub key_id: KeyId,
}

/// Makes an agent and its first key.
///
/// # Errors
/// [`AgentError`].
pub async fn create_agent(flows: &Flows, caller: &Caller, new: NewAgent) -> Result<MadeAgent, AgentError> {
    flows
        .once(caller, |nonce| async move {
            caller.app_only()?;
            make_agent(flows, &Actor::of(caller, nonce), new).await
        })
        .await
}

/// Makes an agent as the operator.
///
/// # Errors
/// [`AgentError`].
pub async fn create_agent_as_operator(
    flows: &Flows,
    by: &Operator,
    app: App,
    new: NewAgent,
) -> Result<MadeAgent, AgentError> {
    Ok(make_agent(flows, &Actor::operator(by, app), new).await?.value())
}

async fn make_agent(flows: &Flows, actor: &Actor, new: NewAgent) -> Result<Spent<MadeAgent>, AgentError> {
    check_new(&new)?;
    check_scopes(flows, actor.app.id, new.scopes.as_ref()).await?;
    let now = flows.now();
    let agent = Agent {
        id: AgentId::new(flows.random()),
        app_id: actor.app.id,
        name: new.name,
        status: AgentStatus::Active,
        data: AgentData {
            kind: new.kind,
            display_name: new.display_name,
            scopes: new.scopes,
            metadata: new.metadata,
        },
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let first = flows.new_key(KeyType::Agent, &actor.app, Some(agent.id), "first")?;
    let same = new.idempotency.map(|(key, body_hash)| Idempotency { key, body_hash });
    let hash = same.as_ref().map(|i| i.body_hash);
    let entry = about(
        actor,
        &agent,
        now,
        AuditKind::AgentCreated,
        json!({ "name": agent.name, "scopes": agent.data.scopes }),
    );
    let created = flows.store().create_agent(actor.call, agent.clone(), first.key.clone(), same, entry);
    match created.await? {
        AgentCreated::Stored => {
            Ok(Spent::InCommit(MadeAgent { agent, key_id: first.key.id, key: Some(first) }))
        }
        AgentCreated::NameTaken => Err(AgentError::NameTaken),
        AgentCreated::Known(_, before) if Some(before) != hash => Err(AgentError::IdempotencyMismatch),
        AgentCreated::Known(known, _) => match known.status {
            AgentStatus::Revoked => Err(AgentError::IdempotencyRevoked),
            AgentStatus::Inactive => Err(AgentError::IdempotencyInactive),
            AgentStatus::Active => {
                let keys = flows.store().list_agent_keys(known.app_id, known.id).await?;
                let key_id = keys.last().ok_or(StoreError::Corrupt("an agent without a key"))?.id;
                Ok(Spent::NotYet(MadeAgent { agent: *known, key: None, key_id }))
            }
        },
    }
}

/// Returns the agent that makes this call, even if it is suspended.
///
/// # Errors
/// [`AgentError::AgentKeyRequired`], or our own failure.
pub async fn own_agent(flows: &Flows, caller: &Caller) -> Result<Agent, AgentError> {
    let own = async { caller.agent.clone().ok_or(AgentError::AgentKeyRequired) };
    flows.reading(caller, own).await
}

/// Finds one of the app's agents, deleted or not.
///
/// # Errors
/// [`AgentError`].
pub async fn get_agent(flows: &Flows, caller: &Caller, id: AgentId) -> Result<Agent, AgentError> {
    flows.reading(caller, agent_to_manage(flows, caller, id)).await
}

/// Finds the app's agent with this name among those that are not deleted.
///
/// # Errors
/// [`AgentError`].
pub async fn find_agent(flows: &Flows, caller: &Caller, name: &str) -> Result<Option<Agent>, AgentError> {
    flows
        .reading(caller, async {
            caller.app_only()?;
            Ok(flows.store().find_agent(caller.app.id, name).await?)
        })
        .await
}

/// Lists a page of the app's agents by creation, and how many there are in all.
///
/// # Errors
/// [`AgentError`].
pub async fn list_agents(
    flows: &Flows,
    caller: &Caller,
    revoked_too: bool,
    limit: u32,
    offset: u32,
) -> Result<(Vec<Agent>, u64), AgentError> {
    flows
        .reading(caller, async {
            caller.app_only()?;
            Ok(flows.store().list_agents(caller.app.id, revoked_too, limit, offset).await?)
        })
        .await
}

/// Lists the first 1000 agents of an app by creation, for the operator.
///
/// # Errors
/// [`AgentError::Fault`].
pub async fn list_agents_as_operator(
    flows: &Flows,
    app: AppId,
    revoked_too: bool,
) -> Result<Vec<Agent>, AgentError> {
    Ok(flows.store().list_agents(app, revoked_too, 1000, 0).await?.0)
}

/// Finds an agent for the operator: by id, or by name among those that are not deleted.
///
/// # Errors
/// [`AgentError::NotFound`].
pub async fn find_agent_as_operator(flows: &Flows, app: AppId, named: &str) -> Result<Agent, AgentError> {
    let found = match AgentId::parse(named) {
        Some(id) => flows.store().get_agent(app, id).await?,
        None => flows.store().find_agent(app, named).await?,
    };
    found.ok_or(AgentError::NotFound)
}

/// Changes an agent's display name, scopes or metadata; suspends or resumes it.
///
/// # Errors
/// [`AgentError`].
pub async fn change_agent(
    flows: &Flows,
    caller: &Caller,
    id: AgentId,
    change: &AgentChange,
) -> Result<Agent, AgentError> {
    flows
        .once(caller, |nonce| async move {
            caller.app_only()?;
            check_change(change)?;
            check_scopes(flows, caller.app.id, change.scopes.as_ref()).await?;
            change_agent_as(flows, &Actor::of(caller, nonce), id, change).await
        })
        .await
}

/// Suspends or resumes an agent as the operator.
///
/// # Errors
/// [`AgentError`].
pub async fn set_agent_active_as_operator(
    flows: &Flows,
    by: &Operator,
    app: App,
    id: AgentId,
    active: bool,
) -> Result<Agent, AgentError> {
    let change = AgentChange { active: Some(active), ..AgentChange::default() };
    Ok(change_agent_as(flows, &Actor::operator(by, app), id, &change).await?.value())
}

async fn change_agent_as(
    flows: &Flows,
    actor: &Actor,
    id: AgentId,
    change: &AgentChange,
) -> Result<Spent<Agent>, AgentError> {
    let details = json!({
        "active": change.active, "display_name": change.display_name.is_some(), "scopes": change.scopes,
        "metadata": change.metadata.is_some(),
    });
    save_agent(flows, actor, id, (AuditKind::AgentChanged, details), |agent| {
        if agent.status == AgentStatus::Revoked {
            return Err(AgentError::Revoked);
        }
        if change.expected_version.is_some_and(|expected| expected != agent.version) {
            return Err(AgentError::Moved(agent.version));
        }
        if let Some(active) = change.active {
            agent.set_active(active);
        }
        if let Some(name) = &change.display_name {
            agent.data.display_name = name.clone();
        }
        if let Some(scopes) = &change.scopes {
            agent.data.scopes = Some(scopes.clone());
        }
        if let Some(metadata) = &change.metadata {
            agent.data.metadata = metadata.clone();
        }
        Ok(true)
    })
    .await
}

/// Deletes an agent; its keys and delegations end with it. Deleting it again changes nothing.
///
/// # Errors
/// [`AgentError`].
pub async fn delete_agent(flows: &Flows, caller: &Caller, id: AgentId) -> Result<Agent, AgentError> {
    flows
        .once(caller, |nonce| async move {
            caller.app_only()?;
            delete_agent_as(flows, &Actor::of(caller, nonce), id).await
        })
        .await
}

/// Deletes an agent as the operator.
///
/// # Errors
/// [`AgentError`].
pub async fn delete_agent_as_operator(
    flows: &Flows,
    by: &Operator,
    app: App,
    id: AgentId,
) -> Result<Agent, AgentError> {
    Ok(delete_agent_as(flows, &Actor::operator(by, app), id).await?.value())
}

async fn delete_agent_as(flows: &Flows, actor: &Actor, id: AgentId) -> Result<Spent<Agent>, AgentError> {
    save_agent(flows, actor, id, (AuditKind::AgentRevoked, Value::Null), |agent| {
        let live = agent.status != AgentStatus::Revoked;
        agent.status = AgentStatus::Revoked;
        Ok(live)
    })
    .await
}

/// Loads the agent, lets `change` decide, and saves when `change` returns `true`. Starts over when another write came
/// first.
async fn save_agent(
    flows: &Flows,
    actor: &Actor,
    id: AgentId,
    (kind, changed): (AuditKind, Value),
    mut change: impl FnMut(&mut Agent) -> Result<bool, AgentError>,
) -> Result<Spent<Agent>, AgentError> {
    let mut rounds = Rounds::of(ROUNDS);
    loop {
        rounds.begin()?;
        let found = flows.store().get_agent(actor.app.id, id).await?;
        let mut agent = found.ok_or(AgentError::NotFound)?;
        let now = flows.now();
        if !change(&mut agent)? {
            return Ok(Spent::NotYet(agent));
        }
        agent.updated_at = now;
        let details = json!({ "name": agent.name, "status": agent.status.as_str(), "changed": changed });
        let entry = about(actor, &agent, now, kind, details);
        if flows.store().save_agent(actor.call, &agent, entry).await?.is_done() {
            agent.version += 1;
            return Ok(Spent::InCommit(agent));
        }
    }
}
