//! Crashes at the numbered points of the fault list, seen from outside, and the reaper that ends what they left.

use alter_core::{Attempt, Brought, secret::sha256};
use alter_flows::reap;
use alter_mock_provider::Gate;
use alter_testkit::{Sent, TestAttempt, TestBrowser, TestServer};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::sql;

async fn reap(server: &TestServer) {
    reap::reap(&server.flows).await.unwrap();
}

async fn poll(server: &TestServer, token: &str) -> Value {
    server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await.json()
}

async fn status(server: &TestServer, attempt: &TestAttempt) -> Value {
    server.status(&attempt.token, &server.app.origin, json!({})).await.json()
}

async fn stored_attempt(server: &TestServer, attempt: &TestAttempt) -> Attempt {
    let state = sha256(attempt.param("state").as_bytes());
    server.store.find_attempt(&state).await.unwrap().unwrap()
}

/// An attempt whose answer is in the journal and whose last commit failed.
async fn journalled(server: &TestServer, browser: &mut TestBrowser) -> TestAttempt {
    let mut attempt = browser.leave_for(server, &server.app, "mock").await;
    sql::block(server, "INSERT ON grants");
    browser.come_back(server, &server.app, &mut attempt).await;
    sql::unblock(server);
    assert_eq!(attempt.reply.as_ref().map(|r| r.status), Some(303));
    assert_eq!(
        attempt.status["status"], "open",
        "neither success nor failure is claimed: {}",
        attempt.status
    );
    assert_eq!(stored_attempt(server, &attempt).await.status.as_str(), "sent");
    attempt
}

#[tokio::test]
async fn the_reaper_expires_a_session_at_its_end_and_not_before() {
    let server = TestServer::start().await;
    let claimed = TestBrowser::new().claim(&server, &server.app, &server.mint(&json!({})).await).await;
    let token = server.mint(&json!({})).await;
    let state = |sid: &str| sql::text(&server, &format!("SELECT state FROM sessions WHERE sid = '{sid}'"));
    server.clock.advance_seconds(595);
    reap(&server).await;
    assert_eq!(sql::count(&server, "sessions WHERE state IN ('claimed', 'minted')"), 2);
    server.clock.advance_seconds(6);
    let fresh = server.mint(&json!({})).await;
    reap(&server).await;
    assert_eq!(state(&claimed), "expired");
    assert_eq!(sql::count(&server, "sessions WHERE state = 'expired'"), 2);
    let told = server.status(&token, &server.app.origin, json!({})).await.json();
    assert_eq!((&told["status"], &told["error"]), (&json!("failed"), &json!("session_expired")), "{told}");
    assert_eq!(poll(&server, &token).await["status"], "expired");
    assert_eq!(TestBrowser::new().open(&server, &token, Some(&server.app.origin)).await.status, 410);
    // Positive control: the session minted since then is untouched and works.
    TestBrowser::new().claim(&server, &server.app, &fresh).await;
}

#[tokio::test]
async fn a_user_at_the_provider_may_come_back_after_the_sessions_end() {
    let server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let token = server.mint(&json!({})).await;
    let sid = browser.claim(&server, &server.app, &token).await;
    server.clock.advance_seconds(590);
    server.status(&token, &server.app.origin, json!({})).await;
    let authorize = browser.approve(&server, &sid, "mock").await;
    server.clock.advance_seconds(120);
    reap(&server).await;
    let mut attempt =
        TestAttempt { token, sid, authorize, callback: String::new(), reply: None, status: Value::Null };
    browser.come_back(&server, &server.app, &mut attempt).await;
    attempt.connection();
}

