//! A database's address: what its URL says.
//!
//! Parameters of the URL, which are those that managed databases write:
//!
//! - for the driver: `sslmode` (use `verify-full` if the server is on another machine), `sslrootcert` (`system`: the roots
//!   that the driver has), `sslcert`, `sslkey`, `host` (a directory: the server's Unix socket), `port`, `application_name`,
//!   `options`, `statement-cache-capacity`;
//! - `pgbouncer=true`: a pooler gives each transaction to another server process. `statement-cache-capacity=0` says the
//!   same;
//! - `connect_timeout`: seconds to connect; 0 stands for the usual five. A call never waits longer than five;
//! - `target_session_attrs`: `any`, `primary` or `read-write`, which is what is used in any case. The others are refused,
//!   because this program writes;
//! - `channel_binding`: taken, though the driver binds nothing. `sslmode=verify-full` protects from the same attacker.
//!
//! Several hosts may stand in the host's place, or in `host` and `port`, divided by commas. They are tried in order, and
//! the first that can be written to is used. If the URL has no password, the driver takes it from `PGPASSWORD` or
//! `~/.pgpass`.

use std::{str::FromStr as _, time::Duration};

use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use url::Url;

use crate::opening::OpenError;

/// The time limit for connecting.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// The most seconds that `connect_timeout` may ask for.
const LONGEST: u64 = 60;
/// The parameters that the driver understands. It would log the value of any other parameter.
const DRIVERS: [&str; 9] = [
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

/// A database's address. It contains the password, so it has no `Debug`.
#[derive(Clone)]
pub(crate) struct Address {
    /// In the order in which they are tried.
    pub(super) hosts: Vec<PgConnectOptions>,
    place: String,
    /// An attacker on the network between us and the server could read and change the traffic.
    pub(super) exposed: bool,
    pub(super) ours: Ours,
}

/// The parameters that the driver does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ours {
    /// How long opening the database may wait for a connection.
    pub(super) patience: Duration,
    /// Whether each transaction may run in another server process.
    pub(super) pooled: bool,
    /// Whether the URL relies on channel binding.
    pub(super) bound: bool,
}

impl Address {
    /// # Errors
    /// [`OpenError::Url`]; its text repeats nothing of the URL except a parameter's name.
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        let mut ours = Ours { patience: CONNECT, pooled: false, bound: false };
        let urls = each_host(url)?;
        let first = urls.first().ok_or_else(|| refused("names no host"))?;
        check(first)?;
        for (name, value) in first.query_pairs() {
            ours.take(&name, &value)?;
        }
        let names: Vec<_> = urls.iter().map(|url| url.host_str().unwrap_or("localhost")).collect();
        Ok(Self {
            place: format!("{} at {}", &first.path()[1..], distinct(names).join(", ")),
            exposed: urls.iter().any(|url| !is_local(url)) && !verifies(first),
            hosts: urls.iter().map(options).collect::<Result<_, _>>()?,
            ours,
        })
    }

    /// Host and database, for messages; never the password.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }
}

impl Ours {
    fn take(&mut self, name: &str, value: &str) -> Result<(), OpenError> {
        match (name, value) {
            ("pgbouncer", "true") | ("statement-cache-capacity", "0") => self.pooled = true,
            ("channel_binding", "require") => self.bound = true,
            ("pgbouncer", "false")
            | ("target_session_attrs", "any" | "primary" | "read-write")
            | ("channel_binding", "prefer" | "disable") => {}
            ("connect_timeout", seconds) => self.patience = patience(seconds)?,
            ("pgbouncer", _) => return Err(refused("has an impossible pgbouncer: true or false")),
            ("channel_binding", _) => {
                return Err(refused("has an impossible channel_binding: prefer, disable or require"));
            }
            ("target_session_attrs", _) => {
                return Err(refused(
                    "has an impossible target_session_attrs: any, primary or read-write, since this program writes",
                ));
            }
            (name, _) if DRIVERS.contains(&name) => {}
            (name, _) => {
                return Err(OpenError::Url(format!(
                    "has a parameter that is not known: {name}. Take it out of the URL"
                )));
            }
        }
        Ok(())
    }
}

