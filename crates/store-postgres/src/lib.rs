//! The storage ports of `alter-core` over PostgreSQL 15 and newer.
//!
//! Here: SQL, one file per noun under core's file names, and the engine below it: `address` (the URL), `connection` (and what
//! is required of a server), `pool` (transactions that are repeated when the server asks for it), `migrate`. Not here: rules
//! (they are in `core` and are called from inside the transactions), keys and plaintext (sealed values arrive sealed).
//!
//! Acknowledged means durable: a write returns after its COMMIT, and `synchronous_commit=off` is refused. Any number of
//! processes may use one database: no data is kept in memory, and nothing depends on features that only PostgreSQL has
//! (advisory locks, LISTEN), so that databases that speak its protocol stay possible.
//!
//! To add a table, add `migrations/NNNN_name.sql` under SQLite's number, list it in `migrate`, and write its
//! statements in the noun's file, with the columns that `alter-rows` lists. Name every column (`SELECT *` breaks
//! prepared statements after a migration), give every text `COLLATE "C"`, and lock (`FOR UPDATE`) what a transaction
//! reads in order to write it.

mod address;
mod agent;
mod app;
mod attempt;
mod audit;
mod connection;
mod data_key;
mod delegation;
mod fault;
mod foreign;
mod grant;
mod key;
mod line;
pub mod metrics;
mod migrate;
mod opening;
mod pool;
mod provider;
mod refresh;
mod release;
mod revocation;
mod row;
mod session;
mod statement;
mod store;
mod user;

pub use opening::{Open, OpenError};
use std::sync::Arc;

use alter_core::{AuditEntry, Changed, Micros, StoreError};
use sqlx::postgres::PgArguments;

use crate::{
    address::Address,
    audit::append,
    line::Line,
    migrate::within,
    pool::{Form, Pool, Step, Tx},
    statement::Read,
};

/// A database on a server.
pub struct PostgresStore {
    /// Host and database, for messages.
    place: String,
    pool: Arc<Pool>,
    releases: Arc<Line>,
}

impl PostgresStore {
    /// Connects, checks the server and migrates the database forward. `url` is `postgres://USER[:PASSWORD]@HOST/DATABASE`
    /// with the parameters that the module `address` lists.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(url: &str, mode: Open) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        let mut connection = address.connect().await?;
        let place = address.place();
        within(&mut connection, async |c| migrate::refuse_unknown(c, place, mode).await).await?;
        migrate::forward(&mut connection).await?;
        for what in within(&mut connection, async |c| foreign::beside(c).await).await? {
            tracing::warn!(what, "the database has something that this program did not make");
        }
        connection.close().await?;
        Ok(Self {
            place: address.place().to_owned(),
            pool: Arc::new(Pool::new(address)),
            releases: Arc::default(),
        })
    }

    /// Reads the database's schema number, and the one this program knows. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError`], as for [`Open::Existing`].
    pub async fn schema_of(url: &str) -> Result<(i64, i64), OpenError> {
        let address = Address::parse(url)?;
        let mut connection = address.connect().await?;
        let found = within(&mut connection, async |c| {
            migrate::refuse_unknown(c, address.place(), Open::Existing).await?;
            migrate::version(c).await
        });
        let found = found.await?;
        connection.close().await?;
        Ok((found, migrate::known()))
    }

    /// Reads the key-check value from a database of any schema that this program knows; returns `None` before `alter init`
    /// wrote one. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError`], as for [`Open::Existing`].
    pub async fn key_check_of(url: &str) -> Result<Option<Vec<u8>>, OpenError> {
        let address = Address::parse(url)?;
        let mut connection = address.connect().await?;
        let found = within(&mut connection, async |c| {
            migrate::refuse_unknown(c, address.place(), Open::Existing).await?;
            if migrate::version(c).await? == 0 {
                return Ok(None);
            }
            Ok(statement::one(c, store::KEY_CHECK, PgArguments::default(), |row| row.get("value")).await?)
        });
        let found = found.await?;
        connection.close().await?;
        Ok(found)
    }

    /// Lists what the schema has beside our tables that acts on nothing: views, indexes, tables. Changes nothing.
    ///
    /// # Errors
    /// [`OpenError`], as for [`Open::Existing`].
    pub async fn foreign_of(url: &str) -> Result<Vec<String>, OpenError> {
        let mut connection = Address::parse(url)?.connect().await?;
        let found = within(&mut connection, async |c| foreign::beside(c).await).await?;
        connection.close().await?;
        Ok(found)
    }

    /// Reads the database server's clock.
    ///
    /// # Errors
    /// [`OpenError`]; the tables need not exist.
    pub async fn clock_of(url: &str) -> Result<Micros, OpenError> {
        let mut connection = Address::parse(url)?.connect().await?;
        let sql = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT AS now";
        let now: Option<i64> = within(&mut connection, async |c| {
            Ok(statement::one(c, sql, PgArguments::default(), |row| row.get("now")).await?)
        })
        .await?;
        connection.close().await?;
        now.map(Micros).ok_or_else(|| OpenError::Engine("it does not tell the time".into()))
    }

    /// Host and database of a URL, for messages.
    ///
    /// # Errors
    /// [`OpenError::Url`].
    pub fn place_of(url: &str) -> Result<String, OpenError> {
        Ok(Address::parse(url)?.place().to_owned())
    }

    /// The schema that [`PostgresStore::open`] brings a database to.
    pub fn schema_version() -> i64 {
        migrate::known()
    }

    /// Runs `work` inside a transaction; returns once that is durable. `work` may run several times, each time from the start
    /// with the earlier times undone. It must not swallow an error from the engine: COMMIT would then quietly undo everything.
    async fn write<'a, T>(&self, work: impl for<'c> Fn(Tx<'c, 'a>) -> Step<'c, T>) -> Result<T, StoreError> {
        self.pool.run(Form::Transaction, work).await
    }

    /// Returns the first row of one statement, if any. A single statement is its own transaction.
    async fn one<T>(
        &self,
        sql: &'static str,
        values: PgArguments,
        read: Read<T>,
    ) -> Result<Option<T>, StoreError> {
        self.pool.run(Form::of(sql), |tx| Box::pin(statement::one(tx.c, sql, values.clone(), read))).await
    }

    /// Returns all rows of one statement.
    async fn all<T>(
        &self,
        sql: &'static str,
        values: PgArguments,
        read: Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.pool.run(Form::of(sql), |tx| Box::pin(statement::all(tx.c, sql, values.clone(), read))).await
    }

    /// Returns how many rows one statement changed.
    async fn run(&self, sql: &'static str, values: PgArguments) -> Result<u64, StoreError> {
        self.pool.run(Form::Write, |tx| Box::pin(statement::run(tx.c, sql, values.clone()))).await
    }

    /// Changes one row with one statement, and records that in the same commit. An absent row is not recorded.
    async fn change(
        &self,
        sql: &'static str,
        values: PgArguments,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError> {
        let audit = &audit;
        self.write(|tx| {
            let values = values.clone();
            Box::pin(async move {
                let changed = Changed::when(statement::run(tx.c, sql, values).await? == 1);
                if changed.is_done() {
                    append(tx.c, audit).await?;
                }
                Ok(changed)
            })
        })
        .await
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("place", &self.place).finish_non_exhaustive()
    }
}
