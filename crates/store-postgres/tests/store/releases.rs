//! Releases of one app share transactions. The contract suite, too, tests that each is judged by itself; these tests
//! make several come together.

use std::{future::poll_fn, sync::Arc, task::Poll};

use alter_core::{
    AppId, AuditKind, CallNonce, Grant, ReleaseCredential, Store, StoreError,
    audit::{CHAIN_START, chain},
};
use alter_store_contract::sample::{
    call, delegated_grant, found, grant, release, store_grant, stored_agent, stored_app, stored_grant,
    unwritable_audit,
};
use alter_test_postgres::Database;
use tokio::task::JoinHandle;

use crate::{
    contract::make,
    held::{Held, until_blocked},
};

type Answer = JoinHandle<Result<bool, StoreError>>;

/// Keeps the releases of every existing app from being committed.
async fn hold(database: &Database<'_>) -> Held {
    Held::by(database, "SELECT app_id FROM audit_heads FOR UPDATE").await
}

/// Asks for a release. The future is polled once here, which puts the release into the queue.
async fn ask(store: &Arc<dyn Store>, release: ReleaseCredential) -> Answer {
    let store = store.clone();
    let mut answer =
        Box::pin(async move { store.release_credential(release).await.map(|done| done.is_done()) });
    let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
    assert!(first.is_pending());
    tokio::spawn(answer)
}

/// How many transactions wrote the app's last `n` entries.
fn transactions(database: &Database<'_>, app: AppId, n: usize) -> String {
    database.sql(&format!(
        "SELECT count(DISTINCT t) FROM
             (SELECT xmin::TEXT AS t FROM audit WHERE app_id = '{app}' ORDER BY seq DESC LIMIT {n}) AS last"
    ))
}

async fn assert_unbroken(store: &dyn Store, app: AppId) -> Vec<Option<String>> {
    let (mut before, rows) = (CHAIN_START, store.read_audit(app, 0, 500).await.unwrap());
    for (row, number) in rows.iter().zip(1..) {
        before = chain(app, &before, row);
        assert_eq!((row.seq, row.hash), (number, Some(before)));
    }
    rows.into_iter().filter(|row| row.kind == "token_released").map(|row| row.request_id).collect()
}

fn named(name: &str, mut release: ReleaseCredential) -> ReleaseCredential {
    release.audit.request_id = Some(name.to_owned());
    release
}

