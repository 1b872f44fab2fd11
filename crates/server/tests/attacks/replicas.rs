//! Two servers on one PostgreSQL database, behind any load balancer: F61, T61 and T98 across both, and refreshes (F50,
//! F58 to F60). These tests need two servers; the others run on PostgreSQL too, with `ALTER_TEST_ENGINE=postgres`.

use std::{collections::HashSet, sync::Arc, time::Duration};

use alter_core::GrantId;
use alter_flows::{Flows, connect, operate};
use alter_mock_provider::{Gate, TokenFault};
use alter_testkit::{Reply, Sent, TestBrowser, TestClock, TestServer, browser::sid_of, http::send, operator};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{sql, support::line::Line};

const AUDIENCE: &str = "my-app";

/// A server, and the address of a second one on the same database.
async fn two() -> (TestServer, String) {
    let server = TestServer::start_postgres().await;
    server.set_idp(&server.app, Some(AUDIENCE)).await;
    let (_flows, second) = server.replica(None).await;
    (server, second)
}

/// Sends a request to the second server, with the first server's `Host`.
async fn at(second: &str, server: &TestServer, sent: Sent) -> Reply {
    send(second, sent.header("host", &server.host)).await
}

fn page_post(server: &TestServer, browser: &TestBrowser, target: &str, body: &Value) -> Sent {
    Sent::new("POST", target)
        .header("origin", &server.public_url)
        .header("content-type", "application/json")
        .header("cookie", &browser.cookie())
        .body(body.to_string())
}

#[tokio::test]
async fn f61_minted_on_one_claimed_on_the_other_called_back_on_the_first_and_polled_on_the_other() {
    let (server, second) = two().await;
    let app = server.app.clone();
    server.add_agent(&app, "helper").await;
    let user = server.mock.user_token("acme-1001", AUDIENCE);
    let token = server.mint(&json!({ "user_token": user, "agent": "helper" })).await;

    let mut browser = TestBrowser::new();
    let (_, cb) = TestBrowser::flow_id();
    let form = Sent::new("POST", "/connect/open")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", &app.origin)
        .body(format!("session={token}&cb={cb}&m=p"));
    let claimed = at(&second, &server, form).await;
    assert_eq!(claimed.status, 303, "{}", claimed.text());
    for line in claimed.cookies() {
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        browser.set_cookie(name, value);
    }
    let sid = sid_of(claimed.header("location"));
    let status = server.status(&token, &app.origin, json!({ "cb": cb })).await;
    assert_eq!(status.json()["status"], "open", "{}", status.text());
    let target = format!("/connect/api/s/{sid}/approve");
    let approved =
        at(&second, &server, page_post(&server, &browser, &target, &json!({ "provider": "mock" }))).await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    let callback = browser.at_provider(approved.json()["location"].as_str().unwrap()).await;
    let back = browser.get(&server, &callback).await;
    assert_eq!(back.status, 303, "{}", back.text());

    let poll = server.signed(&app.key, "/sdk/oauth/connect/session/poll", &json!({ "session_token": token }));
    let polled = at(&second, &server, poll).await.json();
    assert_eq!(polled["status"], "completed", "{polled}");
    let wanted = json!({ "grant_id": polled["grants"][0]["grant_id"],
                         "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    for reply in [
        server.call("/sdk/token", &wanted).await,
        at(&second, &server, server.signed(&app.key, "/sdk/token", &wanted)).await,
    ] {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(server.mock.seen().token_by_grant_type("authorization_code").len(), 1);
}

/// The page waits at a server that the callback does not reach.
#[tokio::test]
async fn f61_a_page_that_waits_at_one_replica_is_told_what_came_to_the_other() {
    let server = TestServer::start_postgres().await;
    let (flows, second) = server.replica(None).await;
    let (app, token) = (server.app.clone(), server.mint(&json!({})).await);
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&server, &app, &token).await;
    let body = json!({ "session_token": token, "cb": TestBrowser::cb_of(&token), "cursor": 2, "wait": 25 });
    let sent = Sent::new("POST", "/connect/status")
        .header("origin", &app.origin)
        .header("content-type", "text/plain")
        .body(body.to_string());
    let asking = at(&second, &server, sent);
    let meanwhile = async {
        while connect::waiting(&flows) != 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        connect::beat(&flows).await.unwrap();
        assert_eq!(connect::waiting(&flows), 1, "nothing has happened");
        assert_eq!(browser.get(&server, &callback).await.status, 303);
        connect::beat(&flows).await.unwrap();
    };
    let (told, ()) = tokio::join!(asking, meanwhile);
    assert_eq!(told.json()["status"], "completed", "{}", told.text());
}

#[tokio::test]
async fn t61_the_same_signed_call_counts_at_one_of_two_replicas() {
    let (server, second) = two().await;
    let (server, second) = (Arc::new(server), Arc::new(second));
    for round in 0..20 {
        let sent = server.signed(&server.app.key, "/sdk/oauth/connect/session", &json!({}));
        let here = {
            let (server, sent) = (server.clone(), sent.clone());
            tokio::spawn(async move { server.send(sent).await.status })
        };
        let there = {
            let (server, second) = (server.clone(), second.clone());
            tokio::spawn(async move { at(&second, &server, sent).await.status })
        };
        let mut statuses = [here.await.unwrap(), there.await.unwrap()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 401], "round {round}");
    }
}

