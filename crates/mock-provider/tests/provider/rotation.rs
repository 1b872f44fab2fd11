//! What becomes of a refresh token when it is used: kept or replaced, with and without a second chance.

use std::time::Duration;

use alter_mock_provider::{InWindow, MockProvider, RefreshMode, Switches, Tokens};

use crate::client::*;

/// A provider whose clock stands still, with a grant.
async fn still(f: impl FnOnce(&mut Switches)) -> (MockProvider, Tokens) {
    let provider = provider(|s| s.clock_stands_at = Some(1_900_000_000)).await;
    provider.set(f);
    let tokens = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    (provider, tokens)
}

fn at(provider: &MockProvider, second: i64) {
    provider.set(|s| s.clock_offset_s = second);
}

async fn access_status(provider: &MockProvider, token: &str) -> u16 {
    get_as(provider, "/userinfo", token).await.status
}

#[tokio::test]
async fn rotation_refuses_the_old_token_and_keeps_the_grant() {
    let (provider, old) = still(|_| {}).await;
    let first = refresh(&provider, &old.refresh_token).await;
    assert_eq!((first.status, first.json()["scope"].as_str()), (200, Some(SCOPE)));
    assert_eq!(access_status(&provider, &text(&first, "access_token")).await, 200);
    let again = refresh(&provider, &old.refresh_token).await;
    assert_eq!((again.status, text(&again, "error")), (400, "invalid_grant".to_owned()));
    assert_eq!(refresh(&provider, &text(&first, "refresh_token")).await.status, 200);
    assert_eq!(access_status(&provider, &old.access_token).await, 200);
}

#[tokio::test]
async fn a_kept_token_is_named_again_left_out_or_empty_in_the_answer() {
    for (mode, named) in [
        (RefreshMode::Keep, None),
        (RefreshMode::KeepAndRepeat, Some("itself")),
        (RefreshMode::KeepAndSayEmpty, Some("")),
    ] {
        let (provider, tokens) = still(|s| s.refresh.mode = mode).await;
        let named = named.map(|name| if name.is_empty() { "" } else { tokens.refresh_token.as_str() });
        for _ in 0..2 {
            let answer = refresh(&provider, &tokens.refresh_token).await;
            assert_eq!(answer.status, 200, "{mode:?}");
            assert_eq!(
                answer.json().get("refresh_token").and_then(|token| token.as_str()),
                named,
                "{mode:?}"
            );
        }
        assert!(provider.refresh_token(&tokens.refresh_token).unwrap().live);
    }
}

#[tokio::test]
async fn a_window_forgives_a_lost_answer_to_the_second() {
    let (provider, old) = still(|s| s.refresh.reuse_window = Duration::from_secs(30)).await;
    let first = refresh(&provider, &old.refresh_token).await;
    at(&provider, 29);
    let second = refresh(&provider, &old.refresh_token).await;
    assert_ne!(text(&second, "refresh_token"), text(&first, "refresh_token"));
    assert_ne!(text(&second, "access_token"), text(&first, "access_token"));
    at(&provider, 30);
    assert_eq!(refresh(&provider, &old.refresh_token).await.status, 400);
    for pair in [first, second] {
        assert_eq!(refresh(&provider, &text(&pair, "refresh_token")).await.status, 200);
    }
}

#[tokio::test]
async fn a_window_can_give_the_same_pair_again() {
    let (provider, old) = still(|s| {
        s.refresh.reuse_window = Duration::from_secs(30);
        s.refresh.in_window = InWindow::SamePair;
        s.access_token_life = Duration::from_secs(60);
    })
    .await;
    let first = refresh(&provider, &old.refresh_token).await;
    at(&provider, 20);
    let second = refresh(&provider, &old.refresh_token).await;
    for member in ["access_token", "refresh_token", "scope"] {
        assert_eq!(text(&second, member), text(&first, member));
    }
    assert_eq!(
        (first.json()["expires_in"].as_i64(), second.json()["expires_in"].as_i64()),
        (Some(60), Some(40))
    );
    at(&provider, 30);
    assert_eq!(refresh(&provider, &old.refresh_token).await.status, 400);
}

