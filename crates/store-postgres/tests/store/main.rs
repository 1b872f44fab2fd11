//! Tests of the engine against the contract, and of what is true of PostgreSQL only. One binary, because linking is
//! expensive and the tests share one throw-away cluster.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod connecting;
mod contract;
mod durability;
mod held;
mod locks;
mod outage;
mod pooled;
mod refreshes;
mod releases;
mod repetition;
mod schema;
