//! Userinfo and the small API behind the tokens.

use alter_mock_provider::{MockProvider, Raw};
use serde_json::json;

use crate::client::*;

async fn token(provider: &MockProvider) -> String {
    provider.set(|s| s.granted_scopes = Some("openid notes.read notes.write".to_owned()));
    text(&connect(provider).await, "access_token")
}

#[tokio::test]
async fn nothing_answers_without_a_valid_token() {
    let provider = provider(|_| {}).await;
    for path in ["/userinfo", "/api/me", "/api/notes", "/api/echo"] {
        assert_eq!(get(&provider, path).await.status, 401);
        let wrong = get_as(&provider, path, "mock_at_wrong").await;
        assert!(wrong.status == 401 && wrong.header("www-authenticate").unwrap().contains("invalid_token"));
        assert_eq!(get_as(&provider, path, &token(&provider).await).await.status, 200);
    }
}

#[tokio::test]
async fn notes_are_read_and_added_for_the_tokens_own_user() {
    let provider = provider(|_| {}).await;
    let alex = token(&provider).await;
    provider.set(|s| s.auto_user = Some("acme-1002".to_owned()));
    let sam = token(&provider).await;
    let headers = [("authorization", &*format!("Bearer {alex}"))];
    let added = send(&provider, "POST", "/api/notes", &headers, r#"{"text":"hello"}"#).await;
    assert_eq!((added.status, text(&added, "text")), (201, "hello".to_owned()));
    assert_eq!(send(&provider, "POST", "/api/notes", &headers, "{}").await.status, 400);
    assert!(get_as(&provider, "/api/notes", &alex).await.body.contains("hello"));
    assert!(!get_as(&provider, "/api/notes", &sam).await.body.contains("hello"));
    assert_eq!(text(&get_as(&provider, "/api/me", &sam).await, "email"), "sam@acme.example");
    assert_eq!(get_as(&provider, "/api/nothing", &sam).await.status, 404);
}

#[tokio::test]
async fn echo_shows_what_arrived() {
    let provider = provider(|_| {}).await;
    let headers = [("authorization", &*format!("Bearer {}", token(&provider).await)), ("x-probe", "1")];
    let echoed = send(&provider, "PATCH", "/api/echo?q=1", &headers, "body").await.json();
    assert_eq!(echoed["method"], "PATCH");
    assert_eq!(echoed["path_and_query"], "/api/echo?q=1");
    assert_eq!(echoed["body"], "body");
    assert!(echoed["headers"].as_array().unwrap().contains(&json!(["x-probe", "1"])));
}

#[tokio::test]
async fn t84_the_api_can_send_a_bomb_or_hang_up() {
    let provider = provider(|_| {}).await;
    let token = token(&provider).await;
    assert!(get_as(&provider, "/api/huge/1000000", &token).await.body.len() > 1_000_000);
    assert_eq!(get_as(&provider, "/api/cut", &token).await.status, 0);
    provider.set(|s| s.api = Some(Raw::json(429, &json!({ "error": "slow down" }))));
    assert_eq!(get_as(&provider, "/api/me", &token).await.status, 429);
    assert_eq!(get(&provider, "/api/me").await.status, 401);
}

#[tokio::test]
async fn userinfo_can_be_bent_and_replaced() {
    let provider = provider(|s| s.userinfo_claims = json!({ "sub": "other", "email": null })).await;
    let token = token(&provider).await;
    let bent = get_as(&provider, "/userinfo", &token).await.json();
    assert_eq!(bent["sub"], "other");
    assert!(bent.get("email").is_none());
    provider.set(|s| s.userinfo = Some(Raw::new(200, "text/html", "<p>hi</p>")));
    let replaced = get_as(&provider, "/userinfo", &token).await;
    assert_eq!((replaced.header("content-type"), replaced.body.as_str()), (Some("text/html"), "<p>hi</p>"));
    assert_eq!(get(&provider, "/userinfo").await.status, 401);
}
