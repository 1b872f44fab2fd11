//! How a grant lasts: refreshing at a release, beside it, and by the clock; and what everybody is told when it fails.

use std::time::Duration;

use alter_core::{
    Asked, AuditEntry, AuditKind, BeginRefresh, Begun, Credential, Grant, GrantId, GrantState, Micros,
    ReconnectReason, RefreshId, recipe::Refresh, refresh::Trouble,
};
use alter_flows::{NotUsable, Operator, RefreshError, ReleaseError, Released, operate, refresh};
use alter_mock_provider::{AccessTokens, Gate, Raw, RefreshMode, RetryAfter, TokenFault};
use secrecy::ExposeSecret;
use serde_json::json;

use super::support::{World, api_answer};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

async fn connected() -> (World, GrantId) {
    let world = World::new().await;
    let grant = world.connect().await;
    (world, grant)
}

/// Like [`connected`], at a provider about which this is known.
async fn connected_with(facts: Refresh) -> (World, GrantId) {
    let world = World::new().await;
    world.know(facts).await;
    let grant = world.connect().await;
    (world, grant)
}

fn rotates(window: u32) -> Refresh {
    Refresh { rotates: Some(true), reuse_window_seconds: Some(window), ..Refresh::default() }
}

async fn stored(world: &World, id: GrantId) -> Grant {
    world.store.get_grant(world.app, id).await.unwrap().unwrap()
}

async fn release(world: &World, grant: GrantId) -> Result<Released, ReleaseError> {
    world.release(&world.caller().await, grant, &world.mock.url("/api/me")).await
}

/// Moves the clock to the last second of the token's life and a minute further.
async fn expire(world: &World, grant: GrantId) {
    let end = stored(world, grant).await.credential.expires_at.expect("the provider says how long");
    world.clock.set(end.plus_seconds(60));
    // The provider's clock goes with ours: what it signs now is valid now.
    world.mock.set(|s| s.clock_stands_at = Some(end.plus_seconds(60).as_seconds()));
}

/// Waits for a refresh that runs beside.
async fn until_generation(world: &World, id: GrantId, generation: u64) -> Grant {
    loop {
        let grant = stored(world, id).await;
        if grant.credential.generation >= generation {
            return grant;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[track_caller]
fn reason(refused: Result<Released, ReleaseError>) -> ReconnectReason {
    match refused {
        Err(ReleaseError::NotUsable(NotUsable::Reconnect { reason, .. })) => reason,
        other => panic!("the user has to connect again: {other:?}"),
    }
}

#[track_caller]
fn trouble(refused: Result<Released, ReleaseError>) -> Trouble {
    match refused {
        Err(ReleaseError::NotUsable(NotUsable::Later { trouble, .. })) => trouble,
        other => panic!("nothing can be had now: {other:?}"),
    }
}

#[tokio::test]
async fn an_expired_token_is_refreshed_by_the_call_that_needs_it() {
    let (world, grant) = connected().await;
    let first = release(&world, grant).await.unwrap().access_token;
    expire(&world, grant).await;
    let second = release(&world, grant).await.unwrap();
    assert_ne!(second.access_token.expose_secret(), first.expose_secret());
    assert!(second.expires_in.is_some_and(|left| left > 3000), "{:?}", second.expires_in);
    assert_eq!(api_answer(&world, &second.access_token).await, "HTTP/1.1 200 OK");
    assert_eq!(stored(&world, grant).await.credential.generation, 2);
    assert_eq!(world.mock.refresh_counts().honoured, 1);
    assert_eq!(world.audited("credential_refreshed").await, 1);
}

#[tokio::test]
async fn f52_many_calls_for_one_expired_grant_are_one_refresh_and_all_get_its_token() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    let mut callers = Vec::new();
    for _ in 0..50 {
        callers.push(world.caller().await);
    }
    let url = world.mock.url("/api/me");
    let calls = callers.iter().map(|caller| world.release(caller, grant, &url));
    let mut tokens = std::collections::HashSet::new();
    for released in futures_all(calls).await {
        tokens.insert(released.unwrap().access_token.expose_secret().to_owned());
    }
    assert_eq!((tokens.len(), world.mock.refresh_counts().arrived), (1, 1));
}

/// Runs futures together in this task.
async fn futures_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test]
async fn f49_a_token_that_is_still_valid_serves_at_once_while_its_refresh_is_slow() {
    let (world, grant) = connected().await;
    let first = release(&world, grant).await.unwrap().access_token;
    let end = stored(&world, grant).await.credential.expires_at.unwrap();
    world.clock.set(end.plus_seconds(-60));
    let gate = Gate::closed();
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone())));
    let served = release(&world, grant).await.unwrap().access_token;
    assert_eq!(served.expose_secret(), first.expose_secret());
    gate.open();
    until_generation(&world, grant, 2).await;
    assert_ne!(release(&world, grant).await.unwrap().access_token.expose_secret(), first.expose_secret());
    assert_eq!(world.mock.refresh_counts().arrived, 1);
}

