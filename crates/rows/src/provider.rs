//! Provider configurations.

use alter_core::ProviderConfig;

use crate::{Column, noun::columns};

columns! {
    ProviderConfig { config_id, app_id, recipe, client_id, client_secret, generation, scopes, created_at, updated_at, seal }
    found_by { provider: |config| config.recipe.id.value() }
}
