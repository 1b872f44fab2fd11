//! What goes wrong inside a story and is our own failure, not the caller's.

use alter_core::{AppId, StoreError};
use alter_vault::VaultError;

/// Our own failure inside a story: storage or vault. The client always sees `server_error`; the cause goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum FlowFault {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault refused: the key is wrong, or the row was tampered with.
    #[error("the vault refused a stored value: {0}")]
    Vault(#[from] VaultError),
    /// A row that steers secrets is not as somebody with the root key wrote it.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// A sealed value that should be text is not.
    #[error("a sealed value is not text")]
    NotText,
    /// Something that was checked when it was stored no longer holds.
    #[error("{0}")]
    Broken(&'static str),
}

/// Why a row that steers secrets is not used. The texts are for the operator: they name the row, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The row has changed since it was sealed.
    #[error(
        "the row {row} does not match its seal, so somebody without the root key changed it: nothing is sent with it until \
         an operator writes it anew ({mend})"
    )]
    Changed {
        /// Table, column and id.
        row: String,
        /// The command.
        mend: String,
    },
    /// The row has no seal: it is from before there were seals, or somebody took it off.
    #[error("the row {row} has no seal: nothing is sent with it until an operator has looked at it ({mend})")]
    Missing {
        /// Table, column and id.
        row: String,
        /// The command.
        mend: String,
    },
    /// A grant's tokens do not open in their row: its owner, its provider, its configuration or its account has changed
    /// since they were sealed, or whom the owner's row names.
    #[error(
        "the tokens of grant {grant} were sealed for another owner, configuration or account than is stored, so \
         somebody without the root key changed that: nothing is sent with it until an operator ends it (alter grant \
         revoke {app} {grant}) and its user connects again"
    )]
    Grant {
        /// Its app.
        app: AppId,
        /// Its id.
        grant: String,
    },
}

impl FlowFault {
    /// A row is not as somebody with the root key wrote it.
    pub(crate) fn is_unproven(&self) -> bool {
        matches!(self, Self::Unproven(_))
    }

    /// Another write came between our read and our write: read again.
    pub(crate) fn is_overtaken(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_overtaken())
    }
}