#[tokio::test]
async fn t17_a_callback_that_reaches_both_replicas_at_once_is_exchanged_once() {
    let (server, second) = two().await;
    let app = server.app.clone();
    for _ in 0..5 {
        let before = server.mock.seen().token.len();
        let token = server.mint(&json!({})).await;
        let mut browser = TestBrowser::new();
        let (_, callback) = browser.up_to_callback(&server, &app, &token).await;
        let sent = || Sent::new("GET", &callback).header("cookie", &browser.cookie());
        let (here, there) = tokio::join!(server.send(sent()), at(&second, &server, sent()));
        assert_eq!((here.status, there.status), (303, 303));
        assert_eq!(here.header("location"), there.header("location"));
        assert_eq!(server.mock.seen().token.len(), before + 1);
    }
}

#[tokio::test]
async fn t98_what_one_replica_revoked_the_other_does_not_release() {
    let (server, second) = two().await;
    let app = server.app.clone();
    let made = TestBrowser::new().connect(&server).await;
    let grant = made["grant_id"].as_str().unwrap();
    let wanted =
        json!({ "grant_id": grant, "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    let there = async || at(&second, &server, server.signed(&app.key, "/sdk/token", &wanted)).await;
    assert_eq!(there().await.status, 200, "control");
    let revoked = server.call(&format!("/sdk/oauth/grants/{grant}/revoke"), &json!({})).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let refused = there().await;
    assert_eq!((refused.status, refused.error().as_str()), (403, "grant_revoked"));
    // A key that the operator revokes is refused at the second server too.
    let keys = server.store.list_keys(app.id).await.unwrap();
    assert!(operate::revoke_key(&server.flows, &operator(), app.id, keys[0].id).await.is_ok());
    assert_eq!(there().await.status, 401);
}

/// The token has run out for a replica whose clock is two minutes slow, too.
const PAST_THE_END: i64 = 3900;

/// One of two servers, and a grant whose token has run out.
struct Expired {
    server: Arc<TestServer>,
    grant: String,
}

impl Expired {
    async fn new() -> Self {
        let server = TestServer::start_postgres().await;
        let made = TestBrowser::new().connect(&server).await;
        server.clock.advance_seconds(PAST_THE_END);
        Self { server: Arc::new(server), grant: made["grant_id"].as_str().unwrap().to_owned() }
    }

    /// Lets the provider answer refreshes only when the gate is opened.
    fn hold(&self) -> Gate {
        let gate = Gate::closed();
        self.server.mock.set(|s| s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone())));
        gate
    }

    /// Begins to ask the server at `address` for the grant's token.
    fn ask(&self, address: &str) -> JoinHandle<Reply> {
        let body = json!({ "grant_id": self.grant,
                           "request": { "method": "GET", "url": self.server.mock.url("/api/me") } });
        let sent = self.server.signed(&self.server.app.key, "/sdk/token", &body);
        let (server, address) = (self.server.clone(), address.to_owned());
        tokio::spawn(async move { at(&address, &server, sent).await })
    }

    fn ask_often(&self, address: &str, times: usize) -> Vec<JoinHandle<Reply>> {
        (0..times).map(|_| self.ask(address)).collect()
    }

    async fn generation(&self) -> u64 {
        let id = GrantId::parse(&self.grant).unwrap();
        self.server.store.get_grant(self.server.app.id, id).await.unwrap().unwrap().credential.generation
    }

    /// Lets the lease run out, as the time that the database's clock measures would.
    fn end_the_lease(&self) {
        let statement = "UPDATE grants SET refresh = jsonb_set(refresh::jsonb, '{lease_until}', '1')::text";
        assert_eq!(sql::run(&self.server, statement, []), 1);
    }

    async fn honoured(&self, times: u64) {
        self.server.mock.wait_for_refreshes(|counts| counts.honoured == times).await;
    }
}

