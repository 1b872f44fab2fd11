//! Migrating the schema forward. `schema_version` holds the number of the last migration that ran. Each migration raises
//! that number in its own transaction, so a crash between two statements leaves the previous schema (F37). There is no way
//! back: a newer schema is refused.
//!
//! Of several processes, only one migrates: the holder of the lease, a row with an end time and a fence. The fence is a
//! number that every new holder raises. A migration locks the row and checks that its own number is still there, so a
//! holder that slept while its lease ran out changes nothing. The times are the database's: one clock for all.

use std::{collections::BTreeSet, time::Duration};

use alter_core::{AppId, SystemRandom};
use sqlx::Executor as _;

use crate::{
    connection::Connection,
    fault::Fault,
    foreign,
    opening::{Open, OpenError},
    statement::{all, one, run, values},
};

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

/// The schema's number, and who may migrate it.
const BOOKKEEPING: &str = r#"
    CREATE TABLE schema_version (
        id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
        version BIGINT NOT NULL
    );
    CREATE TABLE migration_lease (
        id         BIGINT           NOT NULL PRIMARY KEY CHECK (id = 1),
        holder     TEXT COLLATE "C" NOT NULL,
        fence      BIGINT           NOT NULL,
        expires_at BIGINT           NOT NULL
    );
    INSERT INTO schema_version (id, version) VALUES (1, 0);
    INSERT INTO migration_lease (id, holder, fence, expires_at) VALUES (1, '', 0, 0);
"#;

/// How often, and how many times, a process that waits for the lease's holder checks again.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 600;

/// The newest schema this program knows.
pub(crate) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are fewer migrations than that")
}

/// The tables and indexes that our migrations make.
pub(crate) fn names() -> BTreeSet<&'static str> {
    alter_rows::schema::names(MIGRATIONS.iter().copied().chain([BOOKKEEPING]))
}

/// Refuses a database that must not be written to: a newer schema, another program's tables, ours with a trigger that is
/// not, or no tables where [`Open::Existing`] needs some.
pub(crate) async fn refuse_unknown(c: &mut Connection, place: &str, mode: Open) -> Result<(), OpenError> {
    let tables = tables(c).await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    match (has("schema_version") && has("migration_lease"), tables.is_empty(), mode) {
        (true, ..) => {
            refuse_newer(version(c).await?, known())?;
            foreign::refuse(c).await
        }
        (false, true, Open::Create) => Ok(()),
        (false, true, Open::Existing) => Err(OpenError::Missing(place.to_owned())),
        (false, false, _) => Err(OpenError::NotOurs(place.to_owned())),
    }
}

fn refuse_newer(found: i64, known: i64) -> Result<(), OpenError> {
    if found > known { Err(OpenError::NewerSchema { found, known }) } else { Ok(()) }
}

/// Lists the tables in our schema in one snapshot: the bookkeeping's tables appear together.
async fn tables(c: &mut Connection) -> Result<Vec<String>, OpenError> {
    let sql = "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = current_schema()";
    Ok(all(c, sql, values![], |row| row.get("name")).await?)
}

/// Runs the migrations that have not run yet. Any number of processes may do so at once.
pub(crate) async fn forward(c: &mut Connection) -> Result<(), OpenError> {
    forward_to(c, MIGRATIONS).await
}