#[tokio::test]
async fn f48_an_answer_without_a_refresh_token_or_with_the_same_one_keeps_the_old() {
    for mode in [RefreshMode::Keep, RefreshMode::KeepAndRepeat, RefreshMode::KeepAndSayEmpty] {
        let (world, grant) = connected().await;
        world.mock.set(|s| s.refresh.mode = mode);
        for generation in 2..5 {
            expire(&world, grant).await;
            release(&world, grant).await.unwrap();
            assert_eq!(stored(&world, grant).await.credential.generation, generation, "{mode:?}");
        }
        assert_eq!(world.mock.refresh_counts().honoured, 3, "{mode:?}");
    }
}

#[tokio::test]
async fn f43_a_refusal_asks_the_user_to_reconnect_and_a_probe_after_an_outage_revives_the_grant() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
    assert_eq!(world.mock.refresh_counts().arrived, 1, "a verdict is not asked for again by calls");
    assert!(stored(&world, grant).await.credential.refresh_token.is_some());
    assert_eq!(world.audited("reconnect_needed").await, 1);

    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(world.mock.refresh_counts().arrived, 1, "the first probe comes after five minutes");
    world.mock.set(|s| s.refresh.fault = None);
    world.clock.advance_seconds(300);
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(release(&world, grant).await.unwrap().grant.credential.generation, 2);
}

#[tokio::test]
async fn f43_a_refused_token_is_probed_three_times_and_wiped_after_a_week() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
    let mut arrived = Vec::new();
    for pause in [300, 3300, DAY - HOUR, DAY, 5 * DAY] {
        world.clock.advance_seconds(pause);
        refresh::sweep(&world.flows).await.unwrap();
        arrived.push(world.mock.refresh_counts().arrived);
    }
    assert_eq!(arrived, [2, 3, 4, 4, 4]);
    assert_eq!(stored(&world, grant).await.credential.refresh_token, None);
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
}

#[tokio::test]
async fn a_provider_that_punishes_reuse_is_not_probed() {
    let (world, grant) = connected_with(rotates(0)).await;
    expire(&world, grant).await;
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
    world.clock.advance_seconds(2 * DAY);
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(world.mock.refresh_counts().arrived, 1);
}

#[tokio::test]
async fn f44_a_refused_client_is_the_operators_affair_and_marks_no_grant() {
    for code in ["invalid_client", "unauthorized_client"] {
        let (world, grant) = connected().await;
        expire(&world, grant).await;
        world.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse(code.into())));
        assert_eq!(trouble(release(&world, grant).await), Trouble::Client);
        assert_eq!(stored(&world, grant).await.refresh.verdict, None);
        world.mock.set(|s| s.refresh.fault = None);
        world.clock.advance_seconds(60);
        release(&world, grant).await.unwrap();
    }
}

