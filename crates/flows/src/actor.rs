//! Who makes a change, for its audit entry: the app's key, an agent's key, or the operator at the command line.

use alter_core::{AgentId, App, AuditEntry, AuditKind, CallNonce, KeyId, Micros};

use crate::Caller;

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) app: App,
    /// The call's nonce, recorded in the same commit as the change. `None` for the operator and for bearer calls.
    pub(crate) call: Option<CallNonce>,
    key_id: Option<KeyId>,
    agent_id: Option<AgentId>,
    request_id: Option<String>,
}

impl Actor {
    /// The app's backend, or an agent, that made this call.
    pub(crate) fn of(caller: &Caller, nonce: Option<CallNonce>) -> Self {
        Self {
            app: caller.app.clone(),
            call: nonce,
            key_id: Some(caller.key.id),
            agent_id: caller.agent.as_ref().map(|agent| agent.id),
            request_id: Some(caller.request_id.clone()),
        }
    }

    pub(crate) fn operator(app: App) -> Self {
        Self { app, call: None, key_id: None, agent_id: None, request_id: None }
    }

    /// An audit entry that names this actor.
    pub(crate) fn entry(&self, at: Micros, kind: AuditKind, details: serde_json::Value) -> AuditEntry {
        AuditEntry {
            key_id: self.key_id,
            agent_id: self.agent_id,
            request_id: self.request_id.clone(),
            ..AuditEntry::new(self.app.id, at, kind, details)
        }
    }
}
