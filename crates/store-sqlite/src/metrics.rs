//! The writer's metrics: how many commands wait, how many share a commit, and how long a commit takes.

use std::{sync::LazyLock, time::Instant};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Histogram buckets for one commit, seconds: a fast disk takes a quarter of a millisecond, a bad one tens of milliseconds.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
/// Histogram buckets for the commands in one commit.
const COMMANDS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

static COMMIT: LazyLock<Histogram> = LazyLock::new(|| Histogram::new(SECONDS));
static BATCH: LazyLock<Histogram> = LazyLock::new(|| Histogram::new(COMMANDS));
static WAITING: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static LOST: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Registers this crate's metrics.
pub fn register(registry: &mut Registry) {
    registry.register_with_unit(
        "alter_sqlite_commit_duration",
        "Of one durable commit, with all commands of its batch",
        Unit::Seconds,
        COMMIT.clone(),
    );
    registry.register("alter_sqlite_batch_commands", "Write commands in one commit", BATCH.clone());
    registry.register(
        "alter_sqlite_queue_commands",
        "Write commands that waited when the last commit was done",
        WAITING.clone(),
    );
    registry.register(
        "alter_sqlite_batches_lost",
        "Commits that failed, with every command in them",
        LOST.clone(),
    );
}

/// Counts a batch, committed or not.
pub(crate) fn batch(since: Instant, commands: usize, waiting: usize, lost: bool) {
    COMMIT.observe(since.elapsed().as_secs_f64());
    // At most 256 and 1024: exact in both types.
    BATCH.observe(commands as f64);
    WAITING.set(waiting as i64);
    if lost {
        LOST.inc();
    }
}
