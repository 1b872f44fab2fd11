//! Our own failure inside a story.

use alter_core::StoreError;
use alter_vault::VaultError;

/// Our own failure inside a story: storage or vault. Always `server_error` outside, with the cause in the log.
#[derive(Debug, thiserror::Error)]
pub enum FlowFault {
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault refused: wrong key, or a row that was tampered with.
    #[error("the vault refused a stored value: {0}")]
    Vault(#[from] VaultError),
    /// A sealed value that should be text is not.
    #[error("a sealed value is not text")]
    NotText,
    /// Something that was checked when it was stored does not hold any more.
    #[error("{0}")]
    Broken(&'static str),
}

impl FlowFault {
    /// Something was written between reading and acting: read again.
    pub(crate) fn is_overtaken(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_overtaken())
    }
}