#[tokio::test]
async fn f39_a_provider_that_is_down_is_not_a_refusal_and_is_asked_again_after_a_pause() {
    for fault in [TokenFault::Status(500), TokenFault::Status(503), TokenFault::CloseBeforeEffect] {
        let world = World::impatient().await;
        world.know(Refresh { rotates: Some(false), ..Refresh::default() }).await;
        let grant = world.connect().await;
        world.mock.set(|s| (s.refresh.mode, s.refresh.fault) = (RefreshMode::Keep, Some(fault.clone())));
        expire(&world, grant).await;
        for _ in 0..3 {
            assert_eq!(trouble(release(&world, grant).await), Trouble::Provider, "{fault:?}");
            world.clock.advance_seconds(60);
        }
        assert_eq!(stored(&world, grant).await.refresh.verdict, None);
        world.mock.set(|s| s.refresh.fault = None);
        world.clock.advance_seconds(HOUR);
        release(&world, grant).await.unwrap();
    }
}

#[tokio::test]
async fn f40_retry_after_is_obeyed_in_both_forms() {
    for sent in [RetryAfter::Seconds(90), RetryAfter::Date(90)] {
        let world = World::impatient().await;
        let grant = world.connect().await;
        expire(&world, grant).await;
        // The date is by the clock that its `Date` header is by.
        world.mock.set(|s| {
            (s.clock_stands_at, s.refresh.fault) = (None, Some(TokenFault::TooMany(sent.clone())));
        });
        assert_eq!(trouble(release(&world, grant).await), Trouble::Provider);
        world.mock.set(|s| s.refresh.fault = None);
        world.clock.advance_seconds(80);
        assert_eq!(trouble(release(&world, grant).await), Trouble::Provider);
        assert_eq!(world.mock.refresh_counts().arrived, 1, "{sent:?}");
        world.clock.advance_seconds(11);
        release(&world, grant).await.unwrap();
    }
}

#[tokio::test]
async fn f23_an_answer_that_is_cut_is_unknown_and_inside_the_reuse_window_nothing_is_lost() {
    let (world, grant) = connected_with(rotates(60)).await;
    world.mock.set(|s| {
        s.refresh.reuse_window = Duration::from_secs(60);
        (s.refresh.fault, s.refresh.fault_times) = (Some(TokenFault::CloseMidBody), Some(1));
    });
    expire(&world, grant).await;
    release(&world, grant).await.unwrap();
    let counts = world.mock.refresh_counts();
    assert_eq!((counts.honoured, counts.most_sent), (2, 2), "the one retry");
}

#[tokio::test]
async fn f25_a_new_refresh_token_that_never_arrived_is_called_lost_and_not_probed() {
    let (world, grant) = connected_with(rotates(0)).await;
    world.mock.set(|s| (s.refresh.fault, s.refresh.fault_times) = (Some(TokenFault::CloseMidBody), Some(1)));
    expire(&world, grant).await;
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RotationLost);
    world.clock.advance_seconds(2 * DAY);
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(world.mock.refresh_counts().arrived, 2);
}

#[tokio::test]
async fn the_user_who_connects_again_during_a_refresh_wins_and_the_late_tokens_are_discarded() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    let gate = Gate::closed();
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone())));
    let caller = world.caller().await;
    let url = world.mock.url("/api/me");
    let call = async {
        let released = world.release(&caller, grant, &url).await;
        released.unwrap().access_token
    };
    let reconnect = async {
        world.mock.wait_for_refreshes(|counts| counts.honoured == 1).await;
        assert_eq!(world.connect().await, grant, "the grant keeps its id");
        gate.open();
    };
    let (token, ()) = tokio::join!(call, reconnect);
    assert_eq!(api_answer(&world, &token).await, "HTTP/1.1 200 OK");
    let after = stored(&world, grant).await;
    assert_eq!(after.credential.generation, 2, "the one of the consent");
    assert_eq!(
        (world.audited("refresh_discarded").await, world.audited("credential_refreshed").await),
        (1, 0)
    );
    assert!(world.store.list_journalled_refreshes(alter_core::Micros(i64::MAX), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn t98_a_grant_that_is_revoked_during_its_refresh_ends_the_new_tokens_too() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    let gate = Gate::closed();
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone())));
    let (caller, revoker) = (world.caller().await, world.caller().await);
    let url = world.mock.url("/api/me");
    let revoke = async {
        world.mock.wait_for_refreshes(|counts| counts.honoured == 1).await;
        world.revoke(&revoker, grant).await.unwrap();
        gate.open();
    };
    let (refused, ()) = tokio::join!(world.release(&caller, grant, &url), revoke);
    assert!(matches!(refused, Err(ReleaseError::Choice(_))), "{refused:?}");
    assert_eq!(world.audited("refresh_discarded").await, 1);
    alter_flows::reap::retry_revocations(&world.flows).await.unwrap();
    let at_provider = &world.mock.grants()[0];
    assert!(at_provider.live_refresh.is_empty() && at_provider.live_access.is_empty(), "{at_provider:?}");
    let revoked = stored(&world, grant).await;
    assert!(revoked.credential.access_token.is_empty() && revoked.credential.refresh_token.is_none());
}

