//! Tidying up every few seconds: sessions that expired, attempts that were lost, connections that no app confirmed, revocations that a provider has not
//! confirmed, old nonces and old sessions.
//!
//! Several processes may run this at once: every change is a compare-and-set. An attempt is lost when its time has
//! passed, not when a process starts: another process may still be working on it.

use std::{collections::HashMap, time::Duration};

use alter_core::{Attempt, AttemptStatus, AuditKind, Cause, Micros, StoreError, exit};

use crate::{
    Flows,
    callers::auth_session::wipe_unfetched,
    connect::{
        end::{Ending, end_failed},
        exchange::replay,
        stage::discard_overdue,
    },
    grants::revocation::ask_to_revoke,
    metrics,
    refresh::begin_sweep,
};

/// Seconds between rounds.
const PERIOD: u32 = 5;
/// Seconds between rounds of what reads every session.
const MINUTE: u32 = 60;
/// An attempt that is `consumed` or `sent` for longer than this is lost, seconds.
const LOST_AFTER: u32 = 60;
/// How long the reaper waits before it ends lost attempts, so that an exchange in another process that is waiting for
/// the database can go first. Such an exchange tries every second, and reconnecting takes up to a second more.
const PRECEDENCE: Duration = Duration::from_secs(4);
/// A journalled answer that could not be replayed for this long never will be (its sealed value is damaged), seconds.
const REPLAYED_FOR: i64 = 24 * 3600;
/// How long nonces are kept, seconds: twice the signature window.
const NONCE_TTL: i64 = 600;
/// How long an ended session is kept and can still be polled, seconds.
const SESSION_KEPT: i64 = 24 * 3600;
/// How many journalled answers are replayed at the same time.
const REPLAYS_AT_ONCE: usize = 8;
/// Rows of each kind per round.
const BATCH: u32 = 500;

/// Runs until the process ends. What asks providers has loops of its own: a slow provider must not hold up work that
/// people are waiting for.
pub async fn reap_forever(flows: Flows) {
    let asking = flows.clone();
    let revocations = every_period("asking providers to revoke", move || {
        let flows = asking.clone();
        async move { retry_revocations(&flows).await }
    });
    let refreshing = flows.clone();
    let refreshes = every_period("refreshing credentials", move || {
        let flows = refreshing.clone();
        async move { begin_sweep(&flows).await.1 }
    });
    let replaying = flows.clone();
    let replays = every_period("finishing lost attempts", move || {
        let flows = replaying.clone();
        async move { reap_attempts(&flows).await }
    });
    let wiping = flows.clone();
    let unfetched = every(MINUTE, "wiping user tokens that nobody fetched", move || {
        let flows = wiping.clone();
        async move { wipe_unfetched(&flows, BATCH).await }
    });
    let tidying = every_period("tidying up", move || {
        let flows = flows.clone();
        async move { tidy(&flows).await }
    });
    tokio::join!(revocations, refreshes, replays, unfetched, tidying);
}

/// One round of everything but what asks providers to revoke or refresh. A failure in one part, or in one row, does not stop
/// the others.
///
/// # Errors
/// The first failure, after the whole round was tried.
pub async fn reap(flows: &Flows) -> Result<(), StoreError> {
    let attempts = reap_attempts(flows).await;
    attempts.and(wipe_unfetched(flows, BATCH).await).and(tidy(flows).await)
}

/// Finishes attempts whose answer is in the journal, and ends those that were lost. Their sessions wait for it: none expires
/// while a code is exchanged.
async fn reap_attempts(flows: &Flows) -> Result<(), StoreError> {
    let lost = replay_attempts(flows, flows.now()).await?;
    end_lost(flows, lost).await
}

async fn tidy(flows: &Flows) -> Result<(), StoreError> {
    let now = flows.now();
    let sessions = reap_sessions(flows, now).await;
    let unconfirmed = discard_overdue(flows, BATCH).await;
    let nonces = flows.store().delete_old_nonces(now.plus_seconds(-NONCE_TTL)).await;
    let old = flows.store().delete_old_sessions(now.plus_seconds(-SESSION_KEPT), BATCH).await;
    sessions.and(unconfirmed).and(nonces.map(drop)).and(old.map(drop))
}

