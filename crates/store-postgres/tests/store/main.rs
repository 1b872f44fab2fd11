//! The engine against the contract, and what is true of PostgreSQL alone. One binary: linking is the dear part, and
//! its tests share one throw-away cluster.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod connecting;
mod contract;
mod durability;
mod held;
mod locks;
mod outage;
mod releases;
mod repetition;
mod schema;
