//! Refreshing (RFC 6749 section 6).

use axum::response::Response;

use super::token_answer::{Fields, token_answer};
use crate::access_token::mint;
use crate::grants::{Asked, Refusal};
use crate::state::Inner;
use crate::switches::Switches;

pub(super) fn by_refresh(
    inner: &Inner,
    switches: &Switches,
    client_id: &str,
    form: &Fields,
) -> Result<Response, Refusal> {
    let token = form.get("refresh_token").ok_or(("invalid_request", "refresh_token is missing"))?;
    let asked = Asked { token, client_id, scope: form.get("scope").map(String::as_str) };
    let now = inner.now();
    let minted = |held: &_| mint(inner, switches, held, now);
    let (held, issued) = inner.world().grants.refresh(switches, &asked, now, minted)?;
    Ok(token_answer(switches, &held, &issued, None, &switches.refresh.answer_fields))
}
