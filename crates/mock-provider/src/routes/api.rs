//! `/api/*`, the API that the tokens open: `me`, `notes` (GET, POST `{"text"}`), `echo` (any method; answers
//! with what arrived, for tests of a proxy), `huge/{bytes}`, `trickle`, `cut`.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Provider;
use super::answer::{bearer, json_answer, raw};
use crate::accept::Cut;
use crate::body;
use crate::grants::Held;
use crate::state::Inner;

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

pub(crate) async fn call(
    State(inner): Provider,
    Extension(cut): Extension<Cut>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    sent: Bytes,
) -> Response {
    let held = match bearer(&inner, &headers) {
        Ok(held) => held,
        Err(refusal) => return *refusal,
    };
    if let Some(answer) = inner.switches().api {
        return raw(answer);
    }
    let path = uri.path().trim_start_matches("/api/");
    match (path, method.as_str()) {
        ("me", "GET") => me(&inner, &held),
        ("notes", "GET") => notes(&inner, &held),
        ("notes", "POST") => add_note(&inner, &held, &sent),
        ("echo", _) => echo(&method, &uri, &headers, &sent),
        ("trickle", _) => body::trickle(&Bytes::from(vec![b'a'; 4096])).into_response(),
        ("cut", _) => match cut.now().await {},
        _ => match path.strip_prefix("huge/").and_then(|bytes| bytes.parse().ok()) {
            Some(bytes) => ([(header::CONTENT_TYPE, "application/json")], body::huge(bytes)).into_response(),
            None => json_answer(StatusCode::NOT_FOUND, json!({ "error": "not_found" })),
        },
    }
}

fn me(inner: &Inner, held: &Held) -> Response {
    match inner.world().users.get(&held.sub) {
        Some(user) => {
            json_answer(StatusCode::OK, json!({ "id": user.sub, "email": user.email, "name": user.name }))
        }
        None => json_answer(StatusCode::NOT_FOUND, json!({ "error": "not_found" })),
    }
}

fn notes(inner: &Inner, held: &Held) -> Response {
    if !may(held, "notes.read") {
        return insufficient_scope();
    }
    json_answer(StatusCode::OK, json!({ "notes": inner.world().users.notes_of(&held.sub) }))
}

fn add_note(inner: &Inner, held: &Held, sent: &Bytes) -> Response {
    if !may(held, "notes.write") {
        return insufficient_scope();
    }
    match serde_json::from_slice::<NewNote>(sent) {
        Ok(new) => {
            let note = inner.world().users.add_note(&held.sub, &new.text);
            json_answer(StatusCode::CREATED, json!(note))
        }
        Err(_) => json_answer(StatusCode::BAD_REQUEST, json!({ "error": "text is missing" })),
    }
}

fn echo(method: &Method, uri: &Uri, headers: &HeaderMap, sent: &Bytes) -> Response {
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = json!({
        "method": method.as_str(),
        "path_and_query": uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(sent),
    });
    json_answer(StatusCode::OK, body)
}

fn may(held: &Held, scope: &str) -> bool {
    held.scope.split_whitespace().any(|word| word == scope)
}

/// The answer of RFC 6750 section 3.1.
fn insufficient_scope() -> Response {
    let headers = [(header::WWW_AUTHENTICATE, r#"Bearer error="insufficient_scope""#)];
    (StatusCode::FORBIDDEN, headers, axum::Json(json!({ "error": "insufficient_scope" }))).into_response()
}
