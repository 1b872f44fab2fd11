//! Refreshing (RFC 6749 section 6).

use axum::response::Response;

use super::token_answer::{Fields, Refusal, token_answer};
use crate::quirks::RefreshMode;
use crate::state::Inner;
use crate::switches::Switches;

pub(super) fn by_refresh(
    inner: &Inner,
    switches: &Switches,
    client_id: &str,
    form: &Fields,
) -> Result<Response, Refusal> {
    let presented = form.get("refresh_token").ok_or(("invalid_request", "refresh_token is missing"))?;
    let now = inner.now();
    let mut world = inner.world();
    let held = world.grants.use_refresh(presented, client_id, switches.refresh, now);
    let mut held = held.ok_or(("invalid_grant", "the refresh token is unknown, used or revoked"))?;
    if let Some(scope) = form.get("scope") {
        let granted: Vec<&str> = held.scope.split_whitespace().collect();
        if !scope.split_whitespace().all(|word| granted.contains(&word)) {
            return Err(("invalid_scope", "more than was granted"));
        }
        held.scope.clone_from(scope);
    }
    let with_refresh = switches.refresh != RefreshMode::Keep && !switches.omit_refresh_token;
    let issued = world.grants.issue(&held, switches.access_token_life, with_refresh, now);
    Ok(token_answer(switches, &held, &issued, None))
}
