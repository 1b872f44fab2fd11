//! Odd but usable answers of the token endpoint: T27 (scopes), T28 (types, lifetimes, refresh tokens).

use alter_mock_provider::Raw;
use alter_testkit::{Sent, TestBrowser, TestServer};
use serde_json::{Value, json};

use crate::sql;

/// Asserts that the token that the backend gets works at the provider's API. Returns the backend's answer.
async fn usable(server: &TestServer, grant: &str, what: &str) -> Value {
    let released = server.token(grant).await;
    assert_eq!(released.status, 200, "{what}: {}", released.text());
    let body = released.json();
    let token = body["access_token"].as_str().unwrap();
    let host = server.mock.issuer().replace("http://", "");
    let call = Sent::new("GET", "/api/me").header("authorization", &format!("Bearer {token}"));
    let answer = alter_testkit::http::send(&host, call).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    body
}

#[tokio::test]
async fn t27_what_was_granted_is_stored_and_what_is_missing_or_extra_is_said() {
    let server = TestServer::start().await;
    let exact = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(exact.connection()["status"], "active");
    assert_eq!(exact.connection()["scopes"], json!(["openid", "email", "profile"]));
    assert!(exact.connection().get("metadata").is_none(), "{}", exact.status);
    assert_eq!(server.token(exact.grant_id()).await.json()["scope_mismatch"], false);

    server.mock.set(|s| s.granted_scopes = Some("openid email".into()));
    let less = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(less.connection()["status"], "error");
    assert_eq!(less.connection()["scopes"], json!(["openid", "email"]));
    assert_eq!(less.connection()["metadata"], json!({ "missing_scopes": ["profile"] }));
    let released = server.token(less.grant_id()).await.json();
    assert_eq!(released["scope_mismatch"], true, "{released}");
    assert_eq!(released["scopes"], json!(["openid", "email"]));
    let polled =
        server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": less.token })).await.json();
    assert_eq!(polled["grants"][0]["scopes"], json!(["openid", "email"]), "{polled}");

    server.mock.set(|s| s.granted_scopes = Some("openid email profile notes.write".into()));
    let more = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(more.connection()["status"], "active");
    assert_eq!(more.connection()["scopes"], json!(["openid", "email", "profile", "notes.write"]));
    assert_eq!(more.connection()["metadata"], json!({ "extra_scopes": ["notes.write"] }));
    let released = server.token(more.grant_id()).await.json();
    assert_eq!(released["scope_mismatch"], false);
    assert_eq!(released["scopes"], json!(["openid", "email", "profile", "notes.write"]));
    assert_eq!(exact.grant_id(), more.grant_id(), "one account, one grant, the newest scopes");

    server.mock.set(|s| s.granted_scopes = Some("something.else".into()));
    let other = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(other.connection()["status"], "error");
    // An id_token came and was verified: whatever the answer lists, `openid` was granted.
    assert_eq!(other.connection()["scopes"], json!(["something.else", "openid"]));
    assert_eq!(other.connection()["metadata"]["missing_scopes"], json!(["email", "profile"]));
    assert_eq!(other.connection()["metadata"]["extra_scopes"], json!(["something.else"]));
}

#[tokio::test]
async fn t27_a_provider_that_names_no_scopes_granted_what_was_asked() {
    let server = TestServer::start().await;
    server.mock.set(|s| s.omit_token_fields = vec!["scope".into()]);
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(attempt.connection()["status"], "active");
    assert_eq!(attempt.connection()["scopes"], json!(["openid", "email", "profile"]));
}

/// Ten years.
const LONGEST: i64 = 315_360_000;

