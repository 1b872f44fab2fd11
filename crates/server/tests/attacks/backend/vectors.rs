//! The twenty published signing vectors as requests over a socket: through the extractor that every route uses, and
//! through the whole router if there is a route for them (wire 2, T62, T63).

use alter_core::{ApiKey, AuditEntry, AuditKind, KeyId, SystemRandom, key};
use alter_flows::operate;
use alter_server::{Limits, Shared, extract::Signed};
use alter_testkit::{Sent, TestServer, http::send_to_another, operator};
use axum::{Router, http::StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const TIMESTAMP: i64 = 1_767_225_600;

fn file() -> Value {
    serde_json::from_str(include_str!("../../../../signing/tests/vectors/hmac_vectors.json"))
        .expect("the vectors are JSON")
}

/// The request that a vector describes, as the published client sends it.
fn request(key: &str, v: &Value) -> Sent {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut sent = Sent::new(&text(&v["method"]), &text(&v["path_as_built"])).header("x-api-key", key);
    for group in ["extra_headers_signed", "emitted_headers"] {
        for (name, value) in v[group].as_object().expect("headers") {
            sent = sent.set(name, &text(value));
        }
    }
    for (name, value) in
        [("X-Alter-Scope-Constraints", "scope_constraints"), ("X-Alter-Request-Rule", "request_rule")]
    {
        if !text(&v[value]).is_empty() {
            sent = sent.set(name, &text(&v[value]));
        }
    }
    sent.body(text(&v["body_utf8"]))
}

/// A server at the vectors' moment that knows their key, and a bare router around the extractor beside it.
async fn scene() -> (TestServer, String, String) {
    let server = TestServer::start().await;
    server.clock.freeze();
    server.clock.advance_seconds(TIMESTAMP - alter_core::Clock::now(&server.clock).as_seconds());
    let text = file()["api_key"].as_str().expect("a key").to_owned();
    let secret = SecretString::from(text.clone());
    let row = ApiKey {
        agent_id: None,
        id: KeyId::new(&SystemRandom),
        app_id: server.app.id,
        hash: key::key_hash(&secret),
        prefix: key::key_prefix(&secret),
        name: "vectors".into(),
        created_at: alter_core::Micros(0),
        deprecated_at: None,
        revoked_at: None,
        seal: None,
    };
    let entry = AuditEntry::new(server.app.id, row.created_at, AuditKind::KeyCreated, json!({}));
    let id = row.id;
    server.store.insert_key(row, entry).await.expect("the key is new");
    operate::seal_key(&server.flows, &operator(), server.app.id, id).await.expect("it has no seal yet");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("localhost:{}", listener.local_addr().expect("it is bound").port());
    let router = Router::new()
        .fallback(async |_: Signed<Value, Vec<(String, String)>>| StatusCode::NO_CONTENT)
        .with_state(Shared::new(server.flows.clone()).expect("the public URL is in order"));
    tokio::spawn(alter_server::serve(listener, router, Limits::default(), std::future::pending()));
    (server, address, text)
}

/// 204: signed right and accepted. 400: signed right, but refused afterwards, because narrowing headers are not built
/// and an empty body is not JSON. 401: not signed right.
fn expected(v: &Value) -> u16 {
    let narrowed =
        ["scope_constraints", "request_rule"].iter().any(|f| v[*f].as_str().is_some_and(|s| !s.is_empty()));
    if narrowed || v["body_utf8"] == "" { 400 } else { 204 }
}

#[tokio::test]
async fn all_twenty_published_vectors_are_accepted_over_http() {
    let (_server, address, key) = scene().await;
    let file = file();
    let vectors = file["vectors"].as_array().expect("a list");
    assert_eq!(vectors.len(), 20);
    let mut taken = 0;
    for v in vectors {
        let reply = send_to_another(&address, request(&key, v)).await;
        assert_eq!(reply.status, expected(v), "{}", v["name"]);
        taken += usize::from(reply.status == 204);
    }
    assert!(taken >= 6, "only {taken} vectors went all the way");
}

fn flipped(text: &str, at: usize) -> String {
    let mut bytes: Vec<u8> = text.bytes().collect();
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).expect("ASCII stays ASCII")
}

