//! The result of a storage command, or why it failed; and the nonce that a command records.

use crate::{KeyId, Micros};

/// Why a storage command failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The id, account or name to be stored exists already.
    #[error("it already exists")]
    Exists,
    /// A row that the command builds on has changed since it was read, or is gone: read again.
    #[error("another write came first")]
    Moved,
    /// The data key that a value was sealed under was wiped in the meantime: seal again under the current one.
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
    /// Another write came between reading and storing: read again, and seal again what is sealed.
    pub fn is_overtaken(&self) -> bool {
        matches!(self, Self::Exists | Self::Moved | Self::KeyRetired)
    }
}

/// The result of a compare-and-set.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Done,
    /// The row to be replaced has changed or is gone; nothing was stored.
    Moved,
}

/// The result of a change to a row that is named by its id.
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

/// A signed call's nonce: unique per key and signed second. A replay has the same signed second, and a second is accepted
/// for five minutes either way, so rows older than ten minutes are no longer needed.
#[derive(Debug, Clone, Copy)]
pub struct CallNonce {
    /// The key that signed the call.
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
