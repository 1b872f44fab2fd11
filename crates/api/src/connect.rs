//! What the browser speaks: the status channel of the SDK and the API of our own pages (protocol 2, 3, 5).

use alter_core::{Connection as Made, Operation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The brief's `Connection`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Connection {
    /// Store this.
    pub grant_id: String,
    /// Provider id.
    pub provider: String,
    /// Its name.
    pub provider_name: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// RFC 3339.
    pub timestamp: String,
    /// `creation` or `reauth`.
    pub operation: &'static str,
    /// Granted.
    pub scopes: Vec<String>,
    /// `active`; `error` when a scope that was asked for is missing.
    pub status: &'static str,
    /// `missing_scopes`, `extra_scopes` where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
}

/// The word for an operation.
pub fn operation_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Creation => "creation",
        Operation::Reauth => "reauth",
    }
}

impl From<&Made> for Connection {
    fn from(made: &Made) -> Self {
        let mut metadata = serde_json::Map::new();
        for (name, scopes) in [("missing_scopes", &made.missing_scopes), ("extra_scopes", &made.extra_scopes)]
        {
            if !scopes.is_empty() {
                metadata.insert(name.into(), json!(scopes));
            }
        }
        Self {
            grant_id: made.grant_id.to_string(),
            provider: made.provider.clone(),
            provider_name: made.provider_name.clone(),
            account_identifier: made.account_identifier.clone(),
            timestamp: made.at.to_rfc3339(),
            operation: operation_word(made.operation),
            scopes: made.scopes.clone(),
            status: if made.missing_scopes.is_empty() { "active" } else { "error" },
            metadata: (!metadata.is_empty()).then_some(Value::Object(metadata)),
        }
    }
}

/// `POST /connect/status`, body `text/plain` so that no preflight is needed.
#[derive(Deserialize, ToSchema)]
pub struct StatusRequest {
    /// The session's token.
    pub session_token: String,
    /// The SDK's flow id: a session that another flow or browser has is not this one's. Absent = not compared.
    #[serde(default)]
    pub cb: Option<String>,
    /// Events that the SDK has.
    #[serde(default)]
    pub cursor: usize,
    /// What it sees of the popup; absent = nothing new.
    #[serde(default)]
    pub closed: Option<bool>,
    /// The app gave up.
    #[serde(default)]
    pub cancel: bool,
    /// Seconds to wait for news. Long polling is not built yet: answered at once.
    #[serde(default)]
    pub wait: Option<u32>,
}

/// 200 of the status channel.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// `open`, `completed`, `failed` or `exited`.
    pub status: &'static str,
    /// Events so far.
    pub cursor: usize,
    /// RFC 3339: the flow ends by then.
    pub deadline: String,
    /// Events after the request's cursor.
    pub events: Vec<StatusEvent>,
    /// With `completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Vec<Connection>>,
    /// With `failed`: an AlterError.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// With `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// With `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

/// One of the brief's events.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusEvent {
    /// `PROVIDER_SELECTED`, `OAUTH_STARTED` or `OAUTH_COMPLETE`.
    #[schema(value_type = String)]
    pub name: alter_core::EventName,
    /// `timestamp`, and `provider` where known.
    pub metadata: Value,
}

/// `POST /connect/api/peek`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeekRequest {
    /// The session's token.
    pub token: String,
}

/// 200 of the peek.
#[derive(Debug, Serialize)]
pub struct PeekAnswer {
    /// Whom the page may talk to.
    pub allowed_origin: String,
    /// The app's name.
    pub app_name: String,
}

/// `POST /connect/api/claim`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// The session's token.
    pub token: String,
    /// The SDK's flow id (door B).
    #[serde(default)]
    pub cb: Option<String>,
    /// What the opener disclosed (door B).
    #[serde(default)]
    pub v: Option<String>,
    /// `p` popup or `r` redirect.
    #[serde(default)]
    pub m: Option<String>,
    /// What the page saw (door C).
    #[serde(default)]
    pub marks: Option<ClaimMarks>,
}

/// The marks of the published client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimMarks {
    /// `window.opener` is there.
    pub opener: bool,
    /// `window.name`.
    pub name: String,
    /// `document.referrer`.
    pub referrer: String,
    /// `Sec-Fetch-Site` of the page's own request, as it was rendered into the page.
    pub site: String,
}

/// `POST /connect/api/s/{sid}/select` and `/approve`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderStep {
    /// Provider id.
    pub provider: String,
}

/// `POST /connect/api/s/{sid}/seen` and `/bye`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageSign {
    /// The page's instance number.
    pub instance: u64,
}

/// `POST /connect/api/s/{sid}/back`, `/cancel`, `/finish`, `/state`: an empty object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Where the page goes next.
#[derive(Serialize)]
pub struct Location {
    /// A path of ours, or the provider's authorization URL.
    pub location: String,
}

/// 200 of `/state`.
#[derive(Debug, Serialize)]
pub struct PageState {
    /// The name of the page that the session is at.
    pub page: &'static str,
}
