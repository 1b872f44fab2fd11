//! The metrics of outgoing requests. The types of the labels admit only words of this program: never a host, never a
//! path (T95).

use std::{sync::LazyLock, time::Instant};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{EgressError, Response};

/// Bucket limits in seconds, up to the longest time that a token request may take.
const SECONDS: [f64; 11] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0];

/// One histogram for each outcome.
type Histograms = Family<Outcome, Histogram, fn() -> Histogram>;

static REQUESTS: LazyLock<Family<Outcome, Counter>> = LazyLock::new(Family::default);
static DURATION: LazyLock<Histograms> =
    LazyLock::new(|| Family::new_with_constructor(|| Histogram::new(SECONDS)));

/// Registers this crate's metrics.
pub fn register(registry: &mut Registry) {
    registry.register(
        "alter_egress_requests",
        "Outgoing requests, by outcome: the class of the status, or why there was no answer",
        REQUESTS.clone(),
    );
    registry.register_with_unit(
        "alter_egress_request_duration",
        "Duration of an outgoing request, from asking for a connection to the last byte of the answer, by outcome",
        Unit::Seconds,
        DURATION.clone(),
    );
    // Present from the start: an alert on a series that is not there yet never fires.
    for outcome in
        ["2xx", "4xx", "5xx", "blocked", "not_resolved", "not_connected", "tls_failed", "timed_out"]
    {
        drop(REQUESTS.get_or_create(&Outcome { outcome }));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

pub(crate) fn count(since: Instant, result: &Result<Response, EgressError>) {
    let outcome = Outcome { outcome: label(result) };
    DURATION.get_or_create(&outcome).observe(since.elapsed().as_secs_f64());
    REQUESTS.get_or_create(&outcome).inc();
}

fn label(result: &Result<Response, EgressError>) -> &'static str {
    match result {
        Ok(response) => match response.status.as_u16() {
            ..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        },
        Err(EgressError::BadUrl { .. }) => "bad_url",
        Err(EgressError::BlockedDestination { .. }) => "blocked",
        Err(EgressError::Resolve { .. }) => "not_resolved",
        Err(EgressError::Connect { .. }) => "not_connected",
        Err(EgressError::Tls { .. }) => "tls_failed",
        Err(EgressError::Timeout { .. }) => "timed_out",
        Err(EgressError::BodyTooLarge { .. } | EgressError::HeadersTooLarge { .. }) => "too_large",
        Err(EgressError::Protocol { .. }) => "broken",
    }
}
