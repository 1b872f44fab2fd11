//! Acknowledged means durable, and what cannot be recorded does not happen.

use alter_core::{AppStore as _, GrantStore as _, Store as _, StoreError};
use alter_store_contract::operator::insert_app;
use alter_store_contract::sample::{app, call, recorded, release, stored_app, stored_grant};
use alter_store_sqlite::{Open, SqliteStore};
use rusqlite::Connection;

use crate::directory::Directory;

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_that_moment() {
    let (directory, copy) = (Directory::new(), Directory::new());
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let mut stored = Vec::new();
    for _ in 0..20 {
        let app = app();
        insert_app(&store, app.clone()).await.unwrap();
        stored.push(app.id);
    }
    // What a crash at this moment would leave: copies of the file and its log, made while the store is open.
    for name in ["alter.db", "alter.db-wal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let after_crash = SqliteStore::open(&copy.file(), Open::Existing).unwrap();
    for id in stored {
        assert!(after_crash.get_app(id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let id = stored_app(&store).await.unwrap();
    assert!(store.get_app(id).await.unwrap().is_some(), "a reader is open too");
    drop(store);
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(files, 1, "the log and its index are gone");
}

#[tokio::test]
async fn t97_no_release_without_an_audit_entry() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let app = stored_app(&store).await.unwrap();
    let grant = stored_grant(&store, app).await.unwrap();
    let call = call();

    let raw = Connection::open(directory.file()).unwrap();
    raw.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the audit is full'); END",
    )
    .unwrap();
    let refused = store.release_credential(release(&grant, Some(call))).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("full")), "{refused:?}");

    raw.execute_batch("DROP TRIGGER full").unwrap();
    assert!(store.release_credential(release(&grant, Some(call))).await.unwrap().is_done());
    assert_eq!(recorded(&store, app).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_damaged_row_is_told_from_a_missing_one() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let id = stored_app(&store).await.unwrap();
    assert!(store.get_app(id).await.unwrap().is_some());
    let raw = Connection::open(directory.file()).unwrap();
    raw.execute("UPDATE apps SET settings = '{'", []).unwrap();
    let damaged = store.get_app(id).await;
    assert!(matches!(damaged, Err(StoreError::Corrupt("settings"))), "{damaged:?}");
}

#[tokio::test]
async fn numbers_in_the_audit_have_no_gaps_even_after_a_refused_entry() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let app = stored_app(&store).await.unwrap();
    let grant = stored_grant(&store, app).await.unwrap();
    let call = call();
    store.record_call(call).await.unwrap();
    assert!(store.release_credential(release(&grant, Some(call))).await.is_err());
    assert!(store.release_credential(release(&grant, None)).await.unwrap().is_done());
    let raw = Connection::open(directory.file()).unwrap();
    let (rows, last): (i64, i64) = raw
        .query_row("SELECT COUNT(*), MAX(seq) FROM audit", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!((rows, last), (3, 3), "the app, the grant, and one release");
}
