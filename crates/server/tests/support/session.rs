//! A session as its three sides see it: the app's backend, the app's page and our own pages.

use alter_core::AppSettings;
use alter_testkit::{Reply, TestApp, TestBrowser, TestServer};
use serde_json::{Value, json};

/// What the backend's poll says.
pub(crate) async fn poll(server: &TestServer, token: &str) -> Value {
    let reply = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// What the status channel tells the app's page.
pub(crate) async fn status(server: &TestServer, token: &str, more: Value) -> Value {
    let reply = server.status(token, &server.app.origin, more).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// A step of one of our pages.
pub(crate) async fn step(
    server: &TestServer,
    browser: &mut TestBrowser,
    sid: &str,
    name: &str,
    body: Value,
) -> Reply {
    browser.post(server, &format!("/connect/api/s/{sid}/{name}"), &body).await
}

/// Adds an app with the test app's settings, changed by `change`.
pub(crate) async fn app_with(server: &TestServer, change: impl FnOnce(&mut AppSettings)) -> TestApp {
    let mut settings = AppSettings::named("Second App");
    settings.website_url = Some("https://app.example".into());
    change(&mut settings);
    server.add_app(settings).await
}

/// How many token requests the provider has seen.
pub(crate) fn token_requests(server: &TestServer) -> usize {
    server.mock.seen().token.len()
}
