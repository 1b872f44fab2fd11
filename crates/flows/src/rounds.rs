//! Counts the rounds of "read, decide, store", which start over when another write came in between.

use alter_core::StoreError;

/// How many rounds a story has left. Each lost round means that another writer made progress, so many in a row are a
/// storm, and that is an error.
pub(crate) struct Rounds {
    left: usize,
}

impl Rounds {
    pub(crate) fn of(most: usize) -> Self {
        Self { left: most }
    }

    /// # Errors
    /// [`StoreError::Moved`] when no round is left.
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        self.left = self.left.checked_sub(1).ok_or(StoreError::Moved)?;
        Ok(())
    }
}