fn with(call: CallNonce, release: ReleaseCredential) -> ReleaseCredential {
    ReleaseCredential { call: Some(call), ..release }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t96_releases_that_come_together_share_a_commit_and_each_has_its_own_verdict() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let other_app = stored_app(&*store).await.unwrap();
    let plain = stored_grant(&*store, app).await.unwrap();
    let second = Grant { subject: "second".into(), ..grant(app) };
    store_grant(&*store, &second).await.unwrap();
    let foreign = stored_grant(&*store, other_app).await.unwrap();
    let (agent, _) = stored_agent(&*store, app).await.unwrap();
    let (stranger, _) = stored_agent(&*store, app).await.unwrap();
    let delegated = delegated_grant(&*store, app, agent.id).await.unwrap();
    let by = |agent, version, grant: &Grant| ReleaseCredential {
        agent: Some((agent, version)),
        ..release(grant, None)
    };
    let (used, twice, kept) = (call(), call(), call());
    store.record_call(used).await.unwrap();
    let foreign = ReleaseCredential {
        app_id: app,
        audit: alter_store_contract::sample::audit(app, AuditKind::TokenReleased),
        ..release(&foreign, None)
    };
    let moved = |call| with(call, ReleaseCredential { generation: 2, ..release(&plain, None) });
    let unwritable = ReleaseCredential {
        audit: unwritable_audit(app, AuditKind::TokenReleased),
        ..release(&second, Some(call()))
    };

    let held = hold(&database).await;
    let first = ask(&store, named("first", release(&plain, None))).await;
    until_blocked(&database, 1).await;
    let asked = [
        named("plain", release(&plain, Some(call()))),
        with(used, release(&second, None)),
        named("second", with(twice, release(&second, None))),
        with(twice, release(&plain, None)),
        moved(kept),
        moved(used),
        foreign,
        unwritable,
        by(stranger.id, 1, &delegated),
        by(agent.id, 2, &delegated),
        by(agent.id, 1, &plain),
        named("agent", by(agent.id, 1, &delegated)),
        named("plain again", release(&plain, None)),
    ];
    let mut answers = Vec::new();
    for release in asked {
        answers.push(ask(&store, release).await);
    }
    held.let_go().await;
    assert!(first.await.unwrap().unwrap());
    let mut verdicts = Vec::new();
    for answer in answers {
        verdicts.push(match answer.await.unwrap() {
            Ok(true) => "released",
            Ok(false) => "moved",
            Err(StoreError::NonceReplayed) => "replayed",
            Err(StoreError::Unstorable) => "unstorable",
            Err(error) => panic!("{error}"),
        });
    }
    assert_eq!(
        verdicts,
        [
            "released",
            "replayed",
            "released",
            "replayed",
            "moved",
            "replayed",
            "moved",
            "unstorable",
            "moved",
            "moved",
            "moved",
            "released",
            "released"
        ]
    );
    let recorded = assert_unbroken(&*store, app).await;
    let recorded: Vec<_> = recorded.iter().map(|name| name.as_deref().unwrap_or_default()).collect();
    assert_eq!(recorded, ["first", "plain", "second", "agent", "plain again"]);
    assert_eq!(transactions(&database, app, 4), "1");
    assert_eq!(transactions(&database, app, 5), "2");
    store.record_call(kept).await.expect("what released nothing used no nonce");
    let twice = store.record_call(twice).await;
    assert!(matches!(twice, Err(StoreError::NonceReplayed)), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_in_line_releases_nothing_and_takes_nobody_with_him() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let grant = stored_grant(&*store, app).await.unwrap();
    let held = hold(&database).await;
    let first = ask(&store, named("first", release(&grant, None))).await;
    until_blocked(&database, 1).await;
    let gone = ask(&store, named("gone", release(&grant, None))).await;
    let stays = ask(&store, named("stays", release(&grant, None))).await;
    first.abort();
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    held.let_go().await;
    assert!(stays.await.unwrap().unwrap());
    let recorded = assert_unbroken(&*store, app).await;
    assert!(!recorded.contains(&Some("gone".into())), "{recorded:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t98_a_grant_that_is_revoked_while_its_release_stands_in_line_is_not_released() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let (agent, _) = stored_agent(&*store, app).await.unwrap();
    let first = stored_grant(&*store, app).await.unwrap();
    let delegated = delegated_grant(&*store, app, agent.id).await.unwrap();
    let held = hold(&database).await;
    let under_way = ask(&store, release(&first, None)).await;
    until_blocked(&database, 1).await;
    let mut by_agent = release(&delegated, None);
    by_agent.agent = Some((agent.id, 1));
    let by_app = ask(&store, release(&delegated, None)).await;
    let by_agent = ask(&store, by_agent).await;
    database.sql(&format!("UPDATE delegations SET revoked_at = 1 WHERE grant_id = '{}'", delegated.id));
    held.let_go().await;
    assert!(under_way.await.unwrap().unwrap());
    assert!(by_app.await.unwrap().unwrap(), "control");
    assert!(!by_agent.await.unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f28_a_commit_that_fails_fails_for_all_who_shared_it_and_for_nobody_after_them() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let grant = stored_grant(&*store, app).await.unwrap();
    let before = assert_unbroken(&*store, app).await.len();
    let held = hold(&database).await;
    let mut answers = vec![ask(&store, release(&grant, None)).await];
    until_blocked(&database, 1).await;
    for _ in 0..5 {
        answers.push(ask(&store, release(&grant, Some(call()))).await);
    }
    // The server ends every connection that waits for a lock.
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    held.let_go().await;
    let mut released = 0;
    for answer in answers {
        match answer.await.unwrap() {
            Ok(true) => released += 1,
            Err(StoreError::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(released < 6, "control: one at least was cut off");
    assert!(store.release_credential(release(&grant, None)).await.unwrap().is_done(), "the line goes on");
    let after = assert_unbroken(&*store, app).await.len();
    assert_eq!(after - before, released + 1, "what was told to be released is recorded, and nothing else");
    assert!(found(store.get_grant(app, grant.id).await.unwrap()).last_used_at.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_waits_for_its_commit_keeps_no_other_app_waiting() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let grant = stored_grant(&*store, app).await.unwrap();
    let held = hold(&database).await;
    let waiting = ask(&store, release(&grant, None)).await;
    until_blocked(&database, 1).await;
    // This app is made after the lock was taken, so its audit head is not locked.
    let other = stored_app(&*store).await.unwrap();
    let others = stored_grant(&*store, other).await.unwrap();
    assert!(store.release_credential(release(&others, None)).await.unwrap().is_done());
    assert!(!waiting.is_finished());
    held.let_go().await;
    assert!(waiting.await.unwrap().unwrap());
}
