//! Why a job failed, before the port's words for it are chosen. One place decides what SQLite's codes mean.

use alter_core::StoreError;
use rusqlite::{ErrorCode, ffi};

/// Either our own verdict, or something that SQLite said.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Decided here.
    Refused(StoreError),
    /// Decided there.
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
            // A row that is referred to is not there.
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

/// The disk or the file can no longer be trusted. After a failed fsync the kernel may have dropped the very pages
/// that were not written and report success the next time: only a restart, which reads the file anew, knows more.
pub(crate) fn is_fatal(error: &rusqlite::Error) -> bool {
    let fatal = [ErrorCode::SystemIoFailure, ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
    error.sqlite_error_code().is_some_and(|code| fatal.contains(&code))
}
