//! Refreshes under load and under way: clients that go (F26), a stop (F27), one tenant's trouble beside another's (T77),
//! and many grants that end in one second (F52).

use std::{sync::Arc, time::Duration};

use alter_core::{AppSettings, Clock as _, GrantId};
use alter_flows::refresh;
use alter_mock_provider::{Gate, MockProvider, TokenFault};
use alter_testkit::{Reply, TestApp, TestBrowser, TestServer};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, task::JoinHandle};

use crate::{sql, support::copies::copies};

/// Refreshes at once under one configuration.
const AT_ONCE: u64 = 16;

/// A server on which the tokens of these grants have run out: one that was connected, and copies of it.
async fn with_expired(count: usize) -> (Arc<TestServer>, Vec<String>) {
    let server = TestServer::start().await;
    let grants = connected(&server, &server.app, count).await;
    server.clock.advance_seconds(3700);
    (Arc::new(server), grants)
}

async fn connected(server: &TestServer, app: &TestApp, count: usize) -> Vec<String> {
    let made = TestBrowser::new().connect_for(server, app, &json!({})).await;
    let made = made["grant_id"].as_str().unwrap().to_owned();
    let mut grants = copies(server, app, &made, count - 1).await;
    grants.push(made);
    grants
}

/// Begins to ask for the token of a grant of `app`.
fn ask(server: &Arc<TestServer>, app: &TestApp, grant: &str) -> JoinHandle<Reply> {
    let url = server.mock.url("/api/me");
    let body = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
    let (sent, server) = (server.signed(&app.key, "/sdk/token", &body), server.clone());
    tokio::spawn(async move { server.send(sent).await })
}

async fn all_are_released(asked: Vec<JoinHandle<Reply>>) {
    for reply in asked {
        let reply = reply.await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

async fn stored_generation(server: &TestServer, grant: &str) -> u64 {
    let found = server.store.get_grant(server.app.id, GrantId::parse(grant).unwrap()).await.unwrap().unwrap();
    found.credential.generation
}

fn held(server: &TestServer) -> Gate {
    let gate = Gate::closed();
    server.mock.set(|s| s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone())));
    gate
}

#[tokio::test]
async fn f26_a_client_that_disconnects_during_a_refresh_does_not_stop_it() {
    let (server, grants) = with_expired(1).await;
    let gate = held(&server);
    let url = server.mock.url("/api/me");
    let body = json!({ "grant_id": grants[0], "request": { "method": "GET", "url": url } });
    let sent = server.signed(&server.app.key, "/sdk/token", &body);
    let address = server.host.replace("localhost", "127.0.0.1");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let headers: String = sent.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n",
        sent.target,
        server.host,
        sent.body.len()
    );
    socket.write_all(&[head.as_bytes(), &sent.body].concat()).await.unwrap();
    server.mock.wait_for_refreshes(|counts| counts.honoured == 1).await;
    drop(socket);
    // The server has noticed: the call is gone, and the refresh alone is under way.
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.open();
    server.flows.drain().await;
    assert_eq!(stored_generation(&server, &grants[0]).await, 2);
    all_are_released(vec![ask(&server, &server.app, &grants[0])]).await;
    assert_eq!(server.mock.refresh_counts().arrived, 1);
}

#[tokio::test]
async fn f27_a_stop_waits_for_every_refresh_that_is_under_way_or_has_no_place_yet() {
    let (server, grants) = with_expired(40).await;
    let gate = held(&server);
    let asked: Vec<_> = grants.iter().map(|grant| ask(&server, &server.app, grant)).collect();
    server.mock.wait_for_refreshes(|counts| counts.honoured == AT_ONCE).await;
    while server.flows.in_flight() < grants.len() {
        tokio::task::yield_now().await;
    }
    let stop = server.flows.drain();
    tokio::pin!(stop);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut stop).await;
    assert!(early.is_err(), "not while the provider has tokens that nobody has written down");
    gate.open();
    stop.await;
    for grant in &grants {
        assert_eq!(stored_generation(&server, grant).await, 2, "0 lost");
    }
    all_are_released(asked).await;
    assert_eq!(server.mock.refresh_counts().honoured, 40);
}