#[tokio::test]
async fn t98_a_key_that_is_revoked_while_its_call_waits_for_a_refresh_gets_nothing() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    let gate = Gate::closed();
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::HoldAnswer(gate.clone())));
    let caller = world.caller().await;
    let url = world.mock.url("/api/me");
    let revoke = async {
        world.mock.wait_for_refreshes(|counts| counts.honoured == 1).await;
        let by = Operator::named("test");
        operate::revoke_key(&world.flows, &by, world.app, caller.key.id).await.unwrap();
        gate.open();
    };
    let (refused, ()) = tokio::join!(world.release(&caller, grant, &url), revoke);
    assert!(matches!(refused, Err(ReleaseError::KeyRevoked)), "{refused:?}");
    assert_eq!(world.audited("token_released").await, 0);
    assert_eq!(stored(&world, grant).await.credential.generation, 2, "the grant keeps its new token");
}

#[tokio::test]
async fn by_the_clock_a_used_grant_is_refreshed_and_one_that_nobody_used_for_a_week_is_not() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(stored(&world, grant).await.credential.generation, 2, "it was connected a moment ago");
    world.clock.advance_seconds(8 * DAY);
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(stored(&world, grant).await.credential.generation, 2);
    release(&world, grant).await.unwrap();
    assert_eq!(stored(&world, grant).await.credential.generation, 3, "a call refreshes it");
    expire(&world, grant).await;
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(stored(&world, grant).await.credential.generation, 4, "and then it is in use");
}

#[tokio::test]
async fn a_refresh_token_that_would_die_of_disuse_is_used_at_half_of_its_time() {
    let (world, grant) = connected_with(Refresh { idle_expiry_days: Some(60), ..Refresh::default() }).await;
    world.clock.advance_seconds(29 * DAY);
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(stored(&world, grant).await.credential.generation, 1);
    world.clock.advance_seconds(DAY);
    refresh::sweep(&world.flows).await.unwrap();
    assert_eq!(stored(&world, grant).await.credential.generation, 2);
}

#[tokio::test]
async fn a_report_that_the_api_rejects_the_current_token_is_judged_by_the_provider_once() {
    let (world, grant) = connected().await;
    let old = release(&world, grant).await.unwrap().grant.token_generation().to_string();
    world.report(grant, Some(&old), 401).await;
    assert_eq!(world.mock.refresh_counts().arrived, 0, "not in the token's first minute");
    world.clock.advance_seconds(60);
    for (generation, status) in [(Some(old.as_str()), 403), (None, 401), (Some("other"), 401)] {
        world.report(grant, generation, status).await;
    }
    assert_eq!(world.mock.refresh_counts().arrived, 0);
    world.report(grant, Some(&old), 401).await;
    until_generation(&world, grant, 2).await;
    world.report(grant, Some(&old), 401).await;
    let new = release(&world, grant).await.unwrap().grant.token_generation().to_string();
    assert_ne!(new, old);
    world.report(grant, Some(&new), 401).await;
    assert_eq!(
        world.mock.refresh_counts().arrived,
        1,
        "a report of an old token, and of one that is too young"
    );
}

