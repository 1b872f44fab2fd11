//! From the claim to the grant.

use alter_core::{AttemptStatus, Cause, ClaimRefused, Failure, Operation};
use alter_flows::{ApproveError, CallbackEnd, ClaimError, Status, StepError};
use alter_mock_provider::Gate;

use super::support::{Back, ORIGIN, World};

/// The cause that the app's page is told; `None` if the flow did not fail.
fn failure(status: Status) -> Option<Cause> {
    match status {
        Status::Failed(failure, _) => failure.map(|Failure { cause, .. }| cause),
        _ => None,
    }
}

#[tokio::test]
async fn a_claim_an_approval_and_a_callback_make_a_grant() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Started);
    let end = world.callback(&visit, &Back::from(&authorize).await).await.unwrap();
    assert!(matches!(&end, CallbackEnd::ToSession(sid) if *sid == visit.sid), "{end:?}");

    let Status::Completed(connections) = world.status(&visit).await.status else {
        panic!("the flow is over")
    };
    let [grant] = &world.grants().await[..] else { panic!("one grant was made") };
    assert_eq!(
        (connections[0].connection.grant_id, connections[0].connection.operation),
        (grant.id, Operation::Creation)
    );
    assert_eq!((world.audited("session_claimed").await, world.audited("grant_connected").await), (1, 1));
    let attempt = world.attempt(&authorize).await;
    assert_eq!(attempt.status, AttemptStatus::Succeeded);
    assert!(attempt.verifier.is_empty() && attempt.body.is_none(), "nothing secret is kept of an attempt");
}

#[tokio::test]
async fn the_same_account_connected_again_keeps_its_grant() {
    let world = World::new().await;
    let first = world.connect().await;
    assert_eq!(world.connect().await, first);
    let [grant] = &world.grants().await[..] else { panic!("one grant") };
    assert_eq!(grant.credential.generation, 2);
}

#[tokio::test]
async fn t17_a_callback_that_comes_again_has_the_same_end_and_changes_nothing() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    let back = Back::from(&authorize).await;
    for _ in 0..3 {
        let end = world.callback(&visit, &back).await.unwrap();
        assert!(matches!(&end, CallbackEnd::ToSession(sid) if *sid == visit.sid), "{end:?}");
        assert!(matches!(world.status(&visit).await.status, Status::Completed(_)));
    }
    assert_eq!(world.token_requests(), 1, "the code was sent once");
    let [grant] = &world.grants().await[..] else { panic!("one grant was made") };
    assert_eq!(grant.credential.generation, 1);
    assert_eq!(world.audited("grant_connected").await, 1);
}

#[tokio::test]
async fn t02_a_code_in_another_browser_ends_the_attempt_and_is_never_sent() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    let back = Back::from(&authorize).await;
    let end = world.callback_elsewhere(&back).await.unwrap();
    assert!(matches!(end, CallbackEnd::OtherBrowser), "{end:?}");
    world.callback(&visit, &back).await.unwrap();
    assert_eq!(world.token_requests(), 0);
    assert_eq!(failure(world.status(&visit).await.status), Some(Cause::OtherBrowser));
    world.connect().await;
}

/// The same response with an `iss` that is not the provider's: a callback that is refused.
fn forged(back: &Back) -> Back {
    Back { config_id: back.config_id.clone(), query: format!("{}x", back.query) }
}

#[tokio::test]
async fn t17_a_refusal_ends_no_attempt_that_another_callback_took_meanwhile() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    let back = Back::from(&authorize).await;
    assert!(back.query.split('&').next_back().unwrap().starts_with("iss="), "control: {}", back.query);
    // Another process takes the attempt after this one has read it.
    let file = rusqlite::Connection::open(world.file()).unwrap();
    world.clock.at_each_look(move || {
        file.execute("UPDATE attempts SET status = 'sent' WHERE status = 'started'", []).unwrap();
    });
    world.callback(&visit, &forged(&back)).await.unwrap();
    world.clock.at_each_look(|| {});
    assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Sent);
    assert!(matches!(world.status(&visit).await.status, Status::Open));
    assert_eq!(world.audited("connect_failed").await, 0);

    // Control: the same callback ends an attempt that nobody has taken, also after its time.
    for late in [0, alter_core::session::ATTEMPT_TTL] {
        let (visit, authorize) = world.leave().await;
        let back = Back::from(&authorize).await;
        world.clock.advance_seconds(late);
        world.callback(&visit, &forged(&back)).await.unwrap();
        assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Failed, "{late}");
    }
}

