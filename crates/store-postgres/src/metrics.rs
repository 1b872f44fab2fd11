//! The metrics of the database server: how long commands take, including the wait for a connection and repetitions, and
//! how they end.

use std::{sync::LazyLock, time::Instant};

use alter_core::StoreError;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Histogram buckets for one command, seconds.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

static COMMANDS: LazyLock<Family<Outcome, Counter>> = LazyLock::new(Family::default);
static DURATION: LazyLock<Histogram> = LazyLock::new(|| Histogram::new(SECONDS));
static REPEATS: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Registers this crate's metrics.
pub fn register(registry: &mut Registry) {
    registry.register(
        "alter_postgres_commands",
        "Storage commands by outcome; releases that share a transaction are one",
        COMMANDS.clone(),
    );
    registry.register_with_unit(
        "alter_postgres_command_duration",
        "Of one storage command, from asking for a connection to its commit",
        Unit::Seconds,
        DURATION.clone(),
    );
    registry.register(
        "alter_postgres_repeats",
        "Transactions that the server undid because of others and that were tried again",
        REPEATS.clone(),
    );
    // Create every series now: an alert on a series that does not exist yet never fires.
    for outcome in ["done", "refused", "unavailable"] {
        drop(COMMANDS.get_or_create(&Outcome { outcome }));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

pub(crate) fn repeated() {
    REPEATS.inc();
}

pub(crate) fn command<T>(since: Instant, result: &Result<T, StoreError>) {
    DURATION.observe(since.elapsed().as_secs_f64());
    let outcome = match result {
        Ok(_) => "done",
        Err(StoreError::Unavailable(_)) => "unavailable",
        Err(_) => "refused",
    };
    COMMANDS.get_or_create(&Outcome { outcome }).inc();
}
