//! A model of how refresh tokens are used, for a checker that walks through everything that can happen.
//!
//! Two processes, a provider, a user who connects again and one who revokes, with crashes, lost and late answers between
//! any two steps. What is decided is decided by the functions of `alter-core` that the product runs; the model brings the
//! provider ([`provider`]), what a transaction of the store does ([`store`]), the order in which things can happen
//! ([`model`]) and what must never be seen ([`properties`]).
//!
//! `tests/protocol.rs` walks through it, and `tests/broken.rs` breaks it and finds what comes of it.

pub mod model;
pub mod properties;
pub mod provider;
pub mod store;
pub mod trace;

pub use model::{Action, Limits, Refreshing, State};
pub use properties::Wrong;
pub use provider::Kind;
pub use store::Broken;
