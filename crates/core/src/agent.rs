//! An app's agent: it has its own keys, and may use only what users delegated to it.
//!
//! `active <-> inactive -> revoked`, `active -> revoked`. Every change is a compare-and-set on `version`. Revoking an
//! agent revokes its keys and its delegations in the same commit, and there is no way back.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AgentId, ApiKey, AppId, AuditEntry, CallNonce, Hash, KeyId, Micros, Saved, StoreError, recipe::ScopeNames,
};

/// How many keys one agent may have, not counting revoked ones.
pub const AGENT_KEYS_MAX: u32 = 10;

/// An agent as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Random; never given to another agent.
    pub id: AgentId,
    /// The app that made it.
    pub app_id: AppId,
    /// Unique among the app's agents that are not revoked.
    pub name: String,
    /// Whether its keys work.
    pub status: AgentStatus,
    /// Everything that no query needs.
    pub data: AgentData,
    /// Counts the saves, from 1; each change is a compare-and-set on it.
    pub version: u64,
    /// When it was made.
    pub created_at: Micros,
    /// When it was last changed.
    pub updated_at: Micros,
}

/// The part of an agent that storage keeps as one document. Rows that older versions wrote must stay readable, so a new
/// field needs `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentData {
    /// `agent` or `service`, as the app said.
    pub kind: AgentKind,
    /// Shown to people in place of the name.
    #[serde(default)]
    pub display_name: Option<String>,
    /// By provider id, the most scopes that the agent may use. `None` = all that were delegated; empty = none.
    #[serde(default)]
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// The app's own notes; this server does not read them.
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

/// Why an agent can do nothing now. Every story that lets an agent act, or acts for one, asks [`AgentStatus::stop`]: a
/// suspended agent gets no more than a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStop {
    /// It is [`AgentStatus::Inactive`] and may come back.
    Suspended,
    /// It is [`AgentStatus::Revoked`], or there is none.
    Deleted,
}

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStatus {
    /// Its keys work.
    Active,
    /// Suspended: its keys work only for `GET /sdk/agents/me`.
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

    /// What stops an agent with this status.
    pub fn stop(self) -> Option<AgentStop> {
        match self {
            Self::Active => None,
            Self::Inactive => Some(AgentStop::Suspended),
            Self::Revoked => Some(AgentStop::Deleted),
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Inactive, Self::Revoked].into_iter().find(|s| s.as_str() == text)
    }
}

impl Agent {
    /// Returns the agent if it was found and may act.
    ///
    /// # Errors
    /// What stops it.
    pub fn active(found: Option<Self>) -> Result<Self, AgentStop> {
        let agent = found.ok_or(AgentStop::Deleted)?;
        agent.status.stop().map_or(Ok(agent), Err)
    }

    /// The name that people are shown: `display_name`, or else `name`.
    pub fn shown_name(&self) -> &str {
        self.data.display_name.as_deref().unwrap_or(&self.name)
    }

    /// Returns those of the `delegated` scopes at `provider`, which spells scopes like `names`, that the agent may use (T13).
    pub fn may_use(&self, provider: &str, names: &ScopeNames, delegated: &[String]) -> Vec<String> {
        match &self.data.scopes {
            None => delegated.to_vec(),
            Some(by_provider) => {
                let allowed = by_provider.get(provider).map(Vec::as_slice).unwrap_or_default();
                names.shared(delegated, allowed)
            }
        }
    }

    /// Suspends or resumes the agent; returns `false` when it is revoked.
    pub fn set_active(&mut self, active: bool) -> bool {
        if self.status == AgentStatus::Revoked {
            return false;
        }
        self.status = if active { AgentStatus::Active } else { AgentStatus::Inactive };
        true
    }
}

/// Marks a call that may be repeated without making a second agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// `Idempotency-Key`, as sent.
    pub key: String,
    /// SHA-256 of the request body.
    pub body_hash: Hash,
}

/// The result of [`AgentStore::create_agent`].
#[derive(Debug, Clone, PartialEq)]
pub enum AgentCreated {
    /// The agent is stored, with its first key.
    Stored,
    /// The idempotency key was used before. Content: the agent it made, and the hash of that request's body. Nothing was
    /// stored.
    Known(Box<Agent>, Hash),
    /// An agent that is not revoked has this name. Nothing was stored.
    NameTaken,
}

/// The result of [`AgentStore::revoke_agent_key`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRevoked {
    /// The key is revoked now.
    Done(Box<ApiKey>),
    /// The key was revoked before; nothing changed.
    Already(Box<ApiKey>),
    /// It is the agent's last active key, and the caller did not pass `force`.
    LastActive,
    /// The agent has no such key.
    NotFound,
}

/// The result of [`AgentStore::insert_agent_key`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAdded {
    /// The key is stored.
    Done,
    /// The agent is revoked, or has [`AGENT_KEYS_MAX`] keys that are not revoked.
    NoRoom,
}

