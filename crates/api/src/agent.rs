//! Agents and their keys (wire 3.12).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::secret::Secret;

/// `POST /sdk/agents`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAgent {
    /// Unique among the app's agents that are not deleted; 1-80 characters in one line, all of which people see; no UUID.
    pub name: String,
    /// `agent` or `service`.
    #[serde(rename = "type", default)]
    pub kind: AgentType,
    /// By provider id, the most scopes that the agent may use; null = all that are delegated, `{}` = none.
    #[serde(default)]
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// The app's own notes; at most 8,192 bytes.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
    /// Shown to people in place of the name.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Not built yet: empty passes.
    #[serde(default)]
    pub policy: Option<Map<String, Value>>,
}

/// `PATCH /sdk/agents/{id}`. Fields that are left out stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeAgent {
    /// `active` or `inactive`.
    pub status: Option<String>,
    /// Null removes it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub display_name: Option<Option<String>>,
    /// Needs `expected_version` in the query.
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// Replaces the stored notes.
    pub metadata: Option<Map<String, Value>>,
    /// Not built yet: empty passes.
    pub policy: Option<Map<String, Value>>,
}

/// Tells null from absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What the app says it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentType {
    /// A model that acts for people.
    #[default]
    Agent,
    /// A program.
    Service,
}

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AgentStatus {
    /// Its keys work.
    Active,
    /// Suspended: its keys are refused until it is resumed.
    Inactive,
    /// Deleted: it does not come back.
    Revoked,
}

/// An agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgentInfo {
    /// UUID.
    pub id: String,
    /// Unique among the app's agents that are not deleted.
    pub name: String,
    /// `agent` or `service`.
    #[serde(rename = "type")]
    pub kind: AgentType,
    /// `active`, `inactive` (suspended) or `revoked` (deleted).
    pub status: AgentStatus,
    /// Counts the changes, from 1.
    pub version: u64,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// Shown to people in place of the name.
    pub display_name: Option<String>,
    /// By provider id, the most scopes that the agent may use; absent = all that are delegated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// Always empty: policies are not built yet.
    pub policy: Map<String, Value>,
    /// The app's own notes.
    pub metadata: Map<String, Value>,
    /// Always null: agents of agents are not built yet.
    pub parent_agent_id: Option<String>,
}

/// 201 of `POST /sdk/agents`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedAgent {
    /// The agent.
    #[serde(flatten)]
    pub agent: AgentInfo,
    /// Shown once; null when the call was repeated with the same `Idempotency-Key`.
    pub api_key: Option<Secret>,
    /// The key's id.
    pub key_id: String,
}

/// A page of agents.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ListedAgents {
    /// By creation.
    pub items: Vec<AgentInfo>,
    /// How many there are in all.
    pub total: u64,
    /// The request's `limit`.
    pub limit: u32,
    /// The request's `offset`.
    pub offset: u32,
    /// There are more after these.
    pub has_more: bool,
}

/// A key of an agent, without the key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgentKey {
    /// Its id.
    pub key_id: String,
    /// The key's first characters, enough to recognise it.
    pub key_prefix: String,
    /// `first` or `further`.
    pub name: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub deprecated_at: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
}

/// 201 of `POST /sdk/agents/{id}/keys`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedAgentKey {
    /// The key, as listed.
    #[serde(flatten)]
    pub key: AgentKey,
    /// The key itself: shown once.
    pub api_key: Secret,
}

/// The keys of an agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ListedAgentKeys {
    /// Oldest first, as published clients document it; including revoked ones.
    pub items: Vec<AgentKey>,
}

/// An empty JSON object.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}
