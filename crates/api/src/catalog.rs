//! `GET /sdk/oauth/provider-catalog` (wire 3.16).

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// 200: what an app can offer its users.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderCatalog {
    /// By provider id.
    pub providers: BTreeMap<String, CatalogProvider>,
}

/// One provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogProvider {
    /// What `allowed_providers` takes.
    pub id: String,
    /// As `display_name`.
    pub name: String,
    /// What people read.
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
    /// Scopes that are known, with their words.
    pub available_scopes: BTreeMap<String, CatalogScope>,
    /// Asked for when a session says nothing: the app's configuration, or the catalog's default.
    pub default_scopes: Vec<String>,
    /// Without these the provider refuses.
    pub required_scopes: Vec<String>,
    /// `configured`: this app's users can connect it. `available`: the operator can configure it.
    pub status: &'static str,
}

/// One scope.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogScope {
    /// What it allows, in words.
    pub description: String,
    /// The provider refuses without it.
    pub required: bool,
    /// In `default_scopes`.
    pub is_default: bool,
    /// Scopes without which this one is refused.
    pub requires: Vec<String>,
}
