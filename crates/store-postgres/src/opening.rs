//! How a database is opened, and why it cannot be.

use crate::fault;

/// Why a database could not be opened. The texts are for the operator; none contains the URL.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be used.
    #[error("the database URL {0}")]
    Url(String),
    /// [`Open::Existing`] was asked for, but there are no tables.
    #[error("there are no tables of ours in the database {0}")]
    Missing(String),
    /// A newer program has migrated it. Nothing was changed.
    #[error("the database has schema {found}, this program knows {known}: use the newer program")]
    NewerSchema {
        /// The database's schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// The database has another program's tables. Nothing was changed.
    #[error("{0} is a database of another program")]
    NotOurs(String),
    /// Something acts on our rows that this program never made. Nothing was changed. Content: what it is.
    #[error(
        "the database has what this program never makes, and it can change or undo what is stored: {0}. Find out who made \
         it. Then stop every server, drop it with psql, and compare what it could reach with a backup"
    )]
    Foreign(String),
    /// The server does not meet this program's requirements. Nothing was changed.
    #[error("the database server cannot be used: {0}")]
    Server(String),
    /// Another process has been migrating it for a minute.
    #[error("another process is migrating the database; try again when it has finished")]
    Migrating,
    /// The server refused, or cannot be reached.
    #[error("the database cannot be opened: {0}")]
    Engine(String),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Engine(fault::explained(&error))
    }
}

/// What [`crate::PostgresStore::open`] does with a database that does not have our tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Makes the tables. The database itself must exist.
    Create,
    /// Refuses to make them.
    Existing,
}
