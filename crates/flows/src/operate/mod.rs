//! What an operator does: apps, providers, keys, the audit.

pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod catalog;
pub(crate) mod key_ring;

pub use apps::{NewApp, NewKey, OperateError, ProviderSetting};
pub use audit::{AuditChecked, AuditError, AuditFilter};
pub use catalog::CatalogEntry;
pub use key_ring::{KeyState, RootKeyError, Rotated};
