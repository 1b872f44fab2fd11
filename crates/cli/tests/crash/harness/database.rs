//! The databases that a scenario runs on, seen as the operator and as a thief see them.

use std::{path::Path, sync::Arc};

use alter_core::Store;
use alter_store_sqlite::{Open, SqliteStore};

/// Which one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Database {
    /// One file in the data directory.
    Sqlite,
}

impl Database {
    /// Opens it beside the server, to look at what is stored.
    pub(crate) fn open(self, data: &Path) -> Arc<dyn Store> {
        match self {
            Self::Sqlite => Arc::new(SqliteStore::open(&data.join("alter.db"), Open::Existing).unwrap()),
        }
    }

    /// Every byte that lies on disk because of it: tables, log, leftovers.
    pub(crate) fn bytes(self, data: &Path) -> Vec<(String, Vec<u8>)> {
        match self {
            Self::Sqlite => files_below(data),
        }
    }
}

fn files_below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            // Gone since it was listed: a log that was folded into its file.
            found.push((path.display().to_string(), bytes));
        }
    }
    found
}
