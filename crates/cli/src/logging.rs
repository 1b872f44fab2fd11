//! Structured logs on standard error: text on a terminal, JSON otherwise. No field is ever secret: secrets are types
//! that print nothing, and requests are logged without query, headers or body (T95). The log lines of a request carry
//! its span: `request_id`, and the `trace_id` that joins them to the caller's trace.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use crate::config::LogFilter;

/// Starts logging with the filter of `ALTER_LOG`.
///
/// # Errors
/// Another logger has been started.
pub(crate) fn start(filter: &LogFilter) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter.as_str()).context("ALTER_LOG is not a log filter")?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        builder.try_init()
    } else {
        // The list of spans begins with the request's span; the current span would repeat it.
        builder.json().with_current_span(false).try_init()
    };
    started.map_err(|error| anyhow::anyhow!("logging did not start: {error}"))
}
