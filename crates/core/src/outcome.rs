//! What comes of a session, as apps are told: connections made, providers refused, events. Data alone; when each comes
//! about is a rule of `session`.

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
    /// When.
    pub at: Micros,
    /// Made or made again.
    pub operation: Operation,
    /// Granted.
    pub scopes: Vec<String>,
    /// Asked for and not granted; then the status is `error` (T27).
    pub missing_scopes: Vec<String>,
    /// Granted without being asked for (T27).
    pub extra_scopes: Vec<String>,
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
    /// Which of the brief's names.
    pub name: EventName,
    /// Provider id.
    pub provider: Option<String>,
    /// When.
    pub at: Micros,
}

/// The events that the server knows of (OPEN and EXIT are the SDK's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventName {
    /// On select, or at the claim when only one is offered.
    ProviderSelected,
    /// On approve.
    OauthStarted,
    /// At the end of the exchange.
    OauthComplete,
}
