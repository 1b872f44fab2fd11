//! Access tokens: opaque or JWT, with and without `expires_in`, with more or less scope after a refresh.

use std::time::Duration;

use alter_mock_provider::AccessTokens;
use serde_json::{Value, json};

use crate::client::*;
use crate::id_tokens::part;

#[tokio::test]
async fn a_jwt_says_when_it_ends_even_if_the_answer_does_not() {
    let provider = provider(|s| {
        s.clock_stands_at = Some(1_900_000_000);
        s.access_token_life = Duration::from_secs(60);
        s.access_tokens = AccessTokens::Jwt;
        s.omit_token_fields = vec!["expires_in".to_owned()];
    })
    .await;
    let connected = connect(&provider).await;
    let refreshed = refresh(&provider, &text(&connected, "refresh_token")).await;
    for answer in [connected, refreshed] {
        assert!(answer.json().get("expires_in").is_none());
        let token = text(&answer, "access_token");
        assert_eq!(part(&token, 0)["typ"], "at+jwt");
        let claims = part(&token, 1);
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1_900_000_000), &json!(1_900_000_060)));
        assert_eq!((&claims["client_id"], &claims["scope"]), (&json!(CLIENT), &json!(SCOPE)));
        for (second, status) in [(59, 200), (60, 401)] {
            provider.set(|s| s.clock_offset_s = second);
            assert_eq!(get_as(&provider, "/api/me", &token).await.status, status);
        }
        provider.set(|s| s.clock_offset_s = 0);
    }
}

#[tokio::test]
async fn an_opaque_token_says_nothing_and_works_all_the_same() {
    let provider = provider(|s| s.omit_token_fields = vec!["expires_in".to_owned()]).await;
    let answer = connect(&provider).await;
    let token = text(&answer, "access_token");
    assert!(!token.contains('.') && answer.json().get("expires_in").is_none());
    assert_eq!(get_as(&provider, "/api/me", &token).await.status, 200);
}

#[tokio::test]
async fn the_answer_to_a_refresh_can_say_anything_and_the_code_flow_does_not() {
    let provider = provider(|_| {}).await;
    let mut token = text(&connect(&provider).await, "refresh_token");
    for said in [json!(0), json!("3600"), json!(1_000_000_000_000_i64), json!(-5), Value::Null] {
        provider.set(|s| s.refresh.answer_fields = json!({ "expires_in": said }));
        let answer = refresh(&provider, &token).await;
        assert_eq!(answer.json().get("expires_in").cloned().unwrap_or(Value::Null), said);
        token = text(&answer, "refresh_token");
    }
    provider.set(|s| s.refresh.answer_fields = json!({ "refresh_token": "", "token_type": "mac" }));
    let answer = refresh(&provider, &token).await;
    assert_eq!(
        (text(&answer, "refresh_token"), text(&answer, "token_type")),
        (String::new(), "mac".to_owned())
    );
    assert_eq!(connect(&provider).await.json()["expires_in"], 3600);
}

#[tokio::test]
async fn a_refresh_can_grant_less_or_more_than_the_grant_had() {
    let provider = provider(|_| {}).await;
    let token = text(&connect(&provider).await, "refresh_token");
    provider.set(|s| s.refresh.scopes = Some("openid".to_owned()));
    let fewer = refresh(&provider, &token).await;
    assert_eq!(text(&fewer, "scope"), "openid");
    assert_eq!(get_as(&provider, "/api/notes", &text(&fewer, "access_token")).await.status, 403);
    provider.set(|s| s.refresh.scopes = Some(format!("{SCOPE} admin")));
    let more = refresh(&provider, &text(&fewer, "refresh_token")).await;
    assert_eq!(text(&more, "scope"), format!("{SCOPE} admin"));
    provider.set(|s| s.refresh.scopes = None);
    assert_eq!(text(&refresh(&provider, &text(&more, "refresh_token")).await, "scope"), SCOPE);
}
