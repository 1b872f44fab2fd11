//! Connecting to a database, what is set on a connection, and what is required of a server.
//!
//! A pooler in transaction mode (`pgbouncer=true`) gives each transaction to another server process. Nothing may outlive a
//! transaction there: no setting, no prepared statement's name, and not even an unnamed statement between its preparation
//! and its execution. So everything runs between BEGIN and COMMIT, each BEGIN sets the settings anew, and statements have no
//! names.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgRow},
};

use crate::{
    address::{Address, CONNECT},
    opening::OpenError,
};

/// The oldest PostgreSQL release that this program was tested with.
const OLDEST: i64 = 15;

/// READ COMMITTED, stated explicitly: another default on the server must not change what our statements mean. Their
/// conditions are checked on the newest committed row, after waiting for any transaction that is changing it.
macro_rules! begin {
    () => {
        "BEGIN ISOLATION LEVEL READ COMMITTED"
    };
}

/// A statement that runs longer than ten seconds, or a transaction whose process hangs (30 s), would keep its locks from
/// everybody else. And while a statement runs, the server checks whether we are still there, if its version can. `$local`:
/// whether the settings end with the transaction.
macro_rules! settings {
    ($local:literal) => {
        concat!(
            "set_config('statement_timeout', '10s', ",
            $local,
            "), set_config('idle_in_transaction_session_timeout', '30s', ",
            $local,
            "), CASE WHEN current_setting('client_connection_check_interval', true) IS NOT NULL
                     THEN set_config('client_connection_check_interval', '2s', ",
            $local,
            ") END"
        )
    };
}

/// What safety depends on. `$synchronous_commit`: where that setting is read.
macro_rules! facts {
    ($synchronous_commit:literal) => {
        concat!(
            $synchronous_commit,
            " AS synchronous_commit,
             current_setting('server_version_num') AS version_number,
             current_setting('server_version') AS version,
             current_setting('server_encoding') AS encoding,
             current_setting('transaction_read_only') AS read_only,
             current_setting('fsync', true) AS fsync"
        )
    };
}

const BEGIN: &str = begin!();
/// Between our transactions, other programs may use the same server process and leave settings behind. Of those,
/// `synchronous_commit` would break a promise.
const BEGIN_POOLED: &str = concat!(
    begin!(),
    "; SELECT ",
    settings!("true"),
    ", CASE WHEN current_setting('synchronous_commit') = 'off'
            THEN set_config('synchronous_commit', 'on', true) END"
);
/// Sets a connection's settings, and reads the facts, in one round trip.
const PREPARE: &str =
    concat!("SELECT ", settings!("false"), ", ", facts!("current_setting('synchronous_commit')"));
/// What another program has set just now is put right at each BEGIN, so what counts is the user's and database's setting.
const PREPARE_POOLED: &str =
    concat!("SELECT ", facts!("(SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit')"));

/// A connection to a server, or to a pooler in front of one.
pub(crate) struct Connection {
    raw: PgConnection,
    pooled: bool,
}

impl Connection {
    pub(crate) fn raw(&mut self) -> &mut PgConnection {
        &mut self.raw
    }

    /// Whether each transaction may run in another server process.
    pub(crate) fn is_pooled(&self) -> bool {
        self.pooled
    }

    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.raw.execute(if self.pooled { BEGIN_POOLED } else { BEGIN }).await.map(|_| ())
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.raw.execute("COMMIT").await.map(|_| ())
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        self.raw.execute("ROLLBACK").await.map(|_| ())
    }

    pub(crate) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        self.raw.ping().await
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        self.raw.close().await
    }

    async fn prepare(&mut self) -> Result<Facts, sqlx::Error> {
        let sql = if self.pooled { PREPARE_POOLED } else { PREPARE };
        Facts::read(&sqlx::raw_sql(sql).fetch_one(&mut self.raw).await?)
    }
}

impl Address {
    /// Opens one connection outside any pool, with its settings set.
    pub(crate) async fn connect(&self) -> Result<Connection, OpenError> {
        let (connection, facts) = self.reach(self.ours.patience).await?;
        facts.judge().map_err(OpenError::Server)?;
        if facts.fsync.as_deref() == Some("off") {
            tracing::warn!("the database server runs with fsync=off: what it acknowledges may be lost");
        }
        if self.exposed {
            let binding = if self.ours.bound { " (channel_binding=require is not built)" } else { "" };
            tracing::warn!(
                "the way to the database server is not protected: add sslmode=verify-full to its URL{binding}"
            );
        }
        Ok(connection)
    }

