//! An agent to be made or changed: the request, the checks on its values (length, characters, size), and why it is
//! refused.

use std::collections::BTreeMap;

use alter_core::{
    Agent, AgentId, AgentKind, AppId, AuditEntry, AuditKind, Hash, Micros,
    name::{NAME_MAX, check_name},
    recipe::{BadScope, is_scope_token},
    stored::storable,
};
use alter_providers::Catalog;
use serde_json::{Map, Value, json};

use crate::{AppKeyRequired, Caller, Flows, actor::Actor, callers::caller::ours, fault::FlowFault};

/// Longest `scopes`, bytes of compact JSON (wire 3.12).
const SCOPES_MAX: usize = 12_288;
/// Longest `metadata`, bytes of compact JSON.
const METADATA_MAX: usize = 8192;

/// An agent to be made.
#[derive(Debug, Default)]
pub struct NewAgent {
    /// Unique among the app's agents that are not deleted.
    pub name: String,
    pub kind: AgentKind,
    /// Shown to people in place of the name.
    pub display_name: Option<String>,
    /// See [`alter_core::AgentData::scopes`].
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// The app's own notes; the server does not read them.
    pub metadata: Map<String, Value>,
    /// `Idempotency-Key`, and the SHA-256 of the request body that came with it.
    pub idempotency: Option<(String, Hash)>,
}

/// A change to an agent; a field that is `None` stays as it is.
#[derive(Debug, Default)]
pub struct AgentChange {
    /// `false` suspends the agent, `true` resumes it.
    pub active: Option<bool>,
    /// `Some(None)` removes the display name.
    pub display_name: Option<Option<String>>,
    /// See [`alter_core::AgentData::scopes`].
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    pub metadata: Option<Map<String, Value>>,
    /// The change applies only to this version.
    pub expected_version: Option<u64>,
}

/// Why an agent was not made, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    /// The call asks about the agent that owns its key, but the key is the app's own.
    #[error("this call needs an agent's key")]
    AgentKeyRequired,
    /// The app has no such agent.
    #[error("there is no such agent")]
    NotFound,
    #[error("the agent has no such key")]
    KeyNotFound,
    #[error("the key is already revoked")]
    KeyAlreadyRevoked,
    #[error("this is the agent's last active key")]
    LastActiveKey,
    #[error("the agent already has the maximum number of keys")]
    TooManyKeys,
    #[error("an agent with this name already exists")]
    NameTaken,
    #[error("the agent was deleted")]
    Revoked,
    /// Another change came first; the content is the agent's version now.
    #[error("the agent is now at version {0}")]
    Moved(u64),
    /// The idempotency key was used before, with another body.
    #[error("the idempotency key was used with another request")]
    IdempotencyMismatch,
    #[error("the agent made with this idempotency key is suspended")]
    IdempotencyInactive,
    #[error("the agent made with this idempotency key was deleted")]
    IdempotencyRevoked,
    /// A value is refused; the caller is shown this sentence.
    #[error("{0}")]
    Invalid(String),
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { AgentError; }

/// Finds an agent of the app, deleted or not, for a call with the app's own key.
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
    named("name", &new.name)?;
    // `agent` at mint takes either.
    if AgentId::parse(&new.name.to_lowercase()).is_some() {
        return invalid("name must not look like an agent's id (a UUID).");
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
    if let Some(name) = display_name {
        named("display_name", name)?;
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
    if metadata.is_some_and(|notes| json!(notes).to_string().len() > METADATA_MAX) {
        return invalid("metadata is longer than 8,192 bytes.");
    }
    Ok(())
}

/// Each text is one scope at its provider: `a,b` or `a b` would be a scope that nobody is ever granted. A provider that is
/// neither configured nor in the catalog may still come; there, a scope is what RFC 6749 says.
pub(super) async fn check_scopes(
    flows: &Flows,
    app: AppId,
    scopes: Option<&BTreeMap<String, Vec<String>>>,
) -> Result<(), AgentError> {
    let Some(scopes) = scopes else { return Ok(()) };
    let configured = flows.providers(app).await?;
    for (provider, scopes) in scopes {
        let own = configured.iter().map(|config| &*config.recipe).find(|recipe| recipe.id == *provider);
        let recipe = own.or_else(|| Catalog::builtin().get(provider));
        let check = |scope: &String| match recipe {
            Some(recipe) => recipe.check_scope(scope),
            None if is_scope_token(scope) => Ok(()),
            None => Err(BadScope::Characters(scope.chars().take(100).collect())),
        };
        if let Some(bad) = scopes.iter().find_map(|scope| check(scope).err()) {
            return invalid(&format!("scopes.{provider}: {bad}."));
        }
    }
    Ok(())
}

/// Pages show exactly what was given (T13, T26).
fn named(field: &str, text: &str) -> Result<(), AgentError> {
    check_name(text, NAME_MAX).map_err(|bad| AgentError::Invalid(format!("{field} {bad}.")))
}

fn invalid(text: &str) -> Result<(), AgentError> {
    Err(AgentError::Invalid(text.to_owned()))
}
