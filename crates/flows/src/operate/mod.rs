//! What an operator does: sets up apps, their keys and providers, replaces data keys and the root key, reads the audit.
//! And the provider catalog as an app sees it.

pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod catalog;
pub(crate) mod delete_app;
pub(crate) mod error;
pub(crate) mod identity_provider;
pub(crate) mod key_ring;
pub(crate) mod keys;
pub(crate) mod providers;

pub use apps::{change_app, create_app, get_app, list_apps, rename_app};
pub use audit::{export_audit, list_audit, list_audited_apps, verify_audit};
pub use catalog::provider_catalog;
pub use delete_app::{RevokedGrants, app_contents, delete_app, revoke_grants};
pub use identity_provider::{remove_identity_provider, set_identity_provider};
pub use key_ring::{is_under_old_root_key, list_key_ring, replace_root_key, rotate_data_key};
pub use keys::{UnprovenKey, create_key, list_keys, revoke_key, seal_key, unproven_keys};
pub use providers::{
    UnprovenProvider, list_providers, list_readable_providers, remove_provider, seal_provider, set_provider,
    set_scopes, unproven_providers, wanting_scopes, whole_scopes,
};
