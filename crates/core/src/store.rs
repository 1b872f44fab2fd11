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
    /// What was to be stored is there already: an id, an account, a name.
    #[error("it exists already")]
    Exists,
    /// A row that the command builds on has changed since it was read, or is gone: read again.
    #[error("another write came first")]
    Moved,
    /// The data key that a value was sealed under was wiped meanwhile: seal again under the current one.
    #[error("the data key of a value was retired")]
    KeyRetired,
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

impl StoreError {
    /// Something was written between reading and storing: read, and where something is sealed seal, again.
    pub fn is_overtaken(&self) -> bool {
        matches!(self, Self::Exists | Self::Moved | Self::KeyRetired)
    }
}

/// What became of a compare-and-set.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Done,
    /// What it was to replace has changed or is gone; nothing was stored.
    Moved,
}

/// What became of a change to a row that is named by its id.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is stored, or was so before.
    Done,
    /// There is no such row; nothing was stored.
    Absent,
}

impl Saved {
    /// `Done` when a statement changed a row.
    pub fn when(done: bool) -> Self {
        if done { Self::Done } else { Self::Moved }
    }

    /// Whether it is stored.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

impl Changed {
    /// `Done` when a statement changed a row.
    pub fn when(done: bool) -> Self {
        if done { Self::Done } else { Self::Absent }
    }

    /// Whether the row is there.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
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
    /// [`StoreError::Exists`] when there is one.
    async fn insert_key_check(&self, value: Vec<u8>) -> Result<(), StoreError>;
    /// One durable write and one read of it (`/readyz`).
    async fn probe(&self, now: Micros) -> Result<(), StoreError>;
}
