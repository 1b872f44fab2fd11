//! When a token is released, and for which destination.

use alter_core::{GrantId, StoreError};
use alter_flows::{FlowFault, NotUsable, ReleaseError};
use rusqlite::types::Value;

use super::support::{World, api_answer};

async fn connected() -> (World, GrantId, String) {
    let world = World::new().await;
    let grant = world.connect().await;
    let url = world.mock.url("/api/me");
    (world, grant, url)
}

#[tokio::test]
async fn a_released_token_opens_the_providers_api_and_is_in_the_audit() {
    let (world, grant, url) = connected().await;
    let released = world.release(&world.caller().await, grant, &url).await.unwrap();
    assert_eq!(api_answer(&world, &released.access_token).await, "HTTP/1.1 200 OK");
    assert_eq!((released.grant.id, world.audited("token_released").await), (grant, 1));
}

#[tokio::test]
async fn t81_a_token_is_released_for_the_providers_own_hosts_alone() {
    let (world, grant, url) = connected().await;
    let port = url.rsplit(':').next().unwrap();
    for elsewhere in ["https://evil.example/", &format!("http://evil.example:{port}"), "no url", ""] {
        let refused = world.release(&world.caller().await, grant, elsewhere).await;
        assert!(matches!(refused, Err(ReleaseError::BlockedDestination { .. })), "{elsewhere}: {refused:?}");
    }
    assert_eq!(world.audited("token_released").await, 0);
    world.release(&world.caller().await, grant, &url).await.unwrap();
}

#[tokio::test]
async fn a_token_is_released_while_a_whole_second_of_its_life_is_left() {
    let world = World::new().await;
    world.mock.set(|s| s.omit_token_fields = vec!["refresh_token".into()]);
    let (grant, url) = (world.connect().await, world.mock.url("/api/me"));
    let end = world.grants().await[0].credential.expires_at.expect("the provider says how long");
    world.clock.set(end.plus_seconds(-1));
    let released = world.release(&world.caller().await, grant, &url).await.unwrap();
    assert_eq!(released.expires_in, Some(1));
    world.clock.set(alter_core::Micros(end.plus_seconds(-1).0 + 1));
    let refused = world.release(&world.caller().await, grant, &url).await;
    assert!(
        matches!(refused, Err(ReleaseError::NotUsable(NotUsable::Reconnect { .. }))),
        "there is no refresh token: {refused:?}"
    );
    assert_eq!(world.audited("token_released").await, 1);
}

#[tokio::test]
async fn t98_a_revoked_grant_releases_nothing_and_its_token_is_over_at_the_provider() {
    let (world, grant, url) = connected().await;
    let token = world.release(&world.caller().await, grant, &url).await.unwrap().access_token;
    assert_eq!(api_answer(&world, &token).await, "HTTP/1.1 200 OK");
    world.revoke(&world.caller().await, grant).await.unwrap();
    let refused = world.release(&world.caller().await, grant, &url).await;
    assert!(matches!(refused, Err(ReleaseError::Choice(_))), "{refused:?}");
    assert_eq!(world.audited("token_released").await, 1);
    assert_eq!(api_answer(&world, &token).await, "HTTP/1.1 401 Unauthorized");
}

#[tokio::test]
async fn t61_a_call_releases_once_and_a_refused_one_is_spent_too() {
    let (world, grant, url) = connected().await;
    let replayed =
        |released| matches!(released, Err(ReleaseError::Fault(FlowFault::Store(StoreError::NonceReplayed))));
    let (once, refused) = (world.caller().await, world.caller().await);
    world.release(&once, grant, &url).await.unwrap();
    assert!(replayed(world.release(&once, grant, &url).await));

    let blocked = world.release(&refused, grant, "https://evil.example/").await;
    assert!(matches!(blocked, Err(ReleaseError::BlockedDestination { .. })), "{blocked:?}");
    assert!(replayed(world.release(&refused, grant, &url).await));
    assert_eq!(world.audited("token_released").await, 1);
    world.release(&world.caller().await, grant, &url).await.unwrap();
}

/// Lets the user connect five times, and then brings one of these generations after the other back into the grant's row:
/// each time a story looks at the clock, `looks` times.
async fn reconnect_at_each_look(world: &World, grant: GrantId, looks: usize) {
    let file = rusqlite::Connection::open(world.file()).unwrap();
    let columns = "generation, access_token, refresh_token, id_token";
    let mut generations = Vec::new();
    for _ in 0..5 {
        assert_eq!(world.connect().await, grant);
        let read = |row: &rusqlite::Row<'_>| (0..4).map(|i| row.get(i)).collect::<Result<Vec<Value>, _>>();
        generations.push(file.query_row(&format!("SELECT {columns} FROM grants"), [], read).unwrap());
    }
    let mut next = generations.into_iter().cycle().take(looks);
    world.clock.at_each_look(move || {
        if let Some(values) = next.next() {
            let sql = format!("UPDATE grants SET ({columns}) = (?1, ?2, ?3, ?4)");
            file.execute(&sql, rusqlite::params_from_iter(values)).unwrap();
        }
    });
}

#[tokio::test]
async fn a_token_is_released_after_its_user_has_connected_again_and_again() {
    let (world, grant, url) = connected().await;
    let caller = world.caller().await;
    reconnect_at_each_look(&world, grant, 19).await;
    world.release(&caller, grant, &url).await.unwrap();
    assert_eq!(world.audited("token_released").await, 1);
}

#[tokio::test]
async fn a_grant_that_changes_at_every_try_is_a_conflict_and_no_failure_of_ours() {
    let (world, grant, url) = connected().await;
    let caller = world.caller().await;
    reconnect_at_each_look(&world, grant, usize::MAX).await;
    let refused = world.release(&caller, grant, &url).await;
    assert!(
        matches!(refused, Err(ReleaseError::NotUsable(NotUsable::InProgress(id))) if id == grant),
        "{refused:?}"
    );
    assert_eq!(world.audited("token_released").await, 0);
}