/// `migrations` is an argument for the tests.
async fn forward_to(c: &mut Connection, migrations: &[&'static str]) -> Result<(), OpenError> {
    let known = i64::try_from(migrations.len()).expect("there are fewer migrations than that");
    keep_books(c).await?;
    for _ in 0..LOOKS {
        let done = within(c, async |c| version(c).await).await?;
        if done >= known {
            return refuse_newer(done, known);
        }
        match within(c, async |c| Ok(Lease::take(c).await?)).await? {
            Some(lease) => migrate_all(c, lease, migrations).await?,
            None => tokio::time::sleep(LOOK).await,
        }
    }
    Err(OpenError::Migrating)
}

/// Runs `work` in a transaction of its own. A pooler needs one for a single statement too.
pub(crate) async fn within<T>(
    c: &mut Connection,
    work: impl AsyncFnOnce(&mut Connection) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    c.begin().await?;
    let done = work(c).await;
    match &done {
        Ok(_) => c.commit().await?,
        // What went wrong before says more than a failure to undo it.
        Err(_) => drop(c.rollback().await),
    }
    done
}

/// Gives the lease back, also after a failure, so that the next process need not wait until it ends. (This is impossible
/// when the connection is lost.)
async fn migrate_all(c: &mut Connection, lease: Lease, migrations: &[&'static str]) -> Result<(), OpenError> {
    let outcome = loop {
        match within(c, async |c| migrate_one(c, lease, migrations).await).await {
            Ok(Some(schema)) => tracing::info!(schema, "database migrated"),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let given_back = within(c, async |c| Ok(lease.give_back(c).await?)).await;
    outcome?;
    given_back
}

/// Makes the bookkeeping's tables if they are missing. `IF NOT EXISTS` does not help against another process that makes
/// them at the same moment: the second one fails, and then finds them there.
async fn keep_books(c: &mut Connection) -> Result<(), OpenError> {
    for _ in 0..LOOKS {
        let tables = within(c, async |c| tables(c).await).await?;
        if tables.iter().any(|table| table == "schema_version") {
            return Ok(());
        }
        c.begin().await?;
        match c.raw().execute(BOOKKEEPING).await {
            Ok(_) => c.commit().await?,
            // unique_violation, duplicate_table, duplicate_object (the table's type): another process has just made
            // them.
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("23505" | "42P07" | "42710")) =>
            {
                c.rollback().await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(OpenError::Migrating)
}

pub(crate) async fn version(c: &mut Connection) -> Result<i64, OpenError> {
    let sql = "SELECT version FROM schema_version WHERE id = 1";
    one(c, sql, values![], |row| row.get("version")).await?.ok_or(Fault::corrupt("version").into())
}

/// The right to migrate: until its end, or until another process has taken it.
#[derive(Clone, Copy)]
struct Lease {
    fence: i64,
}

impl Lease {
    /// Takes the lease; returns `None` while another process has it. A locked row means that its holder is migrating: such a
    /// lease is not taken, even if its end has passed.
    async fn take(c: &mut Connection) -> Result<Option<Self>, Fault> {
        let sql = "UPDATE migration_lease SET holder = $1, fence = fence + 1,
                       expires_at = (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT + 5000000
                   WHERE id IN (SELECT id FROM migration_lease
                                WHERE id = 1 AND expires_at <= (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT
                                FOR UPDATE SKIP LOCKED)
                   RETURNING fence";
        let holder = AppId::new(&SystemRandom).to_string();
        one(c, sql, values![holder], |row| Ok(Self { fence: row.get("fence")? })).await
    }

    /// Inside a migration's transaction: whether the lease is still ours. If so, nobody can take it until the commit.
    async fn holds(self, c: &mut Connection) -> Result<bool, Fault> {
        let sql = "SELECT fence FROM migration_lease WHERE id = 1 AND fence = $1 FOR UPDATE";
        Ok(one(c, sql, values![self.fence], |_| Ok(())).await?.is_some())
    }

    async fn give_back(self, c: &mut Connection) -> Result<(), Fault> {
        let sql = "UPDATE migration_lease SET expires_at = 0 WHERE id = 1 AND fence = $1";
        run(c, sql, values![self.fence]).await.map(|_| ())
    }
}

/// Inside a transaction: runs one migration, if one is left and the lease is still ours, and returns the schema's new number.
/// Without the lease, the process that has it does the rest.
async fn migrate_one(
    c: &mut Connection,
    lease: Lease,
    migrations: &[&'static str],
) -> Result<Option<i64>, OpenError> {
    // An index on a large table takes longer than a statement of the running program ever may.
    c.raw().execute("SET LOCAL statement_timeout = 0").await?;
    if !lease.holds(c).await? {
        return Err(OpenError::Migrating);
    }
    let done = version(c).await?;
    let Some(next) = usize::try_from(done).ok().and_then(|i| migrations.get(i)) else {
        return Ok(None);
    };
    c.raw().execute(*next).await?;
    run(c, "UPDATE schema_version SET version = $1 WHERE id = 1", values![done + 1]).await?;
    Ok(Some(done + 1))
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Engine(error) => error.into(),
            other => Self::Engine(alter_core::StoreError::from(other).to_string()),
        }
    }
}

/// How PostgreSQL would run a statement against the newest schema if it had to avoid reading whole tables and sorting.
/// `values` stand for `$1`, `$2`, ... Without rows it cannot tell indexes with the same first columns apart, so `fill`
/// makes some.
#[cfg(test)]
pub(crate) async fn plan(fill: &str, sql: &str, values: &[&str]) -> String {
    let database = alter_test_postgres::database();
    crate::PostgresStore::open(&database.url, Open::Create).await.unwrap();
    let with_values = values.iter().enumerate().rev();
    let sql = with_values.fold(sql.to_owned(), |sql, (i, value)| sql.replace(&format!("${}", i + 1), value));
    if !fill.is_empty() {
        database.sql(&format!("SET session_replication_role = replica; {fill}"));
        database.sql("VACUUM ANALYZE");
    }
    database.sql(&format!(
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; EXPLAIN {sql}"
    ))
}

#[cfg(test)]
mod tests {
    use alter_test_postgres::database;

    use super::*;
    use crate::address::Address;

    async fn connect(url: &str) -> Connection {
        Address::parse(url).unwrap().connect().await.unwrap()
    }

    #[tokio::test]
    async fn f37_who_slept_while_the_lease_ran_out_changes_nothing() {
        let database = database();
        let (mut slow, mut next) = (connect(&database.url).await, connect(&database.url).await);
        keep_books(&mut slow).await.unwrap();
        let first = Lease::take(&mut slow).await.unwrap().expect("it is free");
        assert!(Lease::take(&mut next).await.unwrap().is_none(), "while it lasts it is one's own");

        database.sql("UPDATE migration_lease SET expires_at = 1");
        let second = Lease::take(&mut next).await.unwrap().expect("it has run out");
        assert!(second.fence > first.fence);
        let refused = within(&mut slow, async |c| migrate_one(c, first, MIGRATIONS).await).await;
        assert!(matches!(refused, Err(OpenError::Migrating)), "{refused:?}");
        assert_eq!(version(&mut next).await.unwrap(), 0);
        first.give_back(&mut slow).await.unwrap();
        assert_ne!(
            database.sql("SELECT expires_at FROM migration_lease"),
            "0",
            "it is not ours to give back"
        );

        while within(&mut next, async |c| migrate_one(c, second, MIGRATIONS).await).await.unwrap().is_some() {
        }
        assert_eq!(version(&mut slow).await.unwrap(), known());
    }

    #[tokio::test]
    async fn f37_a_lease_that_ran_out_is_not_taken_from_under_a_migration_that_runs() {
        let database = database();
        let (mut holder, mut next) = (connect(&database.url).await, connect(&database.url).await);
        keep_books(&mut holder).await.unwrap();
        let lease = Lease::take(&mut holder).await.unwrap().expect("it is free");
        database.sql("UPDATE migration_lease SET expires_at = 1");
        holder.begin().await.unwrap();
        assert!(lease.holds(&mut holder).await.unwrap());
        assert!(Lease::take(&mut next).await.unwrap().is_none());
        holder.rollback().await.unwrap();
        assert!(Lease::take(&mut next).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn f37_a_migration_with_a_mistake_at_its_end_leaves_nothing_and_the_right_one_follows() {
        let database = database();
        let mut c = connect(&database.url).await;
        let broken =
            forward_to(&mut c, &["CREATE TABLE a (b BIGINT)", "CREATE TABLE c (d BIGINT); SELECT 1 / 0"]);
        assert!(matches!(broken.await, Err(OpenError::Engine(_))));
        assert_eq!(
            database.sql("SELECT version, to_regclass('a'), to_regclass('c') FROM schema_version"),
            "1|a|"
        );
        assert_eq!(database.sql("SELECT expires_at FROM migration_lease"), "0", "nobody has to wait");
        forward_to(&mut c, &["", "CREATE TABLE c (d BIGINT)"]).await.unwrap();
        assert_eq!(database.sql("SELECT version, to_regclass('c') FROM schema_version"), "2|c");
    }
}
