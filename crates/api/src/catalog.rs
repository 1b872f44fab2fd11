//! `GET /sdk/oauth/provider-catalog` (wire 3.16).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// 200: what an app can offer its users.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProviderCatalog {
    /// By provider id.
    pub providers: BTreeMap<String, CatalogProvider>,
}

/// One provider.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CatalogProvider {
    /// The id that `allowed_providers` takes.
    pub id: String,
    /// The same as `display_name`.
    pub name: String,
    /// The name that people are shown.
    pub display_name: String,
    /// "crm", "code", ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// One sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether refresh tokens are known to be issued.
    pub supports_refresh: bool,
    /// Whether its flows run with PKCE.
    pub supports_pkce: bool,
    /// The known scopes, with words for people.
    pub available_scopes: BTreeMap<String, CatalogScope>,
    /// The scopes asked for: the app's configuration, or the catalog's default.
    pub default_scopes: Vec<String>,
    /// Without these the provider refuses.
    pub required_scopes: Vec<String>,
    /// `configured`: this app's users can connect it. `available`: the operator can configure it.
    pub status: ProviderStatus,
}

/// What an app can do with a provider of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderStatus {
    /// This app's users can connect it.
    Configured,
    /// The operator can configure it.
    Available,
}

/// One scope.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CatalogScope {
    /// What it allows, in words.
    pub description: String,
    /// The provider refuses without it.
    pub required: bool,
    /// It is in `default_scopes`.
    pub is_default: bool,
    /// Scopes without which this one is refused.
    pub requires: Vec<String>,
}
