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
}

impl TestClock {
    /// Moves it, forwards or backwards.
    pub fn advance_seconds(&self, seconds: i64) {
        self.offset.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Micros {
        Micros(SystemClock.now().0 + self.offset.load(Ordering::SeqCst))
    }
}
