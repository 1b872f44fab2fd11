//! What each route does for a caller in good faith, over real sockets: a file here tests the file of the same path in
//! `src/routes`. `flow` goes through all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod coding;
mod connect;
mod contract;
mod flow;
mod sdk;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the attacks need all of it")]
mod support;

use support::sql;
