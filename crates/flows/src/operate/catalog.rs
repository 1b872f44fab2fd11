//! The providers that an app can offer: what it configured, and what the catalog could add.

use std::collections::BTreeMap;

use alter_core::{ProviderConfig, Recipe, StoreError};
use alter_providers::Catalog;

use crate::{Caller, Flows};

/// One provider as an app sees it.
#[derive(Debug)]
pub struct CatalogEntry {
    /// Its facts: the configured ones where it is configured.
    pub recipe: Recipe,
    /// Asked for in every flow; `None`: not configured on this app.
    pub scopes: Option<Vec<String>>,
}

/// The catalog, and over it what the caller's app configured, by provider id.
///
/// # Errors
/// Ours alone.
pub async fn provider_catalog(flows: &Flows, caller: &Caller) -> Result<Vec<CatalogEntry>, StoreError> {
    flows.reading(caller, app_catalog(flows, caller)).await
}

async fn app_catalog(flows: &Flows, caller: &Caller) -> Result<Vec<CatalogEntry>, StoreError> {
    let known = Catalog::builtin().iter().cloned().map(|recipe| CatalogEntry { recipe, scopes: None });
    let configured = flows
        .store()
        .list_providers(caller.app.id)
        .await?
        .into_iter()
        .map(|ProviderConfig { recipe, scopes, .. }| CatalogEntry { recipe, scopes: Some(scopes) });
    let by_id: BTreeMap<String, CatalogEntry> =
        known.chain(configured).map(|entry| (entry.recipe.id.clone(), entry)).collect();
    Ok(by_id.into_values().collect())
}
