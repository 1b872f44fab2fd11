//! `/jwks`: the public keys (RFC 7517 section 5).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Provider;
use super::answer::{json_answer, raw};

pub(crate) async fn jwks(State(inner): Provider) -> Response {
    let switches = inner.switches();
    let keys = inner.jwks(&switches);
    match switches.jwks {
        Some(answer) => raw(answer),
        None => json_answer(StatusCode::OK, keys),
    }
}
