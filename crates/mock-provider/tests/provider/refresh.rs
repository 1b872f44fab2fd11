//! Refreshing and revoking. How refresh tokens rotate is in `rotation`, how refreshing fails in `refresh_faults`.

use std::time::Duration;

use alter_mock_provider::{Raw, RefreshMode, RevokeEnds};

use crate::client::*;

#[tokio::test]
async fn a_refresh_may_narrow_the_scope_and_not_widen_it() {
    let provider = provider(|s| s.refresh.mode = RefreshMode::Keep).await;
    let token = text(&connect(&provider).await, "refresh_token");
    for (scope, status) in [("openid", 200), ("openid notes.write", 400)] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", &token), ("scope", scope)];
        assert_eq!(post_form(&provider, "/token", Some((CLIENT, SECRET)), &fields).await.status, status);
    }
}

#[tokio::test]
async fn a_scope_that_is_too_wide_does_not_spend_the_token_and_a_narrow_one_does_not_stick() {
    let provider = provider(|_| {}).await;
    let tokens = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    let ask = async |token: &str, scope: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        post_form(&provider, "/token", Some((CLIENT, SECRET)), &fields).await
    };
    assert_eq!(text(&ask(&tokens.refresh_token, "admin").await, "error"), "invalid_scope");
    let narrow = ask(&tokens.refresh_token, "openid").await;
    assert_eq!(text(&narrow, "scope"), "openid");
    assert_eq!(get_as(&provider, "/api/notes", &text(&narrow, "access_token")).await.status, 403);
    assert_eq!(text(&refresh(&provider, &text(&narrow, "refresh_token")).await, "scope"), SCOPE);
}

#[tokio::test]
async fn the_client_may_send_its_secret_either_way_or_have_none() {
    let provider = provider(|s| s.refresh.mode = RefreshMode::Keep).await;
    provider.register_client("public", None, &[REDIRECT]);
    let token = provider.make_grant(CLIENT, "acme-1001", SCOPE).refresh_token;
    let public = provider.make_grant("public", "acme-1001", SCOPE).refresh_token;
    let ask = async |token: &str, basic, more: &[(&str, &str)]| {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend(more);
        post_form(&provider, "/token", basic, &fields).await.status
    };
    assert_eq!(ask(&token, Some((CLIENT, SECRET)), &[]).await, 200);
    assert_eq!(ask(&token, None, &[("client_id", CLIENT), ("client_secret", SECRET)]).await, 200);
    assert_eq!(ask(&token, None, &[("client_id", CLIENT)]).await, 401);
    assert_eq!(ask(&public, None, &[("client_id", "public")]).await, 200);
}

#[tokio::test]
async fn a_refresh_endpoint_of_its_own_is_the_only_one_that_refreshes() {
    let provider = provider(|_| {}).await;
    let token = provider.make_grant(CLIENT, "acme-1001", SCOPE).refresh_token;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let by = Some((CLIENT, SECRET));
    assert_eq!(post_form(&provider, "/refresh", by, &fields).await.status, 404);
    provider.set(|s| s.refresh.own_endpoint = true);
    assert_eq!(text(&refresh(&provider, &token).await, "error"), "unsupported_grant_type");
    assert_eq!(post_form(&provider, "/refresh", by, &fields).await.status, 200);
    let code = code(&provider).await;
    let fields = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let code = post_form(&provider, "/refresh", by, &fields).await;
    assert_eq!(text(&code, "error"), "unsupported_grant_type");
    assert_eq!((provider.seen().refresh.len(), provider.seen().token.len()), (3, 1));
    assert_eq!(connect(&provider).await.status, 200);
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
async fn revoking_ends_what_the_provider_says_refreshed_tokens_included() {
    for (ends, access, other_refresh) in
        [(RevokeEnds::TokenAlone, 200, 200), (RevokeEnds::Grant, 401, 200), (RevokeEnds::Account, 401, 400)]
    {
        let provider = provider(|s| s.revoke_ends = ends).await;
        let other = provider.make_grant(CLIENT, "acme-1001", SCOPE).refresh_token;
        let stranger = provider.make_grant(CLIENT, "acme-1002", SCOPE).refresh_token;
        let first = provider.make_grant(CLIENT, "acme-1001", SCOPE);
        let tokens = refresh(&provider, &first.refresh_token).await;
        let token = text(&tokens, "refresh_token");
        post_form(&provider, "/revoke", Some((CLIENT, SECRET)), &[("token", &token)]).await;
        assert_eq!(refresh(&provider, &token).await.status, 400, "{ends:?}");
        for live in [&first.access_token, &text(&tokens, "access_token")] {
            assert_eq!(get_as(&provider, "/userinfo", live).await.status, access, "{ends:?}");
        }
        assert_eq!(refresh(&provider, &other).await.status, other_refresh, "{ends:?}");
        assert_eq!(refresh(&provider, &stranger).await.status, 200, "{ends:?}");
    }
}

#[tokio::test]
async fn a_revoked_access_token_can_leave_its_refresh_token_alone() {
    let provider = provider(|s| s.revoke_ends = RevokeEnds::TokenAlone).await;
    let tokens = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    post_form(&provider, "/revoke", Some((CLIENT, SECRET)), &[("token", &tokens.access_token)]).await;
    assert_eq!(get_as(&provider, "/userinfo", &tokens.access_token).await.status, 401);
    assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, 200);
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
