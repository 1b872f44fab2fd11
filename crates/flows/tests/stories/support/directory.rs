//! A directory that is deleted with its test.

use std::path::PathBuf;

use alter_core::{AppId, SystemRandom};

#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("alter-flows-{}", AppId::new(&SystemRandom)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// The path of the database.
    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("alter.db")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _left_for_the_system_to_clean = std::fs::remove_dir_all(&self.0);
    }
}
