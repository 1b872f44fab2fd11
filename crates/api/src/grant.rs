//! Listing and revoking grants (wire 3.5, 3.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user::UserToken;

/// `POST /sdk/grants/list`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListGrants {
    /// 1-1000.
    #[serde(default = "hundred")]
    pub limit: u32,
    /// How many grants to skip.
    #[serde(default)]
    pub offset: u32,
    /// Provider id.
    #[serde(default)]
    pub provider_id: Option<String>,
    /// `active` or `revoked`; any other value finds nothing.
    #[serde(default)]
    pub status: Option<String>,
    /// `account_id` or, if no grant has it, `account_identifier`; compared byte by byte. `account_verified` of a grant says
    /// whether its name can be believed.
    #[serde(default)]
    pub account: Option<String>,
    /// `label`, compared byte by byte.
    #[serde(default)]
    pub label: Option<String>,
    /// Only this user's grants; without it, all of the app's (for an agent: all that were delegated to it).
    #[serde(default)]
    pub user_token: Option<UserToken>,
}

fn hundred() -> u32 {
    100
}

/// 200 of `POST /sdk/grants/list`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ListedGrants {
    /// Newest first.
    pub grants: Vec<GrantItem>,
    /// How many there are in all.
    pub total: u64,
    /// The request's `limit`.
    pub limit: u32,
    /// The request's `offset`.
    pub offset: u32,
    /// There are more after these.
    pub has_more: bool,
}

/// What a grant consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantKind {
    /// Tokens of an OAuth provider.
    Oauth,
}

/// Where a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantStatus {
    /// Its tokens can be released.
    Active,
    /// It came to its own end: `grant_expires_at`.
    Expired,
    /// It was ended and does not come back.
    Revoked,
}

/// The owner of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalType {
    /// One of the app's users.
    User,
    /// The app itself.
    System,
}

/// By which right the caller sees a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessVia {
    /// The grant belongs to the calling app.
    Ownership,
    /// The grant was delegated to the calling agent.
    OauthDelegation,
}

/// How well the session that made a grant was bound to its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum BindingLevel {
    /// By a link: anyone who had it could open the session.
    L0,
    /// By what the page saw about its opener.
    L1,
    /// By the browser's own `Origin` header, or a handshake with the app's page.
    L2,
    /// By the app's backend.
    L3,
}

/// What became of a revoked grant at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevocationOutcome {
    /// Not confirmed yet; the provider is asked again for a day.
    Pending,
    /// The provider has confirmed it.
    Confirmed,
    /// The provider did not confirm within a day.
    GivenUp,
    /// The provider was not asked: it would end other active grants of the account.
    Shared,
    /// The provider offers no revocation.
    NotOffered,
}

/// What a provider said of an account's place.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProviderFact {
    /// As the provider wrote it.
    pub value: String,
    /// It came from the provider itself. Otherwise a browser brought it, and whoever sat there may have written it.
    pub verified: bool,
}

/// A grant in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantItem {
    /// `oauth`.
    pub grant_kind: GrantKind,
    /// The grant's id.
    pub grant_id: String,
    /// Provider id.
    pub provider_id: String,
    /// `active` or `revoked`.
    pub status: GrantStatus,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// `user`, or `system` for the app's own.
    pub principal_type: PrincipalType,
    /// `ownership`; for an agent `oauth_delegation`.
    pub access_via: AccessVia,
    /// The granted scopes; for an agent, those that it may use.
    pub scopes: Vec<String>,
    /// Agents with a live delegation; for an agent, only itself.
    pub delegated_agent_ids: Vec<String>,
    /// The user granted less than was asked.
    pub scope_mismatch: bool,
    /// Tokens can no longer be refreshed: the user has to connect again.
    pub needs_reconnect: bool,
    /// The provider's stable id of the account.
    pub account_id: String,
    /// What the user knows the account by.
    pub account_identifier: String,
    /// Whether the provider vouches for `account_identifier`. If not, anybody may have given it to the account.
    pub account_verified: bool,
    /// A name to show.
    pub account_display_name: Option<String>,
    /// `https://HOST` of the provider's first API host.
    pub api_base_url: Option<String>,
    /// RFC 3339: when the access token expires; null = the provider did not say.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Always null: grants with an end are not built yet.
    pub grant_expires_at: Option<String>,
    /// RFC 3339, to the minute.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// RFC 3339; to an agent.
    #[schema(format = DateTime)]
    pub delegated_at: Option<String>,
    /// The app's label for it.
    pub label: Option<String>,
    /// What the provider said beside the token (`instance_url`), by the names of its recipe.
    pub provider_metadata: BTreeMap<String, ProviderFact>,
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
    /// `L0` to `L3`: how well the session that made it was bound.
    pub binding: BindingLevel,
    /// That level was reached by signing in at the app's identity provider, for a link.
    pub signed_in: bool,
    /// RFC 3339: when it was revoked.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    /// What became of its token at the provider: `pending`, `confirmed`, `given_up`, `shared` or `not_offered`.
    pub revocation: Option<RevocationOutcome>,
}

/// `POST /sdk/oauth/grants/{grant_id}/revoke`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeGrantBody {
    /// The reason; kept with the grant and in the audit. At most 512 characters.
    pub reason: Option<String>,
    /// If given, the grant must belong to this user.
    pub user_token: Option<UserToken>,
}

/// 200 of `POST /sdk/oauth/grants/{grant_id}/revoke`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RevokedGrantAnswer {
    /// Always true.
    pub success: bool,
    /// A sentence, also about what became of the token at the provider.
    pub message: String,
    /// The grant's id.
    pub grant_id: String,
    /// RFC 3339: when it was first revoked.
    #[schema(format = DateTime)]
    pub revoked_at: String,
    /// `pending`, `confirmed`, `given_up`, `shared` or `not_offered`.
    pub revocation: RevocationOutcome,
}
