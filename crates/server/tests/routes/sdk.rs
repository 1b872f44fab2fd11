//! The calls of an app's backend.

mod catalog;
mod files;
mod not_built;
mod report;
mod session;

use crate::support::session::app_with;
