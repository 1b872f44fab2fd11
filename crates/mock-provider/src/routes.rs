//! The endpoints, one file each, and what happens to every request: it is recorded and, if a switch says
//! so, delayed, held and answered with extra headers.

mod answer;
mod api;
mod authorize;
mod by_code;
mod by_refresh;
mod client_auth;
mod discovery;
mod introspect;
mod jwks;
mod respond;
mod revoke;
mod token;
mod token_answer;
mod token_fault;
mod userinfo;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};

use crate::page;
use crate::seen::Recorded;
use crate::state::Inner;

/// The state that every handler gets.
pub(crate) type Provider = State<Arc<Inner>>;

/// Maximum size of a request body, in bytes; larger ones are refused.
const MAX_BODY: usize = 4 << 20;

pub(crate) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/.well-known/openid-configuration", get(discovery::metadata))
        .route("/.well-known/oauth-authorization-server", get(discovery::metadata))
        .route("/authorize", get(authorize::ask))
        .route("/authorize/decide", post(authorize::decide))
        .route("/token", post(token::token))
        .route("/refresh", post(token::refresh))
        .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .route("/jwks", get(jwks::jwks))
        .route("/introspect", post(introspect::introspect))
        .route("/revoke", post(revoke::revoke))
        .route("/api/{*rest}", any(api::call))
        .layer(from_fn_with_state(inner.clone(), around))
        .with_state(inner)
}

async fn front(State(inner): Provider) -> Response {
    Html(page::front(&inner.issuer)).into_response()
}

async fn around(State(inner): Provider, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    inner.record(Recorded::new(&parts.method, &parts.uri, &parts.headers, &body));

    let switches = inner.switches();
    for (_, pause) in switches.delays.iter().filter(|(at, _)| *at == path) {
        tokio::time::sleep(*pause).await;
    }
    for (_, gate) in switches.gates.iter().filter(|(at, _)| *at == path) {
        gate.pass().await;
    }
    let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
    for (_, name, value) in switches.headers.iter().filter(|(at, ..)| *at == path) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
