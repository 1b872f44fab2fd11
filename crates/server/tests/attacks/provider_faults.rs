//! Faulty providers (fault list 39-48): page, app and backend are told the truth about every ending; one token request
//! per code (I3); nothing half-made is kept; and the next attempt works.

use alter_mock_provider::{Raw, TokenFault};
use alter_testkit::{TestAttempt, TestBrowser, TestServer};
use serde_json::{Value, json};

use crate::sql;

async fn poll(server: &TestServer, token: &str) -> Value {
    server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await.json()
}

/// Asserts that the attempt failed because of the provider's fault, and that nothing of it is left.
async fn lost(server: &TestServer, attempt: &TestAttempt, browser: &mut TestBrowser, what: &str) {
    assert_eq!(attempt.reply.as_ref().map(|r| r.status), Some(303), "{what}");
    assert_eq!(attempt.status["status"], "failed", "{what}: {}", attempt.status);
    assert_eq!(attempt.status["error"], "oauth_provider_error", "{what}: {}", attempt.status);
    let page = browser.get(server, &format!("/connect/s/{}", attempt.sid)).await;
    assert_eq!(page.status, 200, "{what}");
    let text = page.text();
    assert!(text.contains("Mock Provider") && !text.contains("alex@acme.example"), "{what}: {text}");
    assert_eq!(sql::count(server, "grants"), 0, "{what}");
    assert_eq!(sql::count(server, "attempts WHERE status <> 'failed'"), 0, "{what}: all have ended (I6)");
    assert_eq!(sql::count(server, "attempts WHERE body IS NOT NULL OR verifier <> X''"), 0, "{what}");
}

