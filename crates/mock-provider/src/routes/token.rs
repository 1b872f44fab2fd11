//! `/token` (RFC 6749 section 3.2) and, where a switch says so, `/refresh`.
//!
//! In this order: authenticate the client, check the grant, issue, build the answer. Delays, gates and the
//! faults that lose an answer come last, so that their requests have taken effect.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

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

/// The endpoint that a token request came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Token,
    Refresh,
}

/// A token request and the switches that it meets.
struct Call {
    inner: Arc<Inner>,
    switches: Switches,
    endpoint: Endpoint,
    headers: HeaderMap,
    form: Fields,
}

pub(crate) async fn token(
    State(inner): Provider,
    Extension(cut): Extension<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(inner, Endpoint::Token, &cut, headers, &body).await
}

pub(crate) async fn refresh(
    State(inner): Provider,
    Extension(cut): Extension<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !inner.switches().refresh.own_endpoint {
        return StatusCode::NOT_FOUND.into_response();
    }
    serve(inner, Endpoint::Refresh, &cut, headers, &body).await
}

/// Answers a token request with everything that may go wrong on the way.
async fn serve(
    inner: Arc<Inner>,
    endpoint: Endpoint,
    cut: &Cut,
    headers: HeaderMap,
    body: &Bytes,
) -> Response {
    let form = fields(&headers, body);
    let (switches, now) = (inner.switches(), inner.now());
    let fault = match form.get("grant_type").map(String::as_str) {
        Some("refresh_token") => {
            inner.world().meet_refresh(form.get("refresh_token").map(String::as_str), now)
        }
        _ => inner.world().take_token_fault(),
    };
    inner.tell();
    let (delay, gate) = (switches.token_delay, switches.token_gate.clone());
    let call = Call { inner, switches, endpoint, headers, form };
    let answer = token_fault::meet(fault.as_ref(), now, cut, move || call.perform()).await;
    tokio::time::sleep(delay).await;
    if let Some(gate) = gate {
        gate.pass().await;
    }
    match fault {
        Some(fault) => token_fault::after(&fault, answer, cut).await,
        None => answer,
    }
}

/// Reads a form, or a JSON object: some providers take both.
fn fields(headers: &HeaderMap, body: &Bytes) -> Fields {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        json_fields(kind, body).into_iter().collect()
    } else {
        pairs(body).into_iter().collect()
    }
}

impl Call {
    fn perform(&self) -> Response {
        let outcome = self.judge();
        if outcome.is_err() && self.grant_type() == Some("refresh_token") {
            self.inner.world().grants.count_refused();
        }
        self.inner.tell();
        outcome.unwrap_or_else(|refusal| *refusal)
    }

    fn judge(&self) -> Result<Response, Box<Response>> {
        let Self { inner, switches, headers, form, .. } = self;
        let client_id = authenticate(inner, switches.client_auth, headers, form)?;
        let outcome = match self.grant_type() {
            Some("refresh_token") if self.refreshes_here() => by_refresh(inner, switches, &client_id, form),
            Some("authorization_code") if self.endpoint == Endpoint::Token => {
                by_code(inner, switches, &client_id, form)
            }
            Some(_) => Err(("unsupported_grant_type", "this grant_type is not supported here")),
            None => Err(("invalid_request", "grant_type is missing")),
        };
        outcome.map_err(|(error, why)| Box::new(oauth_error(error, why)))
    }

    fn grant_type(&self) -> Option<&str> {
        self.form.get("grant_type").map(String::as_str)
    }

    fn refreshes_here(&self) -> bool {
        self.switches.refresh.own_endpoint == (self.endpoint == Endpoint::Refresh)
    }
}
