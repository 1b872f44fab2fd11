//! The metrics of HTTP. By their types, labels come from fixed sets: a route's template, one of a few methods, a class of
//! status. Nothing that a caller chose can become a label (T95).

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Histogram buckets, seconds. A page takes a few milliseconds; a callback waits for the provider.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// One histogram for each label.
type Histograms = Family<Route, Histogram, fn() -> Histogram>;

static REQUESTS: LazyLock<Family<Answered, Counter>> = LazyLock::new(Family::default);
static DURATION: LazyLock<Histograms> =
    LazyLock::new(|| Family::new_with_constructor(|| Histogram::new(SECONDS)));
static IN_FLIGHT: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static WAITING: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static OPEN: LazyLock<Gauge> = LazyLock::new(Gauge::default);
static CONNECTIONS: LazyLock<Family<Admission, Counter>> = LazyLock::new(Family::default);

/// Registers this crate's metrics.
pub fn register(registry: &mut Registry) {
    registry.register("alter_http_requests", "Requests by route, method and status class", REQUESTS.clone());
    registry.register_with_unit(
        "alter_http_request_duration",
        "From the end of a request's headers to its answer, by route",
        Unit::Seconds,
        DURATION.clone(),
    );
    registry.register("alter_http_requests_in_flight", "Requests that are being answered", IN_FLIGHT.clone());
    registry.register(
        "alter_status_polls_waiting",
        "Status calls of apps' pages whose answers wait for news",
        WAITING.clone(),
    );
    registry.register("alter_http_connections_open", "Connections that are open", OPEN.clone());
    registry.register(
        "alter_http_connections",
        "Connections by what became of them: admitted, or refused for the cap of their address",
        CONNECTIONS.clone(),
    );
    // Create every series now: an alert on a series that does not exist yet never fires.
    for outcome in ["admitted", "refused"] {
        drop(CONNECTIONS.get_or_create(&Admission { outcome }));
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: Template,
    method: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: Template,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Admission {
    outcome: &'static str,
}

/// A route as it was registered. It is made only from what the router matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Template(Arc<str>);

impl Template {
    fn of(request: &Request) -> Self {
        static NONE: LazyLock<Arc<str>> = LazyLock::new(|| "none".into());
        match request.extensions().get::<MatchedPath>() {
            Some(matched) => Self(matched.as_str().into()),
            None => Self(NONE.clone()),
        }
    }
}

impl EncodeLabelValue for Template {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        (&*self.0).encode(encoder)
    }
}

/// A client may send any word as the method, so all methods that no route takes share one label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn status_label(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

/// A request that is being answered. If it is dropped without [`Answering::done`], the client left first.
#[derive(Debug)]
pub(crate) struct Answering {
    route: Template,
    method: &'static str,
    status: &'static str,
    since: Instant,
}

impl Answering {
    pub(crate) fn begin(request: &Request) -> Self {
        IN_FLIGHT.inc();
        Self {
            route: Template::of(request),
            method: method_label(request.method()),
            status: "gone",
            since: Instant::now(),
        }
    }

    pub(crate) fn done(mut self, status: StatusCode) {
        self.status = status_label(status);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        IN_FLIGHT.dec();
        let Self { route, method, status, since } = self;
        let by_route = Route { route: route.clone() };
        DURATION.get_or_create(&by_route).observe(since.elapsed().as_secs_f64());
        REQUESTS.get_or_create(&Answered { route: by_route.route, method, status }).inc();
    }
}

/// An answer that waits for news.
#[derive(Debug)]
pub(crate) struct Waiting(());

impl Waiting {
    pub(crate) fn now() -> Self {
        WAITING.inc();
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.dec();
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct Connected(());

impl Connected {
    pub(crate) fn now() -> Self {
        OPEN.inc();
        CONNECTIONS.get_or_create(&Admission { outcome: "admitted" }).inc();
        Self(())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        OPEN.dec();
    }
}

pub(crate) fn connection_refused() {
    CONNECTIONS.get_or_create(&Admission { outcome: "refused" }).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_or_path_that_a_caller_made_up_is_no_label() {
        let request = Request::builder()
            .method("CANARYMETHOD")
            .uri("/canary/path?canary=query")
            .body(axum::body::Body::empty())
            .unwrap();
        let answering = Answering::begin(&request);
        assert_eq!((&*answering.route.0, answering.method, answering.status), ("none", "other", "gone"));
        answering.done(StatusCode::NOT_FOUND);
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::prometheus_text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains(r#"alter_http_requests_total{route="none",method="other",status="4xx"} 1"#),
            "{text}"
        );
        assert!(!text.to_lowercase().contains("canary"), "{text}");
    }
}
