//! Tests of the binary as an operator runs it: real processes, real signals, a mock provider.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do the functions that it calls")]

mod doctor;
mod drain;
mod grants;
#[cfg(target_os = "linux")]
mod memory;
mod metrics;
mod place;
mod server;
mod settings;
mod tracing;
