//! Calls of an app's backend: keys, signatures, replays, and the walls between apps.

mod keys;
mod replay;
mod root_key;
mod signature;
mod targets;
mod tenants;
mod vectors;

use alter_core::AppSettings;
use alter_testkit::{TestApp, TestServer};
use serde_json::{Value, json};

const MINT: &str = "/sdk/oauth/connect/session";
const POLL: &str = "/sdk/oauth/connect/session/poll";

/// A second app, with its own key and its own client at the provider.
pub(crate) async fn second_app(server: &TestServer) -> TestApp {
    let mut settings = AppSettings::named("Second App");
    settings.website_url = Some("https://second.example".into());
    server.add_app(settings).await
}

/// A body of `/sdk/token` for the mock's API.
fn wanted(server: &TestServer, grant: &str) -> Value {
    json!({ "grant_id": grant, "request": { "method": "GET", "url": server.mock.url("/api/me") } })
}

/// Connects with the test app. Returns the grant's id.
async fn grant(server: &TestServer) -> String {
    let made = alter_testkit::TestBrowser::new().connect(server).await;
    made["grant_id"].as_str().expect("a connection has a grant").to_owned()
}
