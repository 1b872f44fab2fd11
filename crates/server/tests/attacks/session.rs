//! Attacks on the life of a session: who may claim it, how long it lives, what its token reveals.

mod claim;
mod expiry;
mod leaks;

use alter_testkit::{Reply, TestBrowser, TestServer};
use serde_json::json;

use crate::support::session::{app_with, poll, status, step, token_requests};

/// Claims through door B with a right proof: judged like door A, but answered in JSON.
async fn claim_by_proof(server: &TestServer, browser: &mut TestBrowser, token: &str) -> Reply {
    let (v, cb) = TestBrowser::flow_of(token);
    let body = json!({ "token": token, "cb": cb, "v": v, "m": "p" });
    browser.post(server, "/connect/api/claim", &body).await
}

/// `details.reason` of a refusal.
fn reason(reply: &Reply) -> String {
    reply.json()["details"]["reason"].as_str().unwrap_or_default().to_owned()
}
