//! `/token` (RFC 6749 sections 4.1.3 and 6, RFC 7636 section 4.6).
//!
//! In this order: authenticate the client, check the grant, issue, build the answer. Delays, the gate and
//! the faults that lose an answer come last, so that their requests have taken effect.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::Provider;
use super::answer::oauth_error;
use super::by_code::by_code;
use super::by_refresh::by_refresh;
use super::client_auth::authenticate;
use super::token_answer::Fields;
use super::token_fault;
use crate::accept::Cut;
use crate::seen::{json_fields, pairs};
use crate::state::Inner;
use crate::switches::Switches;

pub(crate) async fn token(
    State(inner): Provider,
    Extension(cut): Extension<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let switches = inner.switches();
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Some providers take JSON as well as the standard's form.
    let form: Fields = if kind.starts_with("application/json") {
        json_fields(kind, &body).into_iter().collect()
    } else {
        pairs(&body).into_iter().collect()
    };
    let fault = inner.world().take_token_fault();
    let answer = match fault.as_ref().and_then(token_fault::instead) {
        Some(answer) => answer,
        None => process(&inner, &switches, &headers, &form),
    };
    tokio::time::sleep(switches.token_delay).await;
    if let Some(gate) = &switches.token_gate {
        gate.pass().await;
    }
    match fault {
        Some(fault) => token_fault::after(&fault, answer, &cut).await,
        None => answer,
    }
}

fn process(inner: &Arc<Inner>, switches: &Switches, headers: &HeaderMap, form: &Fields) -> Response {
    let client_id = match authenticate(inner, switches.client_auth, headers, form) {
        Ok(client_id) => client_id,
        Err(refusal) => return *refusal,
    };
    let outcome = match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => by_code(inner, switches, &client_id, form),
        Some("refresh_token") => by_refresh(inner, switches, &client_id, form),
        Some(_) => Err(("unsupported_grant_type", "authorization_code and refresh_token are supported")),
        None => Err(("invalid_request", "grant_type is missing")),
    };
    outcome.unwrap_or_else(|(error, why)| oauth_error(error, why))
}
