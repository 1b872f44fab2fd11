//! A clock that stands still.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use alter_core::{Clock, Micros, SystemClock};

/// Starts at a whole second of the machine's time, so that the tokens that the provider signs are valid. Moves only
/// when a test moves it.
#[derive(Clone)]
pub(crate) struct StoppedClock {
    now: Arc<AtomicI64>,
    meddler: Arc<Mutex<Meddler>>,
}

/// What happens whenever somebody looks at the clock.
type Meddler = Box<dyn FnMut() + Send>;

impl StoppedClock {
    pub(crate) fn new() -> Self {
        let now = Arc::new(AtomicI64::new(SystemClock.now().as_seconds() * 1_000_000));
        Self { now, meddler: Arc::new(Mutex::new(Box::new(|| {}))) }
    }

    /// Lets something happen whenever a story looks at the clock: between its steps.
    pub(crate) fn at_each_look(&self, meddler: impl FnMut() + Send + 'static) {
        *self.meddler.lock().unwrap() = Box::new(meddler);
    }

    pub(crate) fn advance_seconds(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    pub(crate) fn advance_millis(&self, millis: i64) {
        self.now.fetch_add(millis * 1_000, Ordering::SeqCst);
    }

    pub(crate) fn set(&self, moment: Micros) {
        self.now.store(moment.0, Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Micros {
        (self.meddler.lock().unwrap())();
        Micros(self.now.load(Ordering::SeqCst))
    }
}
