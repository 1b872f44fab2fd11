//! Whether this process can do its job: the right root key, and a database that writes.

use std::sync::atomic::Ordering;

use alter_core::{StoreError, secret};
use alter_vault::VaultError;

use crate::Flows;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database was never initialised.
    #[error("the database has no key-check value: run `alter init` first")]
    NotInitialised,
    /// The root key is not the one that sealed the database (T93).
    #[error("the root key does not fit this database: {0}")]
    RootKey(VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why `/readyz` reports that this process is not ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error(transparent)]
    Start(#[from] StartError),
    /// The probe write or read failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// 64 bits of a hash of the key-check value, which is random and different in each database.
fn instance_of(key_check: &[u8]) -> String {
    secret::hex(&secret::sha256(&[b"alter-instance:", key_check].concat())[..8])
}

/// Checks the root key against the database's key-check value.
///
/// # Errors
/// [`StartError`]: the server must not start.
pub async fn check_root_key(flows: &Flows) -> Result<(), StartError> {
    let stored = flows.store().key_check().await?.ok_or(StartError::NotInitialised)?;
    flows.sealer().vault().verify_key_check(&stored).map_err(StartError::RootKey)?;
    flows.inner.instance.get_or_init(|| instance_of(&stored));
    Ok(())
}

/// A name for this installation: the same in every process on its database, and meaningless otherwise. `/healthz`
/// sends it, so that `alter doctor` can tell whether the public address leads here. `None` before the root key has been
/// checked.
pub fn instance(flows: &Flows) -> Option<&str> {
    flows.inner.instance.get().map(String::as_str)
}

/// Stores a key-check value in a new database.
///
/// # Errors
/// [`StoreError::Exists`] when the database already has one.
pub async fn initialise(flows: &Flows) -> Result<(), StoreError> {
    let value = flows.sealer().vault().key_check(&|buffer| flows.random().fill(buffer));
    flows.inner.instance.get_or_init(|| instance_of(&value));
    flows.store().insert_key_check(value).await
}

/// Checks the root key, then writes and reads a probe row. A good result counts for one second.
///
/// # Errors
/// [`NotReady`].
pub async fn ready(flows: &Flows) -> Result<(), NotReady> {
    // Anyone may send probes, so a flood of them may cause at most one durable write per second.
    let now = flows.now().0;
    let good_until = flows.inner.ready_until.load(Ordering::Relaxed);
    if (now..=now + 1_000_000).contains(&good_until) {
        return Ok(());
    }
    check_root_key(flows).await?;
    flows.store().probe(flows.now()).await?;
    flows.inner.ready_until.store(now + 1_000_000, Ordering::Relaxed);
    Ok(())
}
