//! What an agent may be called and how much it may carry.

use std::collections::BTreeMap;

use alter_core::{
    Agent, AgentId, AgentKind, AuditEntry, AuditKind, Hash, Micros, stored::storable, text::is_one_line,
};
use serde_json::{Map, Value, json};

use crate::{AppKeyRequired, Caller, Flows, actor::Actor, call::ours, fault::FlowFault};

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

/// An agent of the app, deleted or not, for a call with the app's own key.
pub(super) async fn agent_to_manage(
    flows: &Flows,
    caller: &Caller,
    id: AgentId,
) -> Result<Agent, AgentError> {
    caller.app_only()?;
    flows.store().get_agent(caller.app.id, id).await?.ok_or(AgentError::NotFound)
}

pub(super) fn about(actor: &Actor, agent: &Agent, at: Micros, kind: AuditKind, details: Value) -> AuditEntry {
    AuditEntry { agent_id: Some(agent.id), ..actor.entry(at, kind, details) }
}

pub(super) fn check_new(new: &NewAgent) -> Result<(), AgentError> {
    // A name must not be taken for an id, or `agent` at mint would be ambiguous.
    if !is_label(&new.name) || AgentId::parse(&new.name.to_lowercase()).is_some() {
        return invalid("name must have 1 to 80 visible characters in one line and be no UUID.");
    }
    if new.idempotency.as_ref().is_some_and(|(key, _)| key.is_empty() || key.len() > 255 || !storable(key)) {
        return invalid("Idempotency-Key must have 1 to 255 characters.");
    }
    check_data(new.display_name.as_deref(), new.scopes.as_ref(), Some(&new.metadata))
}

pub(super) fn check_change(change: &AgentChange) -> Result<(), AgentError> {
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
