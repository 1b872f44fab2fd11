//! A clock that tests move.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use alter_core::{Clock, Micros, SystemClock};

/// The machine's time plus what the test added. It starts at the machine's time, because the mock provider signs tokens
/// with that time.
#[derive(Debug, Clone, Default)]
pub struct TestClock {
    offset: Arc<AtomicI64>,
    /// The time at which the clock was frozen; 0 = the clock runs.
    frozen: Arc<AtomicI64>,
}

impl TestClock {
    /// Moves the clock forwards, or backwards if `seconds` is negative.
    pub fn advance_seconds(&self, seconds: i64) {
        self.offset.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl TestClock {
    /// Stops the clock at the beginning of a whole second. From now on only the `advance` calls move it, so that a test
    /// can stand exactly on an edge.
    pub fn freeze(&self) {
        self.frozen.store(SystemClock.now().as_seconds() * 1_000_000, Ordering::SeqCst);
    }

    /// Like [`Self::advance_seconds`], in milliseconds.
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
