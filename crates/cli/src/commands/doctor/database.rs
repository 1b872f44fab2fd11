//! Checks the database: whether it exists, which schema it has, whether the root key fits it, whether it can be
//! written. A database with an older schema is not opened, because opening migrates.

use alter_core::{App, Clock, Micros, ProviderConfig, SystemClock};
use alter_flows::{Flows, OperateError, StartError, operate, ready};
use alter_store_postgres::{self as postgres, PostgresStore};
use alter_store_sqlite::{OpenError, SqliteStore};
use alter_vault::Vault;
use secrecy::ExposeSecret;

use super::problem::{
    CLOCK_DATABASE, DATABASE_MISSING, DATABASE_NO_WAL, DATABASE_UNUSABLE, Finding, ROOT_KEY_OTHER,
    SCHEMA_BESIDE, SCHEMA_FOREIGN, SCHEMA_NEWER, SCHEMA_OLDER,
};
use crate::{
    config::Config,
    database::{Database, Open},
    wiring,
};

/// How far apart the clocks of processes on one database may be, in microseconds.
const CLOCKS_APART: i64 = 5_000_000;

/// The open database and its apps, for the other checks.
pub(super) struct Seen {
    pub(super) flows: Flows,
    pub(super) apps: Vec<(App, Vec<ProviderConfig>)>,
}

/// Returns the findings, and the database's contents if it could be opened.
pub(super) async fn look(config: &Config) -> (Vec<Finding>, Option<Seen>) {
    match open(config).await {
        Ok(seen) => {
            let sound = Finding::ok("database", "opens, writes and reads, and the root key fits it");
            let clock = clock_of(&config.database).await;
            let beside = beside(&config.database).await;
            ([Some(sound), clock, beside].into_iter().flatten().collect(), Some(seen))
        }
        Err(finding) => (finding.into_iter().collect(), None),
    }
}

/// `Err(None)`: another check has already reported the problem.
async fn open(config: &Config) -> Result<Seen, Option<Finding>> {
    let (found, known) = schema_of(&config.database).await?;
    if found < known {
        let text = format!("the database has schema {found}, this program {known}");
        return Err(Some(SCHEMA_OLDER.found(text)));
    }
    let opened = config.database.open(Open::Existing).await;
    let store = opened.map_err(|error| match error.downcast_ref::<OpenError>() {
        Some(file) => unopened(file),
        None => DATABASE_UNUSABLE.found(format!("{error:#}")),
    })?;
    let key = config.root_key.load().map_err(|_said_by_the_check_of_files| None)?;
    let flows = wiring::assemble(config, store, Vault::new(key))
        .map_err(|error| DATABASE_UNUSABLE.found(format!("{error:#}")))?;
    ready::check_root_key(&flows).await.map_err(|error| match error {
        StartError::NotInitialised => DATABASE_MISSING.found(error.to_string()),
        StartError::RootKey(_) => ROOT_KEY_OTHER.found(error.to_string()),
        StartError::Store(_) => DATABASE_UNUSABLE.found(error.to_string()),
    })?;
    ready::ready(&flows).await.map_err(|error| DATABASE_UNUSABLE.found(error.to_string()))?;
    let apps = list(&flows).await.map_err(|error| DATABASE_UNUSABLE.found(error.to_string()))?;
    Ok(Seen { flows, apps })
}

/// Returns the database's schema version and this program's. Opens nothing for writing, because opening migrates.
async fn schema_of(database: &Database) -> Result<(i64, i64), Finding> {
    match database {
        Database::Sqlite(path) => SqliteStore::schema_of(path).map_err(|error| unopened(&error)),
        Database::Postgres(url) => {
            let found = PostgresStore::schema_of(url.expose_secret()).await;
            found.map_err(|error| match error {
                postgres::OpenError::Missing(_) => DATABASE_MISSING.found(error.to_string()),
                postgres::OpenError::NewerSchema { .. } => SCHEMA_NEWER.found(error.to_string()),
                postgres::OpenError::Foreign(_) => SCHEMA_FOREIGN.found(error.to_string()),
                _ => DATABASE_UNUSABLE.found(error.to_string()),
            })
        }
    }
}

/// Looks for what lies in the schema beside our tables.
async fn beside(database: &Database) -> Option<Finding> {
    let found = match database {
        Database::Sqlite(path) => SqliteStore::foreign_of(path).map_err(|error| unopened(&error)),
        Database::Postgres(url) => PostgresStore::foreign_of(url.expose_secret())
            .await
            .map_err(|error| DATABASE_UNUSABLE.found(error.to_string())),
    };
    match found {
        Ok(found) => (!found.is_empty()).then(|| SCHEMA_BESIDE.found(found.join(", "))),
        Err(finding) => Some(finding),
    }
}

/// Compares clocks with a database server. A SQLite file has this machine's clock.
async fn clock_of(database: &Database) -> Option<Finding> {
    let Database::Postgres(url) = database else { return None };
    let before = SystemClock.now();
    match PostgresStore::clock_of(url.expose_secret()).await {
        Ok(theirs) => skew(before, theirs, SystemClock.now()),
        Err(error) => Some(DATABASE_UNUSABLE.found(error.to_string())),
    }
}

/// The server's clock was read at an unknown moment between `before` and `after`. Only a difference that no such moment
/// explains counts.
fn skew(before: Micros, theirs: Micros, after: Micros) -> Option<Finding> {
    let apart = before.since(theirs).max(theirs.since(after));
    let text = format!("{} ms", apart / 1000);
    (apart > CLOCKS_APART).then(|| CLOCK_DATABASE.found(text))
}

fn unopened(error: &OpenError) -> Finding {
    let problem = match error {
        OpenError::Missing(_) => DATABASE_MISSING,
        OpenError::NewerSchema { .. } => SCHEMA_NEWER,
        OpenError::Foreign(_) => SCHEMA_FOREIGN,
        OpenError::NoLog(_) => DATABASE_NO_WAL,
        OpenError::NotOurs(_)
        | OpenError::InUse(_)
        | OpenError::Served { .. }
        | OpenError::ReadOnly(_)
        | OpenError::File(_)
        | OpenError::Engine(_) => DATABASE_UNUSABLE,
    };
    problem.found(error.to_string())
}

async fn list(flows: &Flows) -> Result<Vec<(App, Vec<ProviderConfig>)>, OperateError> {
    let mut seen = Vec::new();
    for app in operate::list_apps(flows).await? {
        let providers = operate::list_readable_providers(flows, app.id).await?;
        seen.push((app, providers));
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_a_write_ahead_log_is_told_apart_from_a_broken_file() {
        assert_eq!(unopened(&OpenError::NoLog("delete".into())).id, "database-no-wal");
        assert_eq!(unopened(&OpenError::Engine("malformed".into())).id, "database-unusable");
        // Also when a caller has wrapped the error in a context.
        let passed_on = anyhow::Error::new(OpenError::NoLog("delete".into())).context("did not open");
        assert!(passed_on.downcast_ref::<OpenError>().is_some());
    }

    #[test]
    fn clocks_are_apart_when_no_moment_of_the_request_explains_it() {
        let at = |seconds: i64| Micros(seconds * 1_000_000);
        assert!(skew(at(100), at(104), at(101)).is_none());
        assert!(skew(at(100), at(130), at(130)).is_none(), "a slow answer");
        assert_eq!(skew(at(100), at(107), at(101)).unwrap().id, "clock-database");
        assert_eq!(skew(at(100), at(90), at(101)).unwrap().id, "clock-database");
    }
}
