//! The journal of token answers. An answer is written down before anyone looks at it, so that a later crash loses
//! nothing; whoever comes after the crash reads it again.
//!
//! The code, or the refresh token, is spent: if the answer were lost, the user would have to consent anew. When the disk
//! is full, the database is unavailable, or the key was retired since the request left, the answer waits here, in memory.

use std::time::{Duration, Instant};

use alter_core::{Attempt, AttemptSecret, RefreshAttempt, Saved, SealedPlace, StoreError};
use alter_oauth::RawAnswer;
use alter_vault::DataKey;
use secrecy::ExposeSecret;

use crate::{Flows, fault::FlowFault};

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// How long writing is tried. Nobody waits longer for a session.
const TRIED_FOR: Duration = Duration::from_secs(15 * 60);

/// Writes the answer of an exchange down, durably. Returns [`Saved::Moved`] when the attempt was ended in the meantime.
/// `key` is the app's current data key as it was before the request.
pub(crate) async fn journal(
    flows: &Flows,
    attempt: &Attempt,
    key: DataKey,
    answer: &RawAnswer,
) -> Result<Saved, FlowFault> {
    let _held = flows.inner.in_hand.take(attempt.id);
    let place = attempt.place(AttemptSecret::Body);
    keep(flows, &place, key, answer, |sealed| flows.store().save_body(attempt.id, sealed)).await
}

/// Like [`journal`], for the answer of a refresh.
pub(crate) async fn journal_refresh(
    flows: &Flows,
    attempt: &RefreshAttempt,
    key: DataKey,
    answer: &RawAnswer,
) -> Result<Saved, FlowFault> {
    keep(flows, &attempt.place(), key, answer, |sealed| flows.store().journal_refresh(attempt, sealed)).await
}

async fn keep<F>(
    flows: &Flows,
    place: &SealedPlace,
    key: DataKey,
    answer: &RawAnswer,
    save: impl Fn(Vec<u8>) -> F,
) -> Result<Saved, FlowFault>
where
    F: Future<Output = Result<Saved, StoreError>>,
{
    let (mut key, mut waited, begun) = (Some(key), false, Instant::now());
    loop {
        let key_is_new = key.is_none();
        let written = write_down(flows, place, &mut key, answer, &save).await;
        match &written {
            // The key was retired since the request left: seal again, under the current one.
            Err(FlowFault::Store(StoreError::KeyRetired)) if !key_is_new => continue,
            Err(FlowFault::Store(StoreError::KeyRetired | StoreError::Unavailable(_)))
                if begun.elapsed() < TRIED_FOR => {}
            _ => {
                if waited {
                    let (seconds, written) = (begun.elapsed().as_secs(), matches!(written, Ok(Saved::Done)));
                    tracing::warn!(answer = %place, seconds, written, "the answer had to wait");
                }
                return written;
            }
        }
        if let (false, Err(error)) = (waited, &written) {
            tracing::warn!(answer = %place, %error, "the answer could not be written down, trying again");
            waited = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tries to write once. Writing twice is harmless: it is the same answer. Clears `key` when it was retired.
async fn write_down<F>(
    flows: &Flows,
    place: &SealedPlace,
    key: &mut Option<DataKey>,
    answer: &RawAnswer,
    save: &impl Fn(Vec<u8>) -> F,
) -> Result<Saved, FlowFault>
where
    F: Future<Output = Result<Saved, StoreError>>,
{
    let current = match key {
        Some(key) => key,
        None => key.insert(flows.sealer().current_key(place.app).await?),
    };
    let sealed = flows.sealer().seal(current, place, &answer.to_bytes())?;
    let saved = save(sealed).await;
    if matches!(saved, Err(StoreError::KeyRetired)) {
        *key = None;
    }
    Ok(saved?)
}

/// Reads the answer of an exchange back.
pub(crate) async fn open_journal(flows: &Flows, attempt: &Attempt) -> Result<RawAnswer, FlowFault> {
    open(flows, &attempt.place(AttemptSecret::Body), attempt.body.as_deref()).await
}

/// Reads the answer of a refresh back.
pub(crate) async fn open_refresh_journal(
    flows: &Flows,
    attempt: &RefreshAttempt,
) -> Result<RawAnswer, FlowFault> {
    open(flows, &attempt.place(), attempt.body.as_deref()).await
}

async fn open(flows: &Flows, place: &SealedPlace, sealed: Option<&[u8]>) -> Result<RawAnswer, FlowFault> {
    let sealed = sealed.ok_or(FlowFault::Broken("the journal has no answer"))?;
    let key = flows.sealer().current_key(place.app).await?;
    let bytes = flows.sealer().open(&key, place, sealed).await?;
    RawAnswer::from_bytes(bytes.expose_secret()).map_err(|_| FlowFault::Broken("the journal cannot be read"))
}
