//! Structured logs on standard error: JSON when nobody is looking, text on a terminal. Nothing secret is ever a field:
//! secrets are types that print nothing, and requests are logged without query, headers or body (T95).
//! Lines of a request carry its span: `request_id`, and the `trace_id` that joins them to the caller's trace.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts logging with the filter of `ALTER_LOG` (`info`, `debug`, `alter_flows=debug` ...).
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("ALTER_LOG is not a log filter: {filter}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        // The request's span is the first of the list; the current one would say it twice.
        builder.json().with_current_span(false).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("logging did not start: {error}"))
}
