//! Releasing an access token (wire 3.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{grant::ProviderFact, secret::Secret, user::UserToken};

/// `POST /sdk/token`: by `grant_id`, or by `provider_id` with `user_token`, `account` and `label` to choose.
///
/// `app_user_id` is not built yet: null passes, anything else is refused by name (S11).
// No Debug: a URL may carry a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrieveToken {
    /// The grant's id.
    #[serde(default)]
    pub grant_id: Option<String>,
    /// Or: the only active grant at this provider that fits. Without `user_token`, among the app's own grants (for an agent:
    /// among all grants delegated to it).
    #[serde(default)]
    pub provider_id: Option<String>,
    /// The grant's owner, as a JWT from the app's identity provider.
    #[serde(default)]
    pub user_token: Option<UserToken>,
    /// With `provider_id`: `account_id` or, if no grant has it, `account_identifier`; compared byte by byte. Among the grants
    /// of more than one user (no `user_token`), an identifier counts only where it is verified.
    #[serde(default)]
    pub account: Option<String>,
    /// With `provider_id`: `label`, compared byte by byte.
    #[serde(default)]
    pub label: Option<String>,
    /// The reason; kept in the audit. At most 512 characters.
    #[serde(default)]
    pub reason: Option<String>,
    /// The request that will carry the token.
    #[serde(default)]
    pub request: Option<WantedFor>,
    /// Not built yet.
    #[serde(default)]
    pub app_user_id: Option<Value>,
}

/// The request that will carry a token.
// No Debug: a URL may carry a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedFor {
    /// HTTP method.
    pub method: String,
    /// The URL, which must be on one of the provider's API hosts.
    pub url: String,
}

/// 200 of `POST /sdk/token`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RetrievedToken {
    /// The provider's access token.
    pub access_token: Secret,
    /// As the provider wrote it; `Bearer` when the provider sent none.
    pub token_type: String,
    /// Seconds until the token expires; null = the provider did not say.
    pub expires_in: Option<i64>,
    /// RFC 3339; null = the provider did not say.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// The grant's id.
    pub grant_id: String,
    /// Provider id.
    pub provider_id: String,
    /// Which of the grant's tokens this is, for reports about its use.
    pub token_generation: String,
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// The user granted less than was asked.
    pub scope_mismatch: bool,
    /// The header in which the provider's API expects the token.
    pub injection_header: String,
    /// The header's value, with `{token}` for the token.
    pub injection_format: String,
    /// The values of `additional_injections`; null = there are none.
    pub additional_credentials: Option<BTreeMap<String, String>>,
    /// Further headers that the provider's API expects (`Client-Id`).
    pub additional_injections: Vec<Injection>,
    /// What the provider said beside the token (`instance_url`), by the names of its recipe.
    pub provider_metadata: BTreeMap<String, ProviderFact>,
}

/// A further header of the call.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Injection {
    /// Where it goes: always `header`.
    pub target: String,
    /// The header's name.
    pub key: String,
    /// `additional_credentials.NAME`.
    pub value_source: String,
}
