//! The server dies, or all connections are taken.

use alter_store_contract::operator::{insert_app, save_app_settings};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use alter_core::{AppId, AppSettings, Store, StoreError};
use alter_store_contract::sample::{T0, app, call, stored_app};
use alter_store_postgres::{Open, PostgresStore};
use alter_test_postgres::{Cluster, Database, database};
use tokio::{
    net::{TcpListener, UnixStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    contract::{make, open},
    held::{Held, blocked, until_blocked},
};

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Stores apps until that fails. Returns the acknowledged ones, and the error.
async fn store_apps(store: Arc<dyn Store>) -> (Vec<AppId>, StoreError) {
    let mut acknowledged = Vec::new();
    loop {
        let app = app();
        match insert_app(&*store, app.clone()).await {
            Ok(()) => acknowledged.push(app.id),
            Err(error) => return (acknowledged, error),
        }
    }
}

/// Starts as many calls as the pool has connections. Each has a connection of its own and waits for the app's row.
async fn sixteen_waiting(
    database: &Database<'_>,
    store: &Arc<dyn Store>,
    id: AppId,
) -> JoinSet<Result<bool, StoreError>> {
    let mut waiting = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        waiting.spawn(async move {
            save_app_settings(&*store, id, AppSettings::named("New")).await.map(|done| done.is_done())
        });
    }
    until_blocked(database, 16).await;
    waiting
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_a_killed_server_is_unavailable_and_used_again_when_it_is_back() {
    let cluster = Cluster::new();
    let database = cluster.database();
    let store = open(&database).await;
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        writers.spawn(store_apps(store.clone()));
    }
    // They are at it, however slow the machine is.
    while store.list_apps().await.unwrap().len() < 16 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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

/// Ends the server's idle processes, as an operator or a fail-over does, and waits until they are gone.
pub(crate) fn end_connections(database: &Database<'_>) {
    let others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert_ne!(database.sql(&format!("SELECT count(pg_terminate_backend(pid)) {others}")), "0");
    while database.sql(&format!("SELECT count(*) {others}")) != "0" {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A read, a statement that writes, and a transaction. Each meets a connection that was lost while idle.
pub(crate) async fn each_survives(store: &dyn Store, lose: impl AsyncFn()) {
    lose().await;
    store.list_apps().await.unwrap();
    lose().await;
    let call = call();
    store.record_call(call).await.unwrap();
    assert!(matches!(store.record_call(call).await, Err(StoreError::NonceReplayed)), "it was done once");
    lose().await;
    insert_app(store, app()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_what_meets_a_connection_that_was_ended_while_idle_is_done_on_a_fresh_one() {
    let (database, store) = make().await;
    store.probe(T0).await.unwrap();
    each_survives(&*store, async || end_connections(&database)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_when_every_idle_connection_was_ended_no_call_fails() {
    let (database, store) = make().await;
    let id = stored_app(&*store).await.unwrap();
    let held = Held::by(&database, "SELECT id FROM apps FOR UPDATE").await;
    let all = sixteen_waiting(&database, &store, id).await;
    held.let_go().await;
    assert!(all.join_all().await.into_iter().all(|saved| saved.unwrap()), "sixteen connections are idle");
    end_connections(&database);
    let mut calls = JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        calls.spawn(async move { store.probe(T0).await });
    }
    for probed in calls.join_all().await {
        probed.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_what_meets_a_connection_that_the_network_cut_while_idle_is_done_on_a_fresh_one() {
    let (database, network) = (database(), Network::default());
    let url = network.to(&database).await;
    let store = PostgresStore::open(&url, Open::Create).await.unwrap();
    store.probe(T0).await.unwrap();
    each_survives(&store, async || network.cut_every_connection().await).await;
}

/// A network that can forget its connections: they stay open, but nothing comes through any more.
#[derive(Clone, Default)]
struct Network {
    silent: Arc<AtomicBool>,
    /// How many times all connections were cut.
    cuts: watch::Sender<u32>,
}

impl Network {
    /// Carries connections to the server. Returns the URL of this side.
    async fn to(&self, database: &Database<'_>) -> String {
        let mut url = url::Url::parse(&database.url).unwrap();
        let directory = url.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        url.set_query(None);
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        let network = self.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = UnixStream::connect(format!("{directory}/.s.PGSQL.5432")).await.unwrap();
                let network = network.clone();
                // A connection that is there when the network goes silent stays silent; new ones come through.
                let mut cut = network.cuts.subscribe();
                let silent_before = network.silent.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    let goes_silent = async {
                        while network.silent.load(Ordering::Relaxed) == silent_before {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                        () = goes_silent => std::future::pending().await,
                    }
                });
            }
        });
        url.into()
    }

    /// Closes what is open, and waits until both ends know.
    async fn cut_every_connection(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
        while self.cuts.receiver_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn forget_every_connection(&self) {
        self.silent.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_connections_that_went_silent_cost_one_call_at_most_and_no_place_in_the_pool() {
    let (database, network) = (database(), Network::default());
    let url = network.to(&database).await;
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&url, Open::Create).await.unwrap());
    let id = stored_app(&*store).await.unwrap();
    let held = Held::by(&database, "SELECT id FROM apps FOR UPDATE").await;
    let all = sixteen_waiting(&database, &store, id).await;
    held.let_go().await;
    assert!(all.join_all().await.into_iter().all(|saved| saved.unwrap()), "sixteen connections are idle");
    // After this long, the pool tests a connection before it lends it.
    tokio::time::sleep(Duration::from_millis(5100)).await;
    network.forget_every_connection().await;

    let first = store.probe(T0).await;
    assert!(first.is_ok() || is_unavailable(&first), "{first:?}");
    let mut calls = JoinSet::new();
    for _ in 0..32 {
        let store = store.clone();
        calls.spawn(async move { store.probe(T0).await });
    }
    assert!(calls.join_all().await.into_iter().all(|probed| probed.is_ok()), "every place is free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f30_without_a_free_connection_a_call_fails_in_time_and_works_when_there_is_one() {
    let (database, store) = make().await;
    let id = stored_app(&*store).await.unwrap();
    let held = Held::by(&database, "SELECT id FROM apps FOR UPDATE").await;
    let waiting = sixteen_waiting(&database, &store, id).await;

    // It gives up before a statement in front of it is cancelled, which would free a connection.
    let refused = store.probe(T0).await;
    assert!(is_unavailable(&refused), "{refused:?}");

    held.let_go().await;
    assert!(waiting.join_all().await.into_iter().all(|saved| saved.unwrap()));
    store.probe(T0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f30_a_call_that_nobody_waits_for_any_more_frees_its_connection_here_and_there() {
    let (database, store) = make().await;
    let id = stored_app(&*store).await.unwrap();
    let held = Held::by(&database, "SELECT id FROM apps FOR UPDATE").await;
    for _ in 0..40 {
        let save = save_app_settings(&*store, id, AppSettings::named("New"));
        assert!(tokio::time::timeout(Duration::from_millis(20), save).await.is_err());
    }
    store.probe(T0).await.unwrap();
    // The server also notices that the clients are gone, long before the statements' ten seconds have passed.
    let started = Instant::now();
    while blocked(&database) != 0 {
        assert!(started.elapsed() < Duration::from_secs(8), "{} still wait", blocked(&database));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    held.let_go().await;
}

/// Errors cannot be cloned; this test needs only to know which error it is.
fn clone(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        _ => StoreError::Moved,
    }
}
