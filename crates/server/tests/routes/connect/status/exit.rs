//! The exit rule (protocol 5), row by row: when a closed popup ends the flow and when it means nothing
//! (T36, T51). Only the tests move the clock.

use alter_core::Coop;
use alter_flows::reap;
use alter_mock_provider::Gate;
use alter_testkit::{TestBrowser, TestServer, browser::sid_of};
use serde_json::json;

use super::{poll, status, step};

struct Scene {
    server: TestServer,
    browser: TestBrowser,
    token: String,
    sid: String,
}

impl Scene {
    /// A claimed session whose consent page was served once: instance 1.
    async fn at_consent() -> Self {
        let server = TestServer::start().await;
        server.clock.freeze();
        let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
        let sid = browser.claim(&server, &server.app, &token).await;
        let mut scene = Self { server, browser, token, sid };
        scene.load().await;
        scene
    }

    async fn load(&mut self) {
        let page = self.browser.get(&self.server, &format!("/connect/s/{}", self.sid)).await;
        assert_eq!(page.status, 200, "{}", page.text());
    }

    async fn sign(&mut self, name: &str, instance: u64) {
        let reply =
            step(&self.server, &mut self.browser, &self.sid, name, json!({ "instance": instance })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Moves the clock forward and reports to the status channel. Returns the status.
    async fn after(&self, millis: i64, report: serde_json::Value) -> String {
        self.server.clock.advance_millis(millis);
        status(&self.server, &self.token, report).await["status"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn before_the_claim_closed_counts_after_ten_seconds() {
    let server = TestServer::start().await;
    server.clock.freeze();
    let token = server.mint(&json!({})).await;
    let closed = json!({ "closed": true });
    assert_eq!(status(&server, &token, closed.clone()).await["status"], "open");
    server.clock.advance_millis(9_999);
    assert_eq!(status(&server, &token, json!({ "closed": false })).await["status"], "open", "open again");
    server.clock.advance_millis(1);
    assert_eq!(status(&server, &token, closed).await["status"], "open", "counted anew");
    server.clock.advance_millis(9_999);
    assert_eq!(status(&server, &token, json!({})).await["status"], "open");
    server.clock.advance_millis(1);
    assert_eq!(status(&server, &token, json!({})).await["status"], "exited");
    // A later claim finds the session ended.
    let late = TestBrowser::new().open(&server, &token, Some("https://app.example")).await;
    assert_eq!((late.status, late.cookies().len()), (410, 0));
}

#[tokio::test]
async fn on_our_page_closed_and_goodbye_count_after_two_and_a_half_seconds() {
    let mut scene = Scene::at_consent().await;
    assert_eq!(scene.after(0, json!({ "closed": true })).await, "open");
    scene.sign("bye", 1).await;
    assert_eq!(scene.after(2_499, json!({})).await, "open");
    assert_eq!(scene.after(1, json!({})).await, "exited");
    assert_eq!(poll(&scene.server, &scene.token).await["error"]["error_code"], "connect_denied");
}

#[tokio::test]
async fn a_goodbye_without_a_closed_window_is_a_navigation() {
    let mut scene = Scene::at_consent().await;
    scene.sign("bye", 1).await;
    assert_eq!(scene.after(300_000, json!({})).await, "open");
    assert_eq!(scene.after(0, json!({ "closed": false })).await, "open");
}

#[tokio::test]
async fn a_reload_or_a_return_takes_the_goodbye_back() {
    for back in ["load", "seen"] {
        let mut scene = Scene::at_consent().await;
        assert_eq!(scene.after(0, json!({ "closed": true })).await, "open");
        scene.sign("bye", 1).await;
        scene.server.clock.advance_millis(2_000);
        match back {
            "load" => scene.load().await,
            _ => scene.sign("seen", 1).await,
        }
        assert_eq!(scene.after(10_000, json!({})).await, "open", "{back}");
    }
}

#[tokio::test]
async fn t51_a_late_goodbye_of_a_reloaded_page_does_not_count() {
    let mut scene = Scene::at_consent().await;
    scene.load().await; // instance 2
    assert_eq!(scene.after(0, json!({ "closed": true })).await, "open");
    for instance in [1, 0, 3, u64::MAX] {
        scene.sign("bye", instance).await;
    }
    assert_eq!(scene.after(10_000, json!({})).await, "open", "a stale goodbye ended the flow");
    scene.sign("bye", 2).await;
    scene.sign("seen", 1).await; // a sign from an older page does not undo the goodbye
    assert_eq!(scene.after(2_500, json!({})).await, "exited", "control: that of the newest page counts");
}

#[tokio::test]
async fn a_browser_that_crashed_on_our_page_is_given_up_after_two_and_a_half_minutes() {
    let scene = Scene::at_consent().await;
    assert_eq!(scene.after(0, json!({ "closed": true })).await, "open");
    assert_eq!(scene.after(149_999, json!({})).await, "open");
    assert_eq!(scene.after(1, json!({})).await, "exited");
}

#[tokio::test]
async fn t36_at_a_provider_that_may_sever_closed_says_nothing() {
    for coop in [Coop::Unknown, Coop::Severs, Coop::Keeps] {
        let server = TestServer::start().await;
        server.clock.freeze();
        server.add_provider(&server.app, "other", |r| r.coop = coop).await;
        let (token, app, mut browser) = (
            server.mint(&json!({ "allowed_providers": ["other"] })).await,
            server.app.clone(),
            TestBrowser::new(),
        );
        let sid = browser.claim(&server, &app, &token).await;
        browser.get(&server, &format!("/connect/s/{sid}")).await;
        server.clock.advance_millis(1_000);
        let authorize = browser.approve(&server, &sid, "other").await;
        // The page says goodbye as the browser leaves it, and the window looks closed from now on.
        step(&server, &mut browser, &sid, "bye", json!({ "instance": 1 })).await;
        assert_eq!(status(&server, &token, json!({ "closed": true })).await["status"], "open");
        server.clock.advance_millis(4_999);
        assert_eq!(status(&server, &token, json!({})).await["status"], "open", "{coop:?}");
        server.clock.advance_millis(1);
        let told = status(&server, &token, json!({})).await;
        if coop == Coop::Keeps {
            assert_eq!(told["status"], "exited", "a provider that was checked");
            continue;
        }
        assert_eq!(told["status"], "open", "{coop:?}");
        server.clock.advance_seconds(500);
        assert_eq!(status(&server, &token, json!({})).await["status"], "open", "{coop:?}");
        // The user was there all the time, and now arrives at the callback.
        let callback = browser.at_provider(&authorize).await;
        browser.get(&server, &callback).await;
        assert_eq!(status(&server, &token, json!({})).await["status"], "completed", "{coop:?}");
    }
}

#[tokio::test]
async fn t36_at_such_a_provider_the_sessions_own_time_ends_it_or_the_app_at_once() {
    for by_app in [false, true] {
        let mut scene = Scene::at_consent().await;
        scene.server.clock.advance_millis(1_000);
        scene.browser.approve(&scene.server, &scene.sid, "mock").await;
        assert_eq!(scene.after(0, json!({ "closed": true })).await, "open");
        if by_app {
            assert_eq!(scene.after(0, json!({ "cancel": true })).await, "exited");
        } else {
            assert_eq!(scene.after(598_999, json!({})).await, "open");
            assert_eq!(scene.after(1, json!({})).await, "exited", "no popup flow can hang (B6)");
        }
    }
}

#[tokio::test]
async fn a_popup_that_was_closed_ends_as_an_exit_whatever_else_ran_out() {
    for (closed, last, end) in [
        (true, json!({}), "exited"),
        (false, json!({ "closed": true }), "exited"),
        (false, json!({}), "failed"),
    ] {
        let server = TestServer::start().await;
        server.clock.freeze();
        server.add_provider(&server.app, "severs", |r| r.coop = Coop::Severs).await;
        let token = server.mint(&json!({ "allowed_providers": ["severs"] })).await;
        let (app, mut browser) = (server.app.clone(), TestBrowser::new());
        let sid = browser.claim(&server, &app, &token).await;
        browser.approve(&server, &sid, "severs").await;
        assert_eq!(status(&server, &token, json!({ "closed": closed })).await["status"], "open");
        server.clock.advance_seconds(600);
        // The reaper may be the one that notices, in another process.
        reap::reap(&server.flows).await.unwrap();
        assert_eq!(status(&server, &token, last).await["status"], end, "{closed}");
        assert_eq!(poll(&server, &token).await["status"], "expired");
    }
}

#[tokio::test]
async fn t36_a_page_that_waits_for_the_providers_first_answer_is_not_a_page_that_was_closed() {
    let mut scene = Scene::at_consent().await;
    scene.server.clock.advance_millis(1_000);
    scene.browser.approve(&scene.server, &scene.sid, "mock").await; // instance 2
    scene.server.clock.advance_millis(1_000);
    // The provider is slow: our page says once more that it is there, and then goes. Its popup looks closed.
    scene.sign("seen", 2).await;
    scene.sign("bye", 2).await;
    assert_eq!(scene.after(0, json!({ "closed": true })).await, "open");
    assert_eq!(scene.after(60_000, json!({})).await, "open");
}

#[tokio::test]
async fn during_the_exchange_nothing_but_the_exchange_decides() {
    let scene = Scene::at_consent().await;
    let gate = Gate::closed();
    scene.server.mock.set(|s| s.token_gate = Some(gate.clone()));
    let mut browser = scene.browser.clone();
    let authorize = browser.approve(&scene.server, &scene.sid, "mock").await;
    let callback = browser.at_provider(&authorize).await;
    let watched = async {
        scene.server.mock.wait_for(|seen| seen.token.len() == 1).await;
        assert_eq!(scene.after(0, json!({ "closed": true })).await, "open");
        assert_eq!(scene.after(55_000, json!({})).await, "open");
        gate.open();
    };
    let (back, ()) = tokio::join!(browser.get(&scene.server, &callback), watched);
    assert_eq!((back.status, sid_of(back.header("location"))), (303, scene.sid.clone()));
    assert_eq!(scene.after(0, json!({})).await, "completed");
}

#[tokio::test]
async fn b6_a_result_that_arrives_after_the_exit_is_kept_and_told_to_the_backend() {
    let scene = Scene::at_consent().await;
    let mut browser = scene.browser.clone();
    let authorize = browser.approve(&scene.server, &scene.sid, "mock").await;
    assert_eq!(scene.after(0, json!({ "cancel": true })).await, "exited");
    let callback = browser.at_provider(&authorize).await;
    assert_eq!(browser.get(&scene.server, &callback).await.status, 303);
    let grants = scene.server.grants(scene.server.app.id).await;
    assert_eq!(grants.len(), 1, "the user consented: the grant is kept");
    assert_eq!(scene.after(0, json!({})).await, "exited", "the SDK stays settled");
    let told = poll(&scene.server, &scene.token).await;
    assert_eq!(told["status"], "completed", "{told}");
    assert_eq!(told["grants"][0]["grant_id"], grants[0].id.to_string());
}
