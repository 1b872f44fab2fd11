//! The stories of `alter-flows` without HTTP: real flows over a real SQLite file, a provider on loopback, and a clock
//! that stands still until a test moves it. How a route presents a story is tested in `crates/server/tests`.
//!
//! To add a story, add its call to `support/calls.rs` and a file of tests here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod connect;
mod end;
mod mint;
mod operate;
mod reap;
mod refresh;
mod release;
mod support;
mod waiting;
