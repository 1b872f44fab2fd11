//! Listing and revoking grants (wire 3.5, 3.6).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user::UserToken;

/// `POST /sdk/grants/list`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListGrants {
    /// 1-1000.
    #[serde(default = "hundred")]
    pub limit: u32,
    /// Skip so many.
    #[serde(default)]
    pub offset: u32,
    /// Provider id.
    #[serde(default)]
    pub provider_id: Option<String>,
    /// `active` or `revoked`; another finds nothing.
    #[serde(default)]
    pub status: Option<String>,
    /// `account_identifier`, exactly.
    #[serde(default)]
    pub account: Option<String>,
    /// `label`, exactly.
    #[serde(default)]
    pub label: Option<String>,
    /// The user whose grants are wanted; without it, all of the app's (an agent: all that was delegated to it).
    #[serde(default)]
    pub user_token: Option<UserToken>,
}

fn hundred() -> u32 {
    100
}

/// 200 of `POST /sdk/grants/list`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedGrants {
    /// Newest first.
    pub grants: Vec<GrantItem>,
    /// How many there are in all.
    pub total: u64,
    /// As asked.
    pub limit: u32,
    /// As asked.
    pub offset: u32,
    /// There are more after these.
    pub has_more: bool,
}

/// A grant in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantItem {
    /// `oauth`.
    pub grant_kind: &'static str,
    /// Which grant.
    pub grant_id: String,
    /// Provider id.
    pub provider_id: String,
    /// `active` or `revoked`.
    pub status: &'static str,
    /// RFC 3339.
    pub created_at: String,
    /// `user`, or `system` for the app's own.
    pub principal_type: &'static str,
    /// `ownership`; to an agent `oauth_delegation`.
    pub access_via: &'static str,
    /// Granted; to an agent, those that it may use.
    pub scopes: Vec<String>,
    /// Agents with a live delegation. To an agent: itself alone.
    pub delegated_agent_ids: Vec<String>,
    /// The user granted less than was asked.
    pub scope_mismatch: bool,
    /// The access token has run out, and refresh is not built: the user has to connect again.
    pub needs_reconnect: bool,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// A name to show.
    pub account_display_name: Option<String>,
    /// `https://HOST` of the provider's first API host.
    pub api_base_url: Option<String>,
    /// RFC 3339: when the access token ends; null = the provider did not say.
    pub expires_at: Option<String>,
    /// Always null: grants with an end are not built yet.
    pub grant_expires_at: Option<String>,
    /// RFC 3339, to the minute.
    pub last_used_at: Option<String>,
    /// RFC 3339; to an agent.
    pub delegated_at: Option<String>,
    /// What the app calls it.
    pub label: Option<String>,
    /// Always null.
    pub credential_id: Option<String>,
    /// Always null: onward delegation is not built yet.
    pub parent_grant_id: Option<String>,
    /// Always null: grant policies are not built yet.
    pub grant_policy: Option<serde_json::Value>,
    /// Always 0.
    pub depth: u32,
    /// Always false.
    pub delegable: bool,
    /// Always null.
    pub scope_constraint: Option<Vec<String>>,
    /// `L0` to `L3`: how well the session was bound that made it.
    pub binding: &'static str,
    /// RFC 3339: when it was revoked.
    pub revoked_at: Option<String>,
    /// What became of it at the provider: `pending`, `confirmed`, `given_up`, `shared` or `not_offered`.
    pub revocation: Option<&'static str>,
}

/// `POST /sdk/oauth/grants/{grant_id}/revoke`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeGrantBody {
    /// Why; kept with the grant and in the audit. At most 512 characters.
    pub reason: Option<String>,
    /// When it comes, the grant must be this user's.
    pub user_token: Option<UserToken>,
}

/// 200 of `POST /sdk/oauth/grants/{grant_id}/revoke`.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedGrantAnswer {
    /// True.
    pub success: bool,
    /// A sentence, also on what became of it at the provider.
    pub message: String,
    /// Which grant.
    pub grant_id: String,
    /// RFC 3339: the first time.
    pub revoked_at: String,
    /// `pending`, `confirmed`, `given_up`, `shared` or `not_offered`.
    pub revocation: &'static str,
}
