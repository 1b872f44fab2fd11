//! What goes wrong inside a story and is our own failure, not the caller's.

use alter_core::StoreError;
use alter_vault::VaultError;

/// Our own failure inside a story: storage or vault. The client always sees `server_error`; the cause goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum FlowFault {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault refused: the key is wrong, or the row was tampered with.
    #[error("the vault refused a stored value: {0}")]
    Vault(#[from] VaultError),
    /// A sealed value that should be text is not.
    #[error("a sealed value is not text")]
    NotText,
    /// Something that was checked when it was stored no longer holds.
    #[error("{0}")]
    Broken(&'static str),
}

impl FlowFault {
    /// Another write came between our read and our write: read again.
    pub(crate) fn is_overtaken(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_overtaken())
    }
}