#[tokio::test]
async fn a_token_that_the_api_rejects_and_the_provider_does_not_renew_is_not_served_until_its_end() {
    let (world, grant) = connected().await;
    let token = release(&world, grant).await.unwrap().grant.token_generation().to_string();
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    world.clock.advance_seconds(60);
    world.report(grant, Some(&token), 401).await;
    while stored(&world, grant).await.refresh.verdict.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
    assert_eq!(world.connect().await, grant, "and connecting again is enough");
    release(&world, grant).await.unwrap();
}

#[tokio::test]
async fn t28_scopes_that_the_provider_took_away_are_seen() {
    let (world, grant) = connected().await;
    world.mock.set(|s| s.refresh.scopes = Some("openid".into()));
    expire(&world, grant).await;
    let released = release(&world, grant).await.unwrap();
    assert_eq!(released.grant.scopes, ["openid"]);
    assert!(!released.grant.missing_scopes.is_empty());
}

#[tokio::test]
async fn t28_a_refresh_whose_answer_does_not_list_openid_takes_nothing_away() {
    let (world, grant) = connected().await;
    let before = release(&world, grant).await.unwrap().grant.scopes;
    let others: Vec<_> = before.iter().filter(|scope| *scope != "openid").cloned().collect();
    assert_ne!(others, before, "positive control: openid was granted");
    world.mock.set(|s| s.refresh.scopes = Some(others.join(" ")));
    expire(&world, grant).await;
    let released = release(&world, grant).await.unwrap();
    assert!(released.grant.missing_scopes.is_empty(), "{:?}", released.grant.missing_scopes);
    assert!(released.grant.scopes.contains(&"openid".to_owned()));
}

async fn as_operator(world: &World, grant: GrantId) -> Result<Grant, RefreshError> {
    refresh::refresh_as_operator(&world.flows, &Operator::named("ann"), world.app, grant).await
}

#[tokio::test]
async fn the_operator_refreshes_a_token_that_is_still_valid_and_is_named_in_the_audit() {
    let (world, grant) = connected().await;
    assert_eq!(as_operator(&world, grant).await.unwrap().credential.generation, 2);
    let entries = world.store.list_audit(world.app, 9).await.unwrap();
    let (_, details) = entries.iter().find(|(kind, _)| kind == "credential_refreshed").unwrap();
    assert_eq!(details["operator"], "ann");

    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    let refused = as_operator(&world, grant).await;
    assert!(
        matches!(refused, Err(RefreshError::NotUsable(NotUsable::Reconnect { .. }))),
        "although the old token is still valid: {refused:?}"
    );
    let entries = world.store.list_audit(world.app, 9).await.unwrap();
    let (_, details) = entries.iter().find(|(kind, _)| kind == "reconnect_needed").unwrap();
    assert_eq!(details["operator"], "ann");
}

#[tokio::test]
async fn the_operator_is_told_what_is_in_the_way_of_a_refresh() {
    let (world, grant) = connected().await;
    for (fault, expected) in [
        (TokenFault::InvalidClient, Trouble::Client),
        (TokenFault::Status(500), Trouble::Provider),
        (TokenFault::CloseMidBody, Trouble::Provider),
    ] {
        world.mock.set(|s| s.refresh.fault = Some(fault.clone()));
        match as_operator(&world, grant).await {
            Err(RefreshError::NotUsable(NotUsable::Later { trouble, .. })) => {
                assert_eq!(trouble, expected, "{fault:?}");
            }
            other => panic!("{fault:?}: {other:?}"),
        }
    }
    let unknown = as_operator(&world, GrantId::new(&alter_core::SystemRandom)).await;
    assert!(matches!(unknown, Err(RefreshError::NotFound)), "{unknown:?}");
    world.revoke(&world.caller().await, grant).await.unwrap();
    let revoked = as_operator(&world, grant).await;
    assert!(matches!(revoked, Err(RefreshError::Ended(GrantState::Revoked))), "{revoked:?}");
}