#[tokio::test]
async fn a_window_can_leave_only_the_last_pair_good() {
    let (provider, old) = still(|s| {
        s.refresh.reuse_window = Duration::from_secs(30);
        s.refresh.in_window = InWindow::LastPairOnly;
    })
    .await;
    let first = refresh(&provider, &old.refresh_token).await;
    let second = refresh(&provider, &old.refresh_token).await;
    assert_eq!(access_status(&provider, &text(&first, "access_token")).await, 401);
    assert_eq!(refresh(&provider, &text(&first, "refresh_token")).await.status, 400);
    assert_eq!(access_status(&provider, &text(&second, "access_token")).await, 200);
    assert_eq!(refresh(&provider, &text(&second, "refresh_token")).await.status, 200);
}

#[tokio::test]
async fn reuse_can_end_the_whole_grant_and_no_other() {
    let (provider, old) = still(|s| s.refresh.reuse_ends_grant = true).await;
    let other = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    let new = refresh(&provider, &old.refresh_token).await;
    assert_eq!(text(&refresh(&provider, &old.refresh_token).await, "error"), "invalid_grant");
    assert_eq!(refresh(&provider, &text(&new, "refresh_token")).await.status, 400);
    for access in [&old.access_token, &text(&new, "access_token")] {
        assert_eq!(access_status(&provider, access).await, 401);
    }
    assert!(provider.grant_of(&old.refresh_token).unwrap().ended);
    assert_eq!(refresh(&provider, &other.refresh_token).await.status, 200);
}

#[tokio::test]
async fn reuse_ends_the_grant_only_once_the_window_is_over() {
    let (provider, old) = still(|s| {
        s.refresh.reuse_ends_grant = true;
        s.refresh.reuse_window = Duration::from_secs(10);
    })
    .await;
    refresh(&provider, &old.refresh_token).await;
    at(&provider, 9);
    assert_eq!(refresh(&provider, &old.refresh_token).await.status, 200);
    assert!(!provider.grants()[0].ended);
    at(&provider, 10);
    assert_eq!(refresh(&provider, &old.refresh_token).await.status, 400);
    assert!(provider.grants()[0].ended);
}

#[tokio::test]
async fn a_refresh_can_end_the_refresh_tokens_of_the_accounts_other_grants() {
    let (provider, one) = still(|_| {}).await;
    let sibling = provider.make_grant(CLIENT, "acme-1001", SCOPE);
    let stranger = provider.make_grant(CLIENT, "acme-1002", SCOPE);
    provider.register_client("other", Some(SECRET), &[REDIRECT]);
    let elsewhere = provider.make_grant("other", "acme-1001", SCOPE);
    let one = refresh(&provider, &one.refresh_token).await;
    assert!(provider.refresh_token(&sibling.refresh_token).unwrap().live, "the switch is off");
    provider.set(|s| s.refresh.ends_siblings = true);
    assert_eq!(refresh(&provider, &text(&one, "refresh_token")).await.status, 200);
    assert_eq!(text(&refresh(&provider, &sibling.refresh_token).await, "error"), "invalid_grant");
    assert_eq!(access_status(&provider, &sibling.access_token).await, 200);
    for other in [stranger, elsewhere] {
        assert!(provider.refresh_token(&other.refresh_token).unwrap().live);
    }
}

#[tokio::test]
async fn a_refresh_can_end_the_grants_earlier_access_tokens() {
    let (provider, old) = still(|s| s.refresh.ends_old_access = true).await;
    let new = refresh(&provider, &old.refresh_token).await;
    assert_eq!(access_status(&provider, &old.access_token).await, 401);
    assert_eq!(access_status(&provider, &text(&new, "access_token")).await, 200);
}

#[tokio::test]
async fn a_refresh_token_dies_of_disuse_to_the_second() {
    let (provider, tokens) = still(|s| s.refresh.idle_life = Some(Duration::from_secs(100))).await;
    at(&provider, 99);
    let used = refresh(&provider, &tokens.refresh_token).await;
    assert_eq!(used.status, 200);
    at(&provider, 198);
    assert!(provider.refresh_token(&text(&used, "refresh_token")).unwrap().live);
    at(&provider, 199);
    assert!(!provider.refresh_token(&text(&used, "refresh_token")).unwrap().live);
    assert_eq!(text(&refresh(&provider, &text(&used, "refresh_token")).await, "error"), "invalid_grant");
}

#[tokio::test]
async fn each_use_of_a_kept_token_puts_its_end_off() {
    let (provider, tokens) = still(|s| {
        s.refresh.mode = RefreshMode::Keep;
        s.refresh.idle_life = Some(Duration::from_secs(100));
    })
    .await;
    for (second, status) in [(60, 200), (120, 200), (220, 400)] {
        at(&provider, second);
        assert_eq!(refresh(&provider, &tokens.refresh_token).await.status, status, "{second}");
    }
}
