//! Why an exchange ends without a grant.

use alter_core::{Cause, StoreError};
use alter_oauth::TokenRefused;

use crate::fault::FlowFault;

#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// There will be no grant: end the attempt and tell the user.
    #[error("{why}")]
    Refused { cause: Cause, why: String },
    /// Our own failure. If the answer is in the journal, the attempt stays and the reaper tries again.
    #[error(transparent)]
    Fault(#[from] FlowFault),
    /// The attempt has ended, or another task has it.
    #[error("the attempt has moved on")]
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

/// The metrics label.
pub(super) fn label(outcome: &Result<(), Stop>) -> &'static str {
    match outcome {
        Ok(()) => "connected",
        Err(Stop::Refused { .. }) => "refused",
        Err(Stop::Fault(_)) => "fault",
        Err(Stop::Moved) => "moved",
    }
}

pub(super) fn token_stop(error: TokenRefused) -> Stop {
    refused(error.cause(), &error)
}
