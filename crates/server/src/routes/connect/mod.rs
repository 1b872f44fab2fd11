//! `/connect/*` and the connect page: claiming a session, the pages of a flow, their API, the status channel.

pub(super) mod assets;
pub(super) mod claim;
mod customer;
mod extra;
pub(super) mod notice;
pub(super) mod open;
pub(super) mod session;
pub(super) mod shell;
pub(crate) mod status;
pub(super) mod steps;
mod words;

pub(super) use words::{connected, connection, event_name, operation};
