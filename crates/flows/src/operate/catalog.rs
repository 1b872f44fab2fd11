//! The providers that an app could offer: those configured on it, and the rest of the built-in catalog.

use std::{collections::BTreeMap, sync::Arc};

use alter_core::{ProviderConfig, Recipe, StoreError};
use alter_providers::Catalog;

use crate::{Caller, Flows};

/// One provider as an app sees it.
#[derive(Debug)]
pub struct CatalogEntry {
    /// The app's configured recipe, or the catalog's.
    pub recipe: Recipe,
    /// The scopes asked for in every flow; `None` = the provider is not configured on this app.
    pub scopes: Option<Vec<String>>,
}

/// Returns the catalog by provider id; what is configured on the caller's app replaces the built-in entries.
///
/// # Errors
/// Only our own failures.
pub async fn provider_catalog(flows: &Flows, caller: &Caller) -> Result<Vec<CatalogEntry>, StoreError> {
    flows.reading(caller, app_catalog(flows, caller)).await
}

async fn app_catalog(flows: &Flows, caller: &Caller) -> Result<Vec<CatalogEntry>, StoreError> {
    let known = Catalog::builtin().iter().cloned().map(|recipe| CatalogEntry { recipe, scopes: None });
    let configured =
        flows.providers(caller.app.id).await?.into_iter().map(|ProviderConfig { recipe, scopes, .. }| {
            CatalogEntry { recipe: Arc::unwrap_or_clone(recipe), scopes: Some(scopes) }
        });
    let by_id: BTreeMap<String, CatalogEntry> =
        known.chain(configured).map(|entry| (entry.recipe.id.clone(), entry)).collect();
    Ok(by_id.into_values().collect())
}
