//! Ending delegations (wire 3.11).

use alter_core::{AgentId, AuditEntry, AuditKind, Changed, GrantId};

use crate::{
    Caller, Flows,
    actor::Actor,
    callers::caller::{Spent, ours},
    fault::FlowFault,
};

/// Why a delegation was not ended.
#[derive(Debug, thiserror::Error)]
pub enum RevokeDelegationError {
    /// An agent ends its own delegations by another path.
    #[error("with an agent's key, use the path .../delegations/me")]
    UseSelfPath,
    #[error("this path needs an agent's key")]
    AgentKeyRequired,
    /// The app has no such grant.
    #[error("there is no such grant")]
    GrantNotFound,
    /// The app has no such agent.
    #[error("there is no such agent")]
    AgentNotFound,
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { RevokeDelegationError; }

/// Ends a delegation to an agent, for the app. Ending it again changes nothing.
///
/// # Errors
/// [`RevokeDelegationError`].
pub async fn revoke_delegation(
    flows: &Flows,
    caller: &Caller,
    grant: GrantId,
    agent: AgentId,
) -> Result<(), RevokeDelegationError> {
    flows
        .once(caller, |nonce| async move {
            if caller.agent.is_some() {
                return Err(RevokeDelegationError::UseSelfPath);
            }
            if flows.store().get_grant(caller.app.id, grant).await?.is_none() {
                return Err(RevokeDelegationError::GrantNotFound);
            }
            if flows.store().get_agent(caller.app.id, agent).await?.is_none() {
                return Err(RevokeDelegationError::AgentNotFound);
            }
            end_delegation(flows, &Actor::of(caller, nonce), "app", grant, agent).await
        })
        .await
}

/// Ends the calling agent's own delegation. Succeeds also when there is none, so the agent learns nothing about other
/// grants.
///
/// # Errors
/// [`RevokeDelegationError`].
pub async fn give_up_delegation(
    flows: &Flows,
    caller: &Caller,
    grant: GrantId,
) -> Result<(), RevokeDelegationError> {
    flows
        .once(caller, |nonce| async move {
            let agent = caller.agent.as_ref().ok_or(RevokeDelegationError::AgentKeyRequired)?;
            end_delegation(flows, &Actor::of(caller, nonce), "agent", grant, agent.id).await
        })
        .await
}

async fn end_delegation(
    flows: &Flows,
    actor: &Actor,
    by: &str,
    grant: GrantId,
    agent: AgentId,
) -> Result<Spent<()>, RevokeDelegationError> {
    let at = flows.now();
    let entry = AuditEntry {
        grant_id: Some(grant),
        agent_id: Some(agent),
        ..actor.entry(at, AuditKind::DelegationRevoked, serde_json::json!({ "by": by }))
    };
    let (Changed::Done | Changed::Absent) =
        flows.store().revoke_delegation(actor.call, actor.app.id, grant, agent, at, entry).await?;
    Ok(Spent::InCommit(()))
}
