//! What a test can learn about grants and refresh tokens, and do to them.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::client::*;

#[tokio::test]
async fn each_refresh_token_counts_how_often_it_was_sent() {
    let provider = provider(|_| {}).await;
    let old = text(&connect(&provider).await, "refresh_token");
    let new = text(&refresh(&provider, &old).await, "refresh_token");
    refresh(&provider, &old).await;
    refresh(&provider, "unknown").await;
    let tokens = provider.refresh_tokens();
    let hex: String = digest(&SHA256, old.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(tokens[0].sha256, hex);
    assert_eq!((tokens[0].live, tokens[0].sent, tokens[0].honoured), (false, 2, 1));
    assert_eq!((tokens[1].live, tokens[1].sent, tokens[1].honoured), (true, 0, 0));
    assert_eq!(Some(&tokens[1]), provider.refresh_token(&new).as_ref());
    assert_eq!(provider.refresh_token("unknown"), None);
    let counts = provider.refresh_counts();
    assert_eq!((counts.arrived, counts.honoured, counts.refused, counts.most_sent), (3, 1, 2, 2));
}

#[tokio::test]
async fn a_grant_says_which_of_its_tokens_are_live() {
    let provider = provider(|s| s.access_token_life = Duration::from_secs(60)).await;
    provider.set(|s| s.clock_stands_at = Some(1_900_000_000));
    let first = provider.make_grant(CLIENT, "acme-1002", SCOPE);
    provider.set(|s| s.clock_offset_s = 30);
    let second = refresh(&provider, &first.refresh_token).await;
    let grant = provider.grant_of(&first.refresh_token).unwrap();
    assert_eq!(
        (grant.number, grant.client_id.as_str(), grant.sub.as_str()),
        (first.grant, CLIENT, "acme-1002")
    );
    assert_eq!(grant.live_access, [first.access_token.clone(), text(&second, "access_token")]);
    assert_eq!(grant.live_refresh, [text(&second, "refresh_token")]);
    assert_eq!(provider.grants(), [grant]);
    provider.set(|s| s.clock_offset_s = 60);
    assert_eq!(provider.grants()[0].live_access, [text(&second, "access_token")]);
    assert_eq!(get_as(&provider, "/api/me", &first.access_token).await.status, 401);
    assert_eq!(get_as(&provider, "/api/me", &text(&second, "access_token")).await.status, 200);
}

#[tokio::test]
async fn a_test_can_end_a_grant_or_one_of_its_tokens() {
    let provider = provider(|_| {}).await;
    let tokens = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    provider.end_token(&tokens.access_token);
    assert_eq!(get_as(&provider, "/api/me", &tokens.access_token).await.status, 401);
    let refreshed = refresh(&provider, &tokens.refresh_token).await;
    assert_eq!(refreshed.status, 200);
    provider.end_grant(tokens.grant);
    assert_eq!(get_as(&provider, "/api/me", &text(&refreshed, "access_token")).await.status, 401);
    assert_eq!(refresh(&provider, &text(&refreshed, "refresh_token")).await.status, 400);
    let grant = &provider.grants()[0];
    assert!(grant.ended && grant.live_access.is_empty() && grant.live_refresh.is_empty());
}

#[tokio::test]
async fn what_is_shown_holds_no_token() {
    let provider = provider(|_| {}).await;
    let tokens = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    let shown = format!("{tokens:?} {:?} {:?}", provider.grants(), provider.refresh_tokens());
    assert!(!shown.contains(&tokens.access_token) && !shown.contains(&tokens.refresh_token), "{shown}");
}
