//! Who makes a change, for its audit entry: the app's key, an agent's key, or the operator at the command line.

use alter_core::{AgentId, App, AuditEntry, AuditKind, CallNonce, KeyId, Micros, text::one_line};

use crate::Caller;

/// Longest name of an operator, characters.
const NAME_MAX: usize = 80;

/// Somebody who runs `alter` commands. The name is what the system said at that moment: it helps honest operators to find
/// out who did what, and it proves nothing, because who can write the database can write any name.
#[derive(Debug, Clone)]
pub struct Operator {
    name: String,
}

impl Operator {
    /// `name` is the system's user name. Hidden characters are left out, and so is what is longer than 80 characters.
    pub fn named(name: &str) -> Self {
        Self { name: one_line(name.chars().take(NAME_MAX)) }
    }

    /// The name as it is recorded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names this operator in the details of an audit entry: an object or null.
    pub(crate) fn sign(&self, details: &mut serde_json::Value) {
        details["operator"] = self.name().into();
    }
}

#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) app: App,
    /// The call's nonce, recorded in the same commit as the change. `None` for the operator and for bearer calls.
    pub(crate) call: Option<CallNonce>,
    key_id: Option<KeyId>,
    agent_id: Option<AgentId>,
    request_id: Option<String>,
    operator: Option<Operator>,
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
            operator: None,
        }
    }

    pub(crate) fn operator(by: &Operator, app: App) -> Self {
        let operator = Some(by.clone());
        Self { app, call: None, key_id: None, agent_id: None, request_id: None, operator }
    }

    /// An audit entry that names this actor. `details` is an object or null; the operator's name becomes its member
    /// `operator`.
    pub(crate) fn entry(&self, at: Micros, kind: AuditKind, mut details: serde_json::Value) -> AuditEntry {
        if let Some(operator) = &self.operator {
            operator.sign(&mut details);
        }
        AuditEntry {
            key_id: self.key_id,
            agent_id: self.agent_id,
            request_id: self.request_id.clone(),
            ..AuditEntry::new(self.app.id, at, kind, details)
        }
    }
}