    /// Opens one of the pool's connections.
    pub(crate) async fn connect_for_pool(&self) -> Result<Connection, sqlx::Error> {
        // A call gives up after CONNECT: by then the last host must have had its share.
        let (connection, facts) = self.reach(self.ours.patience.min(CONNECT * 9 / 10)).await?;
        facts.judge().map_err(|why| sqlx::Error::Configuration(why.into()))?;
        Ok(connection)
    }

    /// Connects to the first host that fits. If none fits, returns an error that will pass, if there was one.
    async fn reach(&self, patience: Duration) -> Result<(Connection, Facts), sqlx::Error> {
        // Each host has its share of the time, so one that does not respond leaves the others theirs.
        let share = patience / u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let mut best = None;
        for host in &self.hosts {
            let reached = self.connect_to(host, share).await;
            if reached.as_ref().is_ok_and(|(_, facts)| facts.is_writable()) {
                return reached;
            }
            if !matches!(&best, Some(Err(error)) if will_pass(error)) {
                best = Some(reached);
            }
        }
        best.expect("an address has a host")
    }

    async fn connect_to(
        &self,
        host: &PgConnectOptions,
        share: Duration,
    ) -> Result<(Connection, Facts), sqlx::Error> {
        let connecting = async {
            let mut connection = Connection { raw: host.connect().await?, pooled: self.ours.pooled };
            let facts = connection.prepare().await?;
            Ok((connection, facts))
        };
        let late = |_| io::Error::new(ErrorKind::TimedOut, format!("no answer in {share:?}"));
        tokio::time::timeout(share, connecting).await.map_err(late)?
    }
}

/// Whether connecting may succeed a moment later: nothing listens, or the server is starting, stopping or full (`57P03`,
/// `57P01`, `53300`). A pooler passes `57P01` on when it lends a server process that was ended.
pub(crate) fn will_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["57P03", "57P01", "53300"].contains(&&*code))
        }
        _ => false,
    }
}

/// What a server reports about itself.
struct Facts {
    version_number: String,
    version: String,
    encoding: String,
    synchronous_commit: String,
    /// `on` at a standby, and where `default_transaction_read_only` says so.
    read_only: String,
    /// `None` = the server has no such setting (a database that only speaks PostgreSQL's protocol).
    fsync: Option<String>,
}

impl Facts {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            version_number: row.try_get("version_number")?,
            version: row.try_get("version")?,
            encoding: row.try_get("encoding")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            read_only: row.try_get("read_only")?,
            fsync: row.try_get("fsync")?,
        })
    }

    fn is_writable(&self) -> bool {
        self.read_only != "on"
    }

    /// # Errors
    /// What is wrong with the server, for the operator.
    fn judge(&self) -> Result<(), String> {
        if self.version_number.parse().unwrap_or(0) < OLDEST * 10_000 {
            return Err(format!("it is PostgreSQL {}; {OLDEST} or newer is needed", self.version));
        }
        if self.encoding != "UTF8" {
            return Err(format!("the database's encoding is {}; UTF8 is needed", self.encoding));
        }
        if !self.is_writable() {
            return Err(
                "it does not write: it is a standby, or default_transaction_read_only is on for this \
                        user or database"
                    .into(),
            );
        }
        if self.synchronous_commit == "off" {
            return Err(
                "synchronous_commit is off for this user or database, and what it acknowledges may be \
                        lost; set it to on"
                    .into(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            version_number: "150018".into(),
            version: "15.18".into(),
            encoding: "UTF8".into(),
            synchronous_commit: "on".into(),
            read_only: "off".into(),
            fsync: Some("on".into()),
        }
    }

    #[test]
    fn a_server_that_is_too_old_or_not_durable_or_read_only_or_not_utf8_is_refused() {
        assert_eq!(facts().judge(), Ok(()));
        let judged = |change: fn(&mut Facts)| {
            let mut facts = facts();
            change(&mut facts);
            facts.judge()
        };
        let old = judged(|f| (f.version_number, f.version) = ("140012".into(), "14.12".into()));
        assert_eq!(old, Err("it is PostgreSQL 14.12; 15 or newer is needed".into()));
        assert!(judged(|f| f.version_number = "170001".into()).is_ok());
        assert!(judged(|f| f.synchronous_commit = "off".into()).is_err());
        assert!(judged(|f| f.synchronous_commit = "remote_apply".into()).is_ok());
        assert!(judged(|f| f.read_only = "on".into()).unwrap_err().contains("default_transaction_read_only"));
        assert!(judged(|f| f.encoding = "SQL_ASCII".into()).is_err());
        assert!(judged(|f| f.fsync = Some("off".into())).is_ok(), "that is warned of");
    }
}
