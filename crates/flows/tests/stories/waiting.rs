//! Waiting for news of a session: what ends it, and what does not. No test here runs the beat but by hand, so that what is
//! told inside the process is told without it.

use std::{sync::Arc, time::Duration};

use alter_core::EventName;
use alter_flows::{Status, StatusReport, connect};
use alter_mock_provider::Gate;
use tokio::time::timeout;

use super::support::{Back, ORIGIN, Visit, World};

/// How long a test waits for what must come, on a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// What somebody who waits is told by a step that comes meanwhile.
async fn told<T>(
    world: &World,
    visit: &Visit,
    cursor: usize,
    step: impl Future<Output = T>,
) -> (StatusReport, T) {
    let meanwhile = async {
        world.until_waiting(1).await;
        step.await
    };
    let both = async { tokio::join!(world.news(visit, cursor, false), meanwhile) };
    let told = timeout(PATIENCE, both).await.expect("a step that is told");
    assert_eq!(connect::waiting(&world.flows), 0);
    told
}

fn names(report: &StatusReport) -> Vec<EventName> {
    report.events.iter().map(|event| event.name).collect()
}

#[tokio::test]
async fn every_step_of_the_flow_is_told_to_who_waits_when_it_happens() {
    let world = World::new().await;
    let visit = world.visit().await;
    let (report, authorize) = told(&world, &visit, 1, world.approve(&visit)).await;
    assert_eq!((names(&report), report.cursor), (vec![EventName::OauthStarted], 2));

    let back = Back::from(&authorize.unwrap()).await;
    let gate = Gate::closed();
    world.mock.set(|switches| switches.token_gate = Some(gate.clone()));
    let exchange = world.callback(&visit, &back);
    let watching = async {
        // The page is asked what it sees of its popup at this moment (core/opener.rs).
        let coming = timeout(PATIENCE, world.news(&visit, 2, false)).await.expect("the code has come");
        assert!(matches!(coming.status, Status::Open) && coming.events.is_empty(), "{coming:?}");
        let opened = async {
            world.until_waiting(1).await;
            gate.open();
        };
        let (over, ()) = tokio::join!(world.news(&visit, 2, false), opened);
        assert_eq!(names(&over), [EventName::OauthComplete]);
        assert!(matches!(over.status, Status::Completed(ref made) if made.len() == 1), "{over:?}");
    };
    let (end, ()) =
        timeout(PATIENCE, async { tokio::join!(exchange, watching) }).await.expect("the grant is told");
    end.unwrap();
}

#[tokio::test]
async fn a_claim_is_told_to_who_waits_and_so_is_that_another_flow_made_it() {
    let world = World::new().await;
    let visit = Visit { cb: "of-no-page".into(), ..world.visit().await };
    let taken = world.news(&visit, 0, false).await;
    assert!(matches!(taken.status, Status::Taken(..)), "control: at once, {taken:?}");

    let token = world.session().await;
    let before = Visit { token: token.clone(), cb: "of-no-page".into(), ..world.visit().await };
    let (report, claimed) = told(&world, &before, 0, world.claim(&token, ORIGIN)).await;
    assert!(claimed.is_ok() && matches!(report.status, Status::Taken(..)), "{report:?}");
}

#[tokio::test]
async fn ends_of_every_kind_are_told_to_who_waits() {
    let world = World::new().await;
    let visit = world.visit().await;
    let (report, _) = told(&world, &visit, 1, world.cancel(&visit)).await;
    assert!(matches!(report.status, Status::Failed(Some(_), _)), "refused on our page: {report:?}");

    let (visit, authorize) = world.leave().await;
    let back = Back::from(&authorize).await;
    let (report, _) = told(&world, &visit, 2, world.callback_elsewhere(&back)).await;
    assert!(matches!(report.status, Status::Failed(Some(_), _)), "in another browser: {report:?}");

    let visit = world.visit().await;
    let (report, _) = told(&world, &visit, 1, world.status_with(&visit, None, true)).await;
    assert!(matches!(report.status, Status::Exited), "cancelled by the app: {report:?}");

    let visit = world.visit().await;
    let lapsing = async {
        world.clock.advance_seconds(600);
        world.reap().await.unwrap();
    };
    let (report, ()) = told(&world, &visit, 1, lapsing).await;
    assert!(matches!(report.status, Status::Failed(None, _)), "expired: {report:?}");
}

