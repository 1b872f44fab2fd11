//! Signatures left out, incomplete, doubled, stale, or over other bytes than were sent (T63).

use alter_core::AppSettings;
use alter_flows::operate;
use alter_testkit::{Sent, TestServer, operator};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{MINT, POLL, grant, wanted};
use crate::sql;

const SIGNATURE_HEADERS: [&str; 4] =
    ["x-alter-timestamp", "x-alter-nonce", "x-alter-content-sha256", "x-alter-signature"];

#[tokio::test]
async fn t63_a_key_alone_is_not_enough_unless_the_app_says_so() {
    let server = TestServer::start().await;
    let grant = grant(&server).await;
    let bearer = |body: &serde_json::Value, target: &str| {
        let sent = Sent::new("POST", target).header("x-api-key", server.app.key.expose_secret());
        sent.header("content-type", "application/json").body(body.to_string())
    };
    for (target, body) in
        [("/sdk/token", wanted(&server, &grant)), (MINT, json!({})), (POLL, json!({ "session_token": "x" }))]
    {
        let reply = server.send(bearer(&body, target)).await;
        assert_eq!((reply.status, reply.error().as_str()), (401, "signature_required"), "{target}");
        assert!(!reply.text().contains("access_token") && !reply.text().contains("alter_cs_"));
    }
    let mut settings = AppSettings::named("Test App");
    settings.website_url = Some("https://app.example".into());
    settings.allow_bearer = true;
    operate::change_app(&server.flows, &operator(), server.app.id, settings.clone()).await.unwrap();
    let released = server.send(bearer(&wanted(&server, &grant), "/sdk/token")).await;
    assert_eq!(released.status, 200, "{}", released.text());
    settings.allow_bearer = false;
    operate::change_app(&server.flows, &operator(), server.app.id, settings).await.unwrap();
    assert_eq!(
        server.send(bearer(&wanted(&server, &grant), "/sdk/token")).await.status,
        401,
        "taken back at once"
    );
}

#[tokio::test]
async fn t63_where_bearer_calls_are_allowed_a_broken_signature_is_still_refused() {
    let server = TestServer::start().await;
    let settings = AppSettings {
        website_url: Some("https://app.example".into()),
        allow_bearer: true,
        ..AppSettings::named("Test App")
    };
    operate::change_app(&server.flows, &operator(), server.app.id, settings).await.unwrap();
    let right = || server.signed(&server.app.key, MINT, &json!({}));
    for name in SIGNATURE_HEADERS {
        assert_eq!(server.send(right().without(name)).await.status, 401, "without {name}");
        assert_eq!(server.send(right().set(name, "")).await.status, 401, "{name} empty");
    }
    let only_v2 = SIGNATURE_HEADERS.iter().fold(right(), |sent, name| sent.without(name));
    assert_eq!(server.send(only_v2.clone().header("x-alter-signature-v2", "x")).await.status, 401);
    assert_eq!(server.send(right().body("{ }")).await.status, 401, "another body");
    assert_eq!(server.send(right()).await.status, 201, "control: signed");
    assert_eq!(server.send(only_v2).await.status, 201, "control: bearer");
}

