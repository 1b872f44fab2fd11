//! Tidying up, every few seconds: sessions that ran out, transactions that were lost, nonces that are old.
//!
//! Safe to run in several processes at once: every move is a compare-and-set. A transaction counts as lost by its
//! deadline, not at start-up: another process may be at work on it.

use std::time::Duration;

use alter_core::{FailureKind, StoreError, TransactionStatus};

use crate::{Flows, status::settle};

/// How often.
const PERIOD: Duration = Duration::from_secs(5);
/// `consumed` or `sent` for longer than this is lost, seconds.
const LOST_AFTER: i64 = 60;
/// A journalled answer that could not be replayed for this long never will be (a sealed value that was damaged), seconds.
const REPLAYED_FOR: i64 = 24 * 3600;
/// How long nonces are kept, seconds: twice the signature window.
const NONCE_TTL: i64 = 600;
/// How long an ended session can still be polled, seconds.
const SESSION_KEPT: i64 = 24 * 3600;
/// Rows a round.
const BATCH: u32 = 500;

impl Flows {
    /// Runs until the process ends.
    pub async fn reap_forever(self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.reap().await {
                tracing::error!(%error, "tidying up failed, trying again in {} s", PERIOD.as_secs());
            }
        }
    }

    /// One round.
    ///
    /// # Errors
    /// Storage; the round stops there and the next one goes on.
    pub async fn reap(&self) -> Result<(), StoreError> {
        let now = self.now();
        for session in self.store().list_lapsed_sessions(now, BATCH).await? {
            let ended = self.update_session(&session.sid, |s| Ok::<_, StoreError>((settle(s, now), ())));
            ended.await?;
        }
        for transaction in self.store().list_stuck_transactions(now.plus_seconds(-LOST_AFTER), BATCH).await? {
            let hopeless = now >= transaction.created_at.plus_seconds(REPLAYED_FOR);
            match (&transaction.status, &transaction.body) {
                (TransactionStatus::Sent, Some(_)) if !hopeless => self.replay(transaction).await,
                _ => {
                    let (status, kind) = (TransactionStatus::Interrupted, FailureKind::Server);
                    let code = Some("interrupted".to_owned());
                    self.end_failed(&transaction, status, kind, code, "reaper").await?;
                }
            }
        }
        self.store().delete_old_nonces(now.plus_seconds(-NONCE_TTL)).await?;
        self.store().delete_old_sessions(now.plus_seconds(-SESSION_KEPT), BATCH).await?;
        Ok(())
    }
}