#[tokio::test]
async fn t77_a_provider_that_hangs_holds_a_few_refreshes_of_its_own_configuration_and_no_other_call() {
    let (server, mut grants) = with_expired(40).await;
    // The clock is an hour ahead by now.
    server.mock.set(|s| s.clock_offset_s = 3700);
    let other = server.add_app(named("Other App")).await;
    let others = connected(&server, &other, 3).await;
    server.add_provider(&server.app, "second", |_| ()).await;
    let second = TestBrowser::new().attempt(&server, "second").await.grant_id().to_owned();
    server.clock.advance_seconds(3700);
    server.mock.set(|s| s.clock_offset_s = 7400);
    // One more of the hanging configuration, whose token is still good: its user has connected again.
    let fresh = TestBrowser::new().attempt(&server, "mock").await.grant_id().to_owned();
    assert_eq!(grants.pop().as_deref(), Some(&*fresh));
    let gate = Gate::closed();
    // The provider hangs for as many as are let through to it, and answers everybody else.
    server.mock.set(|s| {
        s.refresh.fault = Some(TokenFault::HoldBeforeEffect(gate.clone()));
        s.refresh.fault_times = Some(u32::try_from(AT_ONCE).unwrap());
    });
    let hanging: Vec<_> = grants.iter().map(|grant| ask(&server, &server.app, grant)).collect();
    server.mock.wait_for_refreshes(|counts| counts.arrived == AT_ONCE).await;
    while server.flows.in_flight() < grants.len() {
        tokio::task::yield_now().await;
    }
    all_are_released(others.iter().map(|grant| ask(&server, &other, grant)).collect()).await;
    all_are_released(vec![ask(&server, &server.app, &second)]).await;
    all_are_released(vec![ask(&server, &server.app, &fresh)]).await;
    assert!(hanging.iter().all(|call| !call.is_finished()), "all of that while they hang");
    assert_eq!(server.mock.refresh_counts().arrived, AT_ONCE + 4, "and no more of them were let through");
    gate.open();
    all_are_released(hanging).await;
}

fn named(name: &str) -> AppSettings {
    let mut settings = AppSettings::named(name);
    settings.website_url = Some("https://app.example".into());
    settings
}

#[tokio::test]
async fn t77_grants_of_a_provider_that_is_down_do_not_keep_the_clock_from_refreshing_others() {
    let server = TestServer::start().await;
    let down = MockProvider::start().await;
    down.set(|s| s.refresh.fault = Some(TokenFault::Status(503)));
    let token_url = down.url("/token");
    server.add_provider(&server.app, "down", |recipe| recipe.refresh.url = Some(token_url)).await;
    let first = TestBrowser::new().attempt(&server, "down").await.grant_id().to_owned();
    copies(&server, &server.app, &first, 700).await;
    server.clock.advance_seconds(60);
    // Its token runs out a minute after theirs.
    let healthy = TestBrowser::new().attempt(&server, "mock").await.grant_id().to_owned();
    server.clock.advance_seconds(3700);
    for _ in 0..5 {
        refresh::sweep(&server.flows).await.unwrap();
        server.clock.advance_seconds(5);
    }
    assert!(down.refresh_counts().arrived >= AT_ONCE, "control: it was asked");
    assert_eq!(stored_generation(&server, &healthy).await, 2);
}

