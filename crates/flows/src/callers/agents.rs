//! Agents: what an app's backend, or the operator, does with them (wire 3.12).
//!
//! Only the app's own key manages agents; an agent's key may look at its own agent. Each change is one commit with the
//! call's nonce and an audit entry.

use std::collections::BTreeMap;

use alter_core::{
    Agent, AgentCreated, AgentData, AgentId, AgentKind, AgentStatus, ApiKey, App, AuditEntry, AuditKind,
    Hash, Idempotency, KeyAdded, KeyId, KeyRevoked, KeyType, Micros, StoreError, key, store::storable,
    text::is_one_line,
};
use serde_json::{Map, Value, json};

use crate::{
    AppKeyRequired, Caller, Flows, NewKey,
    actor::Actor,
    call::{Spent, ours},
    fault::FlowFault,
    rounds::Rounds,
};

/// How often a change is tried.
const ROUNDS: usize = 8;
/// Characters of a name at most.
const NAME_MAX: usize = 80;
/// Bytes of `scopes` as compact JSON at most (wire 3.12).
const SCOPES_MAX: usize = 12_288;
/// Bytes of `metadata` as compact JSON at most.
const METADATA_MAX: usize = 8192;

/// An agent to be made.
#[derive(Debug, Default)]
pub struct NewAgent {
    /// Its name.
    pub name: String,
    /// What the app says it is.
    pub kind: AgentKind,
    /// Shown to people in place of the name.
    pub display_name: Option<String>,
    /// See [`AgentData::scopes`].
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// The app's own notes.
    pub metadata: Map<String, Value>,
    /// `Idempotency-Key`, and the SHA-256 of the body that came with it.
    pub idempotency: Option<(String, Hash)>,
}

/// An agent just made; without a key when the idempotency key was used before.
#[derive(Debug)]
pub struct MadeAgent {
    /// The agent.
    pub agent: Agent,
    /// Its first key: shown once.
    pub key: Option<NewKey>,
    /// Of a repeated call: the id of the agent's oldest key.
    pub key_id: KeyId,
}

/// What is to change; `None` = stays.
#[derive(Debug, Default)]
pub struct AgentChange {
    /// Suspend (`false`) or resume.
    pub active: Option<bool>,
    /// Shown to people; `Some(None)` = none.
    pub display_name: Option<Option<String>>,
    /// See [`AgentData::scopes`].
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// The app's own notes.
    pub metadata: Option<Map<String, Value>>,
    /// The change applies to this version alone.
    pub expected_version: Option<u64>,
}

/// Why an agent was not made, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// An agent's key came.
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The call asks for the agent of its own key, and the key is the app's.
    #[error("this call needs an agent's key")]
    AgentKeyRequired,
    /// The app has no such agent.
    #[error("there is no such agent")]
    NotFound,
    /// The agent has no such key.
    #[error("the agent has no such key")]
    KeyNotFound,
    /// It was revoked before.
    #[error("the key was revoked before")]
    KeyAlreadyRevoked,
    /// It is the last that works.
    #[error("it is the agent's last key that works")]
    LastActiveKey,
    /// There are as many as there may be.
    #[error("the agent has as many keys as an agent may have")]
    TooManyKeys,
    /// Another agent is called so.
    #[error("an agent of this name exists")]
    NameTaken,
    /// The agent was deleted.
    #[error("the agent was deleted")]
    Revoked,
    /// Another change came first.
    #[error("the agent has version {0} now")]
    Moved(u64),
    /// The idempotency key came with another body before.
    #[error("the idempotency key was used with another request")]
    IdempotencyMismatch,
    /// The agent that the idempotency key made is suspended.
    #[error("the agent that this idempotency key made is suspended")]
    IdempotencyInactive,
    /// The agent that the idempotency key made was deleted.
    #[error("the agent that this idempotency key made was deleted")]
    IdempotencyRevoked,
    /// A value is refused; the sentence is for the caller.
    #[error("{0}")]
    Invalid(String),
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { AgentError; }

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
    app: App,
    new: NewAgent,
) -> Result<MadeAgent, AgentError> {
    Ok(make_agent(flows, &Actor::operator(app), new).await?.value())
}

