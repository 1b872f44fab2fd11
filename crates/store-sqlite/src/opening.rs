//! How a database is opened, and why it cannot be.

use std::path::PathBuf;

/// Why a database could not be opened. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// [`Open::Existing`] was asked for, but there is no file.
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// A newer program has migrated it. Nothing was changed.
    #[error("the database has schema {found}, this program knows {known}: use the newer program")]
    NewerSchema {
        /// The file's schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// The file has another program's tables. Nothing was changed.
    #[error("{} is a database of another program", .0.display())]
    NotOurs(PathBuf),
    /// Something acts on our rows that this program never made (T94). Nothing was changed. Content: what it is.
    #[error(
        "the database has what this program never makes, and it can change or undo what is stored: {0}. Find out who made \
         it. Then stop every server, drop it with SQLite's own tool, and compare what it could reach with a backup"
    )]
    Foreign(String),
    /// Another process has it open.
    #[error("{} is in use: stop the server and every command that works on it", .0.display())]
    InUse(PathBuf),
    /// Another process has the lock of servers.
    #[error("{} is in use by {}, which holds {}: stop it first. Several servers need PostgreSQL (ALTER_DATABASE_URL)",
        .database.display(), named(*.by), .lock.display())]
    Served {
        /// The database.
        database: PathBuf,
        /// The file that is locked.
        lock: PathBuf,
        /// The number of the process, if it could be read.
        by: Option<u32>,
    },
    /// The file can be read but not written.
    #[error("{} cannot be written: this user must be able to write it, on a file system that is not read-only", .0.display())]
    ReadOnly(PathBuf),
    /// The file system does not support the write-ahead log. Content: the journal mode that SQLite got instead.
    #[error("this file system gives journal mode {0} where WAL is needed")]
    NoLog(String),
    /// The file or its directory could not be used.
    #[error("the database file cannot be used: {0}")]
    File(#[from] std::io::Error),
    /// SQLite refused.
    #[error("the database cannot be opened: {0}")]
    Engine(String),
}

fn named(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".into(), |id| format!("process {id}"))
}

/// What [`crate::SqliteStore::open`] does when the file does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Makes it, readable only by its owner; opens an existing file.
    Create,
    /// Refuses to make one.
    Existing,
}