fn refused(why: &str) -> OpenError {
    OpenError::Url(why.to_owned())
}

fn patience(seconds: &str) -> Result<Duration, OpenError> {
    match seconds.parse() {
        Ok(0) => Ok(CONNECT),
        Ok(seconds @ 1..=LONGEST) => Ok(Duration::from_secs(seconds)),
        _ => Err(refused("has an impossible connect_timeout: 0 to 60 seconds")),
    }
}

fn check(url: &Url) -> Result<(), OpenError> {
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(refused("does not begin with postgres://"));
    }
    // Without one, the driver would take a name from the environment, or `anonymous`.
    if url.username().is_empty() {
        return Err(refused("names no user: postgres://USER@HOST/DATABASE"));
    }
    if url.path().len() < 2 {
        return Err(refused("names no database: postgres://USER@HOST/DATABASE"));
    }
    Ok(())
}

/// Makes one URL for each host.
fn each_host(url: &str) -> Result<Vec<Url>, OpenError> {
    let parse = |url: &str| Url::parse(url).map_err(|error| OpenError::Url(format!("is not a URL: {error}")));
    let (before, hosts, after) = around_hosts(url);
    let named = hosts.split(',').map(|host| parse(&format!("{before}{host}{after}")));
    let named: Vec<_> = named.collect::<Result<_, _>>()?;
    let (hosts, ports) = (listed(&named[0], "host"), listed(&named[0], "port"));
    match (&named[..], hosts.len(), ports.len()) {
        (_, 0 | 1, 0 | 1) => Ok(named),
        ([url], hosts_listed, ports_listed) if ports_listed <= 1 || ports_listed == hosts_listed => {
            let port = |i: usize| ports.get(i).or(ports.first());
            Ok(hosts.iter().enumerate().map(|(i, host)| with_host(url, host, port(i))).collect())
        }
        _ => Err(refused("names other hosts than ports: as many of both, or one port for all")),
    }
}

