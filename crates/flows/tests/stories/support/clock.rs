//! A clock that stands still.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use alter_core::{Clock, Micros, SystemClock};

/// Starts at a whole second of the machine's time, so that the tokens that the provider signs are valid. Moves only
/// when a test moves it.
#[derive(Debug, Clone)]
pub(crate) struct StoppedClock(Arc<AtomicI64>);

impl StoppedClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(SystemClock.now().as_seconds() * 1_000_000)))
    }

    pub(crate) fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, moment: Micros) {
        self.0.store(moment.0, Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Micros {
        Micros(self.0.load(Ordering::SeqCst))
    }
}
