//! Answers that a process holds in memory and has not journalled yet. Its reaper skips their attempts.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use alter_core::AttemptId;

/// Attempts whose answer is in this process's hand and not in the journal yet: its reaper leaves them alone.
#[derive(Default)]
pub(crate) struct InHand(Mutex<HashSet<AttemptId>>);

impl InHand {
    pub(crate) fn holds(&self, id: AttemptId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Holds it until what is answered is dropped.
    pub(super) fn take(&self, id: AttemptId) -> Held<'_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Held(self, id)
    }
}

pub(super) struct Held<'a>(&'a InHand, AttemptId);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}
