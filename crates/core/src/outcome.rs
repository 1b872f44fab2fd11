//! The results of a session that apps are told: connections made, providers refused, events. Only the data; the rules
//! for when each happens are in `session`.

use serde::{Deserialize, Serialize};

use crate::{GrantId, Micros};

/// A connection made in this session: the brief's `Connection`, before it is written as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// The grant.
    pub grant_id: GrantId,
    /// Provider id.
    pub provider: String,
    /// Provider name.
    pub provider_name: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// Whether the provider vouches for it.
    #[serde(default)]
    pub account_verified: bool,
    /// When it was made.
    pub at: Micros,
    /// Whether the grant is new.
    pub operation: Operation,
    /// The scopes the provider granted.
    pub scopes: Vec<String>,
    /// Scopes asked for and not granted; if there are any, the status is `error` (T27).
    pub missing_scopes: Vec<String>,
    /// Scopes granted without being asked for (T27).
    pub extra_scopes: Vec<String>,
    /// Those of them that the session's agent may use only if the user says so, who has not been asked yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unanswered: Vec<String>,
}

/// Whether a connection made a grant or renewed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A new grant.
    Creation,
    /// The same account again: the grant id is kept.
    Reauth,
}

/// A provider that the user refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Provider id.
    pub provider: String,
    /// When.
    pub at: Micros,
}

/// Something the app page is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// One of the brief's event names.
    pub name: EventName,
    /// Provider id.
    pub provider: Option<String>,
    /// When.
    pub at: Micros,
}

/// The events that the server records (OPEN and EXIT come from the SDK itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventName {
    /// The user chose a provider, or claimed a session that offers only one.
    ProviderSelected,
    /// The user approved.
    OauthStarted,
    /// The exchange ended in a connection.
    OauthComplete,
}
