//! Opening a database: what is created, what is migrated, what is refused.

use alter_core::{
    AppStore as _, AttemptStore as _, AuditKind, AuditStore as _, GrantStore as _, SessionStore as _,
    Store as _,
    audit::{chain, chain_start},
};
use alter_store_contract::operator::insert_app;
use alter_store_contract::sample::{T0, app, attempt, audit, started, stored_app, stored_grant, underway};
use alter_store_sqlite::{Open, OpenError, SqliteStore};
use rusqlite::Connection;

use crate::directory::Directory;

const BEFORE_THE_NINTH: &str =
    "ALTER TABLE sessions DROP COLUMN user_token; ALTER TABLE grants DROP COLUMN signed_in; DROP INDEX attempts_staged; ALTER TABLE attempts DROP COLUMN staged; ALTER TABLE attempts DROP COLUMN filled; ALTER TABLE attempts DROP COLUMN brought;
     ALTER TABLE grants DROP COLUMN filled; ALTER TABLE grants DROP COLUMN metadata;
     ALTER TABLE providers DROP COLUMN opener_kept; ALTER TABLE providers DROP COLUMN opener_severed;
     ALTER TABLE apps DROP COLUMN deleted_at; DROP INDEX grants_unbound; DROP INDEX grants_by_subject;
     ALTER TABLE grants DROP COLUMN account_verified;";

fn user_version(directory: &Directory) -> i64 {
    let raw = Connection::open(directory.file()).unwrap();
    raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_new_file_is_migrated_and_belongs_to_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    store.probe(T0).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 3, "file, log and index: {files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
    }
    drop(store);
    assert_eq!(user_version(&directory), SqliteStore::schema_version());
}

#[test]
fn a_missing_file_is_refused_and_not_made() {
    let directory = Directory::new();
    let refused = SqliteStore::open(&directory.file(), Open::Existing);
    assert!(matches!(refused, Err(OpenError::Missing(_))), "{refused:?}");
    assert!(!directory.file().exists());
    let nowhere = directory.path().join("no/such/alter.db");
    assert!(matches!(SqliteStore::open(&nowhere, Open::Create), Err(OpenError::File(_))));
}

#[tokio::test]
async fn what_was_stored_is_there_after_opening_again() {
    let directory = Directory::new();
    let app = app();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    insert_app(&store, app.clone()).await.unwrap();
    drop(store);
    for mode in [Open::Existing, Open::Create] {
        let store = SqliteStore::open(&directory.file(), mode).unwrap();
        assert!(store.get_app(app.id).await.unwrap().is_some());
    }
}

#[test]
fn f38_a_newer_schema_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    drop(SqliteStore::open(&directory.file(), Open::Create).unwrap());
    let newer = SqliteStore::schema_version() + 1;
    let raw = Connection::open(directory.file()).unwrap();
    raw.pragma_update(None, "user_version", newer).unwrap();
    // Even the journal mode must stay: a newer program may have had a reason for it.
    let mode: String = raw.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete");
    drop(raw);
    let before = std::fs::read(directory.file()).unwrap();

    let refused = SqliteStore::open(&directory.file(), Open::Existing);
    let known = SqliteStore::schema_version();
    assert!(
        matches!(&refused, Err(OpenError::NewerSchema { found, known: k }) if (*found, *k) == (newer, known))
    );
    assert_eq!(std::fs::read(directory.file()).unwrap(), before);
}

#[test]
fn a_file_of_another_program_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    Connection::open(directory.file()).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let before = std::fs::read(directory.file()).unwrap();
    let refused = SqliteStore::open(&directory.file(), Open::Create);
    assert!(matches!(refused, Err(OpenError::NotOurs(_))), "{refused:?}");
    assert_eq!(std::fs::read(directory.file()).unwrap(), before);

    std::fs::write(directory.file(), "this is no database at all, but it is a file".repeat(100)).unwrap();
    let refused = SqliteStore::open(&directory.file(), Open::Existing);
    assert!(matches!(refused, Err(OpenError::Engine(_))), "{refused:?}");
}

#[test]
fn several_processes_may_open_a_new_file_at_once() {
    let directory = Directory::new();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..6).map(|_| scope.spawn(|| SqliteStore::open(&directory.file(), Open::Create))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for store in opened {
        store.unwrap();
    }
    assert_eq!(user_version(&directory), SqliteStore::schema_version());
}

#[tokio::test]
async fn t96_a_chain_that_begins_after_older_entries_says_where_in_its_first_value() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let app = app();
    insert_app(&store, app.clone()).await.unwrap();
    let raw = Connection::open(directory.file()).unwrap();
    raw.execute_batch(
        "UPDATE audit SET hash = NULL; UPDATE audit_heads SET hash = zeroblob(32), chained_after = seq",
    )
    .unwrap();
    for _ in 0..2 {
        store.append_audit(audit(app.id, AuditKind::TokenReleased)).await.unwrap();
    }
    let rows = store.read_audit(app.id, 1, 9).await.unwrap();
    let first = chain(app.id, &chain_start(1), &rows[0]);
    assert_eq!(rows[0].hash, Some(first));
    assert_eq!(rows[1].hash, Some(chain(app.id, &first, &rows[1])));
}

