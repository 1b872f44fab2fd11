//! An agent of an app: it has keys of its own and may use what users delegated to it, nothing else.
//!
//! `active <-> inactive -> revoked`, `active -> revoked`. Every change is a compare-and-set on `version`. Revoking an
//! agent revokes its keys and its delegations in the same commit, and there is no way back.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AgentId, ApiKey, AppId, AuditEntry, CallNonce, Hash, KeyId, Micros, Saved, StoreError};

/// Keys of one agent that are not revoked, at most.
pub const AGENT_KEYS_MAX: u32 = 10;

/// An agent as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Whose agent.
    pub app_id: AppId,
    /// Unique among the app's agents that are not revoked.
    pub name: String,
    /// Where it stands.
    pub status: AgentStatus,
    /// Everything else.
    pub data: AgentData,
    /// Counts the saves, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Micros,
    /// When it was last changed.
    pub updated_at: Micros,
}

/// The part of an agent that storage keeps as one document. Rows of older versions are read again: a new field needs
/// `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentData {
    /// `agent` or `service`, as the app said.
    pub kind: AgentKind,
    /// Shown to people in place of the name.
    #[serde(default)]
    pub display_name: Option<String>,
    /// By provider id, the scopes that the agent may ever use. `None` = whatever was delegated; empty = nothing.
    #[serde(default)]
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// The app's own notes.
    #[serde(default)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

/// What the app says it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentKind {
    /// A model that acts for people.
    #[default]
    Agent,
    /// A program.
    Service,
}

impl AgentKind {
    /// `agent` or `service`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Service => "service",
        }
    }
}

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStatus {
    /// Its keys work.
    Active,
    /// Suspended: its keys answer `GET /sdk/agents/me` alone.
    Inactive,
    /// Deleted, for good.
    Revoked,
}

impl AgentStatus {
    /// The name in storage and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Revoked => "revoked",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::Revoked].into_iter().find(|s| s.as_str() == text)
    }
}

impl Agent {
    /// What people read.
    pub fn shown_name(&self) -> &str {
        self.data.display_name.as_deref().unwrap_or(&self.name)
    }

    /// Of `delegated` scopes at `provider`, those that the agent may use (T13).
    pub fn may_use(&self, provider: &str, delegated: &[String]) -> Vec<String> {
        match &self.data.scopes {
            None => delegated.to_vec(),
            Some(by_provider) => {
                let allowed = by_provider.get(provider).map(Vec::as_slice).unwrap_or_default();
                delegated.iter().filter(|scope| allowed.contains(scope)).cloned().collect()
            }
        }
    }

    /// Suspends or resumes; `false` when it is revoked.
    pub fn set_active(&mut self, active: bool) -> bool {
        if self.status == AgentStatus::Revoked {
            return false;
        }
        self.status = if active { AgentStatus::Active } else { AgentStatus::Inactive };
        true
    }
}

/// A call that may be repeated without making a second agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// `Idempotency-Key`, as sent.
    pub key: String,
    /// SHA-256 of the request body.
    pub body_hash: Hash,
}

/// What became of [`AgentStore::create_agent`].
#[derive(Debug, Clone, PartialEq)]
pub enum AgentCreated {
    /// It is stored, with its first key.
    Stored,
    /// The idempotency key was used before: this agent, made by a request with this body. Nothing was stored.
    Known(Box<Agent>, Hash),
    /// The name is taken by an agent that is not revoked. Nothing was stored.
    NameTaken,
}

/// What became of [`AgentStore::revoke_agent_key`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRevoked {
    /// Revoked now.
    Done(Box<ApiKey>),
    /// It was revoked before; nothing changed.
    Already(Box<ApiKey>),
    /// It is the agent's last one that works, and the caller did not insist.
    LastActive,
    /// The agent has no such key.
    NotFound,
}

/// What became of a further key of an agent.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAdded {
    /// It is stored.
    Done,
    /// The agent is revoked, or has [`AGENT_KEYS_MAX`] keys that are not.
    NoRoom,
}

