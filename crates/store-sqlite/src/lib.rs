//! The storage ports of `alter-core` over one SQLite file.
//!
//! Here: SQL, one file per noun under core's file names, and the engine below it: `writer` (one thread, group
//! commit), `readers` (a few read-only connections), `migrate`. Not here: rules (they are in `core` and are called
//! from inside the write transactions), keys and plaintext (sealed values arrive sealed).
//!
//! Acknowledged means durable: a write returns after its COMMIT has reached the disk (`synchronous=FULL`). The command
//! line may write to the same file at the same time; SQLite's own locks put the two in order.
//!
//! To add a table, add `migrations/NNNN_name.sql`, list it in `migrate`, list its columns in `alter-rows`, and write
//! its statements in the noun's file. PostgreSQL must be able to do the same: name every column, upsert in one
//! statement, rely on no rowid.

mod agent;
mod app;
mod attempt;
mod audit;
pub mod backup;
mod compared;
mod connection;
mod data_key;
mod delegation;
mod fault;
mod foreign;
mod grant;
mod key;
pub mod metrics;
mod migrate;
mod opening;
mod provider;
mod readers;
mod refresh;
mod revocation;
mod row;
mod serving;
mod session;
mod statement;
mod store;
mod tightened;
mod user;
mod writer;
mod written;

pub use opening::{Open, OpenError};
pub use serving::{ServingLock, lock_for_serving};
use std::path::{Path, PathBuf};

use alter_core::StoreError;
use rusqlite::Connection;

use crate::{fault::Fault, readers::Readers, writer::Writer};

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
        match error.sqlite_error_code() {
            Some(CannotOpen | ReadOnly) => {
                Self::Engine(format!("{error} (this user must be able to write the file and its directory)"))
            }
            _ => Self::Engine(error.to_string()),
        }
    }
}

/// A database in one file. Dropping it waits until every queued write has been committed.
pub struct SqliteStore {
    path: PathBuf,
    // Dropped before the writer: the last connection to close folds the log into the file, and a reader may not write.
    readers: Readers,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the file and migrates it forward. Blocks until that is done; needs no async runtime.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, mode: Open) -> Result<Self, OpenError> {
        connection::ensure_file(path, mode)?;
        let mut connection = connection::open(path)?;
        migrate::refuse_unknown(&connection, path)?;
        connection::prepare_writer(&connection)?;
        migrate::forward(&mut connection)?;
        for what in foreign::beside(&connection)? {
            tracing::warn!(what, "the database has something that this program did not make");
        }
        Ok(Self {
            path: path.to_owned(),
            readers: Readers::new(path.to_owned()),
            writer: Writer::start(connection)?,
        })
    }

    /// Reads a file's schema number, and the one that [`SqliteStore::open`] would bring it to. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError`], as opening would have it.
    pub fn schema_of(path: &Path) -> Result<(i64, i64), OpenError> {
        connection::ensure_file(path, Open::Existing)?;
        let connection = connection::open_reader(path)?;
        migrate::refuse_unknown(&connection, path)?;
        Ok((migrate::version(&connection)?, migrate::known()))
    }

    /// Reads the key-check value from a file of any schema that this program knows; returns `None` before `alter init` wrote
    /// one. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError`], as opening would have it.
    pub fn key_check_of(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
        connection::ensure_file(path, Open::Existing)?;
        let connection = connection::open_reader(path)?;
        migrate::refuse_unknown(&connection, path)?;
        if migrate::version(&connection)? == 0 {
            return Ok(None);
        }
        store::key_check(&connection).map_err(|fault| OpenError::Engine(StoreError::from(fault).to_string()))
    }

    /// Lists what a file has beside our tables that acts on nothing: views, indexes, tables. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError`], as opening would have it.
    pub fn foreign_of(path: &Path) -> Result<Vec<String>, OpenError> {
        connection::ensure_file(path, Open::Existing)?;
        foreign::beside(&connection::open_reader(path)?)
    }

    /// The schema that [`SqliteStore::open`] brings a file to.
    pub fn schema_version() -> i64 {
        migrate::known()
    }

    /// Runs `work` inside a write transaction; returns once that is durable.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// Runs `work` on a read-only connection, on the calling thread.
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send,
    {
        self.readers.run(work).await
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}