#[tokio::test]
async fn t62_every_vector_is_refused_when_anything_of_it_is_changed() {
    let (_server, address, key) = scene().await;
    for v in file()["vectors"].as_array().expect("a list") {
        let right = request(&key, v);
        let mut forged: Vec<(String, Sent)> = Vec::new();
        for (name, value) in
            right.headers.iter().filter(|(name, _)| name.to_lowercase().starts_with("x-alter-"))
        {
            for at in [0, value.len() / 2, value.len() - 1] {
                forged.push((format!("{name} at {at}"), right.clone().set(name, &flipped(value, at))));
            }
            forged.push((format!("without {name}"), right.clone().without(name)));
            forged.push((format!("{name} empty"), right.clone().set(name, "")));
        }
        // Beside a first signature alone these are an old client's, and believed of nobody (`signature.rs`).
        let identity = ["X-Alter-Caller", "X-Alter-Caller-Type", "X-Alter-Actor-ID", "X-Alter-Context"];
        let second = right.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("X-Alter-Signature-V2"));
        let others = ["X-Alter-Request-Rule", "X-Alter-Scope-Constraints", "X-Alter-Signature-V2"];
        for name in others.into_iter().chain(identity.into_iter().filter(|_| second)) {
            if !right.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
                forged.push((format!("{name} added"), right.clone().header(name, "x")));
            }
        }
        for (method, other) in [("POST", "PUT"), ("GET", "DELETE"), ("PATCH", "POST"), ("DELETE", "GET")] {
            if right.method == method {
                forged.push(("method".into(), Sent { method: other.into(), ..right.clone() }));
            }
        }
        forged.push((
            "path".into(),
            Sent { target: right.target.replacen("/sdk/", "/sdk/x", 1), ..right.clone() },
        ));
        let more = if right.target.contains('?') { "&zz=1" } else { "?zz=1" };
        forged.push(("query".into(), Sent { target: format!("{}{more}", right.target), ..right.clone() }));
        for at in 0..right.body.len() {
            let mut body = right.body.clone();
            body[at] ^= 1;
            forged.push((format!("body byte {at}"), Sent { body, ..right.clone() }));
        }
        forged.push((
            "body longer".into(),
            Sent { body: [right.body.as_slice(), b" "].concat(), ..right.clone() },
        ));
        for (what, sent) in forged {
            let reply = send_to_another(&address, sent).await;
            assert_eq!(reply.status, 401, "{}: {what}", v["name"]);
        }
        assert_eq!(send_to_another(&address, right).await.status, expected(v), "{}: control", v["name"]);
    }
}

#[tokio::test]
async fn t62_the_real_router_takes_the_vectors_it_has_routes_for_and_refuses_the_encoded_slash() {
    let file = file();
    for v in file["vectors"].as_array().expect("a list") {
        // All vectors have the same nonce, so each needs a fresh server.
        let (server, _, key) = scene().await;
        let name = v["name"].as_str().expect("a name");
        if matches!(name, "plain_post" | "caller_v2") {
            let forged = server.send(request(&key, v).set("x-alter-nonce", &"0".repeat(32))).await;
            assert_eq!((forged.status, forged.error().as_str()), (401, "invalid_signature"), "{name}");
        }
        let reply = server.send(request(&key, v)).await;
        let expected = match name {
            // Signed right, but the app has no such grant.
            "plain_post" | "caller_v2" => (404, "grant_not_found"),
            "caller_override_v2" => (400, "invalid_request"),
            // Signed right, but not by an agent's key.
            "empty_body_get" => (403, "me_requires_agent_key"),
            "delete_no_body" => (403, "agent_key_required"),
            // Narrowing headers are not built and are refused on every route.
            "scope_and_rule" | "rule_only" | "scope_only" | "scope_rule_caller_v2" => {
                (400, "unsupported_field")
            }
            "query_unsorted_patch" => (404, "agent_not_found"),
            _ if reply.status < 300 => continue,
            "path_slash_decoded" => (400, "ambiguous_target"),
            _ if reply.status == 405 => (405, "method_not_allowed"),
            _ if reply.status == 501 => (501, "not_built"),
            _ => (404, "not_found"),
        };
        assert_eq!((reply.status, reply.error().as_str()), expected, "{name}");
    }
}
