//! Links (S9): a session that is opened without a page of the app. It is of no use until its user has signed in at the app's
//! identity provider; or the operator has said that nobody has to, and the grant says so for ever.

mod auth_sessions;
mod sign_in;
mod unverified;

use alter_core::AppSettings;
use alter_flows::operate;
use alter_testkit::{Reply, TestApp, TestBrowser, TestServer, browser::sid_of, operator};
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";
const ANN: &str = "acme-1001";
const BOB: &str = "acme-1002";
const POLL: &str = "/sdk/oauth/connect/session/poll";

/// A command-line tool: an app without a page, whose users can sign in.
struct Tool {
    server: TestServer,
    app: TestApp,
    /// Where users come back to from the identity provider.
    callback: String,
}

impl Tool {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let app = server.add_app(AppSettings::named("Command Line")).await;
        let callback = server.set_sign_in(&app, Some(AUDIENCE)).await;
        Self { server, app, callback }
    }

    /// Mints for a user, without a page; returns the session token.
    async fn start(&self, user: &str) -> String {
        let user_token = self.server.mock.user_token(user, AUDIENCE);
        let body = json!({ "user_token": user_token, "allowed_providers": ["mock"] });
        let minted = self.server.call_as(&self.app.key, "POST", "/sdk/oauth/connect/session", &body).await;
        assert_eq!(minted.status, 201, "{}", minted.text());
        minted.json()["session_token"].as_str().expect("a token").to_owned()
    }

    /// Opens a user's link in a browser; returns the sid.
    async fn open(&self, browser: &mut TestBrowser, token: &str) -> String {
        let opened = browser.open_link(&self.server, token, &json!({})).await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        sid_of(opened.json()["location"].as_str().expect("a location"))
    }

    /// Whoever signs in at the identity provider from now on is this user.
    fn signs_in(&self, user: &str) {
        let user = Some(user.to_owned());
        self.server.mock.set(|switches| switches.auto_user = user);
    }

    async fn page(&self, browser: &mut TestBrowser, sid: &str) -> String {
        browser.get(&self.server, &format!("/connect/s/{sid}")).await.text()
    }

    /// Consents and comes back from the provider.
    async fn connect(&self, browser: &mut TestBrowser, sid: &str) {
        let authorize = browser.approve(&self.server, sid, "mock").await;
        let callback = browser.at_provider(&authorize).await;
        let back = browser.get(&self.server, &callback).await;
        assert_eq!(back.status, 303, "{}", back.text());
    }

    async fn poll(&self, token: &str) -> Value {
        self.server.call_as(&self.app.key, "POST", POLL, &json!({ "session_token": token })).await.json()
    }

    async fn change_app(&self, change: impl FnOnce(&mut AppSettings)) {
        let mut settings = self.server.store.get_app(self.app.id).await.unwrap().unwrap().settings;
        change(&mut settings);
        operate::change_app(&self.server.flows, &operator(), self.app.id, settings).await.unwrap();
    }

    async fn listed(&self) -> Value {
        self.server.call_as(&self.app.key, "POST", "/sdk/grants/list", &json!({})).await.json()
    }

    async fn audit(&self) -> Vec<String> {
        let entries = self.server.store.list_audit(self.app.id, 50).await.unwrap();
        entries.into_iter().map(|(kind, _)| kind).collect()
    }
}

fn is(reply: &Reply, status: u16, code: &str) -> bool {
    (reply.status, reply.error().as_str()) == (status, code)
}
