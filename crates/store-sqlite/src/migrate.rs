//! Migrating the schema forward. `PRAGMA user_version` holds the number of the last migration that ran. Each migration
//! raises that number in its own transaction, so after a crash between two migrations the next start goes on from there.
//! There is no way back: a newer file is refused.

use std::{collections::BTreeSet, path::Path};

use rusqlite::{Connection, TransactionBehavior};

use crate::{foreign, opening::OpenError};

/// In order; the first is number 1. A migration that has been released never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_connect.sql"),
    include_str!("../migrations/0002_users_and_agents.sql"),
    include_str!("../migrations/0003_app_keys.sql"),
    include_str!("../migrations/0004_grant_lookups.sql"),
    include_str!("../migrations/0005_words.sql"),
    include_str!("../migrations/0006_refresh.sql"),
    include_str!("../migrations/0007_attempts_counted.sql"),
    include_str!("../migrations/0008_seals.sql"),
    include_str!("../migrations/0009_account_verified.sql"),
    include_str!("../migrations/0010_holders.sql"),
    include_str!("../migrations/0011_deleted_apps.sql"),
    include_str!("../migrations/0012_opener.sql"),
    include_str!("../migrations/0013_customers.sql"),
    include_str!("../migrations/0014_staged.sql"),
    include_str!("../migrations/0015_signed_in.sql"),
];

/// The newest schema this program knows.
pub(crate) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are fewer migrations than that")
}

/// The tables and indexes that our migrations make.
pub(crate) fn names() -> BTreeSet<&'static str> {
    alter_rows::schema::names(MIGRATIONS.iter().copied())
}

/// Refuses a file that must not be written to: a newer schema, another program's tables, or ours with a trigger that is
/// not.
pub(crate) fn refuse_unknown(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found = version(connection)?;
    if found > known() {
        return Err(OpenError::NewerSchema { found, known: known() });
    }
    let tables: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    // Another process may be running the first migration right now: then the number appears together with the tables.
    if found < 0 || (found == 0 && tables > 0 && version(connection)? == 0) {
        return Err(OpenError::NotOurs(path.to_owned()));
    }
    foreign::refuse(connection)
}

/// Runs the migrations that have not run yet. Two processes may do so at once: the write lock lets one go first, and the
/// other finds them done.
pub(crate) fn forward(connection: &mut Connection) -> Result<(), OpenError> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = version(&transaction)?;
        if done > known() {
            return Err(OpenError::NewerSchema { found: done, known: known() });
        }
        let Some(next) = usize::try_from(done).ok().and_then(|i| MIGRATIONS.get(i)) else {
            return Ok(());
        };
        transaction.execute_batch(next)?;
        transaction.pragma_update(None, "user_version", done + 1)?;
        transaction.commit()?;
        tracing::info!(schema = done + 1, "database migrated");
    }
}

/// The number of the last migration that ran.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// How SQLite would run a statement against the newest schema.
#[cfg(test)]
pub(crate) fn plan(sql: &str) -> String {
    let mut connection = Connection::open_in_memory().unwrap();
    forward(&mut connection).unwrap();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
    let steps =
        statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get::<_, String>("detail")).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}