#[tokio::test]
async fn t17_a_refusal_ends_no_exchange_that_outlives_its_attempt() {
    let world = std::sync::Arc::new(World::new().await);
    let (visit, authorize) = world.leave().await;
    let (visit, back) = (std::sync::Arc::new(visit), std::sync::Arc::new(Back::from(&authorize).await));
    let gate = Gate::closed();
    world.mock.set(|switches| switches.token_gate = Some(gate.clone()));
    let exchange = tokio::spawn({
        let (world, visit, back) = (world.clone(), visit.clone(), back.clone());
        async move { world.callback(&visit, &back).await.map(drop) }
    });
    world.mock.wait_for(|seen| !seen.token.is_empty()).await;
    let attempt = world.attempt(&authorize).await;
    world.clock.set(attempt.expires_at);
    world.callback(&visit, &forged(&back)).await.unwrap();
    assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Sent);
    gate.open();
    exchange.await.unwrap().unwrap();
    assert!(matches!(world.status(&visit).await.status, Status::Completed(_)));
}

#[tokio::test]
async fn a_callback_that_cannot_read_its_provider_ends_nothing_and_a_reload_connects() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    let back = Back::from(&authorize).await;
    let file = rusqlite::Connection::open(world.file()).unwrap();
    file.execute_batch("ALTER TABLE providers RENAME TO providers_away").unwrap();
    world.callback(&visit, &back).await.expect_err("the row cannot be read");
    assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Started);
    file.execute_batch("ALTER TABLE providers_away RENAME TO providers").unwrap();
    world.callback(&visit, &back).await.unwrap();
    assert!(matches!(world.status(&visit).await.status, Status::Completed(_)));
}

#[tokio::test]
async fn a_denial_at_the_provider_is_the_users_and_sends_nothing() {
    let world = World::new().await;
    world.mock.set(|switches| switches.auto_deny = true);
    let (visit, authorize) = world.leave().await;
    world.callback(&visit, &Back::from(&authorize).await).await.unwrap();
    assert_eq!(failure(world.status(&visit).await.status), Some(Cause::Denied));
    assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Denied);
    assert_eq!((world.token_requests(), world.audited("connect_failed").await), (0, 1));
    world.mock.set(|switches| switches.auto_deny = false);
    world.connect().await;
}

#[tokio::test]
async fn t53_a_refused_claim_changes_nothing_and_the_first_browser_keeps_the_session() {
    let world = World::new().await;
    let token = world.session().await;
    let foreign = world.claim(&token, "https://evil.example").await;
    assert!(matches!(foreign, Err(ClaimError::Binding { .. })));
    world.claim(&token, ORIGIN).await.unwrap();
    let second = world.claim(&token, ORIGIN).await;
    assert!(matches!(second, Err(ClaimError::Refused(ClaimRefused::OtherBrowser))));
    assert_eq!(world.audited("session_claimed").await, 1);
}

#[tokio::test]
async fn t54_a_token_is_claimed_until_the_last_microsecond_and_not_at_its_end() {
    let world = World::new().await;
    let (caller, other) = (world.caller().await, world.caller().await);
    let first = world.mint(&caller, Default::default()).await.unwrap();
    let second = world.mint(&other, Default::default()).await.unwrap();
    world.clock.set(alter_core::Micros(first.expires_at.0 - 1));
    world.claim(&first.token, ORIGIN).await.unwrap();
    world.clock.set(second.expires_at);
    let late = world.claim(&second.token, ORIGIN).await;
    assert!(matches!(late, Err(ClaimError::Refused(ClaimRefused::Expired))));
}

#[tokio::test]
async fn t54_a_step_is_taken_until_the_last_microsecond_and_not_at_the_sessions_end() {
    let world = World::new().await;
    let (in_time, late) = (world.visit().await, world.visit().await);
    let end = world.store.get_session(&late.sid).await.unwrap().unwrap().deadline();
    world.clock.set(alter_core::Micros(end.0 - 1));
    world.cancel(&in_time).await.unwrap();
    world.clock.set(end);
    assert!(matches!(world.cancel(&late).await, Err(StepError::Moved)));
}

#[tokio::test]
async fn an_approval_waits_ten_seconds_for_the_apps_page() {
    let world = World::new().await;
    let visit = world.claim(&world.session().await, ORIGIN).await.unwrap();
    let claimed_at = world.flows.now();
    let end = claimed_at.plus_seconds(10);
    for moment in [claimed_at, alter_core::Micros(end.0 - 1)] {
        world.clock.set(moment);
        let waiting = world.approve(&visit).await;
        assert!(matches!(waiting, Err(ApproveError::WaitingForApp)), "{waiting:?}");
    }
    world.clock.set(end);
    let unreachable = world.approve(&visit).await;
    assert!(matches!(unreachable, Err(ApproveError::AppUnreachable)), "{unreachable:?}");
    assert_eq!(world.mock.seen().authorize.len(), 0);

    // The app's page asks for the status after all.
    world.status(&visit).await;
    world.approve(&visit).await.unwrap();
}
