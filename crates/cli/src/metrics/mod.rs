//! `/metrics` on a listener of its own (`ALTER_METRICS_LISTEN`), apart from what browsers reach. Each crate has its own
//! counters; this module registers them all and writes them out.

mod process;

use std::{net::SocketAddr, sync::Arc};

use alter_server::Limits;
use anyhow::Context;
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, prometheus_text},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::net::TcpListener;

/// How many connections the metrics listener accepts at once.
const CONNECTIONS: usize = 16;

/// Serves metrics until the task is aborted. Any other path is 404.
///
/// # Errors
/// The server cannot listen on the address.
pub(crate) async fn serve(address: SocketAddr) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("ALTER_METRICS_LISTEN: cannot listen on {address}"))?;
    tracing::info!(listen = %listener.local_addr()?, "serving metrics");
    let limits = Limits { connections: CONNECTIONS, counted: false, ..Limits::default() };
    let router = router(Arc::new(registry()));
    Ok(tokio::spawn(alter_server::serve(listener, router, limits, std::future::pending())))
}

fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/metrics", get(move || async move { write(&registry) }))
        .fallback(|| async { StatusCode::NOT_FOUND })
}

fn write(registry: &Registry) -> Response {
    let mut text = String::with_capacity(16 * 1024);
    match prometheus_text::encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    let build = Family::<Build, Gauge>::default();
    build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
    registry.register("alter_build_info", "This program; always 1", build);
    alter_server::metrics::register(&mut registry);
    alter_flows::metrics::register(&mut registry);
    alter_egress::metrics::register(&mut registry);
    alter_store_sqlite::metrics::register(&mut registry);
    alter_store_postgres::metrics::register(&mut registry);
    process::register(&mut registry);
    registry
}