/// Splits a URL's text around its hosts.
fn around_hosts(url: &str) -> (&str, &str, &str) {
    let authority = url.find("://").map_or(url.len(), |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    let hosts = url[authority..end].rfind('@').map_or(authority, |at| authority + at + 1);
    (&url[..hosts], &url[hosts..end], &url[end..])
}

/// The members of a parameter that is a list.
fn listed(url: &Url, parameter: &str) -> Vec<String> {
    let found = url.query_pairs().find(|(name, _)| name == parameter);
    found.map(|(_, value)| value.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

fn with_host(url: &Url, host: &str, port: Option<&String>) -> Url {
    let mut one = url.clone();
    let others = url.query_pairs().filter(|(name, _)| name != "host" && name != "port");
    let named = port.map(|port| ("port", port.as_str()));
    one.query_pairs_mut().clear().extend_pairs(others).append_pair("host", host).extend_pairs(named);
    one
}

/// What the driver needs to know about one host.
fn options(url: &Url) -> Result<PgConnectOptions, OpenError> {
    let mut drivers = url.clone();
    let known = url.query_pairs().filter(|(name, value)| {
        DRIVERS.contains(&name.as_ref()) && (name.as_ref(), value.as_ref()) != ("sslrootcert", "system")
    });
    drivers.query_pairs_mut().clear().extend_pairs(known);
    let options = PgConnectOptions::from_str(drivers.as_str())
        .map_err(|_| refused("has a parameter with an impossible value"))?;
    let named = url.query_pairs().any(|(name, _)| name == "application_name");
    let options = if named { options } else { options.application_name("alter-connect") };
    // Poolers refuse a connection that asks for the precision of floating point numbers; no column holds one.
    Ok(options.extra_float_digits(None).disable_statement_logging())
}

fn distinct(names: Vec<&str>) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().filter(|name| seen.insert(*name)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn hosts(url: &str) -> Vec<String> {
        let shown = |options: &PgConnectOptions| {
            let socket = options.get_socket().map(|path| path.display().to_string());
            format!("{}:{}", socket.unwrap_or(options.get_host().to_owned()), options.get_port())
        };
        parsed(url).hosts.iter().map(shown).collect()
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
            ("postgres://u:s3cret@host/db?channel_binding=s3cret", "prefer, disable or require"),
            ("postgres://u:s3cret@host/db?connect_timeout=s3cret", "0 to 60 seconds"),
            ("postgres://u:s3cret@host/db?connect_timeout=61", "0 to 60 seconds"),
            ("postgres://u:s3cret@host/db?pgbouncer=s3cret", "true or false"),
            ("postgres://u:s3cret@host/db?target_session_attrs=standby", "this program writes"),
            ("postgres://u:s3cret@ho st/db", "not a URL"),
            ("postgres://u:s3cret@one,,two/db", "not a URL"),
            ("postgres://u:s3cret@h/db?host=one,two&port=1,2,3", "as many of both"),
            ("postgres://u:s3cret@h/db?port=1,2", "as many of both"),
        ] {
            let Err(error) = Address::parse(url) else { panic!("{url} was accepted") };
            let text = format!("{error} {error:?}");
            assert!(text.contains(part), "{url}: {text}");
            assert!(!text.contains("s3cret"), "{url}: {text}");
        }
        assert_eq!(
            parsed("postgres://u:s3cret@db.example:5433/alter?sslmode=verify-full").place(),
            "alter at db.example"
        );
    }

    #[test]
    fn what_managed_databases_write_into_their_urls_is_taken() {
        let ours =
            |parameters: &str| parsed(&format!("postgres://u:p@h/db?sslmode=require{parameters}")).ours;
        let plain = Ours { patience: CONNECT, pooled: false, bound: false };
        for (parameters, expected) in [
            ("", plain),
            ("&channel_binding=require", Ours { bound: true, ..plain }),
            ("&channel_binding=prefer&pgbouncer=false&target_session_attrs=any&connect_timeout=0", plain),
            ("&connect_timeout=15", Ours { patience: Duration::from_secs(15), ..plain }),
            ("&target_session_attrs=read-write", plain),
            ("&target_session_attrs=primary", plain),
            ("&pgbouncer=true", Ours { pooled: true, ..plain }),
            ("&statement-cache-capacity=0", Ours { pooled: true, ..plain }),
            ("&statement-cache-capacity=50&sslrootcert=system", plain),
        ] {
            assert_eq!(ours(parameters), expected, "{parameters}");
        }
    }

    #[test]
    fn several_hosts_are_tried_in_order() {
        for (url, expected) in [
            ("postgres://u:p,w@one:1,two:2/db", vec!["one:1", "two:2"]),
            ("postgres://u:p@one,two,[::1]:7/db", vec!["one:5432", "two:5432", "[::1]:7"]),
            ("postgres://u@h/db?host=one,two&port=1,2", vec!["one:1", "two:2"]),
            ("postgres://u@h/db?host=one,/run/two&port=9", vec!["one:9", "/run/two:9"]),
        ] {
            assert_eq!(hosts(url), expected, "{url}");
        }
        assert_eq!(parsed("postgres://u@one:1,two:2/db").place(), "db at one, two");
    }

    #[test]
    fn an_unprotected_way_to_another_machine_is_noticed() {
        for (url, exposed) in [
            ("postgres://u@db.example/alter", true),
            ("postgres://u@db.example/alter?sslmode=require", true),
            ("postgres://u@db.example/alter?sslmode=require&channel_binding=require", true),
            ("postgres://u@db.example/alter?sslmode=verify-full", false),
            ("postgres://u@localhost/alter", false),
            ("postgres://u@[::1]:5432/alter", false),
            ("postgres://u@localhost,db.example/alter", true),
            ("postgres://u@localhost/alter?host=/run/postgresql", false),
            ("postgres://u@localhost/alter?host=db.example", true),
            ("postgres://u@localhost/alter?host=/run/postgresql,db.example", true),
            ("postgres://u@%2Frun%2Fpostgresql/alter", false),
        ] {
            assert_eq!(parsed(url).exposed, exposed, "{url}");
        }
    }
}
