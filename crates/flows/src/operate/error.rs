//! Why a command of the operator fails.

use alter_core::{AppId, StoreError};

use crate::fault::FlowFault;

/// Why an operator's command fails.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// A value is refused; the sentence is for the operator.
    #[error("{0}")]
    Invalid(String),
    /// There is no such app.
    #[error("there is no app {0}")]
    NoSuchApp(AppId),
    /// Ours.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

impl From<StoreError> for OperateError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}
