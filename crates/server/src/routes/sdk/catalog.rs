//! `GET /sdk/oauth/provider-catalog` (wire 3.16): public facts, and which of them this app configured.

use alter_api::catalog::{CatalogProvider, CatalogScope, ProviderCatalog, ProviderStatus};
use alter_flows::{CatalogEntry, operate};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{Shared, error::ApiError, extract::SignedEmpty};

/// List the providers.
///
/// The catalog, and the app's own providers, by id.
#[utoipa::path(
    get, path = "/sdk/oauth/provider-catalog", operation_id = "list_providers", tag = "Providers",
    responses((status = 200, description = "The providers.", body = ProviderCatalog)),
)]
pub(crate) async fn show(State(shared): State<Shared>, signed: SignedEmpty) -> Result<Response, ApiError> {
    let entries = operate::provider_catalog(&shared.flows, &signed.caller).await?;
    let providers = entries.into_iter().map(|entry| (entry.recipe.id.clone(), provider(entry))).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(ProviderCatalog { providers })).into_response())
}

fn provider(CatalogEntry { recipe, scopes }: CatalogEntry) -> CatalogProvider {
    let status = if scopes.is_some() { ProviderStatus::Configured } else { ProviderStatus::Available };
    let default_scopes = scopes.unwrap_or(recipe.default_scopes);
    let names = recipe.scope_names;
    let required_scopes =
        recipe.scopes.iter().filter(|(_, known)| known.required).map(|(scope, _)| scope.clone()).collect();
    let defaults = names.keys(&default_scopes);
    let described = recipe.scopes.into_iter().map(|(scope, known)| {
        let is_default = defaults.contains(&names.key(&scope));
        let described = CatalogScope {
            description: known.description,
            required: known.required,
            is_default,
            requires: known.requires,
        };
        (scope, described)
    });
    CatalogProvider {
        available_scopes: described.collect(),
        id: recipe.id,
        display_name: recipe.name.clone(),
        name: recipe.name,
        category: recipe.category,
        description: recipe.description,
        supports_refresh: recipe.refresh.supported == Some(true),
        supports_pkce: recipe.pkce,
        default_scopes,
        required_scopes,
        status,
    }
}
