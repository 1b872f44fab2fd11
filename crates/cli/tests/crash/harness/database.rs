//! The databases that a scenario runs on: how an operator opens them, and where a thief would look.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use alter_core::Store;
use alter_store_postgres::PostgresStore;
use alter_store_sqlite::SqliteStore;
use alter_test_postgres as postgres;

/// The database of one scenario.
#[derive(Debug)]
pub(crate) enum Database {
    /// A file in the data directory.
    Sqlite,
    /// A database of this test's own on a throw-away server. That server runs without `fsync`: only our process is
    /// killed here, and the server lives on.
    Postgres(postgres::Database<'static>),
}

impl Database {
    /// Creates a database on the throw-away server.
    pub(crate) fn postgres() -> Self {
        Self::Postgres(postgres::database())
    }

    /// The value of `ALTER_DATABASE_URL`.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Sqlite => "sqlite:",
            Self::Postgres(database) => &database.url,
        }
    }

    /// Opens the database beside the server, to see what is stored.
    pub(crate) async fn open(&self, data: &Path) -> Arc<dyn Store> {
        match self {
            Self::Sqlite => {
                let file = data.join("alter.db");
                Arc::new(SqliteStore::open(&file, alter_store_sqlite::Open::Existing).unwrap())
            }
            Self::Postgres(database) => {
                let opened = PostgresStore::open(&database.url, alter_store_postgres::Open::Existing);
                Arc::new(opened.await.unwrap())
            }
        }
    }

    /// What a thief of the disk would have beside the data directory: this database's table files, the server's
    /// write-ahead log (a commit is there at once, before it is in the table files), and the server's text log.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        let Self::Postgres(database) = self else { return Vec::new() };
        let url = url::Url::parse(&database.url).unwrap();
        let host = url.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
        let server = PathBuf::from(host);
        let number = database.sql("SELECT oid FROM pg_database WHERE datname = current_database()");
        vec![server.join("data/base").join(number), server.join("data/pg_wal"), server.join("log")]
    }
}