impl KeyAdded {
    /// Whether the key is stored.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// What storage must be able to do for agents. Each command is one atomic transaction that also records the call's nonce
/// and the audit entry. Where the result says that nothing was stored, the entry was not stored either and the nonce is
/// unused. A nonce that was used before is reported before anything else (T61).
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
    /// Finds one of this app's agents by id, including revoked ones.
    async fn get_agent(&self, app: AppId, id: AgentId) -> Result<Option<Agent>, StoreError>;
    /// Finds an agent by name, among those that are not revoked.
    async fn find_agent(&self, app: AppId, name: &str) -> Result<Option<Agent>, StoreError>;
    /// Lists a page of agents by creation, and how many there are in all.
    async fn list_agents(
        &self,
        app: AppId,
        revoked_too: bool,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<Agent>, u64), StoreError>;
    /// Saves status, data and `updated_at` if the stored version is still `agent.version`, and raises it. Revokes a revoked
    /// agent's keys and delegations with it, as of `agent.updated_at`.
    async fn save_agent(
        &self,
        call: Option<CallNonce>,
        agent: &Agent,
        audit: AuditEntry,
    ) -> Result<Saved, StoreError>;
    /// Stores another key of an agent.
    async fn insert_agent_key(
        &self,
        call: Option<CallNonce>,
        key: ApiKey,
        audit: AuditEntry,
    ) -> Result<KeyAdded, StoreError>;
    /// Lists an agent's keys, newest first, including revoked ones.
    async fn list_agent_keys(&self, app: AppId, agent: AgentId) -> Result<Vec<ApiKey>, StoreError>;
    /// Revokes a key; the last active one only with `force`.
    async fn revoke_agent_key(
        &self,
        call: Option<CallNonce>,
        key: (AppId, AgentId, KeyId),
        at: Micros,
        force: bool,
        audit: AuditEntry,
    ) -> Result<KeyRevoked, StoreError>;
    /// Marks a key as deprecated (responses to its calls say so) or removes the mark. Returns `None` when the agent has no
    /// such key, or the key is revoked.
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
        let names = ScopeNames::default();
        let uses = |agent: Agent, provider| agent.may_use(provider, &names, &delegated);
        assert_eq!(uses(agent(None), "google"), delegated);
        assert_eq!(uses(agent(Some(&[])), "google"), texts(&[]));
        let limited = || agent(Some(&[("google", &["read", "delete"]), ("slack", &["send"])]));
        assert_eq!(uses(limited(), "google"), texts(&["read"]));
        assert_eq!(uses(limited(), "github"), texts(&[]));
    }

    #[test]
    fn t13_an_agents_limit_counts_in_every_spelling_of_the_provider() {
        let limited = agent(Some(&[("microsoft", &["user.read"])]));
        let delegated = texts(&["https://graph.microsoft.com/User.Read", "Mail.Read"]);
        let prefix = Some("https://graph.microsoft.com/".to_owned());
        let names = ScopeNames { prefix, ignore_case: true, ..ScopeNames::default() };
        assert_eq!(limited.may_use("microsoft", &names, &delegated), delegated[..1]);
        assert_eq!(limited.may_use("microsoft", &ScopeNames::default(), &delegated), texts(&[]));
    }

    #[test]
    fn a_revoked_agent_is_not_resumed() {
        let mut agent = agent(None);
        assert!(agent.set_active(false) && agent.status == AgentStatus::Inactive);
        assert!(agent.set_active(true) && agent.status == AgentStatus::Active);
        agent.status = AgentStatus::Revoked;
        assert!(!agent.set_active(true) && agent.status == AgentStatus::Revoked);
    }

    #[test]
    fn only_an_active_agent_may_act() {
        let of = |status| Agent::active(Some(Agent { status, ..agent(None) })).map(|agent| agent.status);
        assert_eq!(of(AgentStatus::Active), Ok(AgentStatus::Active));
        assert_eq!(of(AgentStatus::Inactive), Err(AgentStop::Suspended));
        assert_eq!(of(AgentStatus::Revoked), Err(AgentStop::Deleted));
        assert_eq!(Agent::active(None), Err(AgentStop::Deleted));
    }

    #[test]
    fn kinds_and_statuses_have_the_names_under_which_they_are_stored() {
        for (kind, name) in [(AgentKind::Agent, "agent"), (AgentKind::Service, "service")] {
            assert_eq!(kind.as_str(), name);
            assert_eq!(serde_json::from_value::<AgentKind>(name.into()).expect(name), kind);
        }
        for (status, name) in [
            (AgentStatus::Active, "active"),
            (AgentStatus::Inactive, "inactive"),
            (AgentStatus::Revoked, "revoked"),
        ] {
            assert_eq!((status.as_str(), AgentStatus::parse(name)), (name, Some(status)));
        }
        for other in ["", "Active", "deleted"] {
            assert_eq!(AgentStatus::parse(other), None, "{other}");
        }
    }

    #[test]
    fn people_are_shown_the_display_name_or_else_the_name() {
        let mut agent = agent(None);
        assert_eq!(agent.shown_name(), "mailbot");
        agent.data.display_name = Some("Mail helper".into());
        assert_eq!(agent.shown_name(), "Mail helper");
    }

    #[test]
    fn a_key_for_which_there_is_no_room_is_not_added() {
        assert!(KeyAdded::Done.is_done() && !KeyAdded::NoRoom.is_done());
    }
}
