//! One value that is read from outside and kept in memory (a key set, a metadata document), so that a connection or a
//! call does not cost a request for it.
//!
//! The value is fresh for an hour. A token may be a reason to read it again at once, but at most once a minute, because
//! anybody can send a token. How soon after a failure it is read again, the caller says. If the value cannot be read again, the old one stays good for a day. A read runs to its
//! end even if its caller hangs up: otherwise the next caller would wait for a minute, or every caller would ask again.

use std::sync::{Arc, Mutex, PoisonError};

use alter_core::Micros;
use tokio::{sync::OwnedMutexGuard, task::JoinError};
use tracing::Instrument as _;

/// Seconds for which a value is used without asking again.
const FRESH_S: i64 = 3600;

/// Seconds for which a value is used while asking fails.
const STALE_S: i64 = 24 * 3600;

/// Minimum number of seconds between two reads that a token provokes.
const PAUSE_S: i64 = 60;

/// The value read at one URL. The gate is held during a read, so that many waiters cost one request; a caller that
/// finds what it needs in `known` does not wait for the gate.
pub(crate) struct Kept<T, E> {
    url: String,
    known: Mutex<Known<T, E>>,
    gate: Arc<tokio::sync::Mutex<()>>,
}

struct Known<T, E> {
    value: Option<(Arc<T>, Micros)>,
    /// The last failure and its time; forgotten when a read succeeds.
    failed: Option<(E, Micros)>,
    /// How many reads have ended.
    reads: u64,
    /// When a token last provoked a read.
    provoked_at: Option<Micros>,
}

impl<T, E> Kept<T, E> {
    pub(crate) fn new(url: &str) -> Self {
        let known = Known { value: None, failed: None, reads: 0, provoked_at: None };
        Self { url: url.to_owned(), known: Mutex::new(known), gate: Arc::default() }
    }

    /// Returns when the value was last read with success; the smallest possible time if never.
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
    /// Returns the value from memory if it is fresh, and reads it otherwise. A failure is the answer for `pause` seconds,
    /// and for all who waited while it happened. Whoever can have the old value has no reason to ask within a minute.
    pub(crate) async fn get<R>(
        self: &Arc<Self>,
        now: Micros,
        pause: i64,
        read: impl FnOnce() -> R,
    ) -> Result<Arc<T>, E>
    where
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (fresh, reads) = self.look(|known| (known.fresh(now), known.reads));
        if let Some(value) = fresh {
            return Ok(value);
        }
        let gate = self.gate.clone().lock_owned().await;
        let known = self.look(|known| {
            let shared = known.reads != reads || known.fallback(now).is_some();
            let pause = if shared { PAUSE_S } else { pause };
            known.fresh(now).map(Ok).or_else(|| known.in_pause(now, pause))
        });
        if let Some(answer) = known {
            return answer;
        }
        self.read(gate, now, read()).await
    }

    /// Returns a value other than `seen`, for a token that `seen` does not verify; `None` when there is none at the
    /// moment.
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

    /// Reads the value in a separate task that holds the gate.
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
            // Nobody aborts the task, so the process is ending, and nobody waits for this result any more.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Keeps what was read. After a failure returns the old value if it is still good.
    fn keep(&self, now: Micros, read: Result<T, E>) -> Result<Arc<T>, E> {
        match read {
            Ok(value) => {
                let value = Arc::new(value);
                self.look(|known| {
                    known.value = Some((value.clone(), now));
                    known.failed = None;
                    known.reads += 1;
                });
                Ok(value)
            }
            Err(error) => {
                let stale = self.look(|known| {
                    known.failed = Some((error.clone(), now));
                    known.reads += 1;
                    known.fallback(now)
                });
                // Without a fallback the caller gets the error, and logs it.
                let Some(value) = stale else { return Err(error) };
                tracing::warn!(url = self.url, %error, "could not read this again; using the earlier answer");
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

    /// Returns the result during the pause after a failure: the old value if it is still good, else the failure again.
    /// `None` when the pause is over.
    fn in_pause(&self, now: Micros, pause: i64) -> Option<Result<Arc<T>, E>> {
        let (error, _) = self.failed.as_ref().filter(|(_, at)| within(*at, now, pause))?;
        Some(self.fallback(now).ok_or_else(|| error.clone()))
    }
}

/// Whether two times are less than `seconds` apart, in either direction: a clock that was set back must not freeze
/// anything.
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
        let known = Known {
            value: Some((Arc::new(1), start)),
            failed: Some(("error", start)),
            reads: 2,
            provoked_at: None,
        };
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
        let old = kept.get(now, 60, || async { Ok(1) }).await.unwrap();
        let (answer, answered) = tokio::sync::oneshot::channel();
        let read = async { Ok(answered.await.unwrap()) };
        let hung_up = tokio::time::timeout(Duration::from_millis(20), kept.newer(&old, now, || read)).await;
        assert!(hung_up.is_err(), "it was under way");
        answer.send(2).unwrap();
        let again = || async { panic!("it was read already") };
        assert_eq!(*kept.newer(&old, now, again).await.expect("what the other provoked"), 2);
        assert_eq!(*kept.get(now, 60, again).await.unwrap(), 2);
    }

    #[test]
    fn a_failure_is_answered_from_memory_for_a_minute() {
        let start = Micros(1_000_000_000_000_000);
        let failed = Some(("error", start));
        let known: Known<u8, &str> = Known { value: None, failed, reads: 1, provoked_at: None };
        assert_eq!(known.in_pause(start.plus_seconds(59), 60), Some(Err("error")));
        assert_eq!(known.in_pause(start.plus_seconds(60), 60), None);
        assert_eq!(known.in_pause(start, 0), None);
    }

    #[tokio::test]
    async fn whoever_waited_during_a_failure_shares_it_and_whoever_comes_later_asks_again() {
        let kept: Arc<Kept<u8, String>> = Arc::new(Kept::new("https://a.example/jwks"));
        let now = Micros(1_000_000_000_000_000);
        let (fail, failed) = tokio::sync::oneshot::channel::<()>();
        let first = kept.get(now, 0, || async {
            failed.await.unwrap();
            Err("down".to_owned())
        });
        let waiting = kept.get(now, 0, || async { panic!("it was asked a moment ago") });
        let then = async {
            tokio::task::yield_now().await;
            fail.send(()).unwrap();
        };
        let (first, waiting, ()) = tokio::join!(first, waiting, then);
        assert_eq!((first, waiting), (Err("down".into()), Err("down".into())));
        assert_eq!(*kept.get(now, 0, || async { Ok(2) }).await.unwrap(), 2);
    }
}
