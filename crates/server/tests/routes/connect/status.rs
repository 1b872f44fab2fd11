//! What the app's page is told, and when the flow counts as over.

mod exit;
mod learning;
mod other_origin;
mod outcome;
mod waiting;

use alter_testkit::{Sent, TestServer};
use serde_json::json;

use super::{poll, status, step, token_requests};

#[tokio::test]
async fn t05_two_origins_are_none_at_the_status_door_as_at_the_others() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let asked = |second: Option<&str>| {
        let body = json!({ "session_token": token, "cursor": 0 }).to_string();
        let sent = Sent::new("POST", "/connect/status").header("content-type", "text/plain");
        let sent = sent.header("origin", &server.app.origin);
        let sent = second.map_or(sent.clone(), |origin| sent.header("origin", origin));
        server.send(sent.body(body))
    };
    assert_eq!(asked(None).await.status, 200, "control: one Origin");
    for second in ["https://evil.example", &server.app.origin] {
        let reply = asked(Some(second)).await;
        assert_eq!((reply.status, reply.error().as_str()), (403, "foreign_origin"), "{second}");
        assert_eq!(reply.header("access-control-allow-origin"), "", "{second}: nobody may read it");
    }
}
