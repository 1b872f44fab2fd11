//! The journal of token answers. An answer is written down before anyone looks at it, so that a later crash loses
//! nothing; a replay reads it again.
//!
//! The code is spent, so if the answer were lost the user would have to consent anew. When the disk is full, the
//! database is unavailable, or the key was retired since the request left, the answer waits here, in memory.

use std::time::{Duration, Instant};

use alter_core::{Attempt, AttemptSecret, Saved, StoreError};
use alter_oauth::RawAnswer;
use alter_vault::DataKey;
use secrecy::ExposeSecret;

use crate::{Flows, fault::FlowFault};

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long writing is tried. Nobody waits longer for a session.
const TRIED_FOR: Duration = Duration::from_secs(15 * 60);

/// Writes the answer down, durably. Returns [`Saved::Moved`] when the attempt was ended in the meantime. `key` is the
/// app's current data key as it was before the request.
pub(crate) async fn journal(
    flows: &Flows,
    attempt: &Attempt,
    key: DataKey,
    answer: &RawAnswer,
) -> Result<Saved, FlowFault> {
    let _held = flows.inner.in_hand.take(attempt.id);
    let (mut key, mut waited, begun) = (Some(key), false, Instant::now());
    loop {
        let key_is_new = key.is_none();
        let written = write_down(flows, attempt, &mut key, answer).await;
        match &written {
            // The key was retired since the request left: seal again, under the current one.
            Err(FlowFault::Store(StoreError::KeyRetired)) if !key_is_new => continue,
            Err(FlowFault::Store(StoreError::KeyRetired | StoreError::Unavailable(_)))
                if begun.elapsed() < TRIED_FOR => {}
            _ => {
                if waited {
                    let (seconds, written) = (begun.elapsed().as_secs(), matches!(written, Ok(Saved::Done)));
                    tracing::warn!(sid = %attempt.sid, seconds, written, "the answer had to wait");
                }
                return written;
            }
        }
        if let (false, Err(error)) = (waited, &written) {
            tracing::warn!(sid = %attempt.sid, %error, "the answer could not be written down, trying again");
            waited = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tries to write once. Writing twice is harmless: it is the same answer. Clears `key` when it was retired.
async fn write_down(
    flows: &Flows,
    attempt: &Attempt,
    key: &mut Option<DataKey>,
    answer: &RawAnswer,
) -> Result<Saved, FlowFault> {
    let current = match key {
        Some(key) => key,
        None => key.insert(flows.sealer().current_key(attempt.app_id).await?),
    };
    let sealed = flows.sealer().seal(current, &attempt.place(AttemptSecret::Body), &answer.to_bytes())?;
    let saved = flows.store().save_body(attempt.id, sealed).await;
    if matches!(saved, Err(StoreError::KeyRetired)) {
        *key = None;
    }
    Ok(saved?)
}

/// Reads the answer back.
pub(crate) async fn open_journal(flows: &Flows, attempt: &Attempt) -> Result<RawAnswer, FlowFault> {
    let sealed = attempt.body.as_ref().ok_or(FlowFault::Broken("the journal has no answer"))?;
    let key = flows.sealer().current_key(attempt.app_id).await?;
    let bytes = flows.sealer().open(&key, &attempt.place(AttemptSecret::Body), sealed).await?;
    RawAnswer::from_bytes(bytes.expose_secret()).map_err(|_| FlowFault::Broken("the journal cannot be read"))
}
