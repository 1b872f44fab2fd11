//! The engine against the contract, and what is true of SQLite alone. One binary, because linking is the dear part.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

mod contract;
mod directory;
mod durability;
mod schema;
mod wiping;
mod writers;
