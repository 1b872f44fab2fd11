//! The app's page and the app's backend learn the same end.

use alter_flows::{Connected, Poll, Status};
use alter_mock_provider::TokenFault;

use super::support::{Back, Visit, World};

/// An end in words that both channels have.
#[derive(Debug, PartialEq)]
enum End {
    Open,
    Completed(Vec<Connected>),
    Failed(alter_core::Failure),
    Left,
    Expired,
}

async fn told(world: &World, visit: &Visit) -> (End, End) {
    let page = match world.status(visit).await.status {
        Status::Open | Status::Pending => End::Open,
        Status::Completed(connections) => End::Completed(connections),
        Status::Failed(Some(failure), _) => End::Failed(failure),
        Status::Failed(None, _) => End::Expired,
        Status::Exited => End::Left,
        other @ Status::Taken(..) => panic!("{other:?}"),
    };
    let backend = match world.poll(&visit.token).await {
        Poll::Pending { .. } => End::Open,
        Poll::Completed(connections, _) => End::Completed(connections),
        Poll::Failed(failure, _) => End::Failed(failure),
        Poll::Cancelled => End::Left,
        Poll::Expired => End::Expired,
    };
    (page, backend)
}

async fn told_alike(world: &World, visit: &Visit) -> End {
    let (page, backend) = told(world, visit).await;
    assert_eq!(page, backend);
    page
}

#[tokio::test]
async fn poll_and_status_tell_the_same_of_a_flow_that_goes_on_and_of_one_that_is_done() {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    assert_eq!(told_alike(&world, &visit).await, End::Open);
    world.callback(&visit, &Back::from(&authorize).await).await.unwrap();
    let End::Completed(connections) = told_alike(&world, &visit).await else { panic!("it is done") };
    assert_eq!(connections.len(), 1);
    assert!(!connections[0].needs_reconnect);
}

#[tokio::test]
async fn poll_and_status_say_when_the_user_must_connect_again() {
    let must_reconnect = async |world: &World, visit: &Visit| match told_alike(world, visit).await {
        End::Completed(connections) => connections[0].needs_reconnect,
        other => panic!("it is done: {other:?}"),
    };
    let (refused, visit) = done().await;
    let grant = refused.grants().await[0].clone();
    refused.mock.set(|s| s.refresh.fault = Some(TokenFault::Refuse("invalid_grant".into())));
    refused.clock.set(grant.credential.expires_at.expect("the provider says how long").plus_seconds(60));
    assert!(!must_reconnect(&refused, &visit).await, "nobody has asked the provider yet");
    let url = refused.mock.url("/api/me");
    refused.release(&refused.caller().await, grant.id, &url).await.unwrap_err();
    assert!(must_reconnect(&refused, &visit).await);

    let (revoked, visit) = done().await;
    let grant = revoked.grants().await[0].id;
    revoked.revoke(&revoked.caller().await, grant).await.unwrap();
    assert!(must_reconnect(&revoked, &visit).await);
}

/// A flow that is done.
async fn done() -> (World, Visit) {
    let world = World::new().await;
    let (visit, authorize) = world.leave().await;
    world.callback(&visit, &Back::from(&authorize).await).await.unwrap();
    (world, visit)
}

#[tokio::test]
async fn poll_and_status_tell_the_same_of_a_refusal_an_exit_and_a_lapse() {
    let world = World::new().await;
    let (refused, left, lapsed) = (world.visit().await, world.visit().await, world.visit().await);
    world.cancel(&refused).await.unwrap();
    let end = told_alike(&world, &refused).await;
    assert!(matches!(&end, End::Failed(failure) if failure.cause == alter_core::Cause::Denied), "{end:?}");

    world.status_with(&left, None, true).await.unwrap();
    assert_eq!(told_alike(&world, &left).await, End::Left);

    world.clock.advance_seconds(i64::from(world.stored_app().await.settings.session_ttl));
    assert_eq!(told_alike(&world, &lapsed).await, End::Expired);
}
