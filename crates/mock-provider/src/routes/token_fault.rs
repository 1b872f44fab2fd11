//! The failures of the token endpoint: answers given instead, and answers that are lost on the way.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::answer::{json_answer, oauth_error};
use crate::accept::Cut;
use crate::body;
use crate::faults::TokenFault;

/// Returns the answer of a fault that prevents the request from taking effect; `None` for other faults.
pub(crate) fn instead(fault: &TokenFault) -> Option<Response> {
    match fault {
        TokenFault::Status(code) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some(json_answer(status, json!({})))
        }
        TokenFault::Html200 => Some(Html("<!doctype html><title>Maintenance</title>").into_response()),
        TokenFault::Error200 => {
            let body =
                json!({ "error": "bad_verification_code", "error_description": "The code is incorrect." });
            Some(json_answer(StatusCode::OK, body))
        }
        TokenFault::InvalidClient => Some(oauth_error("invalid_client", "wrong client credentials")),
        TokenFault::Huge(bytes) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            Some((kind, body::huge(*bytes)).into_response())
        }
        TokenFault::CloseBeforeAnswer | TokenFault::CloseMidBody | TokenFault::Trickle => None,
    }
}

/// Applies a fault that loses or slows an answer on its way out.
pub(crate) async fn after(fault: &TokenFault, answer: Response, cut: &Cut) -> Response {
    match fault {
        TokenFault::CloseBeforeAnswer => match cut.now().await {},
        TokenFault::CloseMidBody => rewrite(answer, body::broken).await,
        TokenFault::Trickle => rewrite(answer, body::trickle).await,
        _ => answer,
    }
}

async fn rewrite(answer: Response, slow: impl FnOnce(&Bytes) -> Body) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // The full length is announced, so that a client can tell half an answer from a whole one.
    parts.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    Response::from_parts(parts, slow(&whole))
}