#[tokio::test]
async fn an_end_that_time_alone_brings_is_told_to_who_waits() {
    let world = Arc::new(World::new().await);
    let visit = Arc::new(world.visit().await);
    let waits = |closed| {
        let (world, visit) = (world.clone(), visit.clone());
        tokio::spawn(async move { world.news(&visit, 1, closed).await })
    };
    // The page has said goodbye, and the popup looks closed: an exit after 2.5 s.
    let browser = connect::browser_hash(&visit.browser_key).unwrap();
    connect::open_page(&world.flows, &visit.sid, Some(&browser), None).await.unwrap();
    connect::page_sign(&world.flows, &visit.sid, &browser, 1, true).await.unwrap();
    let waiter = waits(true);
    world.until_waiting(1).await;
    world.clock.advance_millis(2_499);
    world.beat().await.unwrap();
    world.until_waiting(1).await;
    assert!(!waiter.is_finished());
    world.clock.advance_millis(1);
    world.beat().await.unwrap();
    let report = timeout(PATIENCE, waiter).await.expect("the end is told").unwrap();
    assert!(matches!(report.status, Status::Exited), "{report:?}");
}

#[tokio::test]
async fn what_another_process_did_is_told_at_the_next_beat_and_what_nobody_did_is_not() {
    let world = World::new().await;
    let visit = world.visit().await;
    let file = rusqlite::Connection::open(world.file()).unwrap();
    let elsewhere = async {
        for _ in 0..3 {
            world.beat().await.unwrap();
            world.until_waiting(1).await;
        }
        let done = file.execute(
            "UPDATE sessions SET version = version + 1, state = 'cancelled', data = json_set(data, '$.state', json_object(
                 'ended', json_object('claim', json_extract(data, '$.state.claimed'),
                 'end', json_object('kind', 'cancelled', 'at', 0, 'failure', NULL))))",
            [],
        );
        assert_eq!(done.unwrap(), 1);
        world.beat().await.unwrap();
    };
    let (report, ()) = told(&world, &visit, 1, elsewhere).await;
    assert!(matches!(report.status, Status::Exited), "{report:?}");
}

#[tokio::test]
async fn a_session_that_is_deleted_meanwhile_is_an_unknown_one() {
    let world = Arc::new(World::new().await);
    let visit = Arc::new(world.visit().await);
    let waiter = tokio::spawn({
        let (world, visit) = (world.clone(), visit.clone());
        async move { world.news(&visit, 1, false).await }
    });
    world.until_waiting(1).await;
    rusqlite::Connection::open(world.file()).unwrap().execute("DELETE FROM sessions", []).unwrap();
    world.beat().await.unwrap();
    let refused = timeout(PATIENCE, waiter).await.expect("it is told").unwrap_err();
    assert!(refused.is_panic(), "news() expects a report, and there is none");
    assert_eq!(connect::waiting(&world.flows), 0);
}

#[tokio::test]
async fn a_second_question_about_a_session_releases_the_first_and_who_leaves_is_forgotten() {
    let world = Arc::new(World::new().await);
    let visit = Arc::new(world.visit().await);
    let waits = || {
        let (world, visit) = (world.clone(), visit.clone());
        tokio::spawn(async move { world.news(&visit, 1, false).await })
    };
    let first = waits();
    world.until_waiting(1).await;
    let second = waits();
    let report = timeout(PATIENCE, first).await.expect("the first is released").unwrap();
    assert!(matches!(report.status, Status::Open) && report.events.is_empty());
    world.until_waiting(1).await;
    second.abort();
    world.until_waiting(0).await;
}

#[tokio::test]
async fn a_page_that_says_it_is_there_is_no_news() {
    let world = World::new().await;
    let visit = world.visit().await;
    let browser = connect::browser_hash(&visit.browser_key).unwrap();
    let signs = async {
        let page = connect::open_page(&world.flows, &visit.sid, Some(&browser), None).await.unwrap();
        for _ in 0..3 {
            connect::page_sign(&world.flows, &visit.sid, &browser, page.instance, false).await.unwrap();
            world.until_waiting(1).await;
        }
        world.approve(&visit).await.unwrap();
    };
    let (report, ()) = told(&world, &visit, 1, signs).await;
    assert_eq!(names(&report), [EventName::OauthStarted]);
}
