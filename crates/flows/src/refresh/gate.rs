//! How many refreshes run at once under one provider configuration, and when none does. A configuration belongs to one
//! app, so one app's storm, or a provider that hangs, costs only its own calls (T77).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use alter_core::{ConfigId, Micros, refresh::Trouble};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Refreshes at once under one configuration.
const AT_ONCE: usize = 16;
/// So many failures in a row close the gate.
const FAILURES: u32 = 5;
/// How long a closed gate stays closed, seconds, before one refresh is let through to try.
const CLOSED: i64 = 10;

/// How long the clock leaves a configuration alone that nothing may be sent with, seconds.
const SHUNNED: i64 = 60;

/// With so many at a gate, the clock brings no more.
const QUEUE: usize = 4 * AT_ONCE;

/// The gates of a process.
#[derive(Default)]
pub(crate) struct Gates(Mutex<HashMap<ConfigId, Arc<Gate>>>);

struct Gate {
    places: Arc<Semaphore>,
    /// How many are behind the gate or before it.
    there: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u32,
    /// After failures.
    closed_until: Option<Micros>,
    /// By the provider's `Retry-After`.
    paused_until: Option<Micros>,
    /// One refresh is trying whether the provider is back.
    trying: bool,
    /// Whose affair the last failure was.
    trouble: Option<Trouble>,
}

/// A gate that lets nobody through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) until: Micros,
    /// Whose affair the last failure was: whoever is turned away hears the same as whoever failed.
    pub(super) trouble: Trouble,
}

/// A place behind the gate. Dropping it frees the place.
pub(super) struct Pass {
    gate: There,
    trying: bool,
    _place: OwnedSemaphorePermit,
}

/// Somebody who is at a gate.
struct There(Arc<Gate>);

impl There {
    fn at(gate: Arc<Gate>) -> Self {
        gate.there.fetch_add(1, Ordering::Relaxed);
        Self(gate)
    }
}

impl std::ops::Deref for There {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for There {
    fn drop(&mut self) {
        self.0.there.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gates {
    fn of(&self, config: &ConfigId) -> Arc<Gate> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (places, there) = (Arc::new(Semaphore::new(AT_ONCE)), AtomicUsize::new(0));
            Arc::new(Gate { places, there, state: Mutex::default() })
        };
        Arc::clone(gates.entry(config.clone()).or_insert_with(new))
    }

    /// Waits for a place. Returns [`Closed`] if the gate is.
    pub(super) async fn enter(&self, config: &ConfigId, now: impl Fn() -> Micros) -> Result<Pass, Closed> {
        let gate = There::at(self.of(config));
        let place = Arc::clone(&gate.places).acquire_owned().await.expect("the semaphore is never closed");
        let trying = {
            let mut state = gate.state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = now();
            let trouble = state.trouble.unwrap_or(Trouble::Provider);
            if let Some(until) = state.shut_until(now) {
                return Err(Closed { until, trouble });
            }
            match state.closed_until {
                Some(_) if state.trying => {
                    return Err(Closed { until: now.plus_seconds(1), trouble });
                }
                Some(_) => {
                    state.trying = true;
                    true
                }
                None => false,
            }
        };
        Ok(Pass { gate, trying, _place: place })
    }

    /// Closes the gate of a configuration that nothing may be sent with, for a while: an operator may mend it.
    pub(super) fn shun(&self, config: &ConfigId, now: Micros) {
        let gate = self.of(config);
        let mut state = gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.trouble = Some(Trouble::Us);
        state.paused_until = Some(now.plus_seconds(SHUNNED));
    }

    /// How many configurations have a closed gate now.
    pub(super) fn closed(&self, now: Micros) -> usize {
        self.each().iter().filter(|(_, gate)| gate.is_closed(now)).count()
    }

    /// The configurations to which the clock brings nothing now: their gate is closed, or many are at it already.
    pub(super) fn shunned(&self, now: Micros) -> Vec<ConfigId> {
        let full = |gate: &Gate| gate.there.load(Ordering::Relaxed) >= QUEUE;
        let shunned = self.each().into_iter().filter(|(_, gate)| gate.is_closed(now) || full(gate));
        shunned.map(|(config, _)| config).collect()
    }

    fn each(&self) -> Vec<(ConfigId, Arc<Gate>)> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.iter().map(|(config, gate)| (config.clone(), Arc::clone(gate))).collect()
    }
}

impl Gate {
    fn is_closed(&self, now: Micros) -> bool {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.shut_until(now).is_some()
    }
}

impl State {
    /// The provider is well and says when to come back: many may come then, and nobody has to try first.
    fn pause(&mut self, until: Micros) {
        let until = self.paused_until.map_or(until, |known| known.max(until));
        *self = Self { paused_until: Some(until), ..Self::default() };
    }

    fn fail(&mut self, trouble: Trouble, trying: bool, now: Micros) {
        self.trouble = Some(trouble);
        self.failures += 1;
        if trying || self.failures >= FAILURES {
            self.closed_until = Some(now.plus_seconds(CLOSED));
        }
        self.trying = false;
    }