#[tokio::test]
async fn t77_a_provider_that_hangs_does_not_keep_the_clock_from_refreshing_others() {
    let server = TestServer::start().await;
    let (hangs, gate) = (MockProvider::start().await, Gate::closed());
    hangs.set(|s| s.refresh.fault = Some(TokenFault::HoldBeforeEffect(gate.clone())));
    let token_url = hangs.url("/token");
    server.add_provider(&server.app, "hangs", |recipe| recipe.refresh.url = Some(token_url)).await;
    let first = TestBrowser::new().attempt(&server, "hangs").await.grant_id().to_owned();
    copies(&server, &server.app, &first, 100).await;
    server.clock.advance_seconds(60);
    let healthy = TestBrowser::new().attempt(&server, "mock").await.grant_id().to_owned();
    server.clock.advance_seconds(3700);
    let flows = server.flows.clone();
    let round = tokio::spawn(async move { refresh::sweep(&flows).await });
    hangs.wait_for_refreshes(|counts| counts.arrived == AT_ONCE).await;
    server.mock.wait_for_refreshes(|counts| counts.honoured == 1).await;
    assert_eq!(sql::count(&server, "refreshes WHERE outcome IS NOT NULL AND outcome <> 'refreshed'"), 0);
    assert_eq!(hangs.refresh_counts().arrived, AT_ONCE, "the others hang all the time");
    gate.open();
    round.await.unwrap().unwrap();
    assert_eq!(stored_generation(&server, &healthy).await, 2);
}

/// How many grants, and how many calls the provider takes in a second. A tenth of 10,000 at 200 a second, which
/// `ALTER_STORM=10000` is: as many rounds, in a time that a test may take.
fn storm() -> (usize, u32) {
    let grants = std::env::var("ALTER_STORM").ok().and_then(|count| count.parse().ok()).unwrap_or(1000);
    (grants, u32::try_from(grants / 50).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f52_grants_that_end_in_one_second_are_refreshed_once_each_within_the_providers_limit() {
    let (count, limit) = storm();
    let server = TestServer::start_sqlite().await;
    let grants = connected(&server, &server.app, count).await;
    server.clock.freeze();
    server.mock.set(|s| s.refresh.limit_a_second = Some(limit));
    let server = Arc::new(server);
    let find = || server.store.get_grant(server.app.id, GrantId::parse(&grants[0]).unwrap());
    let end = find().await.unwrap().unwrap().credential.expires_at.unwrap();
    server.clock.advance_seconds(end.since(server.clock.now()) / 1_000_000 - 460);
    let mut rounds = 0;
    while sql::count(&server, "grants WHERE generation = 1") > 0 {
        let now = server.clock.now();
        assert!(now < end, "some are left at the end of their tokens");
        server.mock.set(|s| s.clock_stands_at = Some(now.as_seconds()));
        let calls = (0..5).map(|n| ask(&server, &server.app, &grants[(rounds * 37 + n * 101) % count]));
        let calls: Vec<_> = calls.collect();
        refresh::sweep(&server.flows).await.unwrap();
        all_are_released(calls).await;
        while server.flows.in_flight() > 0 {
            tokio::task::yield_now().await;
        }
        server.clock.advance_seconds(5);
        rounds += 1;
    }
    let counts = server.mock.refresh_counts();
    println!("{count} grants, {limit} a second: {rounds} rounds of 5 s, {counts:?}");
    assert_eq!(counts.honoured, u64::try_from(count).unwrap());
    assert!(server.mock.grants().iter().all(|grant| grant.refreshes == 1), "none was refreshed twice");
    assert_eq!(sql::count(&server, "grants WHERE generation <> 2"), 0);
    assert_eq!(sql::count(&server, "grants WHERE reconnect IS NOT NULL"), 0);
    let over = AT_ONCE * u64::try_from(rounds).unwrap();
    assert!(counts.over_limit <= over, "only those that were under way at a second's first 429: {counts:?}");
    assert!(counts.most_in_a_second <= u64::from(limit) + AT_ONCE, "{counts:?}");
}

/// A provider whose tokens live for a moment only is asked once for a call.
#[tokio::test]
async fn t28_a_token_that_lives_a_second_is_released_and_not_asked_for_again_and_again() {
    for life in [json!(1), json!("2"), json!(0), json!(-5), json!(1e12)] {
        let (server, grants) = with_expired(1).await;
        server.mock.set(|s| s.refresh.answer_fields = json!({ "expires_in": life }));
        all_are_released(vec![ask(&server, &server.app, &grants[0])]).await;
        assert_eq!(server.mock.refresh_counts().arrived, 1, "{life}");
    }
}
