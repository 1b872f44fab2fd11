//! Why a command of the operator fails.

use alter_core::{AppId, KeyId, StoreError};

use crate::fault::FlowFault;

/// Why an operator's command fails.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// A value is refused; the sentence is for the operator.
    #[error("{0}")]
    Invalid(String),
    /// The app has no such key.
    #[error("the app has no key {0} (alter key list)")]
    NoSuchKey(KeyId),
    /// The app has no such provider.
    #[error("the app has no provider {0} (alter provider list APP)")]
    NoSuchProvider(String),
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
