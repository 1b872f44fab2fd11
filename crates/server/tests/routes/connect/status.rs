//! What the app's page is told, and when the flow counts as over.

mod exit;
mod outcome;

use super::{poll, status, step, token_requests};
