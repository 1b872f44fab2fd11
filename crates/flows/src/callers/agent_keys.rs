//! An agent's keys (wire 3.12): the app's own key makes, lists, revokes and deprecates them.

use alter_core::{
    Agent, AgentId, AgentStatus, ApiKey, AuditEntry, AuditKind, KeyAdded, KeyId, KeyRevoked, KeyType,
};
use serde_json::json;

use super::agent_checks::{AgentError, about, agent_to_manage};
use crate::{Caller, Flows, NewKey, actor::Actor, callers::caller::Spent};

/// Makes another key for an agent.
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
            let new = flows.new_key(KeyType::Agent, &caller.app, Some(agent.id), "further")?;
            let entry =
                key_entry(flows, &Actor::of(caller, nonce), &agent, new.key.id, AuditKind::KeyCreated);
            match flows.store().insert_agent_key(nonce, new.key.clone(), entry).await? {
                KeyAdded::Done => Ok(Spent::InCommit(new)),
                KeyAdded::NoRoom => Err(AgentError::TooManyKeys),
            }
        })
        .await
}

/// Lists an agent's keys, newest first, including revoked ones.
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

/// Revokes an agent's key; the last active key only with `force`.
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

/// Marks an agent's key as deprecated, or removes the mark.
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

fn key_entry(flows: &Flows, actor: &Actor, agent: &Agent, key: KeyId, kind: AuditKind) -> AuditEntry {
    about(actor, agent, flows.now(), kind, json!({ "key": key.to_string() }))
}
