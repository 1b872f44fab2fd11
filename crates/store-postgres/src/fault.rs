//! Why a command failed, before it becomes one of the port's errors. Only this file decides what PostgreSQL's codes mean
//! (SQLSTATE, appendix A of its manual).

use alter_core::StoreError;
use deadpool::managed::PoolError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Either our own decision, or an error from the engine.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Our own decision.
    Refused(StoreError),
    /// An error from the server or the connection to it.
    Engine(sqlx::Error),
    /// The connection had died while it was idle, and nothing was begun on it.
    Unbegun(sqlx::Error),
    /// No answer in time.
    Late,
    /// No connection in time.
    NoConnection,
}

impl Fault {
    /// A stored value that cannot be read; `column` is its name.
    pub(crate) fn corrupt(column: &'static str) -> Self {
        Self::Refused(StoreError::Corrupt(column))
    }

    /// Whether the server undid the transaction because of concurrent ones, so that it should be tried again: `40001`
    /// serialization failure, `40P01` deadlock. The other codes of class 40 do not promise that it was undone.
    pub(crate) fn asks_for_repetition(&self) -> bool {
        self.code().is_some_and(|code| ["40001", "40P01"].contains(&code.as_str()))
    }

    /// Whether the connection may be used again. An error about the statement says nothing against the connection; any other
    /// error might (a server that shuts down, that became a read-only standby, whose cached plan no longer fits).
    pub(crate) fn spares_the_connection(&self) -> bool {
        let about_the_request = |code: String| ["22", "23", "40"].iter().any(|class| code.starts_with(class));
        matches!(self, Self::Refused(_)) || !self.is_fatal() && self.code().is_some_and(about_the_request)
    }

    /// The failure of something that may be done twice: if the connection was lost, nothing was begun.
    pub(crate) fn unbegun_if_lost(self) -> Self {
        let lost = self.is_fatal() || matches!(&self, Self::Engine(sqlx::Error::Io(_)));
        match self {
            Self::Engine(error) if lost => Self::Unbegun(error),
            other => other,
        }
    }

    /// Whether the server ended the connection with this error.
    fn is_fatal(&self) -> bool {
        let Self::Engine(sqlx::Error::Database(error)) = self else { return false };
        let severity = error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::severity);
        matches!(severity, Some(PgSeverity::Fatal | PgSeverity::Panic))
    }

    fn code(&self) -> Option<String> {
        match self {
            Self::Engine(sqlx::Error::Database(error)) => error.code().map(Into::into),
            _ => None,
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<PoolError<sqlx::Error>> for Fault {
    fn from(error: PoolError<sqlx::Error>) -> Self {
        match error {
            PoolError::Backend(error) => Self::Engine(error),
            _ => Self::NoConnection,
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        let code = fault.code();
        match (fault, code.as_deref()) {
            (Fault::Refused(error), _) => error,
            // unique_violation
            (Fault::Engine(_), Some("23505")) => Self::Exists,
            // foreign_key_violation: the row that is referred to does not exist
            (Fault::Engine(_), Some("23503")) => Self::Moved,
            (Fault::Engine(error) | Fault::Unbegun(error), _) => Self::Unavailable(explained(&error)),
            (Fault::NoConnection, _) => {
                Self::Unavailable("no connection to the database could be had in time".into())
            }
            (Fault::Late, _) => Self::Unavailable("the database did not answer in time".into()),
        }
    }
}

/// The error's text, and what mends it. A prepared statement's name that another connection uses (`42P05`), or that was lost
/// (`26000`), is the work of a pooler.
pub(crate) fn explained(error: &sqlx::Error) -> String {
    let pooler = error.as_database_error().and_then(|error| error.code());
    match pooler.as_deref() {
        Some("42P05" | "26000") => {
            format!("{error}. Is a pooler in between? Add pgbouncer=true to the database URL")
        }
        _ => error.to_string(),
    }
}
