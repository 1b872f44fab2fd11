//! What the contract says of every operation, asked for at a server. That it names each answer which any test gets, the
//! test server checks.

use alter_testkit::{Sent, TestServer};
use serde_json::Value;

/// Method and path of every operation, with an id in each place of one.
fn operations() -> Vec<(String, String, Value)> {
    let contract = serde_json::to_value(alter_server::openapi::document()).unwrap();
    let mut all = Vec::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        let segment = |s: &str| {
            if s.starts_with('{') { "01980000-0000-7000-8000-000000000000".into() } else { s.to_owned() }
        };
        let target = path.split('/').map(segment).collect::<Vec<_>>().join("/");
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), target.clone(), operation["responses"].clone()));
        }
    }
    all
}

#[tokio::test]
async fn every_operation_refuses_before_it_runs_as_the_contract_says() {
    let server = TestServer::start().await;
    let all = operations();
    assert!(all.len() > 20, "{all:?}");
    for (method, target, responses) in all {
        let sent = || Sent::new(&method, &target).header("content-type", "application/json");
        let long = sent().header("x-long", &"a".repeat(17 * 1024));
        let elsewhere = sent().header("host", "evil.example");
        let ambiguous = Sent::new(&method, &target.replace("01980000-", "01980000%2f"));
        let large = sent().body("x".repeat(300 * 1024));
        let has_id = target.contains("01980000");
        let is_probe = ["/healthz", "/readyz"].contains(&&*target);
        for (sent, applies, status, code) in [
            (long, true, 431, "headers_too_large"),
            (elsewhere, !is_probe, 421, "wrong_host"),
            (ambiguous, has_id, 400, "ambiguous_target"),
            (large, target == "/connect/status", 413, "body_too_large"),
            (sent(), target.starts_with("/sdk/"), 401, "invalid_key"),
        ] {
            if !applies {
                continue;
            }
            let reply = server.send(sent).await;
            assert_eq!((reply.status, reply.error().as_str()), (status, code), "{method} {target}");
            let named = &responses[status.to_string()]["content"]["application/json"]["examples"][code];
            assert!(named.is_object(), "{method} {target}: the contract does not name {status} {code}");
        }
    }
}
