//! Tests that a request's log lines carry the caller's trace, and that providers do not learn of it.

use alter_testkit::Sent;
use serde_json::{Value, json};

use crate::server::Server;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// The span of the first log line that says `message`.
fn span_of(log: &str, message: &str) -> Value {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| line["fields"]["message"] == message);
    line.unwrap_or_else(|| panic!("no line says {message:?}:\n{log}"))["spans"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traceparent_is_on_the_lines_of_its_request_and_of_the_exchange_that_outlives_it() {
    let server = Server::start("traced").await;
    let walk = server.up_to_callback().await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let reply = server.send(walk.coming_back().header("traceparent", &parent)).await;
    assert_eq!(reply.status, 303);
    server.until("the exchange is logged", |s| s.log().contains("\"connected\"")).await;
    let span = span_of(&server.log(), "connected");
    assert_eq!((&span["trace_id"], &span["span_id"]), (&json!(TRACE), &json!(SPAN)));
    assert_eq!(span["request_id"], reply.header("x-request-id"));

    let seen = server.mock.seen();
    assert_eq!(seen.token.len(), 1);
    let sent_on =
        seen.token.iter().chain(&seen.userinfo).any(|request| request.header("traceparent").is_some());
    assert!(!sent_on, "the provider learns nothing of the caller's trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_trace_or_with_a_malformed_one_gets_a_fresh_one() {
    let server = Server::start("untraced").await;
    let malformed = format!("00-{TRACE}-{SPAN}-01-extra");
    let reply = server.send(Sent::new("POST", "/sdk/token").header("traceparent", &malformed)).await;
    assert_eq!(reply.status, 401);
    server.until("the refusal is logged", |s| s.log().contains("request refused")).await;
    let span = span_of(&server.log(), "request refused");
    let trace = span["trace_id"].as_str().unwrap();
    assert!(trace.len() == 32 && trace != TRACE, "{span}");
    assert_eq!(span["span_id"], Value::Null);
}
