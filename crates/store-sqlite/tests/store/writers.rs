//! Two processes on one file: the command line writes while the server runs.

use alter_store_contract::operator::insert_app;
use std::sync::Arc;

use alter_core::{AuditKind, Store};
use alter_store_contract::sample::{app, audit, count_true, recorded, session, stored_app};
use alter_store_sqlite::{Open, SqliteStore};
use rusqlite::Connection;

use crate::directory::Directory;

fn open(directory: &Directory) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&directory.file(), Open::Create).unwrap())
}

#[tokio::test]
async fn two_writers_see_each_others_commits_at_once() {
    let directory = Directory::new();
    let (server, command_line) = (open(&directory), open(&directory));
    for _ in 0..10 {
        let by_server = stored_app(&*server).await.unwrap();
        assert!(command_line.get_app(by_server).await.unwrap().is_some());
        let by_command_line = stored_app(&*command_line).await.unwrap();
        assert!(server.get_app(by_command_line).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_at_once_lose_nothing() {
    let directory = Directory::new();
    let (server, command_line) = (open(&directory), open(&directory));
    let id = stored_app(&*server).await.unwrap();
    let append = |store: Arc<dyn Store>| async move {
        store.append_audit(audit(id, AuditKind::TokenReleased)).await.map(|()| true)
    };
    let written = tokio::join!(count_true(&server, 60, append), count_true(&command_line, 60, append));
    assert_eq!(written, (60, 60));
    assert_eq!(recorded(&*server, id).await.unwrap().len(), 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_one_wins_a_compare_and_set() {
    let directory = Directory::new();
    let (server, command_line) = (open(&directory), open(&directory));
    let session = session(stored_app(&*server).await.unwrap());
    server.insert_session(None, session.clone()).await.unwrap();
    let save = |store: Arc<dyn Store>| {
        let session = session.clone();
        async move { store.save_session(&session).await.map(|done| done.is_done()) }
    };
    let (a, b) = tokio::join!(count_true(&server, 10, save), count_true(&command_line, 10, save));
    assert_eq!(a + b, 1);
}

#[tokio::test]
async fn f36_a_writer_waits_for_another_to_finish() {
    let directory = Directory::new();
    let store = open(&directory);
    let other = Connection::open(directory.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let app = app();
    // Polled in this order: the write waits for the lock, or soon will, when the other process releases it.
    let finish = async { other.execute_batch("COMMIT").unwrap() };
    let (stored, ()) = tokio::join!(insert_app(&*store, app.clone()), finish);
    stored.unwrap();
    assert!(store.get_app(app.id).await.unwrap().is_some());
}
