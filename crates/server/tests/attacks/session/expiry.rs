//! Every time limit of a session, one second before and after its edge (T54). Only the tests move the clock.

use alter_core::AppSettings;
use alter_flows::{operate, reap};
use alter_testkit::{TestBrowser, TestServer, operator};
use serde_json::json;

use super::{app_with, claim_by_proof, poll, reason, status, step, token_requests};

async fn frozen() -> TestServer {
    let server = TestServer::start().await;
    server.clock.freeze();
    server
}

#[tokio::test]
async fn t54_a_token_is_claimed_before_its_end_and_never_from_then_on() {
    for ttl in [60, 600, 3600] {
        let server = frozen().await;
        let app = app_with(&server, |s| s.session_ttl = ttl).await;
        let mint = server.signed(&app.key, "/sdk/oauth/connect/session", &json!({}));
        assert_eq!(server.send(mint).await.json()["expires_in"], ttl);

        let token = server.mint_for(&app, &json!({})).await;
        server.clock.advance_seconds(i64::from(ttl) - 1);
        TestBrowser::new().claim(&server, &app, &token).await;

        for late in [0, 1] {
            let token = server.mint_for(&app, &json!({})).await;
            server.clock.advance_seconds(i64::from(ttl) + late);
            let mut browser = TestBrowser::new();
            assert_eq!(browser.open(&server, &token, Some(&app.origin)).await.status, 410, "{ttl}+{late}");
            let refused = claim_by_proof(&server, &mut browser, &token).await;
            assert_eq!((refused.status, refused.error().as_str()), (410, "session_expired"));
            assert_eq!(reason(&refused), "expired");
            let peek = browser.post(&server, "/connect/api/peek", &json!({ "token": token })).await;
            assert_eq!((peek.status, reason(&peek).as_str()), (410, "expired"), "peek");
            assert!(browser.cookie().is_empty());
        }
    }
}

#[tokio::test]
async fn t54_an_expired_session_is_told_as_expired_on_both_channels() {
    let server = frozen().await;
    for claimed in [false, true] {
        let token = server.mint(&json!({})).await;
        if claimed {
            TestBrowser::new().claim(&server, &server.app, &token).await;
        }
        server.clock.advance_seconds(599);
        assert_eq!(status(&server, &token, json!({})).await["status"], "open");
        assert_eq!(poll(&server, &token).await["status"], "pending");
        server.clock.advance_seconds(1);
        let told = status(&server, &token, json!({})).await;
        assert_eq!(
            (&told["status"], &told["error"]),
            (&json!("failed"), &json!("session_expired")),
            "{told}"
        );
        assert_eq!(told["details"]["reason"], "expired");
        assert_eq!(poll(&server, &token).await["status"], "expired");
    }
}

#[tokio::test]
async fn t54_consent_is_given_before_the_sessions_end_and_never_from_then_on() {
    let server = frozen().await;
    for (at, works) in [(599, true), (600, false), (601, false)] {
        let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
        let sid = browser.claim(&server, &server.app, &token).await;
        server.clock.advance_seconds(at);
        let reply = step(&server, &mut browser, &sid, "approve", json!({ "provider": "mock" })).await;
        let page = browser.get(&server, &format!("/connect/s/{sid}")).await.status;
        match works {
            true => assert_eq!((reply.status, page), (200, 200), "{at}: {}", reply.text()),
            false => assert_eq!((reply.status, page), (409, 410), "{at}: {}", reply.text()),
        }
    }
}

#[tokio::test]
async fn t54_a_consent_of_the_last_second_has_ten_minutes_at_the_provider() {
    for (at, works) in [(599, true), (600, false), (601, false)] {
        let server = frozen().await;
        let (token, app, mut browser) =
            (server.mint(&json!({})).await, server.app.clone(), TestBrowser::new());
        let sid = browser.claim(&server, &app, &token).await;
        server.clock.advance_seconds(599);
        let authorize = browser.approve(&server, &sid, "mock").await;
        let callback = browser.at_provider(&authorize).await;

        // The session's own end has passed: the attempt under way goes on, but no new one starts.
        server.clock.advance_seconds(598);
        let told = status(&server, &token, json!({})).await;
        assert_eq!(told["status"], "open", "{told}");
        assert_eq!(poll(&server, &token).await["status"], "pending");
        let again = step(&server, &mut browser, &sid, "approve", json!({ "provider": "mock" })).await;
        assert_eq!(again.status, 409, "a new attempt started after the end");

        server.clock.advance_seconds(at - 598);
        assert_eq!(browser.get(&server, &callback).await.status, 303);
        let told = status(&server, &token, json!({})).await;
        if works {
            assert_eq!((told["status"].as_str(), token_requests(&server)), (Some("completed"), 1), "{told}");
        } else {
            assert_eq!(
                (told["error"].as_str(), token_requests(&server)),
                (Some("session_expired"), 0),
                "{told}"
            );
            assert_eq!(poll(&server, &token).await["status"], "expired");
            assert!(server.grants(app.id).await.is_empty());
        }
    }
}

#[tokio::test]
async fn t54_the_deadline_that_the_page_is_told_is_the_real_one() {
    let server = frozen().await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let sid = browser.claim(&server, &server.app, &token).await;
    let end = |seconds: i64| alter_core::Clock::now(&server.clock).plus_seconds(seconds).to_rfc3339();
    assert_eq!(status(&server, &token, json!({})).await["deadline"], end(600));
    server.clock.advance_seconds(300);
    assert_eq!(status(&server, &token, json!({})).await["deadline"], end(300));
    browser.approve(&server, &sid, "mock").await;
    assert_eq!(
        status(&server, &token, json!({})).await["deadline"],
        end(600),
        "the attempt's own ten minutes"
    );
}

#[tokio::test]
async fn t54_the_reaper_ends_what_is_over_and_leaves_what_is_under_way() {
    let server = frozen().await;
    let (idle, app, mut browser) = (server.mint(&json!({})).await, server.app.clone(), TestBrowser::new());
    let busy = server.mint(&json!({})).await;
    server.clock.advance_seconds(590);
    let (_, callback) = browser.up_to_callback(&server, &app, &busy).await;
    server.clock.advance_seconds(60);
    reap::reap(&server.flows).await.unwrap();
    assert_eq!(poll(&server, &idle).await["status"], "expired");
    assert_eq!(poll(&server, &busy).await["status"], "pending");
    assert_eq!(browser.get(&server, &callback).await.status, 303);
    assert_eq!(poll(&server, &busy).await["status"], "completed");
}

#[tokio::test]
async fn t54_a_session_lives_for_a_minute_to_an_hour() {
    let server = TestServer::start().await;
    for (ttl, works) in [(0, false), (59, false), (60, true), (3600, true), (3601, false), (u32::MAX, false)]
    {
        let settings = |name: String| AppSettings { session_ttl: ttl, ..AppSettings::named(name) };
        assert_eq!(
            operate::create_app(&server.flows, &operator(), settings(format!("App {ttl}"))).await.is_ok(),
            works,
            "create: {ttl}"
        );
        assert_eq!(
            operate::change_app(&server.flows, &operator(), server.app.id, settings("Set".into()))
                .await
                .is_ok(),
            works,
            "set: {ttl}"
        );
    }
}