#[tokio::test]
async fn what_the_operator_has_to_know_is_told_by_provider() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    world.clock.advance_seconds(600);
    let late = refresh::health(&world.flows).await.unwrap().late;
    assert!(late.is_some_and(|late| late >= 600), "{late:?}");

    world.mock.set(|s| s.refresh.fault = Some(TokenFault::InvalidClient));
    assert_eq!(trouble(release(&world, grant).await), Trouble::Client);
    let health = refresh::health(&world.flows).await.unwrap();
    assert_eq!((health.late, health.refused_clients[0].grants), (None, 1));

    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    world.clock.advance_seconds(60);
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
    let health = refresh::health(&world.flows).await.unwrap();
    assert_eq!(health.reconnects[0].reason, ReconnectReason::RefreshRefused);
    assert!(health.refused_clients.is_empty(), "{health:?}");
}

/// A refresh fails in this way, then the provider is well again.
async fn survives(world: &World, grant: GrantId, what: &str, whose: Trouble) {
    let before = stored(world, grant).await.credential;
    expire(world, grant).await;
    assert_eq!(trouble(release(world, grant).await), whose, "{what}");
    let after = stored(world, grant).await;
    let tokens = |credential: &Credential| (credential.generation, credential.refresh_token.clone());
    assert_eq!(tokens(&after.credential), tokens(&before), "{what}: the old credential stays");
    assert_eq!(after.refresh.verdict, None, "{what}: nobody has said that the grant is over");
}

