//! Answers that several endpoints give: JSON that must not be cached, an OAuth error, a replayed answer.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::grants::Held;
use crate::quirks::Raw;
use crate::state::Inner;

/// Makes a JSON answer with `Cache-Control: no-store` (RFC 6749 section 5.1).
pub(crate) fn json_answer(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// Makes an error answer of the token or revocation endpoint (RFC 6749 section 5.2).
pub(crate) fn oauth_error(error: &str, description: &str) -> Response {
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    let mut response = json_answer(status, json!({ "error": error, "error_description": description }));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = header::HeaderValue::from_static(r#"Basic realm="mock""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Makes the answer that a switch holds, unchanged.
pub(crate) fn raw(answer: Raw) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Ok(kind) = header::HeaderValue::try_from(answer.content_type)
        && !kind.is_empty()
    {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), header::HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// Returns what the request's access token stands for.
///
/// # Errors
/// The answer of RFC 6750 section 3: a bare challenge if there is no token, otherwise `invalid_token`.
pub(crate) fn bearer(inner: &Inner, headers: &HeaderMap) -> Result<Held, Box<Response>> {
    let challenge = |challenge: &'static str| {
        let headers = [(header::WWW_AUTHENTICATE, challenge)];
        (StatusCode::UNAUTHORIZED, headers, Json(json!({ "error": "invalid_token" }))).into_response()
    };
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = token.ok_or_else(|| challenge(r#"Bearer realm="mock""#))?;
    let now = inner.now();
    let held = inner.world().grants.find_access(token, now);
    held.ok_or_else(|| Box::new(challenge(r#"Bearer realm="mock", error="invalid_token""#)))
}
