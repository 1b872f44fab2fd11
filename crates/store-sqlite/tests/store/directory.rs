//! A directory that is deleted with its test.

use std::path::{Path, PathBuf};

use alter_core::{AppId, SystemRandom};

pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("alter-store-{}", AppId::new(&SystemRandom)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of the database.
    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("alter.db")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}
