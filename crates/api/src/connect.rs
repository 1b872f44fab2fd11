//! The API for browsers: the SDK's status channel, and the API of our own pages (protocol 2, 3, 5).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::secret::Secret;

/// The brief's `Connection`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// Store this. Empty while the connection is `pending`.
    pub grant_id: String,
    /// Provider id.
    pub provider: String,
    /// Its name.
    pub provider_name: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// `creation`, or `reauth`: the same account again, and the grant id is kept.
    pub operation: Operation,
    /// The scopes the provider granted.
    pub scopes: Vec<String>,
    /// `active`; `error` when a scope that was asked for is missing, or the user must connect again; `pending` while the app's
    /// backend has not confirmed (binding level L3).
    pub status: ConnectionStatus,
    /// `missing_scopes`, `extra_scopes` where there are any; `result_code` while the connection is `pending`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ConnectionMetadata>,
}

/// Whether a grant was made or renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A new grant.
    Creation,
    /// The same account again: the grant id is kept.
    Reauth,
}

/// Whether a connection has all scopes, and its grant is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionStatus {
    /// All scopes that were asked for were granted.
    Active,
    /// A scope that was asked for is missing, or the user must connect again.
    Error,
    /// The app's backend has to confirm: there is no grant yet.
    Pending,
}

/// What a connection's status comes from: where the granted scopes differ from those asked for, or the code that confirms.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ConnectionMetadata {
    /// Granted without being asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_scopes: Vec<String>,
    /// Asked for and not granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_scopes: Vec<String>,
    /// From `POST /connect/result` alone: for `POST /sdk/oauth/connect/session/finalize`, for five minutes. All pending
    /// connections of a session have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_code: Option<Secret>,
}

/// `POST /connect/status`, body `text/plain` so that no preflight is needed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatusRequest {
    /// The session's token.
    pub session_token: Secret,
    /// The SDK's flow id. Once a page has opened the session with a flow id, only that one learns anything and ends
    /// anything; absent counts as another one.
    #[serde(default)]
    pub cb: Option<String>,
    /// How many events the SDK has already.
    #[serde(default)]
    pub cursor: usize,
    /// Whether the SDK sees the popup as closed; absent = nothing new.
    #[serde(default)]
    pub closed: Option<bool>,
    /// The app has given up.
    #[serde(default)]
    pub cancel: bool,
    /// Seconds to wait for news; more than 25 count as 25. Absent or 0 = answered immediately. A server that is stopping, or
    /// for which too many wait, answers immediately too.
    #[serde(default)]
    pub wait: Option<u32>,
}

/// 200 of the status channel.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatusAnswer {
    /// `open`, `pending`, `completed`, `failed` or `exited`.
    pub status: FlowStatus,
    /// How many events there are so far.
    pub cursor: usize,
    /// RFC 3339: the flow ends by then.
    #[schema(format = DateTime)]
    pub deadline: String,
    /// Events after the request's cursor.
    pub events: Vec<StatusEvent>,
    /// With `completed`, and from `POST /connect/result` with `pending`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Vec<Connection>>,
    /// With `failed`: an AlterError.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// With `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// With `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// `POST /connect/result`, body `text/plain` so that no preflight is needed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ResultRequest {
    /// `alter_result_code`, as it came with the way back.
    #[serde(default)]
    pub result_code: Option<Secret>,
    /// `alter_sid`, where there is no code. It tells failures alone.
    #[serde(default)]
    pub sid: Option<String>,
    /// The session's token, where neither is: the page of a popup at binding level L3.
    #[serde(default)]
    pub session_token: Option<Secret>,
    /// What the page that started the flow kept: `cb` is its hash.
    #[serde(default)]
    pub v: Option<Secret>,
}

/// Where a flow stands, as the app page is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowStatus {
    /// The flow is still going on.
    Open,
    /// The user is done, and the app's backend has to confirm: `POST /sdk/oauth/connect/session/finalize`.
    Pending,
    /// The user connected: see `connections`.
    Completed,
    /// The flow ended without a connection: see `error`, `message`, `details`.
    Failed,
    /// The user or the app left.
    Exited,
}

/// One of the brief's events.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StatusEvent {
    /// `PROVIDER_SELECTED`, `OAUTH_STARTED` or `OAUTH_COMPLETE`.
    pub name: EventName,
    /// `timestamp`, and `provider` where known.
    pub metadata: EventMetadata,
}

/// The events that the server records (OPEN and EXIT come from the SDK itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventName {
    /// The user chose a provider, or opened a session that offers only one.
    ProviderSelected,
    /// The user approved.
    OauthStarted,
    /// The exchange ended in a connection.
    OauthComplete,
}

/// When an event happened, and with which provider.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventMetadata {
    /// Provider id, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub timestamp: String,
}

/// `POST /connect/api/peek`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeekRequest {
    /// The session's token.
    pub token: Secret,
}

/// 200 of the peek.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeekAnswer {
    /// The only origin that the page may exchange messages with.
    pub allowed_origin: Option<String>,
    /// The app's name.
    pub app_name: String,
}

/// `POST /connect/api/claim`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The session's token.
    pub token: Secret,
    /// The SDK's flow id (door B).
    #[serde(default)]
    pub cb: Option<String>,
    /// What the opener disclosed (door B).
    #[serde(default)]
    pub v: Option<Secret>,
    /// `p` popup or `r` redirect.
    #[serde(default)]
    pub m: Option<String>,
    /// What the page saw (door C).
    #[serde(default)]
    pub marks: Option<ClaimMarks>,
}

/// The marks of the published client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimMarks {
    /// `window.opener` exists.
    pub opener: bool,
    /// `window.name`.
    pub name: String,
    /// `document.referrer`.
    pub referrer: String,
    /// `Sec-Fetch-Site` of the page's own request, as it was rendered into the page.
    pub site: String,
    /// `history.length`; absent = a page of an older version.
    #[serde(default)]
    pub history: Option<u32>,
}

/// `POST /connect/api/s/{sid}/approve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Provider id.
    pub provider: String,
    /// What the consent page carries as `data-shown`. Absent = what the session's newest consent page showed.
    #[serde(default)]
    pub shown: Option<String>,
}

/// `POST /connect/api/s/{sid}/select`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderStep {
    /// Provider id.
    pub provider: String,
}

/// `POST /connect/api/s/{sid}/seen` and `/bye`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageSign {
    /// The page's instance number.
    pub instance: u64,
}

/// `POST /connect/api/s/{sid}/back`, `/cancel`, `/finish`, `/state`: an empty object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Where the page goes next. The address may carry a one-time marker or a state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Location {
    /// One of our paths, or the provider's authorization URL.
    pub location: Secret,
}

/// 200 of `/state`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PageState {
    /// The name of the page that the session is at.
    pub page: String,
}
