//! How requests to a provider are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Client authentication at the token endpoint (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// `Authorization: Basic`, both parts form-encoded first.
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Post,
    /// A public client: only `client_id`.
    None,
}

/// How a request body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// One JSON object of strings.
    Json,
}

/// Names that a provider has for parameters of ours, where they are not the standard's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    /// In every request. Default `client_id`.
    pub client_id: String,
    /// In token requests and revocations. Default `client_secret`.
    pub client_secret: String,
    /// In token requests. Default `code`.
    pub code: String,
}

impl Default for Names {
    fn default() -> Self {
        Self { client_id: "client_id".into(), client_secret: "client_secret".into(), code: "code".into() }
    }
}

impl Names {
    /// Whether all names are the standard's.
    pub fn is_standard(&self) -> bool {
        *self == Self::default()
    }
}

/// Headers with our client's id in place of `{client_id}`.
pub fn with_client_id(headers: &BTreeMap<String, String>, client_id: &str) -> BTreeMap<String, String> {
    headers.iter().map(|(name, value)| (name.clone(), value.replace("{client_id}", client_id))).collect()
}

/// The request for `userinfo_url`. The token goes where [`ApiAuth`] says, or into the body, never into the URL (T86).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserinfoRequest {
    /// Default `get`.
    pub method: UserinfoMethod,
    /// Additional headers, with names in lower case (`notion-version`); not those that our HTTP client sets itself.
    pub headers: BTreeMap<String, String>,
    /// The body of a POST, JSON, as it is sent (a GraphQL query). Without it a POST has no body and no content type.
    pub body: Option<String>,
    /// The fields in which introspection sends the token. Empty: `token`, as RFC 7662 section 2.1 has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_fields: Vec<String>,
}

/// How userinfo is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserinfoMethod {
    /// The usual method.
    #[default]
    Get,
    /// For providers whose whole API is POST.
    Post,
    /// Introspection (RFC 7662), for providers that tell only the client who connected: our client authenticates as at the
    /// token endpoint, and the token is in the body.
    Introspect,
}

/// The header that carries an access token to the provider's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiAuth {
    /// Default `Authorization`.
    pub header: String,
    /// Its value, `{token}` once. Default `Bearer {token}`.
    pub format: String,
}

impl Default for ApiAuth {
    fn default() -> Self {
        Self { header: "Authorization".into(), format: "Bearer {token}".into() }
    }
}
