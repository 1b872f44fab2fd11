//! Captures what this thread logs, as text: every field of every event and span, at every level.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, Interest},
};

/// Captures the log until this value is dropped. Only for tests on the current-thread runtime, where one thread does
/// all the work.
pub(super) struct Logs {
    text: Arc<Mutex<String>>,
    _guard: DefaultGuard,
}

impl Logs {
    pub(super) fn capture() -> Self {
        // Tests on other threads log at the same call sites, and `tracing` caches for all threads whether a call site
        // is of interest. A global subscriber that answers "sometimes" keeps the call sites from being switched off.
        let _set_by_the_first_test = tracing::subscriber::set_global_default(Undecided);
        let text = Arc::new(Mutex::new(String::new()));
        let guard = tracing::subscriber::set_default(Writer(text.clone()));
        Self { text, _guard: guard }
    }

    pub(super) fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }
}

struct Writer(Arc<Mutex<String>>);

/// Records nothing, but wants to be asked each time.
struct Undecided;

impl Subscriber for Undecided {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _into_a_string_always_works = write!(self.0, " {field}={value:?}");
    }

    // As text, not as its Debug: an escape that only the test sees would hide what a plain formatter writes.
    fn record_str(&mut self, field: &Field, value: &str) {
        let _into_a_string_always_works = write!(self.0, " {field}={value}");
    }
}

impl Subscriber for Writer {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Fields(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        event.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
