//! What an operator does: apps, providers, keys, the audit.

pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod catalog;
pub(crate) mod key_ring;

pub use apps::{
    NewApp, NewKey, OperateError, ProviderSetting, change_app, create_app, create_key, set_provider,
};
pub use audit::{AuditChecked, AuditError, AuditFilter, export_audit, list_audit, verify_audit};
pub use catalog::{CatalogEntry, provider_catalog};
pub use key_ring::{
    KeyState, RootKeyError, Rotated, is_under_old_root_key, list_key_ring, replace_root_key, rotate_data_key,
};
