//! What the reaper ends, and when: at the documented moment, not a microsecond earlier.

use std::{sync::Arc, time::Duration};

use alter_core::{AttemptStatus, Cause, Micros};
use alter_flows::{Poll, Status};

use super::support::{Back, ORIGIN, Visit, World};

/// Seconds. An attempt that has been `consumed` or `sent` for this long is not lost yet; a microsecond later it is.
const LOST_AFTER: i64 = 60;

#[tokio::test]
async fn a_session_ends_at_its_expiry_and_not_a_microsecond_before() {
    let world = World::new().await;
    let minted = world.mint(&world.caller().await, Default::default()).await.unwrap();
    let claimed = world.claim(&world.session().await, ORIGIN).await.unwrap();
    world.clock.set(Micros(minted.expires_at.0 - 1));
    world.reap().await.unwrap();
    assert_eq!(world.open_sessions().await, 2);
    let young = world.session().await;
    world.clock.set(minted.expires_at);
    world.reap().await.unwrap();
    assert_eq!(world.open_sessions().await, 1);
    assert!(matches!(world.poll(&minted.token).await, Poll::Expired));
    assert!(matches!(world.status(&claimed).await.status, Status::Failed(None, _)));
    world.claim(&young, ORIGIN).await.unwrap();
}

#[tokio::test]
async fn a_user_at_the_provider_has_ten_minutes_from_the_approval() {
    let world = World::new().await;
    let (late, _) = world.leave().await;
    let (visit, authorize) = world.leave().await;
    let back = Back::from(&authorize).await;
    let end = world.flows.now().plus_seconds(600);
    world.clock.set(Micros(end.0 - 1));
    world.reap().await.unwrap();
    assert_eq!(world.open_sessions().await, 2);
    world.callback(&visit, &back).await.unwrap();
    assert!(matches!(world.status(&visit).await.status, Status::Completed(_)));
    world.clock.set(end);
    world.reap().await.unwrap();
    assert!(matches!(world.poll(&late.token).await, Poll::Expired));
}

#[tokio::test]
async fn f02_an_attempt_that_was_taken_and_not_sent_is_lost_after_a_minute() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    let id = world.attempt(&authorize).await.id;
    let taken_at = world.flows.now();
    assert!(world.store.consume_attempt(id, taken_at).await.unwrap().is_first());
    let edge = taken_at.plus_seconds(LOST_AFTER);

    world.clock.set(edge);
    world.reap().await.unwrap();
    assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Consumed, "somebody may be at work");
    assert!(matches!(world.status(&visit).await.status, Status::Open));

    world.clock.set(Micros(edge.0 + 1));
    world.reap().await.unwrap();
    assert_eq!(world.attempt(&authorize).await.status, AttemptStatus::Interrupted);
    let Status::Failed(Some(failure), _) = world.status(&visit).await.status else { panic!("it has failed") };
    assert_eq!(failure.cause, Cause::Interrupted);
    assert_eq!((world.token_requests(), world.audited("connect_failed").await), (0, 1));
    world.connect().await;
}

/// Exchanges the code in a process of its own, which dies when the answer is in the journal and the provider's keys have
/// not come yet.
async fn crash_while_it_waits_for_the_keys(world: &Arc<World>, visit: &Visit, authorize: &url::Url) {
    world.mock.set(|switches| switches.delays = vec![("/jwks".into(), Duration::from_secs(60))]);
    let process = tokio::runtime::Runtime::new().unwrap();
    let (back, of, visit) = (Back::from(authorize).await, world.clone(), visit.clone());
    process.spawn(async move { of.callback(&visit, &back).await });
    world.mock.wait_for(|seen| !seen.jwks.is_empty()).await;
    process.shutdown_background();
    world.mock.set(|switches| switches.delays.clear());
}

#[tokio::test]
async fn f06_an_answer_in_the_journal_is_read_again_after_a_minute_and_makes_the_grant() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    let sent_at = world.flows.now();
    let world = Arc::new(world);
    crash_while_it_waits_for_the_keys(&world, &visit, &authorize).await;
    let attempt = world.attempt(&authorize).await;
    assert_eq!((attempt.status, attempt.body.is_some()), (AttemptStatus::Sent, true));
    // The session's time is over, and it is not: an exchange is under way, and its end is the session's.
    world.clock.set(sent_at.plus_seconds(3600));
    assert!(matches!(world.status(&visit).await.status, Status::Open));

    world.clock.set(sent_at.plus_seconds(LOST_AFTER));
    world.reap().await.unwrap();
    assert!(world.grants().await.is_empty(), "somebody may be at work");
    world.clock.set(Micros(sent_at.plus_seconds(LOST_AFTER).0 + 1));
    world.reap().await.unwrap();
    assert_eq!((world.grants().await.len(), world.token_requests()), (1, 1));
    assert!(matches!(world.status(&visit).await.status, Status::Completed(_)));
}
