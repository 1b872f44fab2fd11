//! Token answers that this process holds in memory and has not journalled yet.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use alter_core::AttemptId;

/// Attempts whose answer is held in memory, not yet journalled. This process's reaper skips them.
#[derive(Default)]
pub(crate) struct InHand(Mutex<HashSet<AttemptId>>);

impl InHand {
    pub(crate) fn holds(&self, id: AttemptId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Holds the attempt until the returned guard is dropped.
    pub(crate) fn take(&self, id: AttemptId) -> Held<'_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Held(self, id)
    }
}

pub(crate) struct Held<'a>(&'a InHand, AttemptId);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
