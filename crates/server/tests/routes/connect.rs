//! The pages that the user sees, and what the app's page learns of them.

mod status;
mod steps;
mod way_back;

use crate::support::session::{poll, status, step, token_requests};