#[tokio::test]
async fn the_attempts_of_a_session_from_before_the_seventh_schema_are_counted() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let app = app();
    insert_app(&store, app.clone()).await.unwrap();
    let (mut session, first) = started(&store, app.id).await.unwrap();
    let second = attempt(&session);
    session.start(underway(&second));
    assert!(store.start_attempt(&session, second).await.unwrap().is_done());
    drop(store);
    // As an older program left it: without the number, and with a list of events that had no room for attempts.
    let raw = Connection::open(directory.file()).unwrap();
    let older =
        "UPDATE sessions SET data = json_set(json_remove(data, '$.attempts'), '$.events', json('[]'))";
    assert_eq!(raw.execute(older, []).unwrap(), 1);
    let back = "ALTER TABLE providers DROP COLUMN seal; ALTER TABLE api_keys DROP COLUMN seal;";
    raw.execute_batch(&format!("{BEFORE_THE_NINTH} {back} PRAGMA user_version = 6")).unwrap();
    drop(raw);

    let store = SqliteStore::open(&directory.file(), Open::Existing).unwrap();
    let read = store.get_session(&first.sid).await.unwrap().unwrap();
    assert_eq!((read.data.attempts, read.data.events.len()), (2, 0));
    assert_eq!(read.data.user, session.data.user, "the rest stays");
}

#[tokio::test]
async fn a_grant_from_before_the_ninth_schema_counts_as_not_verified() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let grant = stored_grant(&store, stored_app(&store).await.unwrap()).await.unwrap();
    drop(store);
    let raw = Connection::open(directory.file()).unwrap();
    raw.execute_batch(&format!("{BEFORE_THE_NINTH} PRAGMA user_version = 8")).unwrap();
    drop(raw);

    let store = SqliteStore::open(&directory.file(), Open::Existing).unwrap();
    let read = store.get_grant(grant.app_id, grant.id).await.unwrap().unwrap();
    assert_eq!((read.account_identifier, read.account_verified), (grant.account_identifier, false));
}

/// Opens a new file to which somebody else has done `what`.
fn opened_after(what: &str) -> Result<SqliteStore, OpenError> {
    let directory = Directory::new();
    drop(SqliteStore::open(&directory.file(), Open::Create).unwrap());
    Connection::open(directory.file()).unwrap().execute_batch(what).unwrap();
    let read = SqliteStore::key_check_of(&directory.file());
    let opened = SqliteStore::open(&directory.file(), Open::Existing);
    assert_eq!(read.is_ok(), opened.is_ok(), "{what}: reading refuses the same");
    opened
}

/// Writes an action into a foreign key as it is stored.
fn planted(table: &str, after: &str, action: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, '{after}', '{after} {action}') WHERE name = '{table}';
         PRAGMA writable_schema = RESET"
    )
}

#[test]
fn t94_a_file_with_a_trigger_that_is_not_ours_is_refused_by_its_name() {
    for (what, name) in [
        (
            "CREATE TRIGGER undo AFTER UPDATE OF revoked_at ON api_keys
             BEGIN UPDATE api_keys SET revoked_at = NULL WHERE id = NEW.id; END",
            "trigger \"undo\" on api_keys",
        ),
        (
            "ALTER TABLE users RENAME TO hidden; CREATE VIEW users AS SELECT * FROM hidden WHERE 0",
            "view \"users\"",
        ),
        ("ALTER TABLE apps ADD COLUMN made TEXT AS (settings)", "table \"apps\""),
        (
            "DROP TABLE probes; CREATE TABLE probes (id INTEGER PRIMARY KEY ON CONFLICT IGNORE, at INTEGER) STRICT",
            "table \"probes\"",
        ),
        (planted("grants", "REFERENCES apps (id)", "ON DELETE CASCADE").as_str(), "table \"grants\""),
        (planted("api_keys", "REFERENCES apps (id)", "ON UPDATE SET DEFAULT").as_str(), "table \"api_keys\""),
        (planted("attempts", "ON DELETE CASCADE", "ON UPDATE CASCADE").as_str(), "table \"attempts\""),
    ] {
        let refused = opened_after(what);
        assert!(
            matches!(&refused, Err(OpenError::Foreign(found)) if found.contains(name)),
            "{what}: {refused:?}"
        );
    }
}

#[test]
fn what_lies_beside_our_tables_is_named_and_not_refused() {
    let directory = Directory::new();
    drop(SqliteStore::open(&directory.file(), Open::Create).unwrap());
    assert_eq!(SqliteStore::foreign_of(&directory.file()).unwrap(), [""; 0]);
    let beside = "CREATE VIEW seen AS SELECT id FROM apps; CREATE INDEX quick ON apps (created_at);
                  CREATE TABLE notes (id TEXT PRIMARY KEY)";
    Connection::open(directory.file()).unwrap().execute_batch(beside).unwrap();
    SqliteStore::open(&directory.file(), Open::Existing).unwrap();
    let found = SqliteStore::foreign_of(&directory.file()).unwrap();
    assert_eq!(found, ["table \"notes\"", "index \"quick\"", "view \"seen\""]);
}
