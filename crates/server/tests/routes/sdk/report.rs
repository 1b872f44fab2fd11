//! Clients' reports about their calls: little of a report is kept, and nobody can report for another (wire 3.7). On
//! whose grants a caller may report is tested in `attacks/matrix.rs`.

use alter_testkit::{TestBrowser, TestServer};
use serde_json::{Value, json};

const REPORT: &str = "/sdk/oauth/audit/api-call";
const CANARY: &str = "canary-of-a-report";

async fn grant(server: &TestServer) -> String {
    let made = TestBrowser::new().connect(server).await;
    made["grant_id"].as_str().expect("a connection has a grant").to_owned()
}

/// A host name of this length.
fn host_of(length: usize) -> String {
    "a.".repeat(length / 2) + if length % 2 == 1 { "a" } else { "" }
}

/// As the published client sends it.
fn report(grant: &str) -> Value {
    json!({
        "grant_id": grant, "provider_id": "mock", "token_generation": null, "method": "POST",
        "url": format!("https://user:{CANARY}@api.acme.example:8443/v1/{CANARY}?q={CANARY}#{CANARY}"),
        "request_headers": { "x-note": CANARY }, "request_body": { "note": CANARY }, "response_status": 201,
        "response_headers": { "x-note": CANARY }, "response_body": CANARY, "latency_ms": 31,
        "reason": CANARY, "context": { "tool": CANARY },
    })
}

#[tokio::test]
async fn method_host_status_and_latency_of_a_reported_call_are_kept_and_nothing_else() {
    let server = TestServer::start().await;
    let grant = grant(&server).await;
    let reply = server.call(REPORT, &report(&grant)).await;
    assert_eq!((reply.status, reply.text().as_str()), (202, ""));
    let rows = server.store.read_audit(server.app.id, 0, 1000).await.unwrap();
    let row = rows.last().unwrap();
    assert_eq!((row.kind.as_str(), row.grant_id.as_deref()), ("call_reported", Some(grant.as_str())));
    assert!(row.key_id.is_some() && row.request_id.is_some());
    let details: Value = serde_json::from_str(&row.details).unwrap();
    let kept = json!({ "method": "POST", "host": "api.acme.example", "status": 201, "latency_ms": 31 });
    assert_eq!(details, kept);
    assert!(!format!("{rows:?}").contains(CANARY), "{rows:?}");
}

#[tokio::test]
async fn t76_a_report_larger_than_64_kib_and_one_that_makes_no_sense_are_refused_and_not_kept() {
    let server = TestServer::start().await;
    let grant = grant(&server).await;
    let before = server.store.read_audit(server.app.id, 0, 1000).await.unwrap().len();
    let changed = |name: &str, value: Value| {
        let mut body = report(&grant);
        body[name] = value;
        body
    };
    for (body, status, code) in [
        (changed("response_body", json!("x".repeat(64 * 1024))), 413, "body_too_large"),
        (changed("grant_id", json!("../agents")), 404, "grant_not_found"),
        (changed("url", json!("/v1/me")), 400, "invalid_request"),
        (changed("url", json!(format!("foo://{}", "a".repeat(60_000)))), 400, "invalid_request"),
        (changed("url", json!("ftp://api.acme.example/")), 400, "invalid_request"),
        (changed("url", json!(format!("https://{}/", host_of(254)))), 400, "invalid_request"),
        (changed("method", json!("GET /")), 400, "invalid_request"),
        (changed("response_status", json!(1000)), 400, "invalid_request"),
        (changed("response_status", json!(-1)), 400, "invalid_request"),
        (changed("latency_ms", json!("31")), 400, "invalid_request"),
    ] {
        let reply = server.call(REPORT, &body).await;
        assert_eq!((reply.status, reply.error().as_str()), (status, code), "{}", reply.text());
    }
    assert_eq!(server.store.read_audit(server.app.id, 0, 1000).await.unwrap().len(), before);
    let long = server.call(REPORT, &changed("url", json!(format!("foo://{}", "a".repeat(60_000))))).await;
    let message = long.json()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("url is not an http or https URL"), "{message}");
    // Control: the longest host, and a report of the largest allowed size.
    let longest = changed("url", json!(format!("https://{}/", host_of(253))));
    assert_eq!(server.call(REPORT, &longest).await.status, 202);
    let room = 64 * 1024 - changed("response_body", json!("")).to_string().len();
    let largest = changed("response_body", json!("x".repeat(room)));
    assert_eq!(server.call(REPORT, &largest).await.status, 202);
}
