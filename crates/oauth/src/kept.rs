//! One thing that is read from outside and kept in memory (a key set, a metadata document), so that a connection or a
//! call does not cost a request for it.
//!
//! It is good for an hour. A token may give reason to read it again at once, but at most once a minute: tokens are
//! anybody's. When it cannot be read, what is there stays good for a day. A read goes to its end though the caller
//! hangs up: else his going would make the next one wait for a minute, or ask anew each time.

use std::sync::{Arc, Mutex, PoisonError};

use alter_core::Micros;
use tokio::{sync::OwnedMutexGuard, task::JoinError};
use tracing::Instrument as _;

/// Seconds for which it is used without asking again.
const FRESH_S: i64 = 3600;

/// Seconds for which it is used when asking fails.
const STALE_S: i64 = 24 * 3600;

/// Seconds between two reads that a token, or a failure, provokes.
const PAUSE_S: i64 = 60;

/// What was read at one URL. The gate is held while it is read, so that many waiters cost one request; who finds what
/// he needs in `known` does not wait for it.
pub(crate) struct Kept<T, E> {
    url: String,
    known: Mutex<Known<T, E>>,
    gate: Arc<tokio::sync::Mutex<()>>,
}

struct Known<T, E> {
    value: Option<(Arc<T>, Micros)>,
    /// The last failure; forgotten when a read succeeds.
    failed: Option<(E, Micros)>,
    /// The last read that a token provoked.
    provoked_at: Option<Micros>,
}

impl<T, E> Kept<T, E> {
    pub(crate) fn new(url: &str) -> Self {
        let known = Known { value: None, failed: None, provoked_at: None };
        Self { url: url.to_owned(), known: Mutex::new(known), gate: Arc::default() }
    }

    /// When it was last read with success; the smallest time for never.
    pub(crate) fn read_at(&self) -> Micros {
        self.look(|known| known.value.as_ref().map_or(Micros(i64::MIN), |(_, at)| *at))
    }

