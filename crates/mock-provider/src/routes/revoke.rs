//! `/revoke` (RFC 7009). What an access or a refresh token ends is a switch; an unknown token gets the same answer.

use std::collections::HashMap;

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Provider;
use super::answer::{oauth_error, raw};
use super::client_auth::authenticate;

pub(crate) async fn revoke(
    State(inner): Provider,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let switches = inner.switches();
    if let Some(answer) = switches.revoke {
        return raw(answer);
    }
    let client_id = match authenticate(&inner, switches.client_auth, &headers, &form) {
        Ok(client_id) => client_id,
        Err(refusal) => return *refusal,
    };
    let Some(token) = form.get("token") else {
        return oauth_error("invalid_request", "token is missing");
    };
    inner.world().grants.revoke(token, &client_id, switches.revoke_ends);
    StatusCode::OK.into_response()
}