#[tokio::test]
async fn f02_a_crash_after_the_code_was_taken_is_told_as_interrupted_and_nothing_is_sent() {
    let server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
    attempt.callback = browser.at_provider(&attempt.authorize).await;
    let id = stored_attempt(&server, &attempt).await.id;
    assert!(server.store.consume_attempt(id, server.flows.now()).await.unwrap().is_first());

    server.clock.advance_seconds(55);
    reap(&server).await;
    assert_eq!(
        stored_attempt(&server, &attempt).await.status.as_str(),
        "consumed",
        "somebody may be at work"
    );
    server.clock.advance_seconds(6);
    reap(&server).await;
    let lost = stored_attempt(&server, &attempt).await;
    assert_eq!(lost.status.as_str(), "interrupted");
    assert!(lost.verifier.is_empty() && lost.body.is_none());
    let told = status(&server, &attempt).await;
    assert_eq!((&told["status"], &told["error"]), (&json!("failed"), &json!("server_error")), "{told}");
    assert_eq!(poll(&server, &attempt.token).await["error"]["error_code"], "service_unavailable");
    let page = browser.get(&server, &format!("/connect/s/{}", attempt.sid)).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Mock Provider"), "{}", page.text());

    // The browser reloads the callback: the same page, and still nothing is sent.
    browser.come_back(&server, &server.app, &mut attempt).await;
    assert_eq!(attempt.reply.as_ref().map(|r| r.status), Some(303));
    assert_eq!(server.mock.seen().token.len(), 0);
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

#[tokio::test]
async fn f02_after_an_interruption_the_same_session_can_start_again_when_more_than_one_is_offered() {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "second", |_| ()).await;
    let mut browser = TestBrowser::new();
    let token = server.mint(&json!({})).await;
    let sid = browser.claim(&server, &server.app, &token).await;
    let select =
        |provider: &'static str| (format!("/connect/api/s/{sid}/select"), json!({ "provider": provider }));
    let (target, body) = select("mock");
    assert!(browser.post(&server, &target, &body).await.status < 300);
    let authorize = browser.approve(&server, &sid, "mock").await;
    let mut attempt = TestAttempt {
        token,
        sid: sid.clone(),
        authorize,
        callback: String::new(),
        reply: None,
        status: Value::Null,
    };
    let id = stored_attempt(&server, &attempt).await.id;
    assert!(server.store.consume_attempt(id, server.flows.now()).await.unwrap().is_first());
    server.clock.advance_seconds(61);
    reap(&server).await;
    assert_eq!(status(&server, &attempt).await["status"], "open");
    let page = browser.get(&server, &format!("/connect/s/{sid}")).await.text();
    assert!(page.contains("Mock Provider"), "{page}");

    let (target, body) = select("mock");
    let again = browser.post(&server, &target, &body).await;
    assert!(again.status < 300, "{}", again.text());
    attempt.authorize = browser.approve(&server, &sid, "mock").await;
    browser.come_back(&server, &server.app, &mut attempt).await;
    let finished = browser.post(&server, &format!("/connect/api/s/{sid}/finish"), &json!({})).await;
    assert!(finished.status < 300, "{}", finished.text());
    assert_eq!(status(&server, &attempt).await["status"], "completed");
}

#[tokio::test]
async fn f04_a_crash_between_request_and_answer_is_interrupted_and_the_code_is_not_sent_again() {
    let server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
    attempt.callback = browser.at_provider(&attempt.authorize).await;
    let (id, now) = (stored_attempt(&server, &attempt).await.id, server.flows.now());
    assert!(server.store.consume_attempt(id, now).await.unwrap().is_first());
    assert!(server.store.mark_sent(id, &Brought::default(), now).await.unwrap().is_done());
    server.clock.advance_seconds(61);
    reap(&server).await;
    assert_eq!(stored_attempt(&server, &attempt).await.status.as_str(), "interrupted");
    assert_eq!(status(&server, &attempt).await["error"], "server_error");
    browser.come_back(&server, &server.app, &mut attempt).await;
    assert_eq!(server.mock.seen().token.len(), 0, "it may have been sent before the crash: never twice (I3)");
    assert_eq!(sql::count(&server, "audit WHERE kind = 'connect_failed'"), 1);
}

