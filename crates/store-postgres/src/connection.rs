//! A database's address, connecting to it, and what is required of a server.
//!
//! Parameters of the URL: `sslmode` (use `verify-full` if the server is on another machine), `sslrootcert`, `sslcert`,
//! `sslkey`, `host` (a directory: the server's Unix socket), `port`, `application_name`, `options`,
//! `statement-cache-capacity` (0 behind a pooler that gives each transaction to another server process). If the URL has no
//! password, the driver takes it from `PGPASSWORD` or `~/.pgpass`.

use std::{io::ErrorKind, str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgRow},
};
use url::Url;

use crate::opening::OpenError;

/// The time limit for connecting.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// The oldest PostgreSQL release that this program was tested with.
const OLDEST: i64 = 15;
/// The parameters that the driver understands. It would log the value of any other parameter.
const PARAMETERS: [&str; 9] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// Sets a connection's options, and reads the settings that safety depends on, in one round trip. A statement that runs
/// longer than ten seconds, or a transaction whose process hangs (30 s), would keep its locks from everybody else. And
/// while a statement runs, the server checks whether we are still there, if its version can.
const PREPARE: &str = "SELECT
    set_config('statement_timeout', '10s', false),
    set_config('idle_in_transaction_session_timeout', '30s', false),
    (SELECT set_config(name, '2s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'),
    current_setting('server_version_num') AS version_number,
    current_setting('server_version') AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('transaction_read_only') AS read_only,
    current_setting('fsync', true) AS fsync";

/// A database's address. It contains the password, so it has no `Debug`.
#[derive(Clone)]
pub(crate) struct Address {
    options: PgConnectOptions,
    place: String,
    /// An attacker on the network between us and the server could read and change the traffic.
    exposed: bool,
}

impl Address {
    /// # Errors
    /// [`OpenError::Url`]; its text repeats nothing of the URL except a parameter's name.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let refused = |why: &str| OpenError::Url(why.to_owned());
        let parsed = Url::parse(url).map_err(|error| OpenError::Url(format!("is not a URL: {error}")))?;
        if !matches!(parsed.scheme(), "postgres" | "postgresql") {
            return Err(refused("does not begin with postgres://"));
        }
        // Without one, the driver would take a name from the environment, or `anonymous`.
        if parsed.username().is_empty() {
            return Err(refused("names no user: postgres://USER@HOST/DATABASE"));
        }
        if parsed.path().len() < 2 {
            return Err(refused("names no database: postgres://USER@HOST/DATABASE"));
        }
        if let Some((name, _)) = parsed.query_pairs().find(|(name, _)| !PARAMETERS.contains(&name.as_ref())) {
            return Err(OpenError::Url(format!("has a parameter that is not known: {name}")));
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| refused("has a parameter with an impossible value"))?;
        let named = parsed.query_pairs().any(|(name, _)| name == "application_name");
        let options = if named { options } else { options.application_name("alter-connect") };
        let place = format!("{} at {}", &parsed.path()[1..], parsed.host_str().unwrap_or("localhost"));
        Ok(Self {
            options: options.disable_statement_logging(),
            place,
            exposed: !is_local(&parsed) && !verifies(&parsed),
        })
    }

    /// Host and database, for messages; never the password.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Opens one connection outside any pool, with its options set.
    pub(crate) async fn connect(&self) -> Result<PgConnection, OpenError> {
        let late = |_| OpenError::Engine(format!("no answer in {} seconds", CONNECT.as_secs()));
        let mut connection = tokio::time::timeout(CONNECT, self.options.connect()).await.map_err(late)??;
        let facts = prepare(&mut connection).await?;
        facts.judge().map_err(OpenError::Server)?;
        if facts.fsync.as_deref() == Some("off") {
            tracing::warn!("the database server runs with fsync=off: what it acknowledges may be lost");
        }
        if self.exposed {
            tracing::warn!(
                "the way to the database server is not protected: add sslmode=verify-full to its URL"
            );
        }
        Ok(connection)
    }
}

fn verifies(url: &Url) -> bool {
    url.query_pairs().any(|(name, value)| name == "sslmode" && value == "verify-full")
}

/// Whether the server is on this machine: a Unix socket or loopback.
fn is_local(url: &Url) -> bool {
    let by_parameter =
        url.query_pairs().find(|(name, _)| name == "host").map(|(_, value)| value.into_owned());
    let host = by_parameter.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
    host.starts_with('/')
        || host.to_lowercase().starts_with("%2f")
        || ["localhost", "127.0.0.1", "[::1]"].contains(&host.as_str())
}

/// Prepares one of the pool's connections for use.
pub(crate) async fn prepare_and_judge(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let facts = prepare(connection).await?;
    facts.judge().map_err(|why| sqlx::Error::Configuration(why.into()))
}

/// Whether connecting may succeed a moment later: nothing listens, or the server is starting, stopping or full (`57P03`,
/// `53300`).
pub(crate) fn will_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| ["57P03", "53300"].contains(&&*code)),
        _ => false,
    }
}

async fn prepare(connection: &mut PgConnection) -> Result<Facts, sqlx::Error> {
    Facts::read(&sqlx::raw_sql(PREPARE).fetch_one(connection).await?)
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

    /// # Errors
    /// What is wrong with the server, for the operator.
    fn judge(&self) -> Result<(), String> {
        if self.version_number.parse().unwrap_or(0) < OLDEST * 10_000 {
            return Err(format!("it is PostgreSQL {}; {OLDEST} or newer is needed", self.version));
        }
        if self.encoding != "UTF8" {
            return Err(format!("the database's encoding is {}; UTF8 is needed", self.encoding));
        }
        if self.read_only == "on" {
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

    #[test]
    fn an_unusable_url_is_refused_without_repeating_it() {
        for (url, part) in [
            ("sqlite:x", "postgres://"),
            ("postgres://host/db", "no user"),
            ("postgres://:s3cret@host/db", "no user"),
            ("postgres://u:s3cret@host", "no database"),
            ("postgres://u:s3cret@host/db?passwort=s3cret", "passwort"),
            ("postgres://u@host/db?password=s3cret", "password"),
            ("postgres://u:s3cret@host/db?sslmode=s3cret", "impossible"),
            ("postgres://u:s3cret@ho st/db", "not a URL"),
        ] {
            let Err(error) = Address::parse(url) else { panic!("{url} was accepted") };
            let text = format!("{error} {error:?}");
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("s3cret"), "{url}: {text}");
        }
        let address =
            Address::parse("postgres://u:s3cret@db.example:5433/alter?sslmode=verify-full").unwrap();
        assert_eq!(address.place(), "alter at db.example");
    }

    #[test]
    fn an_unprotected_way_to_another_machine_is_noticed() {
        for (url, exposed) in [
            ("postgres://u@db.example/alter", true),
            ("postgres://u@db.example/alter?sslmode=require", true),
            ("postgres://u@db.example/alter?sslmode=verify-full", false),
            ("postgres://u@localhost/alter", false),
            ("postgres://u@[::1]:5432/alter", false),
            ("postgres://u@localhost/alter?host=/run/postgresql", false),
            ("postgres://u@localhost/alter?host=db.example", true),
            ("postgres://u@%2Frun%2Fpostgresql/alter", false),
        ] {
            assert_eq!(Address::parse(url).unwrap().exposed, exposed, "{url}");
        }
    }
}
