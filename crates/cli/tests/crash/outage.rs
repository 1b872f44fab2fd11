//! F28 during a callback: the PostgreSQL server is killed while the provider has the code, and comes back.

use std::time::Duration;

use alter_mock_provider::Gate;
use alter_test_postgres::Cluster;

use crate::harness::{Alter, Database, End, HURRY, Visit, check_truth};

/// A PostgreSQL server of this test's own, which it may kill. The server ends with the test process.
fn cluster() -> &'static Cluster {
    Box::leak(Box::new(Cluster::new()))
}

/// Kills the database once the provider has the code and before it answers; starts the database again after `time`.
async fn be_away(alter: &Alter, cluster: &Cluster, gate: &Gate, time: Duration) {
    alter.mock.wait_for(|seen| seen.token.len() == 1).await;
    cluster.crash();
    gate.open();
    tokio::time::sleep(time).await;
    cluster.start();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_a_database_that_dies_and_comes_back_within_an_exchange_costs_nothing() {
    let cluster = cluster();
    let mut alter = Alter::new(Database::Postgres(cluster.database())).await;
    let gate = Gate::closed();
    alter.mock.set(|s| s.token_gate = Some(gate.clone()));
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let away = Duration::from_millis(500);
    let (answer, ()) = tokio::join!(visit.try_callback(&alter), be_away(&alter, cluster, &gate, away));
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(
        alter.log().contains("no connection to the database, trying again"),
        "it waited: {}",
        alter.log()
    );
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
}

/// The outage lasts longer than every other wait, and longer than an attempt may take before it counts as lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_an_answer_waits_for_its_database_as_long_as_that_is_away_and_no_reaper_ends_it_first() {
    let cluster = cluster();
    let mut alter = Alter::new(Database::Postgres(cluster.database())).await;
    let gate = Gate::closed();
    alter.mock.set(|s| s.token_gate = Some(gate.clone()));
    alter.serve(HURRY).await;
    let _peer = alter.peer(HURRY).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let away = Duration::from_secs(16);
    let (answer, ()) = tokio::join!(visit.try_callback(&alter), be_away(&alter, cluster, &gate, away));
    assert!(!answer.is_empty(), "{}", alter.log());
    check_truth(&alter, &mut visit, End::Connected).await;
    assert!(alter.log().contains("the answer had to wait"), "{}", alter.log());
    // The token's 3,600 s count from the provider's answer, not from the time when the answer was stored.
    let Database::Postgres(database) = &alter.database else { unreachable!() };
    let lives = database.sql("SELECT (credential_expires_at - created_at) / 1000000 FROM grants");
    let lives: i64 = lives.parse().unwrap();
    assert!((3400..=3600 - 15).contains(&lives), "{lives}");
    assert_eq!(alter.mock.seen().token.len(), 1);
}

/// No exchange is under way: nothing is consumed, and a reload in the browser is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_a_callback_that_finds_no_database_is_an_error_page_and_a_reload_later_connects() {
    let cluster = cluster();
    let mut alter = Alter::new(Database::Postgres(cluster.database())).await;
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    cluster.crash();
    let page = visit.reload_callback(&alter).await;
    assert_eq!(page.status, 500, "{}", page.text());
    assert_eq!(alter.mock.seen().token.len(), 0);
    cluster.start();
    assert_eq!(visit.reload_callback(&alter).await.status, 303, "{}", alter.log());
    check_truth(&alter, &mut visit, End::Connected).await;
}
