//! `/userinfo` (OpenID Connect Core section 5.3).

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Provider;
use super::answer::{bearer, json_answer, raw};
use crate::keys::merge;

pub(crate) async fn userinfo(State(inner): Provider, headers: HeaderMap) -> Response {
    let held = match bearer(&inner, &headers) {
        Ok(held) => held,
        Err(refusal) => return *refusal,
    };
    let switches = inner.switches();
    if let Some(answer) = switches.userinfo {
        return raw(answer);
    }
    let user = inner.world().users.get(&held.sub);
    let mut claims = user.map_or_else(|| serde_json::json!({ "sub": held.sub }), |user| user.claims());
    merge(&mut claims, &switches.userinfo_claims);
    json_answer(StatusCode::OK, claims)
}
