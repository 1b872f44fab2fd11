//! How a database is opened, and why it cannot be.

use std::path::PathBuf;

/// Why a database could not be opened. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// [`Open::Existing`], and there is none.
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// A newer program has migrated it. Nothing was changed.
    #[error("the database has schema {found}, this program knows {known}: use the newer program")]
    NewerSchema {
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// An SQLite file with tables of something else. Nothing was changed.
    #[error("{} is a database of another program", .0.display())]
    NotOurs(PathBuf),
    /// Another process has it open.
    #[error("{} is in use: stop the server and every command that works on it", .0.display())]
    InUse(PathBuf),
    /// The file system does not give the write-ahead log; the journal mode that it gives.
    #[error("this file system gives journal mode {0} where WAL is needed")]
    NoLog(String),
    /// The file or its directory could not be used.
    #[error("the database file cannot be used: {0}")]
    File(#[from] std::io::Error),
    /// SQLite refused.
    #[error("the database cannot be opened: {0}")]
    Engine(String),
}

/// What [`SqliteStore::open`] does about a file that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Makes it, readable by its owner alone; a file that is there is opened.
    Create,
    /// Refuses.
    Existing,
}