#[tokio::test]
async fn t28_no_odd_lifetime_costs_the_grant_or_makes_it_dead_at_birth() {
    let server = TestServer::start().await;
    let odd = [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(" 3600 "), Some(3600)),
        (json!(3600.9), Some(3600)),
        (json!(0), None),
        (json!("0"), None),
        (json!(-5), None),
        (json!("-5"), None),
        (json!(0.5), None),
        (json!(1e12), Some(LONGEST)),
        (json!(1_000_000_000_000_i64), Some(LONGEST)),
        (json!(u64::MAX), Some(LONGEST)),
        (json!("1e12"), Some(LONGEST)),
        (json!("inf"), Some(LONGEST)),
        (json!("NaN"), None),
        (json!("soon"), None),
        (json!(""), None),
        (json!(null), None),
        (json!(true), None),
        (json!([3600]), None),
        (json!({ "seconds": 3600 }), None),
    ];
    for (value, expected) in odd {
        let what = value.to_string();
        server.mock.set(|s| s.expires_in = Some(value));
        let attempt = TestBrowser::new().attempt(&server, "mock").await;
        let body = usable(&server, attempt.grant_id(), &what).await;
        match expected {
            None => {
                assert_eq!((&body["expires_in"], &body["expires_at"]), (&json!(null), &json!(null)), "{what}")
            }
            Some(seconds) => {
                let left = body["expires_in"].as_i64().unwrap();
                assert!((seconds - 30..=seconds).contains(&left), "{what}: {left}");
                assert!(body["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{what}: {body}");
            }
        }
    }
    server.mock.set(|s| s.omit_token_fields = vec!["expires_in".into()]);
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(usable(&server, attempt.grant_id(), "absent").await["expires_in"], json!(null));
}

#[tokio::test]
async fn t28_an_expired_token_is_not_handed_out() {
    let server = TestServer::start().await;
    server.mock.set(|s| {
        s.expires_in = Some(json!(60));
        s.omit_token_fields = vec!["refresh_token".into()];
    });
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    server.clock.advance_seconds(50);
    usable(&server, attempt.grant_id(), "ten seconds left").await;
    server.clock.advance_seconds(10);
    let refused = server.token(attempt.grant_id()).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "credential_revoked"), "{}", refused.text());
    assert_eq!(refused.json()["details"]["reason"], "no_refresh_token");
    assert!(!refused.text().contains("mock_at_"));
}

#[tokio::test]
async fn t28_no_odd_token_type_costs_the_grant_or_breaks_a_header() {
    let server = TestServer::start().await;
    let odd =
        ["Bearer", "bearer", "BEARER", "bot", "user", "", "Bearer\r\nX-Evil: 1", "two words", "é", "\u{0}"];
    for kind in odd {
        server.mock.set(|s| s.token_type = Some(kind.to_owned()));
        let attempt = TestBrowser::new().attempt(&server, "mock").await;
        let body = usable(&server, attempt.grant_id(), kind).await;
        let stored = body["token_type"].as_str().unwrap();
        assert!(
            stored.bytes().all(|b| b.is_ascii_alphanumeric()) && !stored.is_empty(),
            "{kind:?}: {stored:?}"
        );
    }
    server.mock.set(|s| s.omit_token_fields = vec!["token_type".into()]);
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(usable(&server, attempt.grant_id(), "absent").await["token_type"], "Bearer");
}

#[tokio::test]
async fn t28_an_answer_without_a_refresh_token_keeps_the_one_that_is_there() {
    let server = TestServer::start_sqlite().await;
    let first = TestBrowser::new().attempt(&server, "mock").await;
    first.connection();
    let stored = || {
        let query = "SELECT refresh_token FROM grants";
        sql::open(&server).query_row(query, [], |row| row.get::<_, Option<Vec<u8>>>(0)).unwrap()
    };
    let length = stored().expect("positive control: there was one").len();
    let empty = json!({ "access_token": "{{access_token}}", "refresh_token": "", "id_token": "{{id_token}}",
        "token_type": "Bearer", "expires_in": 3600 });
    let null =
        json!({ "access_token": "{{access_token}}", "refresh_token": null, "id_token": "{{id_token}}" });
    server.mock.set(|s| s.omit_refresh_token = true);
    for answer in [None, Some(empty), Some(null)] {
        server.mock.set(|s| s.token_response = answer.as_ref().map(|body| Raw::json(200, body)));
        let before = stored();
        let again = TestBrowser::new().attempt(&server, "mock").await;
        assert_eq!(again.grant_id(), first.grant_id());
        usable(&server, again.grant_id(), "again").await;
        let after = stored();
        assert_eq!(after.as_ref().map(Vec::len), Some(length), "{answer:?}: the old one, sealed anew");
        assert_ne!(after, before, "{answer:?}: a value is sealed for its own generation");
    }
}
