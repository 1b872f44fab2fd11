//! The world of a story: flows, their storage, a provider, an app, and the user's browser.

mod calls;
mod clock;
mod directory;
mod random;
mod visit;
mod world;

pub(crate) use visit::{Back, Visit};
pub(crate) use world::{CLIENT_SECRET, ORIGIN, World, api_answer, recipe};
