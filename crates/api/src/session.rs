//! Minting and polling (wire 3.1, 3.2). What carries a token has no `Debug`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `POST /sdk/oauth/connect/session`.
///
/// The fields from `metadata` on are not built yet: null passes, anything else is refused by name (S11).
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CreateSession {
    /// Provider ids; null = all that are configured. Lower-cased, trimmed, de-duplicated, unknown ones dropped.
    pub allowed_providers: Option<Vec<String>>,
    /// Where a redirect would return: https, registered on the app.
    pub return_url: Option<String>,
    /// The one origin that may read the result: scheme and host only.
    pub allowed_origin: Option<String>,
    /// Not built yet.
    pub metadata: Option<Value>,
    /// Not built yet.
    pub direct: Option<Value>,
    /// Not built yet.
    pub switch_account: Option<Value>,
    /// Not built yet.
    pub allow_user_policy_rules: Option<Value>,
    /// Not built yet.
    pub grant_policy: Option<Value>,
    /// Not built yet.
    pub required_scopes: Option<Value>,
    /// Not built yet.
    pub requested_grant: Option<Value>,
    /// Not built yet.
    pub repair_grant_id: Option<Value>,
    /// Not built yet.
    pub agent: Option<Value>,
    /// Not built yet.
    pub delegable: Option<Value>,
    /// Not built yet.
    pub scope_constraint: Option<Value>,
    /// Not built yet.
    pub user_token: Option<Value>,
}

impl CreateSession {
    /// The first field that arrived with a value and is not built.
    pub fn unsupported(&self) -> Option<&'static str> {
        [
            ("metadata", &self.metadata),
            ("direct", &self.direct),
            ("switch_account", &self.switch_account),
            ("allow_user_policy_rules", &self.allow_user_policy_rules),
            ("grant_policy", &self.grant_policy),
            ("required_scopes", &self.required_scopes),
            ("requested_grant", &self.requested_grant),
            ("repair_grant_id", &self.repair_grant_id),
            ("agent", &self.agent),
            ("delegable", &self.delegable),
            ("scope_constraint", &self.scope_constraint),
            ("user_token", &self.user_token),
        ]
        .into_iter()
        .find_map(|(name, value)| value.as_ref().map(|_| name))
    }
}

/// 201 of `POST /sdk/oauth/connect/session`.
#[derive(Serialize, ToSchema)]
pub struct CreatedSession {
    /// For the browser. Shown once.
    pub session_token: String,
    /// `{public_url}/sdk/oauth/connect#session={token}`; the browser SDK takes it in place of the token.
    pub connect_url: String,
    /// Seconds.
    pub expires_in: u32,
    /// RFC 3339.
    pub expires_at: String,
    /// One provider: no picker.
    pub single_provider: bool,
}

/// `POST /sdk/oauth/connect/session/poll`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollSession {
    /// The token that was minted.
    pub session_token: String,
}

impl std::fmt::Debug for PollSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollSession").finish_non_exhaustive()
    }
}

/// 200 of the poll.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolledSession {
    /// `pending`, `completed`, `error` or `expired`.
    pub status: &'static str,
    /// With `pending`: what the user refused so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declined_providers: Option<Vec<DeclinedProvider>>,
    /// With `completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<PolledGrant>>,
    /// With `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<PollFailure>,
}

/// A provider that the user refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeclinedProvider {
    /// Provider id.
    pub provider_id: String,
    /// `connect_denied`.
    pub error_code: &'static str,
    /// RFC 3339.
    pub declined_at: String,
}

/// A grant made in the session.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolledGrant {
    /// Store this.
    pub grant_id: String,
    /// Provider id.
    pub provider_id: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// Granted.
    pub scopes: Vec<String>,
    /// `creation` or `reauth`.
    pub operation: &'static str,
}

/// Why a session ended without a grant.
#[derive(Debug, Serialize, ToSchema)]
pub struct PollFailure {
    /// `connect_denied`, `connect_flow_error`, `invalid_client`, `invalid_redirect_uri`,
    /// `provider_configuration_unavailable` or `service_unavailable`.
    pub error_code: &'static str,
    /// A sentence.
    pub error_message: String,
}
