//! Keeping a grant's credential usable.
//!
//! 1. [`usable`] decides on the grant that was read: serve, ask for a new token, wait, or tell that the user must connect
//!    again. A token that is still valid is served at once, and its refresh runs beside.
//! 2. One flight per grant and process ([`flight`]); all its callers share the outcome.
//! 3. The flight ([`attempt`]) takes the lease, asks the provider, journals the answer, and changes the grant by
//!    compare-and-set. It runs in a task of its own, which no disconnect cancels.
//! 4. Every few seconds [`sweep`] looks at grants that are due, and finishes what a crash has broken off.
//!
//! Which decision follows from what is a pure function: `alter_core::refresh`.

pub(crate) mod attempt;
mod finish;
mod flight;
mod gate;
mod health;
mod operator;
mod sweep;
mod usable;

pub(crate) use flight::Flights;
pub(crate) use gate::Gates;
pub use health::{Health, health};
pub use operator::{RefreshError, refresh_as_operator};
pub use sweep::sweep;
pub(crate) use sweep::{Gone, begin_sweep};
pub use usable::NotUsable;
pub(crate) use usable::{rejected, usable};
