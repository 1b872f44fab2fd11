//! The engine against the contract, and what is true of SQLite alone. One binary, because linking is the dear part.

mod contract;
mod directory;
mod durability;
mod schema;
mod wiping;
mod writers;