impl KeyAdded {
    /// Whether it is stored.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// What storage must be able to do for agents. Each command is one atomic transaction that also records the nonce of
/// the call and the audit entry; where the outcome says that nothing was stored, neither was the entry, and the nonce is
/// unused. A nonce that was used before is told first (T61).
#[async_trait]
pub trait AgentStore: Send + Sync {
    /// Stores an agent with its first key.
    async fn create_agent(
        &self,
        call: Option<CallNonce>,
        agent: Agent,
        key: ApiKey,
        idempotency: Option<Idempotency>,
        audit: AuditEntry,
    ) -> Result<AgentCreated, StoreError>;
    /// By id, of this app; revoked ones included.
    async fn get_agent(&self, app: AppId, id: AgentId) -> Result<Option<Agent>, StoreError>;
    /// By name, among those that are not revoked.
    async fn find_agent(&self, app: AppId, name: &str) -> Result<Option<Agent>, StoreError>;
    /// By creation, with the number of all there are.
    async fn list_agents(
        &self,
        app: AppId,
        revoked_too: bool,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<Agent>, u64), StoreError>;
    /// Saves status, data and `updated_at` if the stored version is still `agent.version`, and raises it. A revoked agent's keys and delegations are revoked with it, as of `agent.updated_at`.
    async fn save_agent(
        &self,
        call: Option<CallNonce>,
        agent: &Agent,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError>;
    /// Stores a further key of an agent.
    async fn insert_agent_key(
        &self,
        call: Option<CallNonce>,
        key: ApiKey,
        audit: AuditEntry,
    ) -> Result<KeyAdded, StoreError>;
    /// Newest first, revoked ones included.
    async fn list_agent_keys(&self, app: AppId, agent: AgentId) -> Result<Vec<ApiKey>, StoreError>;
    /// Revokes one; the last that works only when `force` says so.
    async fn revoke_agent_key(
        &self,
        call: Option<CallNonce>,
        key: (AppId, AgentId, KeyId),
        at: Micros,
        force: bool,
        audit: AuditEntry,
    ) -> Result<KeyRevoked, StoreError>;
    /// Marks one as deprecated (its answers say so) or takes the mark away; `None` when the agent has no such key that
    /// is not revoked.
    async fn deprecate_agent_key(
        &self,
        call: Option<CallNonce>,
        key: (AppId, AgentId, KeyId),
        deprecated_at: Option<Micros>,
        audit: AuditEntry,
    ) -> Result<Option<ApiKey>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    fn agent(scopes: Option<&[(&str, &[&str])]>) -> Agent {
        let scopes = scopes.map(|all| all.iter().map(|(p, s)| ((*p).to_owned(), texts(s))).collect());
        Agent {
            id: AgentId::new(&crate::SystemRandom),
            app_id: AppId::new(&crate::SystemRandom),
            name: "mailbot".into(),
            status: AgentStatus::Active,
            data: AgentData { scopes, ..AgentData::default() },
            version: 1,
            created_at: Micros(0),
            updated_at: Micros(0),
        }
    }

    #[test]
    fn t13_an_agent_uses_what_was_delegated_and_its_own_limit_allows() {
        let delegated = texts(&["read", "send"]);
        assert_eq!(agent(None).may_use("google", &delegated), delegated);
        assert_eq!(agent(Some(&[])).may_use("google", &delegated), texts(&[]));
        let limited = agent(Some(&[("google", &["read", "delete"]), ("slack", &["send"])]));
        assert_eq!(limited.may_use("google", &delegated), texts(&["read"]));
        assert_eq!(limited.may_use("github", &delegated), texts(&[]));
    }

    #[test]
    fn a_revoked_agent_is_not_resumed() {
        let mut agent = agent(None);
        assert!(agent.set_active(false) && agent.status == AgentStatus::Inactive);
        assert!(agent.set_active(true) && agent.status == AgentStatus::Active);
        agent.status = AgentStatus::Revoked;
        assert!(!agent.set_active(true) && agent.status == AgentStatus::Revoked);
    }
}