async fn make_agent(flows: &Flows, actor: &Actor, new: NewAgent) -> Result<Spent<MadeAgent>, AgentError> {
    check_new(&new)?;
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
    let first = new_agent_key(flows, &agent, "first", now);
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

fn new_agent_key(flows: &Flows, agent: &Agent, name: &str, now: Micros) -> NewKey {
    let secret = key::mint_key(KeyType::Agent, flows.random());
    let key = ApiKey {
        id: KeyId::new(flows.random()),
        app_id: agent.app_id,
        agent_id: Some(agent.id),
        hash: key::key_hash(&secret),
        prefix: key::key_prefix(&secret),
        name: name.to_owned(),
        created_at: now,
        deprecated_at: None,
        revoked_at: None,
    };
    NewKey { key, secret }
}

/// The agent whose key calls; a suspended one too.
///
/// # Errors
/// [`AgentError::AgentKeyRequired`], or ours.
pub async fn own_agent(flows: &Flows, caller: &Caller) -> Result<Agent, AgentError> {
    let own = async { caller.agent.clone().ok_or(AgentError::AgentKeyRequired) };
    flows.reading(caller, own).await
}

/// One agent of the app, deleted or not.
///
/// # Errors
/// [`AgentError`].
pub async fn get_agent(flows: &Flows, caller: &Caller, id: AgentId) -> Result<Agent, AgentError> {
    flows.reading(caller, agent_to_manage(flows, caller, id)).await
}

/// The app's agent of this name that is not deleted, if there is one.
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

/// The app's agents by creation, with their number.
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

/// Changes an agent: its words, its scopes, suspends or resumes it.
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
    app: App,
    id: AgentId,
    active: bool,
) -> Result<Agent, AgentError> {
    let change = AgentChange { active: Some(active), ..AgentChange::default() };
    Ok(change_agent_as(flows, &Actor::operator(app), id, &change).await?.value())
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

/// Deletes an agent: its keys and its delegations end with it. Deleting it again changes nothing.
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
pub async fn delete_agent_as_operator(flows: &Flows, app: App, id: AgentId) -> Result<Agent, AgentError> {
    Ok(delete_agent_as(flows, &Actor::operator(app), id).await?.value())
}

async fn delete_agent_as(flows: &Flows, actor: &Actor, id: AgentId) -> Result<Spent<Agent>, AgentError> {
    save_agent(flows, actor, id, (AuditKind::AgentRevoked, Value::Null), |agent| {
        let live = agent.status != AgentStatus::Revoked;
        agent.status = AgentStatus::Revoked;
        Ok(live)
    })
    .await
}

/// Loads, lets `change` decide, saves when it says so; again from the start when another write came first.
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

/// Makes a further key of an agent.
///
/// # Errors
/// [`AgentError`].
pub async fn create_agent_key(flows: &Flows, caller: &Caller, id: AgentId) -> Result<NewKey, AgentError> {
    flows
        .once(caller, |nonce| async move {
            let agent = agent_to_manage(flows, caller, id).await?;
            if agent.status == AgentStatus::Revoked {
                return Err(AgentError::Revoked);
            }
            let new = new_agent_key(flows, &agent, "further", flows.now());
            let entry =
                key_entry(flows, &Actor::of(caller, nonce), &agent, new.key.id, AuditKind::KeyCreated);
            match flows.store().insert_agent_key(nonce, new.key.clone(), entry).await? {
                KeyAdded::Done => Ok(Spent::InCommit(new)),
                KeyAdded::NoRoom => Err(AgentError::TooManyKeys),
            }
        })
        .await
}

/// The keys of an agent, newest first, revoked ones too.
///
/// # Errors
/// [`AgentError`].
pub async fn list_agent_keys(flows: &Flows, caller: &Caller, id: AgentId) -> Result<Vec<ApiKey>, AgentError> {
    flows
        .reading(caller, async {
            let agent = agent_to_manage(flows, caller, id).await?;
            Ok(flows.store().list_agent_keys(agent.app_id, agent.id).await?)
        })
        .await
}

/// Revokes a key of an agent; the last active one only with `force`.
///
/// # Errors
/// [`AgentError`].
pub async fn revoke_agent_key(
    flows: &Flows,
    caller: &Caller,
    (id, key): (AgentId, KeyId),
    force: bool,
) -> Result<ApiKey, AgentError> {
    flows
        .once(caller, |nonce| async move {
            let agent = agent_to_manage(flows, caller, id).await?;
            let entry = key_entry(flows, &Actor::of(caller, nonce), &agent, key, AuditKind::KeyRevoked);
            let which = (agent.app_id, agent.id, key);
            match flows.store().revoke_agent_key(nonce, which, flows.now(), force, entry).await? {
                KeyRevoked::Done(key) => Ok(Spent::InCommit(*key)),
                KeyRevoked::Already(_) => Err(AgentError::KeyAlreadyRevoked),
                KeyRevoked::LastActive => Err(AgentError::LastActiveKey),
                KeyRevoked::NotFound => Err(AgentError::KeyNotFound),
            }
        })
        .await
}

/// Marks a key of an agent as deprecated, or takes the mark away.
///
/// # Errors
/// [`AgentError`].
pub async fn deprecate_agent_key(
    flows: &Flows,
    caller: &Caller,
    (id, key): (AgentId, KeyId),
    deprecated: bool,
) -> Result<ApiKey, AgentError> {
    flows
        .once(caller, |nonce| async move {
            let agent = agent_to_manage(flows, caller, id).await?;
            let entry = key_entry(flows, &Actor::of(caller, nonce), &agent, key, AuditKind::KeyDeprecated);
            let at = deprecated.then(|| flows.now());
            let which = (agent.app_id, agent.id, key);
            let changed = flows.store().deprecate_agent_key(nonce, which, at, entry).await?;
            changed.map(Spent::InCommit).ok_or(AgentError::KeyNotFound)
        })
        .await
}

/// An agent of the app, deleted or not, for a call with the app's own key.
async fn agent_to_manage(flows: &Flows, caller: &Caller, id: AgentId) -> Result<Agent, AgentError> {
    caller.app_only()?;
    flows.store().get_agent(caller.app.id, id).await?.ok_or(AgentError::NotFound)
}

fn key_entry(flows: &Flows, actor: &Actor, agent: &Agent, key: KeyId, kind: AuditKind) -> AuditEntry {
    about(actor, agent, flows.now(), kind, json!({ "key": key.to_string() }))
}

fn about(actor: &Actor, agent: &Agent, at: Micros, kind: AuditKind, details: Value) -> AuditEntry {
    AuditEntry { agent_id: Some(agent.id), ..actor.entry(at, kind, details) }
}

fn check_new(new: &NewAgent) -> Result<(), AgentError> {
    // A name must not be taken for an id, or `agent` at mint would be ambiguous.
    if !is_label(&new.name) || AgentId::parse(&new.name.to_lowercase()).is_some() {
        return invalid("name must have 1 to 80 visible characters in one line and be no UUID.");
    }
    if new.idempotency.as_ref().is_some_and(|(key, _)| key.is_empty() || key.len() > 255 || !storable(key)) {
        return invalid("Idempotency-Key must have 1 to 255 characters.");
    }
    check_data(new.display_name.as_deref(), new.scopes.as_ref(), Some(&new.metadata))
}

fn check_change(change: &AgentChange) -> Result<(), AgentError> {
    if change.scopes.is_some() && change.expected_version.is_none() {
        return invalid("expected_version is needed to change scopes.");
    }
    let display_name = change.display_name.as_ref().and_then(Option::as_deref);
    check_data(display_name, change.scopes.as_ref(), change.metadata.as_ref())
}

fn check_data(
    display_name: Option<&str>,
    scopes: Option<&BTreeMap<String, Vec<String>>>,
    metadata: Option<&Map<String, Value>>,
) -> Result<(), AgentError> {
    if display_name.is_some_and(|name| !is_label(name)) {
        return invalid("display_name must have 1 to 80 visible characters in one line.");
    }
    if let Some(scopes) = scopes {
        if scopes.contains_key("managed_secret_slugs") {
            return invalid("scopes.managed_secret_slugs: managed secrets are not built yet. Leave it out.");
        }
        if json!(scopes).to_string().len() > SCOPES_MAX {
            return invalid("scopes is longer than 12,288 bytes.");
        }
        if scopes.values().flatten().any(String::is_empty) {
            return invalid("scopes has an empty scope.");
        }
    }
    match metadata.is_some_and(|notes| json!(notes).to_string().len() > METADATA_MAX) {
        true => invalid("metadata is longer than 8,192 bytes."),
        false => Ok(()),
    }
}

/// What pages show of it is what was given: nothing invisible, nothing that turns the line around (T13, T26).
fn is_label(text: &str) -> bool {
    text.chars().count() <= NAME_MAX && is_one_line(text)
}

fn invalid(text: &str) -> Result<(), AgentError> {
    Err(AgentError::Invalid(text.to_owned()))
}
