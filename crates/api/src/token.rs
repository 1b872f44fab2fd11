//! Releasing an access token (wire 3.3).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `POST /sdk/token`.
///
/// The fields from `provider_id` on are not built yet: null passes, anything else is refused by name (S11).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrieveToken {
    /// Which grant.
    #[serde(default)]
    pub grant_id: Option<String>,
    /// Why; kept in the audit. At most 512 characters.
    #[serde(default)]
    pub reason: Option<String>,
    /// The request that the token is wanted for.
    #[serde(default)]
    pub request: Option<WantedFor>,
    /// Not built yet.
    #[serde(default)]
    pub provider_id: Option<Value>,
    /// Not built yet.
    #[serde(default)]
    pub user_token: Option<Value>,
    /// Not built yet.
    #[serde(default)]
    pub app_user_id: Option<Value>,
    /// Not built yet.
    #[serde(default)]
    pub account: Option<Value>,
    /// Not built yet.
    #[serde(default)]
    pub label: Option<Value>,
}

impl RetrieveToken {
    /// The first field that arrived with a value and is not built.
    pub fn unsupported(&self) -> Option<&'static str> {
        [
            ("provider_id", &self.provider_id),
            ("user_token", &self.user_token),
            ("app_user_id", &self.app_user_id),
            ("account", &self.account),
            ("label", &self.label),
        ]
        .into_iter()
        .find_map(|(name, value)| value.as_ref().map(|_| name))
    }
}

/// The request that a token is wanted for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedFor {
    /// HTTP method.
    pub method: String,
    /// Its URL: must be on one of the provider's API hosts.
    pub url: String,
}

/// 200 of `POST /sdk/token`.
#[derive(Serialize, ToSchema)]
pub struct RetrievedToken {
    /// The secret.
    pub access_token: String,
    /// As the provider wrote it; `Bearer` when it wrote none.
    pub token_type: String,
    /// Seconds; null = the provider did not say.
    pub expires_in: Option<i64>,
    /// RFC 3339; null = the provider did not say.
    pub expires_at: Option<String>,
    /// Which grant.
    pub grant_id: String,
    /// Provider id.
    pub provider_id: String,
    /// Granted.
    pub scopes: Vec<String>,
    /// The user granted less than was asked.
    pub scope_mismatch: bool,
    /// Which header carries it.
    pub injection_header: &'static str,
    /// How.
    pub injection_format: &'static str,
}

impl std::fmt::Debug for RetrievedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RetrievedToken").field("grant_id", &self.grant_id).finish_non_exhaustive()
    }
}