#[tokio::test]
async fn f39_to_f48_whatever_the_token_endpoint_answers_the_flow_ends_and_the_code_is_sent_once() {
    let server = TestServer::start().await;
    let (failed, refused) = ("token_endpoint_failed", "token_request_refused");
    let (unread, unreachable) = ("token_answer_not_understood", "token_endpoint_unreachable");
    let faults = [
        (TokenFault::Status(500), failed, json!({ "provider_status": 500 })),
        (TokenFault::Status(502), failed, json!({ "provider_status": 502 })),
        (TokenFault::Status(503), failed, json!({ "provider_status": 503 })),
        (TokenFault::Status(504), failed, json!({ "provider_status": 504 })),
        (TokenFault::Status(429), failed, json!({ "provider_status": 429 })),
        (TokenFault::Status(400), refused, json!({ "provider_status": 400 })),
        (TokenFault::Status(403), refused, json!({ "provider_status": 403 })),
        (TokenFault::Status(302), unread, json!({})),
        (TokenFault::Status(204), unread, json!({})),
        (TokenFault::Html200, unread, json!({})),
        (TokenFault::Error200, "code_refused", json!({ "provider_error": "bad_verification_code" })),
        (TokenFault::CloseBeforeAnswer, unreachable, json!({})),
        (TokenFault::CloseMidBody, unreachable, json!({})),
        (TokenFault::Huge(8 << 20), unreachable, json!({})),
    ];
    for (fault, reason, said) in faults {
        let what = format!("{fault:?}");
        server.mock.forget_seen();
        server.mock.set(|s| s.token_fault = Some(fault));
        let mut browser = TestBrowser::new();
        let attempt = browser.attempt(&server, "mock").await;
        lost(&server, &attempt, &mut browser, &what).await;
        assert_eq!(attempt.reason(), reason, "{what}");
        for fact in ["provider_error", "provider_status"] {
            assert_eq!(attempt.status["details"][fact], said[fact], "{what}: {fact}");
        }
        let polled = poll(&server, &attempt.token).await;
        assert_eq!(polled["error"]["error_code"], "connect_flow_error", "{what}: {polled}");
        assert_eq!(server.mock.seen().token.len(), 1, "{what}: I3");
    }
    server.mock.set(|s| s.token_fault = None);
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

#[tokio::test]
async fn f45_an_answer_that_can_be_read_in_two_ways_or_in_none_is_not_read() {
    let server = TestServer::start().await;
    let token = r#""token_type":"Bearer","id_token":"{{id_token}}""#;
    let utf16: String = r#"{"access_token":"a"}"#.chars().flat_map(|c| ['\u{0}', c]).collect();
    let bodies = [
        ("truncated", format!(r#"{{"access_token":"{{{{access_token}}}}",{token}"#)),
        ("twice", format!(r#"{{"access_token":"{{{{access_token}}}}","access_token":"evil",{token}}}"#)),
        ("nested twice", format!(r#"{{"access_token":"{{{{access_token}}}}",{token},"x":{{"a":1,"a":2}}}}"#)),
        ("utf-16", utf16),
        ("trailing", format!(r#"{{"access_token":"{{{{access_token}}}}",{token}}} {{}}"#)),
        ("list", format!(r#"[{{"access_token":"{{{{access_token}}}}",{token}}}]"#)),
        ("no token", format!("{{{token}}}")),
        ("null token", format!(r#"{{"access_token":null,{token}}}"#)),
        ("number", format!(r#"{{"access_token":1,{token}}}"#)),
        ("header break", format!(r#"{{"access_token":"a\r\nX-Evil: 1",{token}}}"#)),
        ("empty", String::new()),
        ("deep", "[".repeat(100_000)),
    ];
    for (what, body) in bodies {
        server.mock.set(|s| s.token_response = Some(Raw::new(200, "application/json", body)));
        let mut browser = TestBrowser::new();
        let attempt = browser.attempt(&server, "mock").await;
        lost(&server, &attempt, &mut browser, what).await;
        assert_eq!(attempt.reason(), "token_answer_not_understood", "{what}");
    }
    // Positive control: the same body, whole, under a wrong content type and with white space around it.
    let whole = format!(" {{\"access_token\":\"{{{{access_token}}}}\",{token}}}\n");
    server.mock.set(|s| s.token_response = Some(Raw::new(200, "text/html", whole)));
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

#[tokio::test]
async fn f44_a_client_that_the_provider_refuses_is_the_operators_affair_and_is_called_so() {
    let server = TestServer::start().await;
    server.mock.set(|s| s.token_fault = Some(TokenFault::InvalidClient));
    let mut browser = TestBrowser::new();
    let attempt = browser.attempt(&server, "mock").await;
    lost(&server, &attempt, &mut browser, "invalid_client").await;
    assert_eq!(attempt.provider_error(), "invalid_client");
    let polled = poll(&server, &attempt.token).await;
    assert_eq!(polled["status"], "error");
    assert_eq!(polled["error"]["error_code"], "invalid_client", "{polled}");

    let redirect = json!({ "error": "redirect_uri_mismatch", "error_description": "no" });
    server.mock.set(|s| (s.token_fault, s.token_response) = (None, Some(Raw::json(400, &redirect))));
    let attempt = browser.attempt(&server, "mock").await;
    assert_eq!(attempt.provider_error(), "redirect_uri_mismatch");
    assert_eq!(poll(&server, &attempt.token).await["error"]["error_code"], "invalid_redirect_uri");

    server.mock.set(|s| s.token_response = None);
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

#[tokio::test]
async fn f44_an_existing_grant_lives_on_when_a_new_attempt_meets_an_ill_provider() {
    let server = TestServer::start().await;
    let grant = TestBrowser::new().attempt(&server, "mock").await.grant_id().to_owned();
    for fault in [TokenFault::InvalidClient, TokenFault::Status(500), TokenFault::CloseBeforeAnswer] {
        server.mock.set(|s| s.token_fault = Some(fault));
        let attempt = TestBrowser::new().attempt(&server, "mock").await;
        assert_eq!(attempt.status["status"], "failed");
        assert_eq!(server.token(&grant).await.status, 200, "I1");
    }
}

#[tokio::test]
async fn f47_a_token_endpoint_that_nobody_answers_ends_the_flow() {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "gone", |r| r.token_url = "http://127.0.0.1:1/token".into()).await;
    server
        .add_provider(&server.app, "nameless", |r| r.token_url = "https://nobody.invalid/token".into())
        .await;
    for provider in ["gone", "nameless"] {
        let attempt = TestBrowser::new().attempt(&server, provider).await;
        assert_eq!(attempt.reason(), "token_endpoint_unreachable", "{provider}: {}", attempt.status);
    }
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

/// Adds the provider `plain`, which has no id_tokens, so that the account is fetched from its userinfo endpoint.
async fn plain(server: &TestServer) {
    server
        .add_provider(&server.app, "plain", |recipe| {
            recipe.jwks_url = None;
            recipe.default_scopes = vec!["notes.read".into()];
            recipe.identity.from = alter_core::IdentitySource::Userinfo;
        })
        .await;
}

#[tokio::test]
async fn a_userinfo_endpoint_that_is_down_for_a_moment_does_not_cost_the_consent() {
    let server = TestServer::start().await;
    plain(&server).await;
    server.mock.set(|s| s.userinfo = Some(Raw::new(503, "text/plain", "later")));
    let recover = async {
        server.mock.wait_for(|seen| seen.userinfo.len() >= 2).await;
        server.mock.set(|s| s.userinfo = None);
    };
    let mut browser = TestBrowser::new();
    let (attempt, ()) = tokio::join!(browser.attempt(&server, "plain"), recover);
    assert_eq!(attempt.connection()["account_identifier"], "alex@acme.example");
    assert_eq!(server.mock.seen().token.len(), 1, "the code was sent once");
    assert_eq!(server.token(attempt.grant_id()).await.status, 200);
}

/// Adds the provider `terse`, whose id_token names nobody, so that userinfo would give the account a better name.
async fn terse(server: &TestServer) {
    server
        .add_provider(&server.app, "terse", |recipe| {
            recipe.default_scopes = vec!["openid".into()];
            recipe.identity.account = vec!["/nickname".into(), "/email".into()];
        })
        .await;
    server.mock.set(|s| s.id_token_claims = json!({ "email": null, "name": null }));
}

#[tokio::test]
async fn an_account_that_the_id_token_proves_is_connected_whatever_userinfo_does() {
    let server = TestServer::start().await;
    terse(&server).await;
    for answer in [
        Raw::new(401, "application/json", "{}"),
        Raw::new(503, "text/plain", "later"),
        Raw::new(200, "application/jwt", "e30.e30.c2ln"),
    ] {
        server.mock.set(|s| s.userinfo = Some(answer));
        let attempt = TestBrowser::new().attempt(&server, "terse").await;
        let account = attempt.connection()["account_identifier"].clone();
        assert_eq!(account, server.grants(server.app.id).await[0].subject, "nothing better is known");
    }
    let asked = server.mock.seen().userinfo.len();
    assert_eq!(asked, 3, "nobody waits for a second answer");
    server.mock.set(|s| {
        s.userinfo = None;
        s.delays = vec![("/userinfo".into(), std::time::Duration::from_secs(60))];
    });
    TestBrowser::new().attempt(&server, "terse").await.connection();
    // What is about another account is still no reason to go on (OpenID Connect Core section 5.3.2).
    server.mock.set(|s| {
        s.delays.clear();
        s.userinfo = Some(Raw::json(200, &json!({ "sub": "another" })));
    });
    let attempt = TestBrowser::new().attempt(&server, "terse").await;
    assert_eq!(attempt.reason(), "identity_unreadable", "{}", attempt.status);
}

#[tokio::test]
async fn keys_that_cannot_be_read_end_the_flow_at_once() {
    let server = TestServer::start().await;
    for answer in [
        Raw::new(404, "text/plain", "gone"),
        Raw::new(301, "text/plain", ""),
        Raw::new(200, "text/html", "<html>"),
    ] {
        server.mock.set(|s| s.jwks = Some(answer));
        let attempt = TestBrowser::new().attempt(&server, "mock").await;
        assert_eq!(attempt.reason(), "keys_unreadable", "{}", attempt.status);
    }
    assert_eq!(server.mock.seen().jwks.len(), 3, "asking again cannot help");
    server.mock.set(|s| s.jwks = None);
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

#[tokio::test]
async fn keys_that_are_away_for_a_moment_do_not_cost_the_consent() {
    let server = TestServer::start().await;
    server.mock.set(|s| s.jwks = Some(Raw::new(503, "text/plain", "later")));
    let recover = async {
        server.mock.wait_for(|seen| seen.jwks.len() >= 2).await;
        server.mock.set(|s| s.jwks = None);
    };
    let mut browser = TestBrowser::new();
    let (attempt, ()) = tokio::join!(browser.attempt(&server, "mock"), recover);
    attempt.connection();
    assert_eq!(server.mock.seen().token.len(), 1, "the code was sent once");
}

#[tokio::test]
async fn keys_that_stay_away_end_the_flow_and_the_end_is_final() {
    let server = TestServer::start().await;
    server.mock.set(|s| s.jwks = Some(Raw::new(503, "text/plain", "later")));
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(attempt.reason(), "keys_unreachable", "{}", attempt.status);
    server.mock.set(|s| s.jwks = None);
    server.clock.advance_seconds(3600);
    alter_flows::reap::reap(&server.flows).await.unwrap();
    assert_eq!(sql::count(&server, "grants"), 0, "what was told stays so");
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

#[tokio::test]
async fn a_userinfo_endpoint_that_stays_down_or_lies_makes_no_grant() {
    let server = TestServer::start().await;
    plain(&server).await;
    server.mock.set(|s| s.userinfo = Some(Raw::new(503, "text/plain", "later")));
    let attempt = TestBrowser::new().attempt(&server, "plain").await;
    assert_eq!(attempt.reason(), "userinfo_failed", "{}", attempt.status);
    assert_eq!(server.mock.seen().userinfo.len(), 3);
    assert_eq!(sql::count(&server, "grants"), 0);
    server.mock.set(|s| s.userinfo = Some(Raw::json(200, &json!({ "name": "nobody" }))));
    let attempt = TestBrowser::new().attempt(&server, "plain").await;
    assert_eq!(attempt.reason(), "identity_unreadable", "{}", attempt.status);
    assert_eq!(sql::count(&server, "grants"), 0);

    server.mock.set(|s| s.userinfo = None);
    TestBrowser::new().attempt(&server, "plain").await.connection();
}