#[tokio::test]
async fn f06_a_journalled_answer_becomes_exactly_one_grant() {
    let server = TestServer::start_sqlite().await;
    let mut browser = TestBrowser::new();
    let mut attempt = journalled(&server, &mut browser).await;
    assert_eq!(sql::count(&server, "grants"), 0);
    reap(&server).await;
    assert_eq!(sql::count(&server, "grants"), 0, "somebody may be at work");

    server.clock.advance_seconds(61);
    let (one, two, three) =
        tokio::join!(reap::reap(&server.flows), reap::reap(&server.flows), reap::reap(&server.flows));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    reap(&server).await;
    attempt.status = status(&server, &attempt).await;
    assert_eq!(attempt.connection()["operation"], "creation");
    assert_eq!(attempt.status["connections"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (sql::count(&server, "grants"), sql::number(&server, "SELECT generation FROM grants")),
        (1, 1)
    );
    assert_eq!(sql::count(&server, "audit WHERE kind = 'grant_connected'"), 1);
    assert_eq!(sql::count(&server, "attempts WHERE body IS NOT NULL OR verifier <> X''"), 0);
    assert_eq!(server.mock.seen().token.len(), 1, "the code was sent once (I3)");
    assert_eq!(poll(&server, &attempt.token).await["grants"][0]["grant_id"], attempt.grant_id());
    assert_eq!(server.token(attempt.grant_id()).await.status, 200, "I1");
    assert_eq!(browser.get(&server, &attempt.callback).await.status, 303);
    assert_eq!(sql::count(&server, "grants"), 1);
}

#[tokio::test]
async fn f06_a_journalled_answer_survives_a_restart() {
    let mut server = TestServer::start_sqlite().await;
    let mut attempt = journalled(&server, &mut TestBrowser::new()).await;
    server.restart().await;
    server.clock.advance_seconds(61);
    reap(&server).await;
    attempt.status = status(&server, &attempt).await;
    assert_eq!(server.token(attempt.grant_id()).await.status, 200);
}

/// The answer is judged as of the moment when it came, and its lifetime counts from then, not from the replay.
#[tokio::test]
async fn f06_hours_of_outage_neither_lose_a_journalled_answer_nor_make_its_token_younger() {
    let server = TestServer::start_sqlite().await;
    let attempt = journalled(&server, &mut TestBrowser::new()).await;
    let sent_at = sql::number(&server, "SELECT status_at FROM attempts");
    server.clock.advance_seconds(2 * 3600);
    reap(&server).await;
    assert_eq!(sql::count(&server, "grants"), 1, "the id_token was good when it came");
    assert_eq!(
        status(&server, &attempt).await["status"],
        "completed",
        "and nobody is told that time ran out"
    );
    let expires_at = sql::number(&server, "SELECT credential_expires_at FROM grants");
    assert!((expires_at - sent_at) / 1_000_000 <= 3630, "{} s", (expires_at - sent_at) / 1_000_000);
    let fresh = server.token(&sql::text(&server, "SELECT id FROM grants")).await;
    assert_eq!(fresh.status, 200, "{}", fresh.text());
    let generation = sql::number(&server, "SELECT generation FROM grants");
    assert_eq!(generation, 2, "an hour's token is not handed out after two: it was refreshed");
}

#[tokio::test]
async fn f07_a_callback_that_is_repeated_after_success_changes_nothing() {
    let server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let mut attempt = browser.attempt(&server, "mock").await;
    let first = attempt.connection().clone();
    for _ in 0..3 {
        browser.come_back(&server, &server.app, &mut attempt).await;
        assert_eq!(attempt.reply.as_ref().map(|r| r.status), Some(303));
        assert_eq!(*attempt.connection(), first);
    }
    assert_eq!(server.mock.seen().token.len(), 1);
    assert_eq!(sql::number(&server, "SELECT generation FROM grants"), 1);
}

#[tokio::test]
async fn f26_a_browser_that_hangs_up_in_mid_exchange_does_not_stop_it() {
    let server = TestServer::start().await;
    let gate = Gate::closed();
    server.mock.set(|s| s.token_gate = Some(gate.clone()));
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
    let callback = browser.at_provider(&attempt.authorize).await;
    let mut socket =
        tokio::net::TcpStream::connect(server.host.replace("localhost", "127.0.0.1")).await.unwrap();
    let request =
        format!("GET {callback} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", server.host, browser.cookie());
    socket.write_all(request.as_bytes()).await.unwrap();
    server.mock.wait_for(|seen| seen.token.len() == 1).await;
    drop(socket);
    gate.open();
    server.flows.drain().await;
    attempt.status = status(&server, &attempt).await;
    assert_eq!(server.token(attempt.grant_id()).await.status, 200);
}

#[tokio::test]
async fn f55_a_restart_while_the_user_is_at_the_provider_goes_unnoticed() {
    let mut server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
    server.restart().await;
    let app = server.app.clone();
    browser.come_back(&server, &app, &mut attempt).await;
    attempt.connection();
}

#[tokio::test]
async fn old_nonces_and_old_sessions_are_forgotten_and_not_too_early() {
    let server = TestServer::start().await;
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    let signed = server.signed(
        &server.app.key,
        "/sdk/oauth/connect/session/poll",
        &json!({ "session_token": attempt.token }),
    );
    assert_eq!(server.send(signed.clone()).await.status, 200);
    let nonces = || sql::count(&server, "call_nonces");
    let kept = nonces();
    assert!(kept >= 2);
    server.clock.advance_seconds(290);
    reap(&server).await;
    assert_eq!(nonces(), kept);
    let replayed: Sent = signed.clone();
    assert_eq!(
        server.send(replayed).await.error(),
        "invalid_signature",
        "as long as it is fresh, its nonce is known"
    );
    server.clock.advance_seconds(300);
    reap(&server).await;
    assert_eq!(nonces(), kept, "twice the window");
    server.clock.advance_seconds(80);
    reap(&server).await;
    assert_eq!(nonces(), 0);
    assert_eq!(server.send(signed).await.error(), "signature_expired");

    let grants = sql::count(&server, "grants");
    server.clock.advance_seconds(24 * 3600 - 200);
    reap(&server).await;
    assert_eq!(sql::count(&server, "sessions"), 1, "an ended session can be polled for a day");
    assert_eq!(poll(&server, &attempt.token).await["status"], "completed");
    server.clock.advance_seconds(300);
    reap(&server).await;
    assert_eq!((sql::count(&server, "sessions"), sql::count(&server, "attempts")), (0, 0));
    assert_eq!(sql::count(&server, "grants"), grants, "what was connected stays");
    assert_eq!(poll(&server, &attempt.token).await["error"], "invalid_token");
}