/// One round of revocations that providers have not confirmed yet. Requests under one provider configuration run one
/// after another, different configurations at the same time.
///
/// # Errors
/// Storage failed.
pub async fn retry_revocations(flows: &Flows) -> Result<(), StoreError> {
    let mut queues: HashMap<_, Vec<_>> = HashMap::new();
    for revocation in flows.store().list_due_revocations(flows.now(), BATCH).await? {
        queues.entry(revocation.config_id.clone()).or_default().push(revocation);
    }
    let mut asked = tokio::task::JoinSet::new();
    for queue in queues.into_values() {
        let flows = flows.clone();
        asked.spawn(async move {
            for revocation in queue {
                ask_to_revoke(&flows, &revocation).await;
            }
        });
    }
    asked.join_all().await;
    Ok(())
}

async fn reap_sessions(flows: &Flows, now: Micros) -> Result<(), StoreError> {
    let mut result = Ok(());
    for session in flows.store().list_lapsed_sessions(now, BATCH).await? {
        let ended = flows.update_session(session, |s| Ok::<_, StoreError>((exit::settle(s, now), ())));
        result = result.and(ended.await.map(drop));
    }
    result
}

/// Replays answers from the journal. Returns the lost attempts, each with the status it is to end with.
async fn replay_attempts(flows: &Flows, now: Micros) -> Result<Vec<(Attempt, AttemptStatus)>, StoreError> {
    let (mut replays, mut lost) = (tokio::task::JoinSet::new(), Vec::new());
    let lost_after = alter_failpoint::seconds("ALTER_LOST_AFTER", LOST_AFTER);
    let before = now.plus_seconds(-i64::from(lost_after));
    for attempt in flows.store().list_stuck_attempts(before, BATCH).await? {
        let hopeless = now >= attempt.created_at.plus_seconds(REPLAYED_FOR);
        match (&attempt.status, &attempt.body) {
            (AttemptStatus::Sent, Some(_)) if !hopeless => {
                // A provider that does not answer must not hold up the others, so several replays run at once.
                if replays.len() >= REPLAYS_AT_ONCE {
                    replays.join_next().await;
                }
                let flows = flows.clone();
                replays.spawn(async move { replay(&flows, attempt).await });
            }
            (_, Some(_)) => lost.push((attempt, AttemptStatus::Failed)),
            // If its answer reaches the journal in the meantime, the attempt is not interrupted.
            (_, None) => lost.push((attempt, AttemptStatus::Interrupted)),
        }
    }
    replays.join_all().await;
    Ok(lost)
}

async fn end_lost(flows: &Flows, lost: Vec<(Attempt, AttemptStatus)>) -> Result<(), StoreError> {
    if lost.is_empty() {
        return Ok(());
    }
    // The database may have been unavailable until now, and an exchange in another process may be waiting for it.
    tokio::time::sleep(PRECEDENCE).await;
    let mut result = Ok(());
    for (attempt, status) in lost {
        if flows.inner.in_hand.holds(attempt.id) {
            continue;
        }
        let end = Ending { status, cause: Cause::Interrupted, said: None, audit: AuditKind::ConnectFailed };
        let ended = end_failed(flows, &attempt, end, "reaper").await;
        if let Err(StoreError::Unavailable(_)) = ended {
            // Unavailable again: processes that hold an answer must get their turn first, so stop here.
            return ended.map(drop);
        }
        result = result.and(ended.map(drop));
    }
    result
}

async fn every_period<F>(what: &str, round: impl Fn() -> F)
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    every(PERIOD, what, round).await;
}

async fn every<F>(seconds: u32, what: &str, round: impl Fn() -> F)
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let period = Duration::from_secs(alter_failpoint::seconds("ALTER_REAP_EVERY", seconds).into());
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // In its own task, so that a panic ends the round, not the loop.
        match tokio::spawn(round()).await {
            Ok(Ok(())) => metrics::reaper_round("done"),
            Ok(Err(error)) => {
                metrics::reaper_round("failed");
                tracing::error!(%error, "{what} failed, trying again in {} s", period.as_secs());
            }
            Err(panic) => {
                metrics::reaper_round("panicked");
                tracing::error!(%panic, "{what} broke off, trying again in {} s", period.as_secs());
            }
        }
    }
}
