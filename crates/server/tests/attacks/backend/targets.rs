//! Targets that two readers could read differently, and signatures that outlive a change of the target (T62).

use alter_testkit::{TestServer, http::send_raw};
use serde_json::json;

use super::{MINT, grant, wanted};

/// Sends a signed request with exactly this request target. Returns the whole answer, with its status line.
async fn raw(server: &TestServer, signed_target: &str, sent_target: &str, body: &[u8]) -> String {
    let signed = server.signed_raw(&server.app.key, "POST", signed_target, body);
    let head: String = signed.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    let mut bytes = format!(
        "POST {sent_target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n",
        server.host,
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    send_raw(&server.host, &bytes).await
}

#[tokio::test]
async fn t62_an_ambiguous_target_is_refused_however_well_it_is_signed() {
    let server = TestServer::start().await;
    for target in [
        "/sdk%2Ftoken",
        "/sdk%2ftoken",
        "/sdk/token%2F",
        "/sdk%5Ctoken",
        "/sdk/x/../token",
        "/sdk/./token",
        "/sdk/%2e%2e/token",
        "/sdk/.%2E/token",
        "/sdk/token%0A",
        "/sdk/token%0D%0AX",
        "/sdk/token%00",
        "/sdk/token%7f",
        "/sdk/token%ff",
        "/sdk/%c0%af",
        "/sdk/token%",
        "/sdk/token%zz",
        "/sdk/%2",
        "/x/..%2Fsdk/token",
        "/sdk/oauth/connect/session%2Fpoll",
        "/sdk/oauth/connect%2Fsession",
        "/sdk/oauth/./connect/session",
        "/sdk/oauth/connect/session/..",
    ] {
        let answer = raw(&server, target, target, b"{}").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer:.120}");
        let routed = raw(&server, MINT, target, b"{}").await;
        assert!(routed.starts_with("HTTP/1.1 4"), "{target} with the signature of {MINT}: {routed:.120}");
    }
    for target in
        ["/sdk\\token", "/sdk/token\\", "\\sdk\\token", "/sdk/to ken", "/sdk/token\u{1}", "/sdk/tok\ten"]
    {
        let answer = raw(&server, target, target, b"{}").await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{target:?}: {answer:.120}");
    }
    assert!(raw(&server, MINT, MINT, b"{}").await.starts_with("HTTP/1.1 201"), "control");
}

#[tokio::test]
async fn t62_a_signature_opens_no_other_route_than_the_signed_one() {
    let server = TestServer::start().await;
    let grant = grant(&server).await;
    let body = wanted(&server, &grant).to_string();
    let alike = [
        // The published client signs the decoded path. So the text to sign is the same, but no route has this path.
        "/sdk/%74oken",
        "/%73dk/token",
        "/sdk/token?",
        "/sdk/token?a=1",
        "//sdk/token",
        "/sdk//token",
        "/sdk/token/",
        "/SDK/token",
        "/sdk/Token",
        "/sdk/token;x=1",
        "/sdk/oauth/connect/session",
        "/sdk/oauth/connect/session/poll",
    ];
    for target in alike {
        let answer = raw(&server, "/sdk/token", target, body.as_bytes()).await;
        let same_route = target == "/sdk/token?";
        assert_eq!(answer.starts_with("HTTP/1.1 200"), same_route, "{target}: {answer:.120}");
        assert_eq!(answer.contains("access_token"), same_route, "{target}");
    }
    // The signature covers the parameters' number, names and values, but not their order.
    let sign = "/sdk/token?b=2&a=1&a=0&c=x+y";
    let reordered = raw(&server, sign, "/sdk/token?a=0&a=1&c=x%20y&b=2", body.as_bytes()).await;
    // The signature is accepted; then the route refuses parameters that it does not know.
    assert!(reordered.starts_with("HTTP/1.1 400") && reordered.contains("The query has"), "{reordered}");
    for other in [
        "/sdk/token?a=0&a=1&b=2&c=x%2By",
        "/sdk/token?a=1&b=2&c=x+y",
        "/sdk/token?a=0&a=1&b=2&c=x+y&d",
        "/sdk/token?a=0;a=1&b=2&c=x+y",
        "/sdk/token?A=0&a=1&b=2&c=x+y",
        "/sdk/token?a=0%26a=1&b=2&c=x+y",
        "/sdk/token",
    ] {
        let answer = raw(&server, sign, other, body.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{other}: {answer:.120}");
    }
}

#[tokio::test]
async fn t62_a_signed_post_is_no_other_method() {
    let server = TestServer::start().await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] {
        let mut sent = server.signed(&server.app.key, MINT, &json!({}));
        sent.method = method.into();
        let reply = server.send(sent.header("x-http-method-override", "POST")).await;
        assert_eq!(reply.status, 405, "{method}");
    }
}
