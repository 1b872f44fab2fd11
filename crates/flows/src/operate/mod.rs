//! What an operator does: sets up apps, their keys and providers, replaces data keys and the root key, reads the audit.
//! And the provider catalog as an app sees it.

pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod catalog;
pub(crate) mod error;
pub(crate) mod key_ring;
pub(crate) mod keys;
pub(crate) mod providers;

pub use alter_core::NewKey;
pub use apps::{NewApp, change_app, create_app, get_app, list_apps};
pub use audit::{AuditChecked, AuditError, AuditFilter, export_audit, list_audit, verify_audit};
pub use catalog::{CatalogEntry, provider_catalog};
pub use error::OperateError;
pub use key_ring::{
    KeyState, RootKeyError, Rotated, is_under_old_root_key, list_key_ring, replace_root_key, rotate_data_key,
};
pub use keys::{create_key, list_keys, revoke_key};
pub use providers::{ProviderSetting, list_providers, remove_provider, set_provider};
