//! Why a job failed, before it becomes one of the port's errors. Only this file decides what SQLite's codes mean.

use alter_core::StoreError;
use rusqlite::{ErrorCode, ffi};

/// Either our own decision, or an error from SQLite.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Our own decision.
    Refused(StoreError),
    /// SQLite's error.
    Engine(rusqlite::Error),
}

impl Fault {
    /// A stored value that cannot be read; `column` is its name.
    pub(crate) fn corrupt(column: &'static str) -> Self {
        Self::Refused(StoreError::Corrupt(column))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            Fault::Engine(error) if is_taken(&error) => Self::Exists,
            // A row that a foreign key refers to does not exist.
            Fault::Engine(error) if is(&error, &[ffi::SQLITE_CONSTRAINT_FOREIGNKEY]) => Self::Moved,
            Fault::Engine(error) => Self::Unavailable(error.to_string()),
        }
    }
}

fn is_taken(error: &rusqlite::Error) -> bool {
    is(
        error,
        &[ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY, ffi::SQLITE_CONSTRAINT_ROWID],
    )
}

fn is(error: &rusqlite::Error, codes: &[i32]) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(code, _) if codes.contains(&code.extended_code))
}

/// Whether the disk or the file can no longer be trusted. After a failed fsync, the kernel may have dropped the very pages
/// that were not written and report success the next time. Only a restart, which reads the file again, can tell.
pub(crate) fn is_fatal(error: &rusqlite::Error) -> bool {
    let fatal = [ErrorCode::SystemIoFailure, ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
    error.sqlite_error_code().is_some_and(|code| fatal.contains(&code))
}
