//! What flows that came back teach about a provider's pages (protocol 5): where they leave the popup its opener, a closed
//! popup ends the flow in seconds. One that severs is never forgotten (T36).

use alter_core::{AppSettings, Coop};
use alter_testkit::{TestApp, TestBrowser, TestServer};
use serde_json::{Value, json};

/// A flow of one app at its provider `mock`, or at another one.
struct Flow<'a> {
    server: &'a TestServer,
    app: &'a TestApp,
    browser: TestBrowser,
    token: String,
    authorize: String,
}

impl<'a> Flow<'a> {
    /// At the provider, and the app's page has seen the popup open.
    async fn away(server: &'a TestServer, app: &'a TestApp, provider: &str) -> Flow<'a> {
        let token = server.mint_for(app, &json!({ "allowed_providers": [provider] })).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(server, app, &token).await;
        let authorize = browser.approve(server, &sid, provider).await;
        let flow = Self { server, app, browser, token, authorize };
        assert_eq!(flow.told(json!({ "closed": false })).await, "open");
        flow
    }

    async fn told(&self, report: Value) -> String {
        let told = self.server.status(&self.token, &self.app.origin, report).await.json();
        told["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Five seconds after the popup closed.
    async fn closed(&self) -> String {
        self.told(json!({ "closed": true })).await;
        self.server.clock.advance_seconds(5);
        self.told(json!({ "closed": true })).await
    }

    /// Back from the provider and on our last page; then the app's page asks.
    async fn back(&mut self, closed: bool) -> String {
        let callback = self.browser.at_provider(&self.authorize).await;
        let reply = self.browser.get(self.server, &callback).await;
        self.browser.get(self.server, reply.header("location")).await;
        self.told(json!({ "closed": closed })).await
    }
}

/// A server whose clock stands still, so that only a test moves it.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    server.clock.freeze();
    server
}

async fn kept(server: &TestServer, app: &TestApp, provider: &str, times: usize) {
    for n in 0..times {
        // Our last page closes the popup itself: by the time the app's page asks, it may be gone.
        assert_eq!(Flow::away(server, app, provider).await.back(n % 2 == 0).await, "completed");
    }
}

#[tokio::test]
async fn after_three_flows_that_never_looked_closed_a_closed_popup_is_an_exit_in_five_seconds() {
    let server = server().await;
    kept(&server, &server.app, "mock", 2).await;
    assert_eq!(Flow::away(&server, &server.app, "mock").await.closed().await, "open", "two are not enough");
    kept(&server, &server.app, "mock", 1).await;
    assert_eq!(Flow::away(&server, &server.app, "mock").await.closed().await, "exited");
}

#[tokio::test]
async fn t36_one_flow_that_comes_back_from_a_popup_that_looked_closed_wins_for_good() {
    for known in [Coop::Unknown, Coop::Keeps] {
        let server = server().await;
        server.add_provider(&server.app, "hop", |r| r.coop = known).await;
        kept(&server, &server.app, "hop", 3).await;
        // This user's organisation has a sign-in page of its own, which severs the popup for the first time.
        let mut flow = Flow::away(&server, &server.app, "hop").await;
        assert_eq!(flow.told(json!({ "closed": true })).await, "open");
        assert_eq!(flow.back(true).await, "completed");
        kept(&server, &server.app, "hop", 4).await;
        let flow = Flow::away(&server, &server.app, "hop").await;
        assert_eq!(flow.closed().await, "open", "{known:?}");
        server.clock.advance_seconds(590);
        assert_eq!(flow.told(json!({ "closed": true })).await, "open", "{known:?}: while it can come back");
    }
}

#[tokio::test]
async fn t36_a_flow_that_was_ended_and_comes_back_teaches_that_the_next_one_is_not() {
    let server = server().await;
    kept(&server, &server.app, "mock", 3).await;
    let mut flow = Flow::away(&server, &server.app, "mock").await;
    assert_eq!(flow.closed().await, "exited");
    assert_eq!(flow.back(true).await, "exited", "it was told so");
    let body = json!({ "session_token": flow.token });
    let polled = server.call("/sdk/oauth/connect/session/poll", &body).await.json();
    assert_eq!(polled["status"], "completed", "the user was there, and the connection is kept: {polled}");
    assert_eq!(Flow::away(&server, &server.app, "mock").await.closed().await, "open");
}

#[tokio::test]
async fn a_refusal_is_a_return_too_and_its_page_stays_open() {
    let server = server().await;
    server.mock.set(|s| s.auto_deny = true);
    for _ in 0..3 {
        assert_eq!(Flow::away(&server, &server.app, "mock").await.back(false).await, "failed");
    }
    assert_eq!(Flow::away(&server, &server.app, "mock").await.closed().await, "exited");
}

#[tokio::test]
async fn t36_nothing_is_learnt_across_apps_or_from_a_page_that_says_nothing_of_its_popup() {
    let server = server().await;
    let mut settings = AppSettings::named("Other App");
    settings.website_url = Some("https://other.example".into());
    let other = server.add_app(settings).await;
    kept(&server, &other, "mock", 3).await;
    assert_eq!(Flow::away(&server, &other, "mock").await.closed().await, "exited", "positive control");
    assert_eq!(Flow::away(&server, &server.app, "mock").await.closed().await, "open");
    for _ in 0..3 {
        let mut flow = Flow::away(&server, &server.app, "mock").await;
        let callback = flow.browser.at_provider(&flow.authorize).await;
        flow.browser.get(&server, &callback).await;
        assert_eq!(flow.told(json!({})).await, "completed");
    }
    assert_eq!(Flow::away(&server, &server.app, "mock").await.closed().await, "open");
}
