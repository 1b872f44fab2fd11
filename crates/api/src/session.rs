//! Minting and polling (wire 3.1, 3.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{connect::Operation, secret::Secret, user::UserToken};

/// `POST /sdk/oauth/connect/session`.
///
/// The fields from `metadata` on are not built yet: null passes, anything else is refused by name (S11).
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// Provider ids; null = all that are configured. Lower-cased, trimmed, de-duplicated, unknown ones dropped.
    pub allowed_providers: Option<Vec<String>>,
    /// Where a redirect would return to: https, registered on the app.
    pub return_url: Option<String>,
    /// The one origin that may read the result: scheme and host only.
    pub allowed_origin: Option<String>,
    /// A JWT from the app's identity provider. Its user will own the grants; without it, the app itself will.
    pub user_token: Option<UserToken>,
    /// An active agent (its id or name) that the grants will be delegated to. Needs `user_token`.
    pub agent: Option<String>,
    /// The app's wishes for the grants.
    pub requested_grant: Option<RequestedGrant>,
    /// At which customer of a provider the account is, where the provider has a host for each: by provider id, the
    /// placeholders of its recipe. What is left out, the person is asked for.
    pub connection_config: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Binding level L3 by a verifier: base64url of the SHA-256 of a text of 43 to 128 characters that the app's backend
    /// makes and keeps in the session of its own user. `code_verifier` of the finalization is that text.
    pub code_challenge: Option<String>,
    /// `S256`, with every `code_challenge`.
    pub code_challenge_method: Option<String>,
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
    pub repair_grant_id: Option<Value>,
    /// Not built yet.
    pub delegable: Option<Value>,
    /// Not built yet.
    pub scope_constraint: Option<Value>,
}

/// The app's wishes for the grants.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedGrant {
    /// 1-255 characters in one line, all of which people see; `label` on `/sdk/token` and `/sdk/grants/list` chooses by it.
    pub label: Option<String>,
    /// Not built yet.
    pub restrictions: Option<Value>,
}

impl CreateSession {
    /// Returns the first field that has a value and is not built.
    pub fn unsupported(&self) -> Option<&'static str> {
        let restrictions = self.requested_grant.as_ref().map_or(&None, |wanted| &wanted.restrictions);
        [
            ("metadata", &self.metadata),
            ("direct", &self.direct),
            ("switch_account", &self.switch_account),
            ("allow_user_policy_rules", &self.allow_user_policy_rules),
            ("grant_policy", &self.grant_policy),
            ("required_scopes", &self.required_scopes),
            ("repair_grant_id", &self.repair_grant_id),
            ("delegable", &self.delegable),
            ("scope_constraint", &self.scope_constraint),
            ("requested_grant.restrictions", restrictions),
        ]
        .into_iter()
        .find_map(|(name, value)| value.as_ref().map(|_| name))
    }
}

/// 201 of `POST /sdk/oauth/connect/session`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedSession {
    /// The token for the browser; shown only once.
    pub session_token: Secret,
    /// `{public_url}/sdk/oauth/connect#session={token}`; the browser SDK takes it in place of the token.
    pub connect_url: Secret,
    /// Seconds until the session can no longer be opened.
    pub expires_in: u32,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The session has only one provider, so there is no picker.
    pub single_provider: bool,
}

/// `POST /sdk/oauth/connect/session/finalize`: with `user_token` or `code_verifier`. All that is given must be right.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinalizeSession {
    /// `alter_result_code` of the redirect, or `metadata.result_code` of the popup.
    pub result_code: Secret,
    /// A JWT of the user who is signed in at the app now: the same (iss, sub) as that of the mint.
    pub user_token: Option<UserToken>,
    /// The text behind `code_challenge`, from the session of the user who is signed in at the app now.
    pub code_verifier: Option<Secret>,
}

/// 200 of the finalization.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FinalizedSession {
    /// `completed`.
    pub status: PollStatus,
    /// What the poll returns from now on.
    pub grants: Vec<PolledGrant>,
}

/// `POST /sdk/oauth/connect/session/poll`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollSession {
    /// The token that was minted.
    pub session_token: Secret,
}

/// 200 of the poll.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolledSession {
    /// `pending`, `completed`, `error` or `expired`.
    pub status: PollStatus,
    /// With `pending`: the providers the user has refused so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declined_providers: Option<Vec<DeclinedProvider>>,
    /// With `completed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grants: Option<Vec<PolledGrant>>,
    /// With `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<PollFailure>,
}

/// Where a polled session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PollStatus {
    /// The flow is still going on, or the app has not confirmed it (binding level L3): poll again.
    Pending,
    /// The user connected: see `grants`.
    Completed,
    /// The session ended without a grant: see `error`.
    Error,
    /// The session expired.
    Expired,
}

/// A provider that the user refused.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeclinedProvider {
    /// Provider id.
    pub provider_id: String,
    /// `connect_denied`.
    pub error_code: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub declined_at: String,
}

/// A grant made in the session.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolledGrant {
    /// Store this.
    pub grant_id: String,
    /// Provider id.
    pub provider_id: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// Whether the provider vouches for `account_identifier`. If not, anybody may have given it to the account.
    #[serde(default)]
    pub account_verified: bool,
    /// The scopes the provider granted.
    pub scopes: Vec<String>,
    /// `creation`, or `reauth`: the same account again, and the grant id is kept.
    pub operation: Operation,
    /// True: nothing can be called until the user connects again. The credential is dead, or the grant was revoked or
    /// has ended since.
    #[serde(default)]
    pub needs_reconnect: bool,
    /// The delegation to the session's agent; null = the session has no agent.
    pub delegation: Option<PolledDelegation>,
}

/// The delegation that was made with a grant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolledDelegation {
    /// The agent.
    pub agent_id: String,
    /// Always false: onward delegation is not built yet.
    pub delegable: bool,
}

/// Why a session ended without a grant.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PollFailure {
    /// `connect_denied`, `connect_flow_error`, `invalid_client`, `invalid_redirect_uri`,
    /// `provider_configuration_unavailable` or `service_unavailable`.
    pub error_code: String,
    /// A sentence for people.
    pub error_message: String,
}
