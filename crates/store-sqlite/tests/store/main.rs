//! Tests of the engine against the contract, and of what is true of SQLite only. One binary, because linking is
//! expensive.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod contract;
mod directory;
mod durability;
mod schema;
mod serving;
mod wiping;
mod writers;
