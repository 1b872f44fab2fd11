//! The stories without HTTP: real flows over a real SQLite file, a provider on loopback, and a clock that stands still
//! until a test moves it. What a route makes of a story is tested in `crates/server/tests`.
//!
//! To add a story: its call is a line in `support/calls.rs`, its tests are a file here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod connect;
mod end;
mod mint;
mod operate;
mod reap;
mod release;
mod support;
