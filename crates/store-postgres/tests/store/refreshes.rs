//! Refreshes by several processes: whose clock counts, and what waits for what.

use std::sync::Arc;

use alter_core::{
    AuditKind, BeginRefresh, Begun, Grant, Micros, RefreshAttempt, RefreshEnded, ReleaseCredential,
    Revocation, RevocationOutcome, RevokeGrant, Saved, Store, WhatNow,
};
use alter_store_contract::{
    refresh::{EARLY, HOLD, begin, begun, discard, end, refused, request, tokens},
    sample::{assert_same, audit, found, release, stored_app, stored_grant},
};
use alter_store_postgres::PostgresStore;
use alter_test_postgres::Database;
use tokio::task::JoinHandle;

use crate::{
    contract::{make, open},
    held::{Held, until_blocked},
};

/// How wrong a clock is in these tests, seconds.
const WRONG: i64 = 120;

/// A grant whose token has run out by the clock that is ahead: whoever cannot take its lease has to wait.
async fn leased(store: &dyn Store, hold: u32) -> (Grant, RefreshAttempt) {
    let app = stored_app(store).await.unwrap();
    let grant = stored_grant(store, app).await.unwrap();
    let asked = BeginRefresh { hold, ..begin(&grant, EARLY) };
    match store.begin_refresh(asked).await.unwrap() {
        Begun::Taken(_, attempt) => (grant, attempt),
        other => panic!("the lease is free: {other:?}"),
    }
}

async fn read(store: &dyn Store, grant: &Grant) -> Grant {
    found(store.get_grant(grant.app_id, grant.id).await.unwrap())
}

