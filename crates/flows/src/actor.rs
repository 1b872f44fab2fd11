//! Who makes a change, for its audit entry: a key of the app or of an agent, or the operator at the command line.

use alter_core::{AgentId, App, AuditEntry, AuditKind, CallNonce, KeyId, Micros};

use crate::Caller;

/// Who makes a change.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) app: App,
    /// The nonce of the call, which rides in the change's own commit.
    pub(crate) call: Option<CallNonce>,
    key_id: Option<KeyId>,
    agent_id: Option<AgentId>,
    request_id: Option<String>,
}

impl Actor {
    /// A call of the app's backend or of an agent.
    pub(crate) fn of(caller: &Caller, nonce: Option<CallNonce>) -> Self {
        Self {
            app: caller.app.clone(),
            call: nonce,
            key_id: Some(caller.key.id),
            agent_id: caller.agent.as_ref().map(|agent| agent.id),
            request_id: Some(caller.request_id.clone()),
        }
    }

    /// The operator.
    pub(crate) fn operator(app: App) -> Self {
        Self { app, call: None, key_id: None, agent_id: None, request_id: None }
    }

    /// An entry that says who.
    pub(crate) fn entry(&self, at: Micros, kind: AuditKind, details: serde_json::Value) -> AuditEntry {
        AuditEntry {
            key_id: self.key_id,
            agent_id: self.agent_id,
            request_id: self.request_id.clone(),
            ..AuditEntry::new(self.app.id, at, kind, details)
        }
    }
}
