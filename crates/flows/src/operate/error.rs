//! Why an operator's command fails.

use alter_core::{AppId, KeyId, StoreError};

use crate::fault::FlowFault;

#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// A value is refused; the operator is shown this sentence.
    #[error("{0}")]
    Invalid(String),
    #[error("the app has no key {0} (alter key list)")]
    NoSuchKey(KeyId),
    #[error("the app has no provider {0} (alter provider list APP)")]
    NoSuchProvider(String),
    #[error("there is no app {0}")]
    NoSuchApp(AppId),
    /// A new name must be no other app's.
    #[error("an app is called \"{name}\" already: {by}")]
    NameTaken { name: String, by: AppId },
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

impl From<StoreError> for OperateError {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}
