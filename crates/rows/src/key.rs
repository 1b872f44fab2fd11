//! API keys.

use alter_core::{Agent, ApiKey, App, FoundKey, StoreError};

use crate::{Columns, Noun, noun::columns};

columns! { ApiKey { id, app_id, agent_id, hash, prefix, name, created_at, deprecated_at, revoked_at, seal } }

/// Reads a key with its app and its agent, both under their joined names.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn read_found(row: &dyn Columns) -> Result<FoundKey, StoreError> {
    let key = ApiKey::read(row)?;
    let agent = key.agent_id.map(|_| Agent::read_joined(row)).transpose()?;
    Ok(FoundKey { key, app: App::read_joined(row)?, agent })
}