#[tokio::test]
async fn t62_headers_that_an_old_client_does_not_sign_are_believed_of_nobody() {
    let server = TestServer::start().await;
    let wanted = wanted(&server, &grant(&server).await);
    let call = || server.signed(&server.app.key, "/sdk/token", &wanted).header("x-alter-caller", "cron");
    let reply = server.send(call().header("x-alter-caller-type", "service")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let counted = |signed: bool| {
        let details = format!(r#"%"caller":"cron","caller_signed":{signed}%"#);
        sql::count(&server, &format!("audit WHERE details LIKE '{details}'"))
    };
    assert_eq!((counted(false), counted(true)), (1, 0));
    let refused = server.send(call().header("x-alter-caller-type", "agent")).await;
    assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_signature"));
    assert!(refused.text().contains("alter-sdk before 0.21"), "{}", refused.text());
    let newer = server.send(server.signed_by(&server.app.key, "/sdk/token", &wanted, "cron")).await;
    assert_eq!((newer.status, counted(true)), (200, 1), "control: {}", newer.text());
}

#[tokio::test]
async fn t63_another_body_than_the_signed_one_is_refused() {
    let server = TestServer::start().await;
    let right = server.signed(&server.app.key, MINT, &json!({ "allowed_origin": "https://app.example" }));
    for body in [
        r#"{"allowed_origin":"https://evil.example"}"#,
        r#"{"allowed_origin": "https://app.example"}"#,
        "{}",
        "",
        "{\"allowed_origin\":\"https://app.example\"}\n",
    ] {
        let reply = server.send(right.clone().body(body)).await;
        assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_signature"), "{body}");
        // The hash of the new body, with the old signature.
        let hash = alter_core::secret::hex(&alter_core::secret::sha256(body.as_bytes()));
        let reply = server.send(right.clone().set("x-alter-content-sha256", &hash).body(body)).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (401, "invalid_signature"),
            "{body} with its hash"
        );
    }
    assert_eq!(server.send(right).await.status, 201, "control");
}

/// `{}` compressed by gzip: a body that a middle-man or a helpful framework would unpack.
const GZIPPED: [u8; 22] = [31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 171, 174, 5, 0, 67, 191, 166, 163, 2, 0, 0, 0];

#[tokio::test]
async fn t63_the_bytes_on_the_wire_are_signed_and_nothing_is_unpacked() {
    let server = TestServer::start().await;
    let key = &server.app.key;
    // Signed over the unpacked body: the sent bytes differ.
    let meant = server.signed(key, MINT, &json!({})).header("content-encoding", "gzip").body(GZIPPED);
    let reply = server.send(meant).await;
    assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_signature"));
    // Signed over the packed bytes: the signature is right, but the body is not JSON.
    let packed = server.signed_raw(key, "POST", MINT, &GZIPPED).header("content-encoding", "gzip");
    let reply = server.send(packed).await;
    assert!(matches!(reply.status, 400 | 415), "unpacked: {} {}", reply.status, reply.text());
    // Sent in chunks: the same bytes, whatever their framing.
    let right = server.signed(key, MINT, &json!({}));
    let head: String = right.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    let chunked = |trailer: &str| {
        format!(
            "POST {MINT} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{head}\r\n\
             1\r\n{{\r\n1\r\n}}\r\n0\r\n{trailer}\r\n",
            server.host
        )
    };
    let trailed = chunked("x-alter-caller: evil\r\nx-api-key: other\r\n");
    let answer = alter_testkit::http::send_raw(&server.host, trailed.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "control: chunks, trailers ignored: {answer:.200}");
    let again = alter_testkit::http::send_raw(&server.host, chunked("").as_bytes()).await;
    assert!(again.starts_with("HTTP/1.1 401"), "the same nonce: {again:.200}");
}

#[tokio::test]
async fn t63_a_header_that_comes_twice_is_refused() {
    let server = TestServer::start().await;
    let right = server.signed(&server.app.key, MINT, &json!({}));
    let names =
        ["x-api-key", "x-alter-timestamp", "x-alter-nonce", "x-alter-content-sha256", "x-alter-signature"];
    for name in names {
        let value = right.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap();
        for second in [value.as_str(), "x"] {
            let reply = server.send(right.clone().header(name, second)).await;
            assert!(matches!(reply.status, 400 | 401), "{name} twice: {}", reply.status);
        }
        let joined = server.send(right.clone().set(name, &format!("{value}, {value}"))).await;
        assert_eq!(joined.status, 401, "{name} joined");
    }
    for name in [
        "x-alter-caller",
        "x-alter-actor-id",
        "x-alter-context",
        "x-alter-caller-type",
        "x-alter-signature-v2",
    ] {
        let reply = server.send(right.clone().header(name, "").header(name, "evil")).await;
        assert!(matches!(reply.status, 400 | 401), "{name} twice: {}", reply.status);
    }
    assert_eq!(server.send(right).await.status, 201, "control");
}

#[tokio::test]
async fn a_timestamp_may_be_300_seconds_off_and_not_301() {
    let server = TestServer::start().await;
    server.clock.freeze();
    for (skew, works) in
        [(-301, false), (-300, true), (0, true), (300, true), (301, false), (-100_000, false)]
    {
        server.clock.advance_seconds(skew);
        let sent = server.signed(&server.app.key, MINT, &json!({}));
        server.clock.advance_seconds(-skew);
        let reply = server.send(sent).await;
        match works {
            true => assert_eq!(reply.status, 201, "{skew}: {}", reply.text()),
            false => {
                assert_eq!((reply.status, reply.error().as_str()), (401, "signature_expired"), "{skew}");
                assert!(
                    reply.text().contains(&skew.to_string()),
                    "the message tells the skew: {}",
                    reply.text()
                );
            }
        }
    }
    for odd in ["", "-1", "+1", "1e9", "0x10", " 1", "99999999999999999999", "1767225600.0", "\u{661}"] {
        let reply =
            server.send(server.signed(&server.app.key, MINT, &json!({})).set("x-alter-timestamp", odd)).await;
        assert!(matches!(reply.status, 400 | 401), "{odd:?}: {}", reply.status);
    }
}
