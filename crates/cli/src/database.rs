//! The database is one SQLite file or a PostgreSQL server. What differs between the two for the operator is here.

use std::{fmt, path::PathBuf, sync::Arc};

use alter_core::Store;
use alter_store_postgres::{OpenError as ServerError, PostgresStore};
use alter_store_sqlite::{OpenError as FileError, ServingLock, SqliteStore};
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

/// The database that `ALTER_DATABASE_URL` names.
#[derive(Clone)]
pub(crate) enum Database {
    /// The path of a SQLite file.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL server; it may carry a password.
    Postgres(SecretString),
}

/// What to do about a missing database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Open {
    /// Create it (on a server: its tables).
    Create,
    /// Refuse to open it.
    Existing,
}

impl Database {
    /// Reads `ALTER_DATABASE_URL`.
    ///
    /// # Errors
    /// The error names the setting. It never repeats the URL of a server.
    pub(crate) fn parse(url: &str, data_dir: &std::path::Path) -> anyhow::Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            PostgresStore::place_of(url).context("ALTER_DATABASE_URL")?;
            return Ok(Self::Postgres(SecretString::from(url.to_owned())));
        }
        match url.strip_prefix("sqlite:") {
            Some("") => Ok(Self::Sqlite(data_dir.join("alter.db"))),
            Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
            None => anyhow::bail!(
                "ALTER_DATABASE_URL must be \"sqlite:\", \"sqlite:/path/to/file\" or \"postgres://USER:PASSWORD@HOST/DATABASE\""
            ),
        }
    }

    /// The SQLite file; `None` on a server.
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// Opens the database and migrates it forward.
    ///
    /// # Errors
    /// The error is a sentence for the operator.
    pub(crate) async fn open(&self, open: Open) -> anyhow::Result<Arc<dyn Store>> {
        let store: Arc<dyn Store> = match self {
            Self::Sqlite(path) => {
                let mode = match open {
                    Open::Create => alter_store_sqlite::Open::Create,
                    Open::Existing => alter_store_sqlite::Open::Existing,
                };
                Arc::new(SqliteStore::open(path, mode).map_err(|error| self.of_file(error))?)
            }
            Self::Postgres(url) => {
                let mode = match open {
                    Open::Create => alter_store_postgres::Open::Create,
                    Open::Existing => alter_store_postgres::Open::Existing,
                };
                let opened = PostgresStore::open(url.expose_secret(), mode).await;
                Arc::new(opened.map_err(|error| self.of_server(error))?)
            }
        };
        Ok(store)
    }

    /// Refuses a database that opening would migrate: only `serve` and `migrate` change a schema.
    ///
    /// # Errors
    /// The error is a sentence for the operator.
    pub(crate) async fn refuse_older_schema(&self) -> anyhow::Result<()> {
        let (found, known) = match self {
            Self::Sqlite(path) => SqliteStore::schema_of(path).map_err(|error| self.of_file(error))?,
            Self::Postgres(url) => {
                let found = PostgresStore::schema_of(url.expose_secret()).await;
                found.map_err(|error| self.of_server(error))?
            }
        };
        anyhow::ensure!(
            found >= known,
            "the database has schema {found}, this program {known}: nothing was changed. Back up, then run alter migrate, \
             or start alter serve, which migrates"
        );
        Ok(())
    }

    /// Reads the key-check value under any schema; `None` before `alter init` wrote one. Changes nothing.
    ///
    /// # Errors
    /// The error is a sentence for the operator.
    pub(crate) async fn key_check(&self) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Self::Sqlite(path) => SqliteStore::key_check_of(path).map_err(|error| self.of_file(error)),
            Self::Postgres(url) => {
                let found = PostgresStore::key_check_of(url.expose_secret()).await;
                found.map_err(|error| self.of_server(error))
            }
        }
    }

    /// Whether `alter init` must leave it alone: it has a key-check value. What an `init` that was broken off has left
    /// does not count.
    ///
    /// # Errors
    /// There is a database, and it cannot be read.
    pub(crate) async fn is_initialised(&self) -> anyhow::Result<bool> {
        let found = match self {
            Self::Sqlite(path) => match SqliteStore::key_check_of(path) {
                Err(FileError::Missing(_)) => return Ok(false),
                found => found.map_err(|error| self.of_file(error))?,
            },
            Self::Postgres(url) => match PostgresStore::key_check_of(url.expose_secret()).await {
                Err(ServerError::Missing(_)) => return Ok(false),
                found => found.map_err(|error| self.of_server(error))?,
            },
        };
        Ok(found.is_some())
    }

    /// Keeps other servers from the database for as long as the result lives. `None` on PostgreSQL, which any number of
    /// servers may use.
    ///
    /// # Errors
    /// Names the process that serves from the file.
    pub(crate) fn lock_for_serving(&self) -> anyhow::Result<Option<ServingLock>> {
        let Self::Sqlite(path) = self else { return Ok(None) };
        alter_store_sqlite::lock_for_serving(path).map(Some).map_err(|error| self.of_file(error))
    }

    /// What an operator reads about a file that did not open.
    pub(crate) fn of_file(&self, error: FileError) -> anyhow::Error {
        match error {
            FileError::Missing(path) => {
                let place = std::path::absolute(&path).unwrap_or(path);
                anyhow::anyhow!("there is no database at {}: {}", place.display(), self.mend_missing())
            }
            error => anyhow::Error::new(error).context(format!("the database {self} did not open")),
        }
    }

    fn of_server(&self, error: ServerError) -> anyhow::Error {
        match error {
            ServerError::Missing(_) => anyhow::anyhow!("{error}: {}", self.mend_missing()),
            error => anyhow::Error::new(error).context(format!("the database {self} did not open")),
        }
    }

    fn mend_missing(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => {
                "if it is elsewhere, point ALTER_DATA_DIR or ALTER_DATABASE_URL at it; if you have a backup, run \
                 alter restore FILE; for a new installation, alter init"
            }
            Self::Postgres(_) => {
                "if yours is elsewhere, point ALTER_DATABASE_URL at it; for a new installation, run alter init"
            }
        }
    }

    /// The schema version that opening brings the database to.
    pub(crate) fn schema_version(&self) -> i64 {
        match self {
            Self::Sqlite(_) => SqliteStore::schema_version(),
            Self::Postgres(_) => PostgresStore::schema_version(),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => {
                let place = PostgresStore::place_of(url.expose_secret());
                f.write_str(place.as_deref().unwrap_or("PostgreSQL"))
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t95_a_password_in_the_url_is_shown_nowhere() {
        let url = "postgres://alter:canary-pw@db.example:5433/connect?sslmode=verify-full";
        let database = Database::parse(url, "/data".as_ref()).unwrap();
        assert!(matches!(&database, Database::Postgres(kept) if kept.expose_secret() == url));
        let shown = format!("{database} {database:?}");
        assert!(shown.contains("db.example") && !shown.contains("canary"), "{shown}");
        for bad in [
            "postgres://",
            "postgres://host/db",
            "postgres://u:canary-pw@h/d?canary-x=1",
            "mysql://u:canary-pw@h/d",
        ] {
            let error = format!("{:#}", Database::parse(bad, "/data".as_ref()).unwrap_err());
            assert!(error.contains("ALTER_DATABASE_URL") && !error.contains("canary-pw"), "{error}");
        }
    }
}
