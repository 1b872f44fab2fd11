//! Read, decide, store; and again from the reading when somebody else wrote in between.

use alter_core::StoreError;

/// How often a story may begin again. Each lost round means that another writer made progress, so several in a row are a
/// storm, which is worth an error.
pub(crate) struct Rounds {
    left: usize,
}

impl Rounds {
    pub(crate) fn of(most: usize) -> Self {
        Self { left: most }
    }

    /// Begins a round.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when there were as many as there may be.
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        self.left = self.left.checked_sub(1).ok_or(StoreError::Moved)?;
        Ok(())
    }
}
