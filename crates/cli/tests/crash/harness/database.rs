//! The databases that a scenario runs on, seen as the operator and as a thief see them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use alter_core::Store;
use alter_store_postgres::PostgresStore;
use alter_store_sqlite::SqliteStore;
use alter_test_postgres as postgres;

/// Which one.
#[derive(Debug)]
pub(crate) enum Database {
    /// One file in the data directory.
    Sqlite,
    /// One of this test's own, on a throw-away server. What it does not have is `fsync`: it is our process that is
    /// killed here, and the server lives on.
    Postgres(postgres::Database<'static>),
}

impl Database {
    /// A new one on the throw-away server.
    pub(crate) fn postgres() -> Self {
        Self::Postgres(postgres::database())
    }

    /// `ALTER_DATABASE_URL`.
    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Sqlite => "sqlite:",
            Self::Postgres(database) => &database.url,
        }
    }

    /// Opens it beside the server, to look at what is stored.
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

    /// What a thief of the disk would have beside the data directory: this database's tables, the server's log of
    /// changes (commits are there at once, whatever the tables' files say), its text log.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        let Self::Postgres(database) = self else { return Vec::new() };
        let url = url::Url::parse(&database.url).unwrap();
        let host = url.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
        let server = PathBuf::from(host);
        let number = database.sql("SELECT oid FROM pg_database WHERE datname = current_database()");
        vec![server.join("data/base").join(number), server.join("data/pg_wal"), server.join("log")]
    }
}