/// The different tokens that these calls got. Each must have got one.
async fn tokens(asked: Vec<JoinHandle<Reply>>) -> HashSet<String> {
    let mut tokens = HashSet::new();
    for reply in asked {
        let reply = reply.await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        tokens.insert(reply.json()["access_token"].as_str().unwrap().to_owned());
    }
    tokens
}

/// Long enough for a waiting call to look at the row a few times.
async fn a_few_looks() {
    tokio::time::sleep(Duration::from_millis(600)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f58_two_hundred_calls_on_each_replica_for_one_expired_grant_are_one_refresh() {
    let expired = Expired::new().await;
    let server = &expired.server;
    let (_flows, second) = server.replica(None).await;
    let mut asked = expired.ask_often(&server.host, 200);
    asked.extend(expired.ask_often(&second, 200));
    let tokens = tokens(asked).await;
    assert_eq!((tokens.len(), server.mock.refresh_counts().arrived), (1, 1));
    let at_provider = &server.mock.grants()[0];
    assert!(at_provider.live_access.contains(tokens.iter().next().unwrap()), "and it is the newest");
    assert_eq!(expired.generation().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f58_calls_on_both_replicas_wait_for_a_slow_provider_and_get_the_one_answer() {
    let expired = Expired::new().await;
    let server = &expired.server;
    let (_flows, second) = server.replica(None).await;
    let gate = expired.hold();
    let mut asked = expired.ask_often(&server.host, 50);
    asked.extend(expired.ask_often(&second, 50));
    expired.honoured(1).await;
    a_few_looks().await;
    assert!(asked.iter().all(|call| !call.is_finished()), "nobody gets the old token, or an error");
    gate.open();
    let tokens = tokens(asked).await;
    assert_eq!((tokens.len(), server.mock.refresh_counts().arrived), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f60_a_replica_finds_the_others_result_in_the_row_although_nobody_waits_for_it_there() {
    let expired = Expired::new().await;
    let server = &expired.server;
    let (_flows, second) = server.replica(None).await;
    let gate = expired.hold();
    let first = expired.ask(&server.host);
    expired.honoured(1).await;
    // The client whose call began the refresh is gone.
    first.abort();
    let waiting = expired.ask_often(&second, 20);
    a_few_looks().await;
    gate.open();
    assert_eq!((tokens(waiting).await.len(), server.mock.refresh_counts().arrived), (1, 1));
}

/// What a replica sees whose clock is this many seconds ahead of the first one's.
async fn skewed(expired: &Expired, seconds: i64) -> (Flows, String) {
    let clock = TestClock::default();
    clock.advance_seconds(PAST_THE_END + seconds);
    expired.server.replica_at(&clock).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f50_replicas_whose_clocks_are_two_minutes_apart_refresh_once() {
    for skew in [-120, 120] {
        let expired = Expired::new().await;
        let server = &expired.server;
        let (_flows, second) = skewed(&expired, skew).await;
        for (one, other) in [(&server.host, &second), (&second, &server.host)] {
            let before = server.mock.refresh_counts().arrived;
            let gate = expired.hold();
            let mut asked = expired.ask_often(one, 5);
            expired.honoured(before + 1).await;
            asked.extend(expired.ask_often(other, 5));
            a_few_looks().await;
            assert_eq!(server.mock.refresh_counts().arrived, before + 1, "{skew}: its lease is not over");
            gate.open();
            assert_eq!(tokens(asked).await.len(), 1, "{skew}");
            let again = vec![expired.ask(one), expired.ask(other)];
            assert_eq!(tokens(again).await.len(), 1, "{skew}");
            assert_eq!(server.mock.refresh_counts().arrived, before + 1, "{skew}: the token is new for both");
            let ended = "UPDATE grants SET credential_expires_at = credential_issued_at - 600000000";
            assert_eq!(sql::run(server, ended, []), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f50_the_clock_of_the_replica_that_refreshes_jumps_either_way_and_it_is_one_refresh() {
    for jump in [-1800, 3600] {
        let expired = Expired::new().await;
        let server = &expired.server;
        let (_flows, second) = skewed(&expired, 0).await;
        let gate = expired.hold();
        let mut asked = vec![expired.ask(&server.host)];
        expired.honoured(1).await;
        asked.push(expired.ask(&second));
        a_few_looks().await;
        server.clock.advance_seconds(jump);
        a_few_looks().await;
        gate.open();
        let served = tokens(asked).await;
        assert_eq!(served.len(), 1, "{jump}");
        // Calls are signed by this clock.
        server.clock.advance_seconds(-jump);
        assert_eq!(tokens(vec![expired.ask(&second)]).await, served, "{jump}");
        assert_eq!(server.mock.refresh_counts().arrived, 1, "{jump}");
    }
}

/// A replica has the provider's answer and is cut off from the database before it can write it down.
struct CutOff {
    expired: Expired,
    flows: Flows,
    line: Line,
}

impl CutOff {
    async fn new() -> Self {
        let expired = Expired::new().await;
        let line = Line::to(&expired.server).await;
        let (flows, second) = expired.server.replica_over(&line.url).await;
        let gate = expired.hold();
        let _call = expired.ask(&second);
        expired.honoured(1).await;
        line.cut();
        gate.open();
        expired.server.mock.set(|s| s.refresh.fault = None);
        a_few_looks().await;
        assert_eq!((flows.in_flight(), expired.generation().await), (1, 1), "it holds the answer");
        Self { expired, flows, line }
    }

    /// The line is there again, and what the replica held is written down.
    async fn mended(&self) {
        self.line.mend();
        self.flows.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f59_an_answer_that_a_cut_off_replica_holds_reaches_everybody_when_the_line_is_mended() {
    let cut = CutOff::new().await;
    let server = &cut.expired.server;
    let waiting = cut.expired.ask_often(&server.host, 10);
    a_few_looks().await;
    cut.mended().await;
    assert_eq!((tokens(waiting).await.len(), server.mock.refresh_counts().arrived), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f59_after_the_lease_the_other_replica_gets_a_token_and_the_late_one_is_discarded() {
    let cut = CutOff::new().await;
    let (expired, server) = (&cut.expired, &cut.expired.server);
    server.mock.set(|s| s.refresh.reuse_window = Duration::from_secs(60));
    expired.end_the_lease();
    let served = tokens(expired.ask_often(&server.host, 10)).await;
    assert_eq!((served.len(), expired.generation().await), (1, 2));
    cut.mended().await;
    assert_eq!(tokens(expired.ask_often(&server.host, 2)).await, served, "the late answer replaces nothing");
    assert_eq!(sql::count(server, "audit WHERE kind = 'refresh_discarded'"), 1);
    assert_eq!(sql::count(server, "refreshes WHERE body IS NOT NULL"), 0);
    assert_eq!(server.mock.refresh_counts().most_sent, 2, "the one retry");
    // The refresh token that is kept is a good one.
    server.clock.advance_seconds(3700);
    assert_ne!(tokens(vec![expired.ask(&server.host)]).await, served);
    assert_eq!(expired.generation().await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f59_a_grant_that_was_taken_for_lost_lives_when_the_cut_off_replica_delivers_its_answer() {
    let cut = CutOff::new().await;
    let (expired, server) = (&cut.expired, &cut.expired.server);
    expired.end_the_lease();
    let lost = expired.ask(&server.host).await.unwrap();
    assert_eq!((lost.status, lost.error().as_str()), (400, "credential_revoked"), "{}", lost.text());
    assert_eq!(lost.json()["details"]["reason"], "rotation_lost", "{}", lost.text());
    cut.mended().await;
    assert_eq!(tokens(expired.ask_often(&server.host, 5)).await.len(), 1);
    assert_eq!(expired.generation().await, 2);
    assert_eq!(sql::count(server, "grants WHERE reconnect IS NOT NULL"), 0);
    assert_eq!(server.mock.refresh_counts().most_sent, 2, "and never again");
}
