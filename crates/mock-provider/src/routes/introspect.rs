//! `/introspect` (RFC 7662). It tells the client alone whose access token it is.

use std::collections::HashMap;

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::Provider;
use super::answer::json_answer;
use super::client_auth::authenticate;

pub(crate) async fn introspect(
    State(inner): Provider,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    if let Err(refusal) = authenticate(&inner, inner.switches().client_auth, &headers, &form) {
        return *refusal;
    }
    let now = inner.now();
    let held = form.get("token").and_then(|token| inner.world().grants.find_access(token, now));
    let answer =
        held.map_or_else(|| json!({ "active": false }), |held| json!({ "active": true, "sub": held.sub }));
    json_answer(StatusCode::OK, answer)
}
