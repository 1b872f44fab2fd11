//! Why an exchange does not end in a grant.

use alter_core::{Cause, StoreError};
use alter_oauth::TokenRefused;

use crate::fault::FlowFault;

/// Why an exchange did not end in a grant.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// The flow makes no grant: tell the user, end the attempt.
    #[error("{why}")]
    Refused { cause: Cause, why: String },
    /// Ours. When the answer is in the journal, the attempt stays and the reaper tries again.
    #[error(transparent)]
    Fault(#[from] FlowFault),
    /// The provider cannot be asked what is needed to judge the answer: the journal keeps it, the reaper tries again.
    #[error("{0}")]
    Later(String),
    /// Somebody else has the attempt.
    #[error("the attempt has moved")]
    Moved,
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

impl From<alter_vault::VaultError> for Stop {
    fn from(error: alter_vault::VaultError) -> Self {
        Self::Fault(error.into())
    }
}

pub(super) fn refused(cause: Cause, why: impl std::fmt::Display) -> Stop {
    Stop::Refused { cause, why: why.to_string() }
}

/// For the metrics.
pub(super) fn label(outcome: &Result<(), Stop>) -> &'static str {
    match outcome {
        Ok(()) => "connected",
        Err(Stop::Refused { .. }) => "refused",
        Err(Stop::Fault(_)) => "fault",
        Err(Stop::Later(_)) => "later",
        Err(Stop::Moved) => "moved",
    }
}

pub(super) fn token_stop(error: TokenRefused) -> Stop {
    refused(error.cause(), &error)
}
