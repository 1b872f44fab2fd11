//! Who waits for a release to be committed, by app.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alter_core::{AppId, ReleaseCredential, Saved, StoreError};
use tokio::sync::oneshot;

/// Who waits, by app. An app is in it while a transaction of its releases is under way.
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