    /// Until when nobody is let through.
    fn shut_until(&self, now: Micros) -> Option<Micros> {
        self.closed_until.max(self.paused_until).filter(|until| *until > now)
    }
}

impl Pass {
    /// The provider answered, with tokens or with a refusal.
    pub(super) fn answered(&self) {
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Others may have been asked for patience since this one was sent.
        *state = State { paused_until: state.paused_until, ..State::default() };
    }

    /// The provider did not answer, or asks for patience: `retry_after`, seconds.
    pub(super) fn failed(&self, trouble: Trouble, retry_after: Option<u32>, now: Micros) {
        if trouble == Trouble::Us {
            return;
        }
        let mut state = self.gate.state.lock().unwrap_or_else(PoisonError::into_inner);
        match retry_after {
            Some(seconds) => state.pause(now.plus_seconds(i64::from(seconds.clamp(1, 3600)))),
            None => state.fail(trouble, self.trying, now),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.trying {
            self.gate.state.lock().unwrap_or_else(PoisonError::into_inner).trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use alter_core::SystemRandom;

    use super::*;

    const T: Micros = Micros(1_000_000_000_000);

    #[tokio::test]
    async fn a_provider_that_fails_again_and_again_is_left_alone_and_then_tried_by_one() {
        let (gates, config) = (Gates::default(), ConfigId::new(&SystemRandom));
        for _ in 0..FAILURES {
            gates.enter(&config, || T).await.ok().unwrap().failed(Trouble::Provider, None, T);
        }
        assert_eq!(
            gates.enter(&config, || T).await.err().map(|closed| closed.until),
            Some(T.plus_seconds(CLOSED))
        );
        assert_eq!(gates.closed(T), 1);
        let later = T.plus_seconds(CLOSED);
        let trying = gates.enter(&config, || later).await.ok().unwrap();
        assert!(gates.enter(&config, || later).await.is_err(), "only one tries");
        trying.answered();
        drop(trying);
        assert!(gates.enter(&config, || later).await.is_ok());
    }

    #[tokio::test]
    async fn f40_retry_after_closes_the_gate_for_that_long_and_an_hour_at_most() {
        for (sent, closed) in [(3, 3), (u32::MAX, 3600), (0, 1)] {
            let (gates, config) = (Gates::default(), ConfigId::new(&SystemRandom));
            gates.enter(&config, || T).await.ok().unwrap().failed(Trouble::Provider, Some(sent), T);
            assert_eq!(
                gates.enter(&config, || T).await.err().map(|gate| gate.until),
                Some(T.plus_seconds(closed)),
                "{sent}"
            );
        }
    }

    #[tokio::test]
    async fn f44_whoever_a_closed_gate_turns_away_hears_that_the_client_is_refused() {
        let (gates, config) = (Gates::default(), ConfigId::new(&SystemRandom));
        for _ in 0..FAILURES {
            gates.enter(&config, || T).await.ok().unwrap().failed(Trouble::Client, None, T);
        }
        let turned_away = gates.enter(&config, || T).await.err().map(|closed| closed.trouble);
        assert_eq!(turned_away, Some(Trouble::Client));
        let later = T.plus_seconds(CLOSED);
        let trying = gates.enter(&config, || later).await.ok().unwrap();
        let beside = gates.enter(&config, || later).await.err().map(|closed| closed.trouble);
        assert_eq!(beside, Some(Trouble::Client));
        trying.failed(Trouble::Provider, None, later);
        let turned_away = gates.enter(&config, || later).await.err().map(|closed| closed.trouble);
        assert_eq!(turned_away, Some(Trouble::Provider), "the last failure counts");
    }

    #[tokio::test]
    async fn f52_a_provider_that_asks_many_for_patience_gets_it_and_is_then_asked_by_many() {
        let (gates, config) = (Gates::default(), ConfigId::new(&SystemRandom));
        let mut asking = Vec::new();
        for _ in 0..=FAILURES {
            asking.push(gates.enter(&config, || T).await.ok().unwrap());
        }
        for pass in &asking {
            pass.failed(Trouble::Provider, Some(1), T);
        }
        asking[0].answered();
        let refused = gates.enter(&config, || T).await.err().map(|closed| closed.until);
        assert_eq!(refused, Some(T.plus_seconds(1)), "an answer to what was sent before changes nothing");
        let mut passes = Vec::new();
        for _ in 0..3 {
            passes.push(gates.enter(&config, || T.plus_seconds(1)).await.ok().unwrap());
        }
    }

    #[tokio::test]
    async fn t77_one_configuration_has_its_places_and_takes_no_others() {
        let (gates, one, other) =
            (Gates::default(), ConfigId::new(&SystemRandom), ConfigId::new(&SystemRandom));
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(gates.enter(&one, || T).await.ok().unwrap());
        }
        let at_once = async |config| {
            let entered = gates.enter(config, || T);
            tokio::time::timeout(std::time::Duration::ZERO, entered).await.is_ok_and(|pass| pass.is_ok())
        };
        assert!(!at_once(&one).await, "every place is taken");
        assert!(gates.shunned(T).is_empty(), "some may wait");
        assert!(at_once(&other).await);
    }
}