    fn look<R>(&self, f: impl FnOnce(&mut Known<T, E>) -> R) -> R {
        f(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T, E> Kept<T, E>
where
    T: Send + Sync + 'static,
    E: Clone + std::fmt::Display + Send + 'static,
{
    /// From memory where it is fresh, else by `read`.
    pub(crate) async fn get<R>(self: &Arc<Self>, now: Micros, read: impl FnOnce() -> R) -> Result<Arc<T>, E>
    where
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        if let Some(value) = self.look(|known| known.fresh(now)) {
            return Ok(value);
        }
        let gate = self.gate.clone().lock_owned().await;
        if let Some(answer) = self.look(|known| known.fresh(now).map(Ok).or_else(|| known.in_pause(now))) {
            return answer;
        }
        self.read(gate, now, read()).await
    }

    /// Another value than `seen`, for a token to which `seen` does not fit; `None` when there is none to be had now.
    pub(crate) async fn newer<R>(
        self: &Arc<Self>,
        seen: &Arc<T>,
        now: Micros,
        read: impl FnOnce() -> R,
    ) -> Option<Arc<T>>
    where
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        let gate = self.gate.clone().lock_owned().await;
        let meanwhile = self.look(|known| known.value.as_ref().map(|(value, _)| value.clone()));
        if let Some(value) = meanwhile.filter(|value| !Arc::ptr_eq(value, seen)) {
            return Some(value);
        }
        if self.look(|known| known.provoked_at.is_some_and(|at| within(at, now, PAUSE_S))) {
            return None;
        }
        self.look(|known| known.provoked_at = Some(now));
        let value = self.read(gate, now, read()).await.ok()?;
        (!Arc::ptr_eq(&value, seen)).then_some(value)
    }

    /// Asks, in a task of its own that holds the gate.
    async fn read<R>(self: &Arc<Self>, gate: OwnedMutexGuard<()>, now: Micros, read: R) -> Result<Arc<T>, E>
    where
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        let kept = self.clone();
        let reading = async move {
            let _gate = gate;
            kept.keep(now, read.await)
        };
        match tokio::spawn(reading.in_current_span()).await.map_err(JoinError::try_into_panic) {
            Ok(answer) => answer,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Nobody aborts it: the process is ending, and nobody waits for this any more.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// What was read, or what is there in its place.
    fn keep(&self, now: Micros, read: Result<T, E>) -> Result<Arc<T>, E> {
        match read {
            Ok(value) => {
                let value = Arc::new(value);
                self.look(|known| {
                    known.value = Some((value.clone(), now));
                    known.failed = None;
                });
                Ok(value)
            }
            Err(error) => {
                let stale = self.look(|known| {
                    known.failed = Some((error.clone(), now));
                    known.fallback(now)
                });
                // Without a fallback the caller gets the error, and logs it.
                let Some(value) = stale else { return Err(error) };
                tracing::warn!(url = self.url, %error, "this could not be read again; what was read earlier is used");
                Ok(value)
            }
        }
    }
}

impl<T, E: Clone> Known<T, E> {
    fn fresh(&self, now: Micros) -> Option<Arc<T>> {
        self.younger_than(FRESH_S, now)
    }

    fn fallback(&self, now: Micros) -> Option<Arc<T>> {
        self.younger_than(STALE_S, now)
    }

    fn younger_than(&self, seconds: i64, now: Micros) -> Option<Arc<T>> {
        self.value.as_ref().filter(|(_, at)| within(*at, now, seconds)).map(|(value, _)| value.clone())
    }

    /// The answer while a failure is not yet worth another try.
    fn in_pause(&self, now: Micros) -> Option<Result<Arc<T>, E>> {
        let (error, _) = self.failed.as_ref().filter(|(_, at)| within(*at, now, PAUSE_S))?;
        Some(self.fallback(now).ok_or_else(|| error.clone()))
    }
}

/// Less than `seconds` apart, in either direction: a clock that was set back must not freeze anything.
fn within(at: Micros, now: Micros, seconds: i64) -> bool {
    now.since(at).unsigned_abs() < seconds.unsigned_abs() * 1_000_000
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_value_is_fresh_for_an_hour_and_a_fallback_for_a_day() {
        let start = Micros(1_000_000_000_000_000);
        let known =
            Known { value: Some((Arc::new(1), start)), failed: Some(("error", start)), provoked_at: None };
        for (after, fresh, fallback) in [
            (0, true, true),
            (3599, true, true),
            (3600, false, true),
            (86_399, false, true),
            (86_400, false, false),
        ] {
            let now = start.plus_seconds(after);
            assert_eq!(known.fresh(now).is_some(), fresh, "{after}");
            assert_eq!(known.fallback(now).is_some(), fallback, "{after}");
        }
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_stops_no_read_and_takes_nobodys_turn() {
        let kept: Arc<Kept<u8, String>> = Arc::new(Kept::new("https://a.example/jwks"));
        let now = Micros(1_000_000_000_000_000);
        let old = kept.get(now, || async { Ok(1) }).await.unwrap();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let read = async { Ok(answered.await.unwrap()) };
        let hung_up = tokio::time::timeout(Duration::from_millis(20), kept.newer(&old, now, || read)).await;
        assert!(hung_up.is_err(), "it was under way");
        answer.send(2).unwrap();
        let again = || async { panic!("it was read already") };
        assert_eq!(*kept.newer(&old, now, again).await.expect("what the other provoked"), 2);
        assert_eq!(*kept.get(now, again).await.unwrap(), 2);
    }

    #[test]
    fn a_failure_is_answered_from_memory_for_a_minute() {
        let start = Micros(1_000_000_000_000_000);
        let known: Known<u8, &str> = Known { value: None, failed: Some(("error", start)), provoked_at: None };
        assert_eq!(known.in_pause(start.plus_seconds(59)), Some(Err("error")));
        assert_eq!(known.in_pause(start.plus_seconds(60)), None);
    }
}
