//! The metrics of the stories. By their types, labels are only our own fixed words: never an id, a name, or anything
//! that a caller or a provider wrote (T95).

use std::{sync::LazyLock, time::Instant};

use alter_core::{EndKind, Level, RevocationOutcome, StoreError};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Histogram buckets in seconds for an exchange, which is two or three requests to a provider.
const SECONDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// One histogram for each label.
type Histograms = Family<Outcome, Histogram, fn() -> Histogram>;

static MINTED: LazyLock<Counter> = LazyLock::new(Counter::default);
static CLAIMED: LazyLock<Family<Binding, Counter>> = LazyLock::new(Family::default);
static ENDED: LazyLock<Family<Ended, Counter>> = LazyLock::new(Family::default);
static EXCHANGES: LazyLock<Family<Outcome, Counter>> = LazyLock::new(Family::default);
static EXCHANGE_DURATION: LazyLock<Histograms> =
    LazyLock::new(|| Family::new_with_constructor(|| Histogram::new(SECONDS)));
static EXCHANGING: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static RELEASES: LazyLock<Family<Outcome, Counter>> = LazyLock::new(Family::default);
static REVOCATIONS: LazyLock<Family<Outcome, Counter>> = LazyLock::new(Family::default);
static REFRESHES: LazyLock<Family<Refreshed, Counter>> = LazyLock::new(Family::default);
static REFRESH_DURATION: LazyLock<Histogram> = LazyLock::new(|| Histogram::new(SECONDS));
static REFRESH_LATE: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static REFRESH_GATES: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static REFRESHING: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static ROUNDS: LazyLock<Family<Outcome, Counter>> = LazyLock::new(Family::default);
static AUDIT_FAILURES: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Registers this crate's metrics.
pub fn register(registry: &mut Registry) {
    registry.register("alter_sessions_minted", "Connect sessions minted", MINTED.clone());
    registry.register(
        "alter_sessions_claimed",
        "Sessions opened by a browser, by binding level",
        CLAIMED.clone(),
    );
    registry.register("alter_sessions_ended", "Sessions ended, by how", ENDED.clone());
    registry.register("alter_exchanges", "Exchanges of a code for tokens, by outcome", EXCHANGES.clone());
    registry.register_with_unit(
        "alter_exchange_duration",
        "From the consumed callback to the stored grant, or to what came instead, by outcome",
        Unit::Seconds,
        EXCHANGE_DURATION.clone(),
    );
    registry.register(
        "alter_exchanges_in_flight",
        "Exchanges under way: a shutdown waits for them",
        EXCHANGING.clone(),
    );
    registry.register("alter_token_releases", "Calls of /sdk/token by outcome", RELEASES.clone());
    registry.register(
        "alter_revocations",
        "Times that a provider was asked to revoke a token, or would have been, by outcome",
        REVOCATIONS.clone(),
    );
    registry.register(
        "alter_refreshes",
        "Refreshes of a grant's credential, by provider (of the catalog, or other) and outcome",
        REFRESHES.clone(),
    );
    registry.register_with_unit(
        "alter_refresh_request_duration",
        "From sending a refresh token to the provider's answer, or to the end of waiting",
        Unit::Seconds,
        REFRESH_DURATION.clone(),
    );
    registry.register(
        "alter_refresh_oldest_late_seconds",
        "How long ago the grant that is longest due for a refresh became due, without paused providers; 0 = none is",
        REFRESH_LATE.clone(),
    );
    registry.register(
        "alter_refresh_providers_paused",
        "Provider configurations that are not asked for tokens at the moment, because they fail or ask for patience",
        REFRESH_GATES.clone(),
    );
    registry.register("alter_refreshes_in_flight", "Refresh requests under way", REFRESHING.clone());
    registry.register("alter_reaper_rounds", "Rounds of tidying up by outcome", ROUNDS.clone());
    registry.register(
        "alter_audit_failures",
        "Audit entries that could not be written; a release then does not happen",
        AUDIT_FAILURES.clone(),
    );
    // Create every series now: an alert on a series that does not exist yet never fires.
    for outcome in ["done", "failed", "panicked"] {
        drop(ROUNDS.get_or_create(&Outcome { outcome }));
    }
    for outcome in ["connected", "refused", "fault", "later"] {
        drop(EXCHANGES.get_or_create(&Outcome { outcome }));
    }
    for outcome in ["refreshed", "refused", "client_refused", "unknown", "rotation_lost"] {
        drop(REFRESHES.get_or_create(&Refreshed { provider: "other", outcome }));
    }
    for outcome in ["released", "fault"] {
        drop(RELEASES.get_or_create(&Outcome { outcome }));
    }
    for outcome in ["confirmed", "given_up"] {
        drop(REVOCATIONS.get_or_create(&Outcome { outcome }));
    }
    for kind in [EndKind::Done, EndKind::Failed, EndKind::Expired, EndKind::Cancelled] {
        drop(ENDED.get_or_create(&Ended { end: kind.as_str() }));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refreshed {
    provider: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Binding {
    level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    end: &'static str,
}

pub(crate) fn minted() {
    MINTED.inc();
}

pub(crate) fn claimed(level: Level) {
    CLAIMED.get_or_create(&Binding { level: level.as_str() }).inc();
}

pub(crate) fn ended(end: EndKind) {
    ENDED.get_or_create(&Ended { end: end.as_str() }).inc();
}

/// Counts the end of a session that an attempt's end also ended.
pub(crate) fn session_ended_with(attempt: alter_core::Ended) {
    if let alter_core::Ended::Done { session: Some(end) } = attempt {
        ended(end);
    }
}

pub(crate) fn released(outcome: &'static str) {
    RELEASES.get_or_create(&Outcome { outcome }).inc();
}

pub(crate) fn revocation_asked(outcome: RevocationOutcome) {
    REVOCATIONS.get_or_create(&Outcome { outcome: outcome.as_str() }).inc();
}

/// Counts an attempt. A provider that the operator defined counts as `other`: labels are our own words.
pub(crate) fn refreshed(provider: &str, outcome: &'static str) {
    let known = alter_providers::Catalog::builtin().get(provider);
    let provider = known.map_or("other", |recipe| recipe.id.as_str());
    REFRESHES.get_or_create(&Refreshed { provider, outcome }).inc();
}

/// What a round found: how late the latest refresh is, and how many providers are left alone.
pub(crate) fn refreshes_late(seconds: i64, paused: usize) {
    REFRESH_LATE.set(seconds);
    REFRESH_GATES.set(i64::try_from(paused).unwrap_or(i64::MAX));
}

/// A refresh request under way.
pub(crate) struct Refreshing(Instant);

impl Refreshing {
    pub(crate) fn begin() -> Self {
        REFRESHING.inc();
        Self(Instant::now())
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        REFRESHING.dec();
        REFRESH_DURATION.observe(self.0.elapsed().as_secs_f64());
    }
}

pub(crate) fn reaper_round(outcome: &'static str) {
    ROUNDS.get_or_create(&Outcome { outcome }).inc();
}

pub(crate) fn audit_failed() {
    AUDIT_FAILURES.inc();
}

/// A command was not committed, and its audit entry was lost with it.
pub(crate) fn not_committed(error: &StoreError) {
    if matches!(error, StoreError::Unavailable(_)) {
        audit_failed();
    }
}

/// An exchange under way. If it is dropped without [`Exchanging::done`], it panicked or the process is ending.
pub(crate) struct Exchanging {
    outcome: &'static str,
    since: Instant,
}

impl Exchanging {
    pub(crate) fn begin() -> Self {
        EXCHANGING.inc();
        Self { outcome: "broken_off", since: Instant::now() }
    }

    pub(crate) fn done(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Exchanging {
    fn drop(&mut self) {
        EXCHANGING.dec();
        let outcome = Outcome { outcome: self.outcome };
        EXCHANGE_DURATION.get_or_create(&outcome).observe(self.since.elapsed().as_secs_f64());
        EXCHANGES.get_or_create(&outcome).inc();
    }
}