#[tokio::test]
async fn f50_a_clock_that_is_ahead_takes_no_lease_from_its_holder() {
    let (database, store) = make().await;
    let before = PostgresStore::clock_of(&database.url).await.unwrap();
    let (grant, _) = leased(&*store, HOLD).await;
    let after = PostgresStore::clock_of(&database.url).await.unwrap();
    let until = found(read(&*store, &grant).await.refresh.lease_until);
    let hold = i64::from(HOLD);
    assert!(before.plus_seconds(hold) <= until && until <= after.plus_seconds(hold), "the database's time");

    let ahead = EARLY.plus_seconds(WRONG);
    match store.begin_refresh(begin(&grant, ahead)).await.unwrap() {
        Begun::Not(WhatNow::Wait(until, None)) => {
            assert!(ahead < until && until <= ahead.plus_seconds(hold), "the caller's time");
        }
        other => panic!("somebody else has the lease: {other:?}"),
    }
    assert_eq!(store.list_refresh_attempts(grant.app_id, grant.id, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn f50_a_clock_that_is_behind_takes_a_lease_that_ran_out() {
    let (_database, store) = make().await;
    let (grant, _) = leased(&*store, 0).await;
    let behind = EARLY.plus_seconds(-WRONG);
    let (taken, attempt) = begun(&*store, &grant, behind).await.unwrap();
    assert_eq!((attempt.attempt, taken.refresh.unknown), (2, 1));
    let until = behind.plus_seconds(i64::from(HOLD));
    assert_eq!(
        (taken.refresh.lease_until, taken.refresh_at),
        (Some(until), Some(until)),
        "the caller's time"
    );
}

#[tokio::test]
async fn f50_a_late_failure_from_a_wrong_clock_leaves_the_others_lease() {
    let (database, store) = make().await;
    let (grant, stalled) = leased(&*store, 0).await;
    begun(&*store, &grant, EARLY).await.unwrap();
    let held = read(&*store, &grant).await;
    // As if the stalled attempt had not been settled: then its failure gets as far as the state.
    database.sql(&format!("UPDATE refreshes SET outcome = NULL WHERE id = '{}'", stalled.id));
    let late = end(&stalled, refused(), EARLY.plus_seconds(WRONG));
    store.end_refresh(late).await.unwrap();
    assert_eq!(read(&*store, &grant).await.refresh, held.refresh);
}

/// Keeps every app's transactions from ending, after they have taken all their other locks.
async fn hold(database: &Database<'_>) -> Held {
    Held::by(database, "SELECT app_id FROM audit_heads FOR UPDATE").await
}

fn ask(store: &Arc<dyn Store>, release: ReleaseCredential) -> JoinHandle<Saved> {
    let store = store.clone();
    tokio::spawn(async move { store.release_credential(release).await.unwrap() })
}

fn renew(store: &Arc<dyn Store>, grant: &Grant, attempt: &RefreshAttempt) -> JoinHandle<RefreshEnded> {
    let (store, end) = (store.clone(), end(attempt, tokens(grant), EARLY));
    tokio::spawn(async move { store.end_refresh(end).await.unwrap() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_ends_while_its_grant_is_released_comes_after_the_release() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let (grant, attempt) = leased(&*one, HOLD).await;
    let held = hold(&database).await;
    let releasing = ask(&one, release(&grant, None));
    until_blocked(&database, 1).await;
    let ending = renew(&other, &grant, &attempt);
    until_blocked(&database, 2).await;
    held.let_go().await;
    assert_eq!((releasing.await.unwrap(), ending.await.unwrap()), (Saved::Done, RefreshEnded::Refreshed));
    assert_eq!(ask(&one, release(&grant, None)).await.unwrap(), Saved::Moved, "it is the old generation");
    let after = read(&*one, &grant).await;
    assert_eq!((after.credential.generation, after.last_used_at), (2, Some(release(&grant, None).at)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_comes_while_a_refresh_ends_does_not_take_the_old_generation() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let (grant, attempt) = leased(&*one, HOLD).await;
    let held = hold(&database).await;
    let ending = renew(&other, &grant, &attempt);
    until_blocked(&database, 1).await;
    let releasing = ask(&one, release(&grant, None));
    until_blocked(&database, 2).await;
    held.let_go().await;
    assert_eq!((ending.await.unwrap(), releasing.await.unwrap()), (RefreshEnded::Refreshed, Saved::Moved));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_kept_while_its_attempt_is_taken_for_broken_off_is_found() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let (grant, attempt) = leased(&*one, 0).await;
    // An answer that is being kept: not committed yet.
    let keeping = Held::by(&database, r"UPDATE refreshes SET body = '\x07'").await;
    let asked = begin(&grant, EARLY);
    let beginning = tokio::spawn(async move { other.begin_refresh(asked).await.unwrap() });
    until_blocked(&database, 1).await;
    keeping.let_go().await;
    match beginning.await.unwrap() {
        Begun::Journalled(answered) => {
            assert_same(&answered, &RefreshAttempt { body: Some(vec![7]), ..attempt })
        }
        other => panic!("there is an answer: {other:?}"),
    }
}

/// A grant that was revoked with a request, while an attempt whose answer came was under way.
async fn revoked(store: &dyn Store) -> (Grant, RefreshAttempt, Revocation) {
    let (grant, attempt) = leased(store, HOLD).await;
    let first = request(&grant);
    let revoke = RevokeGrant {
        call: None,
        app_id: grant.app_id,
        grant_id: grant.id,
        generation: 1,
        at: EARLY,
        reason: None,
        request: Ok(first.clone()),
        audit: audit(grant.app_id, AuditKind::GrantRevoked),
    };
    assert!(store.revoke_grant(revoke).await.unwrap().is_done());
    assert!(store.journal_refresh(&attempt, vec![7]).await.unwrap().is_done());
    (grant, attempt, first)
}

fn confirm(store: &Arc<dyn Store>, request: &Revocation) -> JoinHandle<Saved> {
    let (store, id) = (store.clone(), request.id);
    let entry = audit(request.app_id, AuditKind::RevocationEnded);
    tokio::spawn(async move { store.end_revocation(id, RevocationOutcome::Confirmed, entry).await.unwrap() })
}

async fn outcome(store: &dyn Store, grant: &Grant) -> RevocationOutcome {
    found(read(store, grant).await.revoked).outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_requests_of_a_grant_that_end_at_once_the_last_one_tells_the_grant() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let (grant, attempt, first) = revoked(&*one).await;
    let second = request(&grant);
    assert!(one.discard_refresh(discard(&attempt, Some(second.clone()))).await.unwrap().is_done());
    let held = hold(&database).await;
    let ending = (confirm(&one, &first), confirm(&other, &second));
    until_blocked(&database, 2).await;
    held.let_go().await;
    assert_eq!((ending.0.await.unwrap(), ending.1.await.unwrap()), (Saved::Done, Saved::Done));
    assert_eq!(outcome(&*one, &grant).await, RevocationOutcome::Confirmed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_queued_while_the_one_before_it_ends_keeps_the_outcome_pending() {
    let (database, one) = make().await;
    let other = open(&database).await;
    let (grant, attempt, first) = revoked(&*one).await;
    let held = hold(&database).await;
    let ended = confirm(&one, &first);
    until_blocked(&database, 1).await;
    let queue = discard(&attempt, Some(request(&grant)));
    let queued = tokio::spawn(async move { other.discard_refresh(queue).await.unwrap() });
    until_blocked(&database, 2).await;
    held.let_go().await;
    assert_eq!((ended.await.unwrap(), queued.await.unwrap()), (Saved::Done, Saved::Done));
    assert_eq!(outcome(&*one, &grant).await, RevocationOutcome::Pending);
    assert_eq!(one.list_due_revocations(Micros(i64::MAX), 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_grant_holds_none_of_its_attempts() {
    let (database, store) = make().await;
    let (grant, attempt, _) = revoked(&*store).await;
    let mut changing = Held::by(&database, "SELECT id FROM grants FOR UPDATE").await;
    let queue = discard(&attempt, Some(request(&grant)));
    let other = store.clone();
    let discarding = tokio::spawn(async move { other.discard_refresh(queue).await.unwrap() });
    until_blocked(&database, 1).await;
    let failure = end(&attempt, refused(), EARLY);
    let ending = tokio::spawn(async move { store.end_refresh(failure).await.unwrap() });
    until_blocked(&database, 2).await;
    // With NOWAIT this fails if somebody holds these locks.
    changing.and("SELECT id FROM refreshes FOR UPDATE NOWAIT").await;
    changing.let_go().await;
    assert_eq!((discarding.await.unwrap(), ending.await.unwrap()), (Saved::Done, RefreshEnded::Late));
}
