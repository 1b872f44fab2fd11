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
    /// Another root key than the one that sealed the database (T93).
    #[error("the root key does not fit this database: {0}")]
    RootKey(VaultError),
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why `/readyz` says no.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Key or database.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The probe write or read failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// 64 bits of a hash of the key-check value, which is random and of one database.
fn instance_of(key_check: &[u8]) -> String {
    secret::hex(&secret::sha256(&[b"alter-instance:", key_check].concat())[..8])
}

/// Compares the root key with the database's key-check value.
///
/// # Errors
/// [`StartError`]: do not serve.
pub async fn check_root_key(flows: &Flows) -> Result<(), StartError> {
    let stored = flows.store().key_check().await?.ok_or(StartError::NotInitialised)?;
    flows.sealer().vault().verify_key_check(&stored).map_err(StartError::RootKey)?;
    flows.inner.instance.get_or_init(|| instance_of(&stored));
    Ok(())
}

/// A name of this installation, the same in every process on its database, that says nothing else: `/healthz`
/// answers it, so that `alter doctor` can tell whether the public address leads here. `None` before the root key
/// was checked.
pub fn instance(flows: &Flows) -> Option<&str> {
    flows.inner.instance.get().map(String::as_str)
}

/// Stores the key-check value of a new database.
///
/// # Errors
/// [`StoreError::Exists`] when it has one.
pub async fn initialise(flows: &Flows) -> Result<(), StoreError> {
    let value = flows.sealer().vault().key_check(&|buffer| flows.random().fill(buffer));
    flows.inner.instance.get_or_init(|| instance_of(&value));
    flows.store().insert_key_check(value).await
}

/// A write, a read and the key check.
///
/// # Errors
/// [`NotReady`].
pub async fn ready(flows: &Flows) -> Result<(), NotReady> {
    // Probes carry no credential: one durable write a second is all that a flood of them can cause.
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
