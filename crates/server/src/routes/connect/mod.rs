//! `/connect/*` and the connect page: claiming a session, the pages of a flow, their API, the status channel.

pub(super) mod assets;
pub(super) mod claim;
mod customer;
mod extra;
pub(super) mod notice;
pub(super) mod open;
pub(crate) mod result;
pub(super) mod session;
pub(super) mod shell;
pub(crate) mod status;
pub(super) mod steps;
pub(super) mod way_back;
mod words;

use words::staged;

pub(super) use words::{connected, connection, event_name, operation};