#[tokio::test]
async fn f39_to_f46_whatever_the_provider_answers_only_a_refusal_condemns_the_grant() {
    let body = |text: &str| TokenFault::Answer(Raw::new(200, "application/json", text));
    let token = r#""access_token":"a","token_type":"Bearer""#;
    let utf16: String = format!("{{{token}}}").chars().flat_map(|c| ['\u{0}', c]).collect();
    let (provider, client) = (Trouble::Provider, Trouble::Client);
    let faults = [
        ("f39 500", TokenFault::Status(500), provider),
        ("f39 502", TokenFault::Status(502), provider),
        ("f39 503", TokenFault::Status(503), provider),
        ("f39 504", TokenFault::Status(504), provider),
        ("f39 500 that says invalid_grant", TokenFault::Answer(said(500, "invalid_grant")), provider),
        ("f40 a negative number", TokenFault::TooMany(RetryAfter::Seconds(-1)), provider),
        ("f40 for ever", TokenFault::TooMany(RetryAfter::Seconds(1_000_000_000_000)), provider),
        ("f40 yesterday", TokenFault::TooMany(RetryAfter::Date(-86_400)), provider),
        ("f40 words", TokenFault::TooMany(RetryAfter::Text("soon".into())), provider),
        ("f41 HTML", TokenFault::Html200, provider),
        ("f41 HTML, 403", TokenFault::Answer(Raw::new(403, "text/html", "<p>invalid_grant")), provider),
        ("f42 an error of the provider's own", TokenFault::Error200, provider),
        ("f42 a server error", TokenFault::Answer(said(200, "server_error")), provider),
        ("f42 a refused client", TokenFault::Answer(said(200, "invalid_client")), client),
        ("f44 a refused client", TokenFault::InvalidClient, client),
        ("400 without a word", TokenFault::Status(400), provider),
        ("401 without a word", TokenFault::Status(401), provider),
        ("400 of another kind", TokenFault::Answer(said(400, "invalid_request")), provider),
        ("400, too much scope", TokenFault::Answer(said(400, "invalid_scope")), provider),
        ("a redirect", TokenFault::Status(302), provider),
        ("204", TokenFault::Status(204), provider),
        ("f45 truncated", body(&format!("{{{token}")), provider),
        ("f45 a name twice", body(&format!(r#"{{{token},"access_token":"evil"}}"#)), provider),
        ("f45 utf-16", body(&utf16), provider),
        ("f45 two byte order marks", body(&format!("\u{feff}\u{feff}{{{token}}}")), provider),
        ("f45 a list", body(&format!("[{{{token}}}]")), provider),
        ("f45 trailing", body(&format!("{{{token}}} {{}}")), provider),
        ("f45 no token", body(r#"{"token_type":"Bearer"}"#), provider),
        ("f45 null", body(r#"{"access_token":null}"#), provider),
        ("f45 a header in it", body(r#"{"access_token":"a\r\nX-Evil: 1"}"#), provider),
        ("f45 empty", body(""), provider),
        ("f45 deep", body(&"[".repeat(100_000)), provider),
        ("f45 8 MiB", TokenFault::Huge(8 << 20), provider),
    ];
    for (what, fault, whose) in faults {
        let world = World::impatient().await;
        let grant = world.connect().await;
        world.mock.set(|s| s.refresh.fault = Some(fault));
        survives(&world, grant, what, whose).await;
        world.mock.set(|s| s.refresh.fault = None);
        world.clock.advance_seconds(HOUR);
        let released = release(&world, grant).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(released.grant.credential.generation, 2, "{what}");
    }
}

fn said(status: u16, code: &str) -> Raw {
    Raw::json(status, &json!({ "error": code, "error_description": "invalid_grant" }))
}

#[tokio::test]
async fn f42_a_refusal_with_status_200_is_one() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Answer(said(200, "invalid_grant"))));
    assert_eq!(reason(release(&world, grant).await), ReconnectReason::RefreshRefused);
}

async fn end_of(world: &World, grant: GrantId) -> Micros {
    stored(world, grant).await.credential.expires_at.expect("the provider says how long")
}

#[tokio::test]
async fn f46_an_answer_that_trickles_holds_a_call_no_longer_than_it_waits_and_costs_nothing() {
    let (world, grant) = connected().await;
    let first = release(&world, grant).await.unwrap().access_token;
    world.clock.set(end_of(&world, grant).await.plus_seconds(-60));
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Trickle));
    let served = release(&world, grant).await.unwrap().access_token;
    assert_eq!(served.expose_secret(), first.expose_secret(), "the old one is still good");

    let (world, grant) = connected().await;
    world.clock.set(end_of(&world, grant).await);
    world.mock.set(|s| s.refresh.fault = Some(TokenFault::Trickle));
    // The time for which a call waits passes at once.
    let patience = async {
        world.mock.wait_for_refreshes(|counts| counts.arrived == 1).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(20)).await;
        tokio::time::resume();
    };
    let (late, ()) = tokio::join!(release(&world, grant), patience);
    assert!(matches!(late, Err(ReleaseError::NotUsable(NotUsable::InProgress(_)))), "{late:?}");
    assert_eq!((world.mock.refresh_counts().arrived, world.flows.in_flight()), (1, 1));
    assert_eq!(stored(&world, grant).await.refresh.verdict, None);
}

#[tokio::test]
async fn f47_a_token_endpoint_that_cannot_be_reached_condemns_no_grant() {
    let world = World::impatient().await;
    let grant = world.connect().await;
    let tls = world.mock.url("/token").replace("http:", "https:");
    for (what, url, whose) in [
        ("nobody listens", "http://127.0.0.1:1/token", Trouble::Provider),
        ("no such name", "https://nobody.invalid/token", Trouble::Provider),
        ("no TLS", tls.as_str(), Trouble::Provider),
        ("a forbidden address", "http://10.0.0.1/token", Trouble::Client),
    ] {
        world.know(Refresh { url: Some(url.to_owned()), ..Refresh::default() }).await;
        survives(&world, grant, what, whose).await;
        world.know(Refresh::default()).await;
        world.clock.advance_seconds(HOUR);
        release(&world, grant).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    }
}

#[tokio::test]
async fn t28_odd_members_of_an_answer_are_read_with_patience() {
    for (fields, kind, life) in [
        (json!({ "token_type": "bEaReR" }), "bEaReR", Some(HOUR)),
        (json!({ "token_type": null }), "Bearer", Some(HOUR)),
        (json!({ "token_type": 7 }), "Bearer", Some(HOUR)),
        (json!({ "expires_in": "1800" }), "Bearer", Some(1800)),
        (json!({ "expires_in": null }), "Bearer", None),
        (json!({ "expires_in": 0 }), "Bearer", None),
        (json!({ "expires_in": -1 }), "Bearer", None),
        (json!({ "expires_in": 1e12 }), "Bearer", Some(3650 * DAY)),
        (json!({ "expires_in": "soon" }), "Bearer", None),
        (json!({ "refresh_token": null }), "Bearer", Some(HOUR)),
    ] {
        let (world, grant) = connected().await;
        world.mock.set(|s| s.refresh.answer_fields = fields.clone());
        expire(&world, grant).await;
        let released = release(&world, grant).await.unwrap_or_else(|error| panic!("{fields}: {error:?}"));
        assert_eq!(released.expires_in, life, "{fields}");
        assert!(released.grant.credential.token_type.eq_ignore_ascii_case(kind), "{fields}");
        assert!(released.grant.credential.refresh_token.is_some(), "{fields}: one is there");
        assert_eq!(world.mock.refresh_counts().arrived, 1, "{fields}");
    }
}

#[tokio::test]
async fn an_access_token_that_is_a_jwt_says_its_end_where_the_answer_does_not() {
    for (access_tokens, life) in [(AccessTokens::Jwt, Some(HOUR)), (AccessTokens::Opaque, None)] {
        let (world, grant) = connected().await;
        world.mock.set(|s| {
            s.access_tokens = access_tokens;
            s.refresh.answer_fields = json!({ "expires_in": null });
        });
        expire(&world, grant).await;
        let released = release(&world, grant).await.unwrap();
        assert_eq!(released.expires_in, life, "{access_tokens:?}");
    }
}

#[tokio::test]
async fn t28_a_token_with_a_short_life_is_asked_for_once_and_released() {
    for life in [1, 2, 4, 5, 8] {
        let (world, grant) = connected().await;
        world.mock.set(|s| s.refresh.answer_fields = json!({ "expires_in": life }));
        expire(&world, grant).await;
        let released = release(&world, grant).await.unwrap_or_else(|error| panic!("{life}: {error:?}"));
        assert_eq!((released.expires_in, world.mock.refresh_counts().arrived), (Some(life), 1), "{life}");
        release(&world, grant).await.unwrap();
        assert_eq!(world.mock.refresh_counts().arrived, 1, "{life}: it is as good as new");
    }
}

#[tokio::test]
async fn an_answer_whose_provider_was_removed_does_not_lie_in_the_journal_for_ever() {
    let (world, grant) = connected().await;
    expire(&world, grant).await;
    let stored = stored(&world, grant).await;
    let begin = BeginRefresh {
        id: RefreshId::new(&*world.random),
        app_id: world.app,
        grant_id: grant,
        generation: 1,
        asked: Asked::Clock,
        facts: Refresh::default(),
        hold: 40,
        at: world.flows.now(),
        audit: AuditEntry::new(world.app, stored.updated_at, AuditKind::ReconnectNeeded, json!({})),
    };
    let Begun::Taken(_, attempt) = world.store.begin_refresh(begin).await.unwrap() else {
        panic!("no lease")
    };
    // Bytes as under the app's own key: what is in them does not matter here.
    let sealed = stored.credential.access_token.clone();
    assert!(world.store.journal_refresh(&attempt, sealed).await.unwrap().is_done());
    operate::remove_provider(&world.flows, &Operator::named("test"), world.app, "mock").await.unwrap();
    world.clock.advance_seconds(61);
    refresh::sweep(&world.flows).await.unwrap();
    assert!(world.store.list_journalled_refreshes(Micros(i64::MAX), 9).await.unwrap().is_empty());
    assert_eq!(world.audited("refresh_discarded").await, 1);
}
