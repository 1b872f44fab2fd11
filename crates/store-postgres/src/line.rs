//! The releases that wait to be committed, by app.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alter_core::{AppId, ReleaseCredential, Saved, StoreError};
use tokio::sync::oneshot;

/// The waiting releases, by app. An app has an entry while a transaction with its releases is under way.
#[derive(Default)]
pub(crate) struct Line(Mutex<HashMap<AppId, Vec<Waiting>>>);

pub(crate) struct Waiting {
    pub(crate) release: ReleaseCredential,
    pub(crate) answer: oneshot::Sender<Result<Saved, StoreError>>,
}

impl Line {
    pub(crate) fn apps(&self) -> MutexGuard<'_, HashMap<AppId, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
