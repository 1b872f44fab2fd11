//! Provider configurations.

use alter_core::{Opener, ProviderConfig, StoreError};

use crate::{Column, Columns, noun::columns};

columns! {
    ProviderConfig { config_id, app_id, recipe, client_id, client_secret, generation, scopes, created_at, updated_at, seal }
    found_by { provider: |config| config.recipe.id.value() }
}

/// Reads what the flows of a configuration have shown.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn read_opener(row: &dyn Columns) -> Result<Opener, StoreError> {
    Ok(Opener { kept: row.get("opener_kept")?, severed: row.get("opener_severed")? })
}
