//! F36: another program holds SQLite's locks.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Alter, Database, End, Visit, check_truth};

fn beside(alter: &Alter) -> Connection {
    Connection::open(alter.data().join("alter.db")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f36_another_writer_delays_a_callback_and_does_not_break_it() {
    let mut alter = Alter::new(Database::Sqlite).await;
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let other = beside(&alter);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let release = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (answer, ()) = tokio::join!(visit.try_callback(&alter), release);
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(begun.elapsed() >= Duration::from_millis(700), "it waited");
    check_truth(&alter, &mut visit, End::Connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f36_a_writer_that_does_not_let_go_is_a_503_and_then_over() {
    let mut alter = Alter::new(Database::Sqlite).await;
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let other = beside(&alter);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = alter.call("/sdk/oauth/connect/session", &json!({})).await;
    assert_eq!((refused.status, refused.error().as_str()), (503, "service_unavailable"));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(visit.reload_callback(&alter).await.status, 303, "no restart is needed");
    check_truth(&alter, &mut visit, End::Connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f36_a_reader_that_starves_the_checkpoint_costs_space_and_nothing_else() {
    let mut alter = Alter::new(Database::Sqlite).await;
    alter.serve(&[]).await;
    let log = || std::fs::metadata(alter.data().join("alter.db-wal")).unwrap().len();
    let reader = beside(&alter);
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM sessions").unwrap();
    // Twice the size (1,000 pages) at which a checkpoint is due.
    while log() < 8 << 20 {
        let minted = alter.call("/sdk/oauth/connect/session", &json!({})).await;
        assert_eq!(minted.status, 201, "{}", minted.text());
    }
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    reader.execute_batch("COMMIT").unwrap();
    // The next commit copies the log into the database file, and the one after starts the log anew: it stops growing.
    alter.mint(&["mock"]).await;
    let grown = log();
    for _ in 0..100 {
        alter.mint(&["mock"]).await;
    }
    assert_eq!(log(), grown);
    check_truth(&alter, &mut visit, End::Connected).await;
}
