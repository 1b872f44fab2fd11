//! Refreshing and revoking, in each of the ways that providers have.

use std::time::Duration;

use alter_mock_provider::{Raw, RefreshMode};

use crate::client::*;

#[tokio::test]
async fn rotation_refuses_the_old_token_and_keeps_the_grant() {
    let provider = provider(|_| {}).await;
    let old = text(&connect(&provider).await, "refresh_token");
    let first = refresh(&provider, &old).await;
    assert_eq!((first.status, first.json()["scope"].as_str()), (200, Some(SCOPE)));
    assert_eq!(get_as(&provider, "/userinfo", &text(&first, "access_token")).await.status, 200);
    let again = refresh(&provider, &old).await;
    assert_eq!((again.status, text(&again, "error")), (400, "invalid_grant".to_owned()));
    assert_eq!(refresh(&provider, &text(&first, "refresh_token")).await.status, 200);
}

#[tokio::test]
async fn a_kept_token_works_again_and_no_new_one_comes() {
    let provider = provider(|s| s.refresh = RefreshMode::Keep).await;
    let token = text(&connect(&provider).await, "refresh_token");
    for _ in 0..2 {
        let answer = refresh(&provider, &token).await;
        assert_eq!(answer.status, 200);
        assert!(answer.json().get("refresh_token").is_none());
    }
}

#[tokio::test]
async fn a_grace_period_forgives_a_lost_answer() {
    let provider = provider(|s| s.refresh = RefreshMode::RotateWithGrace(Duration::from_secs(30))).await;
    let old = text(&connect(&provider).await, "refresh_token");
    assert_eq!(refresh(&provider, &old).await.status, 200);
    provider.set(|s| s.clock_offset_s = 25);
    assert_eq!(refresh(&provider, &old).await.status, 200);
    provider.set(|s| s.clock_offset_s = 40);
    assert_eq!(refresh(&provider, &old).await.status, 400);
}

#[tokio::test]
async fn reuse_can_end_the_whole_grant() {
    let provider = provider(|s| s.refresh = RefreshMode::RotateRevokeOnReuse).await;
    let old = text(&connect(&provider).await, "refresh_token");
    let new = refresh(&provider, &old).await;
    assert_eq!(refresh(&provider, &old).await.status, 400);
    assert_eq!(refresh(&provider, &text(&new, "refresh_token")).await.status, 400);
    assert_eq!(get_as(&provider, "/userinfo", &text(&new, "access_token")).await.status, 401);
}

#[tokio::test]
async fn a_refresh_may_narrow_the_scope_and_not_widen_it() {
    let provider = provider(|s| s.refresh = RefreshMode::Keep).await;
    let token = text(&connect(&provider).await, "refresh_token");
    for (scope, status) in [("openid", 200), ("openid notes.write", 400)] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &token), ("scope", scope)];
        assert_eq!(post_form(&provider, "/token", Some((CLIENT, SECRET)), &fields).await.status, status);
    }
}

#[tokio::test]
async fn another_client_cannot_use_the_token() {
    let provider = provider(|_| {}).await;
    provider.register_client("other", Some("other-secret"), &[REDIRECT]);
    let token = text(&connect(&provider).await, "refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let stolen = post_form(&provider, "/token", Some(("other", "other-secret")), &fields).await;
    assert_eq!(text(&stolen, "error"), "invalid_grant");
    assert_eq!(refresh(&provider, &token).await.status, 200);
}

#[tokio::test]
async fn access_tokens_expire_by_the_providers_clock() {
    let provider = provider(|s| s.access_token_life = Duration::from_secs(300)).await;
    let tokens = connect(&provider).await;
    assert_eq!(tokens.json()["expires_in"], 300);
    provider.set(|s| s.clock_offset_s = 290);
    assert_eq!(get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await.status, 200);
    provider.set(|s| s.clock_offset_s = 310);
    assert_eq!(get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await.status, 401);
}

#[tokio::test]
async fn revoking_either_token_ends_the_grant() {
    let provider = provider(|_| {}).await;
    for kind in ["access_token", "refresh_token"] {
        let tokens = connect(&provider).await;
        let token = text(&tokens, kind);
        let unauthenticated = post_form(&provider, "/revoke", None, &[("token", &token)]).await;
        assert_eq!(unauthenticated.status, 401);
        assert_eq!(get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await.status, 200);
        let by = Some((CLIENT, SECRET));
        assert_eq!(post_form(&provider, "/revoke", by, &[("token", &token)]).await.status, 200);
        assert_eq!(post_form(&provider, "/revoke", by, &[("token", "unknown")]).await.status, 200);
        assert_eq!(get_as(&provider, "/userinfo", &text(&tokens, "access_token")).await.status, 401);
        assert_eq!(refresh(&provider, &text(&tokens, "refresh_token")).await.status, 400);
    }
    assert_eq!(
        provider.seen().revoke[0].field("token").map(|token| token.starts_with("mock_at_")),
        Some(true)
    );
}

#[tokio::test]
async fn revocation_can_fail() {
    let provider = provider(|s| s.revoke = Some(Raw::new(503, "text/plain", "later"))).await;
    let tokens = connect(&provider).await;
    let token = text(&tokens, "refresh_token");
    let failed = post_form(&provider, "/revoke", Some((CLIENT, SECRET)), &[("token", &token)]).await;
    assert_eq!(failed.status, 503);
    assert_eq!(refresh(&provider, &token).await.status, 200);
}
