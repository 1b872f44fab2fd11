//! The server dies, or all connections are taken.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alter_core::{AppSettings, Store, StoreError};
use alter_testkit::{
    contract::sample::{T0, app, stored_app},
    postgres::Cluster,
};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::contract::{make, open};

/// How many wait for a row that somebody holds.
const BLOCKED: &str = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Stores apps until that fails; answers those that were acknowledged, and the error.
async fn store_apps(store: Arc<dyn Store>) -> (Vec<alter_core::AppId>, StoreError) {
    let mut acknowledged = Vec::new();
    loop {
        let app = app();
        match store.insert_app(app.clone()).await {
            Ok(()) => acknowledged.push(app.id),
            Err(error) => return (acknowledged, error),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_a_killed_server_is_unavailable_and_used_again_when_it_is_back() {
    let cluster = Cluster::new();
    let database = cluster.database();
    let store = open(&database).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        writers.spawn(store_apps(store.clone()));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.crash();
    let written = writers.join_all().await;
    assert!(written.iter().all(|(_, error)| is_unavailable(&Err::<(), _>(clone(error)))), "{written:?}");
    let (read, write) = tokio::join!(store.list_apps(), store.probe(T0));
    assert!(is_unavailable(&read) && is_unavailable(&write), "{write:?}");

    cluster.start();
    store.probe(T0).await.unwrap();
    let acknowledged: Vec<_> = written.into_iter().flat_map(|(ids, _)| ids).collect();
    assert!(acknowledged.len() >= 8, "they were at it when the server died");
    for id in acknowledged {
        assert!(store.get_app(id).await.unwrap().is_some(), "what was acknowledged is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_connections_that_the_server_ended_are_replaced() {
    let (database, store) = make().await;
    store.probe(T0).await.unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let ended = database.sql(end);
    assert_ne!(ended, "0");
    // Each of the dead connections fails at most one call.
    let mut failed = 0;
    while store.probe(T0).await.is_err() {
        failed += 1;
    }
    assert!(failed <= ended.parse().unwrap());
    store.probe(T0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f30_without_a_free_connection_a_call_fails_in_time_and_works_when_there_is_one() {
    let (database, store) = make().await;
    let id = stored_app(&*store).await.unwrap();
    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    holder.execute("SELECT id FROM apps FOR UPDATE").await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        waiting.spawn(async move { store.save_app_settings(id, AppSettings::named("New")).await });
    }
    while database.sql(BLOCKED) != "16" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let started = Instant::now();
    let refused = store.probe(T0).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());

    holder.execute("COMMIT").await.unwrap();
    assert!(waiting.join_all().await.into_iter().all(|saved| saved.unwrap()));
    store.probe(T0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f30_a_call_that_nobody_waits_for_any_more_frees_its_connection_here_and_there() {
    let (database, store) = make().await;
    let id = stored_app(&*store).await.unwrap();
    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    holder.execute("SELECT id FROM apps FOR UPDATE").await.unwrap();
    for _ in 0..40 {
        let save = store.save_app_settings(id, AppSettings::named("New"));
        assert!(tokio::time::timeout(Duration::from_millis(20), save).await.is_err());
    }
    store.probe(T0).await.unwrap();
    // The server notices too, long before the statements' ten seconds have passed.
    let started = Instant::now();
    while database.sql(BLOCKED) != "0" {
        assert!(started.elapsed() < Duration::from_secs(8), "{} still wait", database.sql(BLOCKED));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    holder.execute("COMMIT").await.unwrap();
}

/// Errors cannot be cloned; what matters here is which one it is.
fn clone(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        _ => StoreError::Conflict,
    }
}
