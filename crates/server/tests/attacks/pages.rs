//! What our pages and their API reveal, accept and reflect, over real sockets.

mod cookies;
mod csrf;
mod escaping;
mod headers;
mod limits;
mod privacy;
mod reading;

use alter_testkit::{TestBrowser, TestServer, browser::sid_of};
use serde_json::json;

/// A claimed session of the test app: the browser that has it, its token and its sid.
async fn claimed(server: &TestServer) -> (TestBrowser, String, String) {
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let sid = browser.claim(server, &server.app, &token).await;
    (browser, token, sid)
}

/// The session's page, for this browser.
fn page_of(sid: &str) -> String {
    format!("/connect/s/{sid}")
}

/// Claims, while the app's page does not yet ask for the status. Returns the sid and the redirect's location, marker
/// included.
async fn enter(server: &TestServer, browser: &mut TestBrowser, token: &str) -> (String, String) {
    let reply = browser.open(server, token, Some("https://app.example")).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    let location = reply.header("location").to_owned();
    (sid_of(&location), location)
}
