//! The life of a session over HTTP: minting, claiming, its clocks, the status channel and the poll, the exit rule, the
//! steps of the pages.

mod claim;
mod exit;
mod expiry;
mod leaks;
mod mint;
mod outcome;
mod steps;

use alter_core::AppSettings;
use alter_testkit::{Reply, TestApp, TestBrowser, TestServer};
use serde_json::{Value, json};

/// What the backend's poll says.
async fn poll(server: &TestServer, token: &str) -> Value {
    let reply = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// What the status channel tells the app's page.
async fn status(server: &TestServer, token: &str, more: Value) -> Value {
    let reply = server.status(token, &server.app.origin, more).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// A step of one of our pages.
async fn step(server: &TestServer, browser: &mut TestBrowser, sid: &str, name: &str, body: Value) -> Reply {
    browser.post(server, &format!("/connect/api/s/{sid}/{name}"), &body).await
}

/// Door B with a right proof: the same judgement as door A, answered in JSON.
async fn claim_by_proof(server: &TestServer, browser: &mut TestBrowser, token: &str) -> Reply {
    let (v, cb) = TestBrowser::flow_id();
    let body = json!({ "token": token, "cb": cb, "v": v, "m": "p" });
    browser.post(server, "/connect/api/claim", &body).await
}

/// `details.reason` of a refusal.
fn reason(reply: &Reply) -> String {
    reply.json()["details"]["reason"].as_str().unwrap_or_default().to_owned()
}

/// An app with the defaults of the test app, changed.
async fn app_with(server: &TestServer, change: impl FnOnce(&mut AppSettings)) -> TestApp {
    let mut settings = AppSettings::named("Second App");
    settings.website_url = Some("https://app.example".into());
    change(&mut settings);
    server.add_app(settings).await
}

/// How many token requests the provider has seen.
fn token_requests(server: &TestServer) -> usize {
    server.mock.seen().token.len()
}
