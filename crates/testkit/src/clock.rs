//! A clock that tests move.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use alter_core::{Clock, Micros, SystemClock};

/// The machine's time plus whatever the test added: tokens that the mock provider signs stay valid beside it.
#[derive(Debug, Clone, Default)]
pub struct TestClock {
    offset: Arc<AtomicI64>,
    /// The moment at which the machine's time was left behind; 0 = it still runs.
    frozen: Arc<AtomicI64>,
}

impl TestClock {
    /// Moves it, forwards or backwards.
    pub fn advance_seconds(&self, seconds: i64) {
        self.offset.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl TestClock {
    /// Stops it at the beginning of a whole second: from now on it moves by the `advance` calls alone, so that a test
    /// may stand exactly on an edge.
    pub fn freeze(&self) {
        self.frozen.store(SystemClock.now().as_seconds() * 1_000_000, Ordering::SeqCst);
    }

    /// As [`Self::advance_seconds`], in milliseconds.
    pub fn advance_millis(&self, millis: i64) {
        self.offset.fetch_add(millis * 1_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Micros {
        let base = match self.frozen.load(Ordering::SeqCst) {
            0 => SystemClock.now().0,
            moment => moment,
        };
        Micros(base + self.offset.load(Ordering::SeqCst))
    }
}
