//! F38, F55, F57 and F61: several processes, one after another or at once, are one service. Nothing that a flow needs
//! lives only in a process.

use std::process::Command;

use serde_json::json;

use crate::harness::{Alter, Database, End, HURRY, Visit, check_truth, on_every_database, with_two_servers};

on_every_database! {
    f55_killed_while_the_user_is_at_the_provider_the_callback_connects,
    f57_killed_with_a_cookie_outstanding_the_browser_goes_on,
    f57_a_restart_in_the_reapers_own_time_ends_nothing_early,
}

with_two_servers! {
    f61_a_callback_on_another_process_than_the_one_that_minted_connects,
    f61_what_another_process_left_in_the_journal_is_finished_by_this_one,
    f61_one_callback_at_two_processes_at_once_sends_one_code,
}

async fn f55_killed_while_the_user_is_at_the_provider_the_callback_connects(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    alter.kill();
    alter.serve(HURRY).await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    check_truth(&alter, &mut visit, End::Connected).await;
}

async fn f57_killed_with_a_cookie_outstanding_the_browser_goes_on(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[]).await;
    let mut visit = Visit::open(&alter, &["mock"]).await;
    alter.kill();
    alter.serve(HURRY).await;
    assert!(visit.page(&alter).await.contains("Crash"), "the old cookie still leads to the consent page");
    visit.approve(&alter, "mock").await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    check_truth(&alter, &mut visit, End::Connected).await;
}

/// Positive control for the hurried reaper of the other tests: by default a minute passes before anything counts as
/// lost.
async fn f57_a_restart_in_the_reapers_own_time_ends_nothing_early(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[("ALTER_FAILPOINT", "journalled")]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    visit.try_callback(&alter).await;
    alter.wait_for_death().await;
    alter.serve(&[("ALTER_REAP_EVERY", "1")]).await;
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert_eq!(
        alter.status(&visit.token).await["status"],
        "open",
        "another process may be at work on the session"
    );
    assert!(
        visit.page(&alter).await.contains("Finishing with"),
        "and the page says that it is being finished"
    );
    alter.kill();
    alter.serve(HURRY).await;
    check_truth(&alter, &mut visit, End::Connected).await;
}

async fn f61_a_callback_on_another_process_than_the_one_that_minted_connects(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let peer = alter.peer(&[]).await;
    assert_eq!(visit.callback_at(&alter, peer.port).await.status, 303);
    check_truth(&alter, &mut visit, End::Connected).await;
}

async fn f61_what_another_process_left_in_the_journal_is_finished_by_this_one(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.serve(HURRY).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let mut peer = alter.peer(&[("ALTER_FAILPOINT", "journalled")]).await;
    assert_eq!(visit.try_callback_at(&alter, peer.port).await, "");
    peer.wait_for_death();
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
}

async fn f61_one_callback_at_two_processes_at_once_sends_one_code(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[]).await;
    let peer = alter.peer(&[]).await;
    for _ in 0..5 {
        let mut visit = Visit::up_to_callback(&alter, "mock").await;
        let (here, there) = tokio::join!(visit.try_callback(&alter), visit.callback_at(&alter, peer.port));
        assert!(here.starts_with("HTTP/1.1 303"), "{here}");
        assert_eq!(there.status, 303);
        visit.wait_for_end(&alter).await;
        assert_eq!(visit.reload_callback(&alter).await.status, 303);
    }
    assert_eq!(alter.mock.seen().token.len(), 5, "I3");
}

/// What can be tested about two versions while only one exists. A migration that adds something (every migration only
/// adds) runs under a process of this version, which goes on. This version then refuses to start on the unknown schema.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f38_a_newer_program_may_migrate_while_this_one_serves_and_this_one_does_not_start_again() {
    let mut alter = Alter::new(Database::Sqlite).await;
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let newer = rusqlite::Connection::open(alter.data().join("alter.db")).unwrap();
    let known: i64 = newer.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    newer
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; ALTER TABLE grants ADD COLUMN novelty TEXT; CREATE TABLE novelties (id TEXT);
             PRAGMA user_version = {}; COMMIT",
            known + 1
        ))
        .unwrap();
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    let status = visit.wait_for_end(&alter).await;
    let grant = status["connections"][0]["grant_id"].as_str().unwrap();
    assert_eq!(alter.release(grant).await.status, 200);
    assert!(alter.stop().success(), "and the process stops in order");

    let refused: Command = alter.command(&["serve"]);
    let output = { refused }.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("use the newer program"), "{said}");
    newer.execute_batch(&format!("PRAGMA user_version = {known}")).unwrap();
    alter.serve(&[]).await;
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.call("/sdk/oauth/connect/session", &json!({})).await.status, 201);
}
