//! The feature `armed`: reads `ALTER_FAILPOINT` once and does what it says.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// `ALTER_FAILPOINT`, and the names that are passed to [`seconds`].
pub(crate) const VARIABLES: &[&str] =
    &["ALTER_FAILPOINT", "ALTER_LOST_AFTER", "ALTER_REAP_EVERY", "ALTER_REFRESH_HOLD"];

/// What happens at one named place.
struct Point {
    name: String,
    action: Action,
}

enum Action {
    /// Kills the process at the pass that brings this count to zero.
    Kill(AtomicU32),
    /// Makes the operation fail at the pass that brings this count to zero.
    Fail(AtomicU32),
    /// Waits at each pass.
    Sleep(Duration),
}

static POINTS: LazyLock<Vec<Point>> = LazyLock::new(|| {
    let text = std::env::var("ALTER_FAILPOINT").unwrap_or_default();
    text.split(',').filter(|part| !part.is_empty()).map(read).collect()
});

/// # Panics
/// On text that it cannot read: a test that kills nothing because of a typing error must not pass.
fn read(text: &str) -> Point {
    let (name, action) = text.split_once(':').unwrap_or((text, "1"));
    let count = |text: &str| text.parse().ok().map(AtomicU32::new);
    let action = match action.split_once('=').unwrap_or(("kill", action)) {
        ("kill", nth) => count(nth).map(Action::Kill),
        ("fail", nth) => count(nth).map(Action::Fail),
        ("sleep", millis) => millis.parse().ok().map(Duration::from_millis).map(Action::Sleep),
        _ => None,
    };
    let action = action.unwrap_or_else(|| panic!("ALTER_FAILPOINT cannot be read: {text}"));
    Point { name: name.to_owned(), action }
}

pub(crate) fn pass(name: &str) {
    for point in POINTS.iter().filter(|point| point.name == name) {
        match &point.action {
            Action::Sleep(pause) => std::thread::sleep(*pause),
            Action::Kill(left) if left.fetch_sub(1, Ordering::SeqCst) == 1 => die(),
            Action::Kill(_) | Action::Fail(_) => {}
        }
    }
}

pub(crate) fn fails(name: &str) -> bool {
    let here = POINTS.iter().filter(|point| point.name == name);
    here.filter_map(|point| if let Action::Fail(left) = &point.action { Some(left) } else { None })
        .any(|left| left.fetch_sub(1, Ordering::SeqCst) == 1)
}

/// Dies as by `kill -9` from outside: no destructor, no flush, nothing after this line.
fn die() -> ! {
    let _cannot_fail =
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

pub(crate) fn seconds(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}
