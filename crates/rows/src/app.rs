//! Apps, and the counts of what belongs to one.

use alter_core::{App, AppContents, StoreError};

use crate::{column::Columns, noun::columns};

columns! { App joined "a_" { id, settings, wrapped_key, created_at } }

/// Reads the counts; each has the name of its field.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn read_contents(row: &dyn Columns) -> Result<AppContents, StoreError> {
    Ok(AppContents {
        users: row.get("users")?,
        grants: row.get("grants")?,
        agents: row.get("agents")?,
        delegations: row.get("delegations")?,
        keys: row.get("keys")?,
        providers: row.get("providers")?,
        sessions: row.get("sessions")?,
        revocations: row.get("revocations")?,
    })
}
