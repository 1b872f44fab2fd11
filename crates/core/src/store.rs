//! The port to storage as a whole. The parts stand beside their nouns; what is here belongs to none.
//!
//! Rules that keep two engines possible: single-statement upserts, ids and time passed in, coarse atomic commands,
//! text compared byte by byte, no NUL in text ([`storable`]), commands that may be retried whole.

use async_trait::async_trait;

use crate::{
    AgentStore, AppStore, AttemptStore, AuditStore, DataKeyStore, DelegationStore, GrantStore, KeyId,
    KeyStore, Micros, ProviderStore, RevocationStore, SessionStore, UserStore,
};

/// Why a storage command failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique row exists already, or a row moved underneath: read again.
    #[error("another write came first")]
    Conflict,
    /// The nonce of a signed call was seen before (T61).
    #[error("the nonce was used before")]
    NonceReplayed,
    /// A text contains NUL, which PostgreSQL cannot store.
    #[error("a text contains a NUL character")]
    Unstorable,
    /// A stored row cannot be read: damaged, or written by something else.
    #[error("a stored row cannot be read: {0}")]
    Corrupt(&'static str),
    /// The database did not do it (busy, full, gone). The text is for the log.
    #[error("storage failed: {0}")]
    Unavailable(String),
}

/// The nonce of a signed call: unique per key and signed second. A replay carries the same signed second, and a second
/// is accepted for five minutes either way: rows older than ten minutes are no longer needed.
#[derive(Debug, Clone, Copy)]
pub struct CallNonce {
    /// Which key signed.
    pub key_id: KeyId,
    /// 16 bytes.
    pub nonce: [u8; 16],
    /// The timestamp that was signed (whole seconds).
    pub at: Micros,
}

/// Whether a text can be stored by every engine.
pub fn storable(text: &str) -> bool {
    !text.contains('\0')
}

/// Everything that storage must be able to do.
#[async_trait]
pub trait Store:
    AppStore
    + DataKeyStore
    + KeyStore
    + ProviderStore
    + SessionStore
    + AttemptStore
    + GrantStore
    + UserStore
    + AgentStore
    + DelegationStore
    + RevocationStore
    + AuditStore
    + std::fmt::Debug
{
    /// Records the nonce of a signed call that writes nothing else.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`].
    async fn record_call(&self, call: CallNonce) -> Result<(), StoreError>;
    /// Forgets nonces signed in a second before that of `before`.
    async fn delete_old_nonces(&self, before: Micros) -> Result<u64, StoreError>;
    /// The key-check value of the root key, if the database has one.
    async fn key_check(&self) -> Result<Option<Vec<u8>>, StoreError>;
    /// Stores it, once.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one.
    async fn insert_key_check(&self, value: Vec<u8>) -> Result<(), StoreError>;
    /// One durable write and one read of it (`/readyz`).
    async fn probe(&self, now: Micros) -> Result<(), StoreError>;
}
