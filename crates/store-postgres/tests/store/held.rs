//! Locks that somebody else holds, and those who wait for them.

use std::time::Duration;

use alter_test_postgres::Database;
use sqlx::{Connection as _, Executor as _, PgConnection};

/// A transaction beside the store's, and the locks that it holds.
pub(crate) struct Held(PgConnection);

impl Held {
    /// Takes the locks of the statement.
    pub(crate) async fn by(database: &Database<'_>, sql: &'static str) -> Self {
        let mut holder = PgConnection::connect(&database.url).await.unwrap();
        holder.execute("BEGIN").await.unwrap();
        holder.execute(sql).await.unwrap();
        Self(holder)
    }

    /// Takes more locks.
    pub(crate) async fn and(&mut self, sql: &'static str) {
        self.0.execute(sql).await.unwrap();
    }

    pub(crate) async fn let_go(mut self) {
        self.0.execute("COMMIT").await.unwrap();
    }
}

/// How many connections wait for a lock.
pub(crate) fn blocked(database: &Database<'_>) -> usize {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    database.sql(sql).parse().unwrap()
}

/// Waits until `n` connections wait for a lock.
pub(crate) async fn until_blocked(database: &Database<'_>, n: usize) {
    while blocked(database) != n {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
