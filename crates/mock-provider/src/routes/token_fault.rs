//! The failures of the token endpoint: answers given instead, and answers that are lost on the way.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::answer::{json_answer, oauth_error, raw};
use crate::accept::Cut;
use crate::body;
use crate::faults::TokenFault;
use crate::quirks::{Gate, Raw};

/// Meets the request with its fault, and returns an answer that may still be lost on its way. `perform` is the
/// request's effect.
pub(crate) async fn meet<F>(fault: Option<&TokenFault>, now: i64, cut: &Cut, perform: F) -> Response
where
    F: FnOnce() -> Response + Send + 'static,
{
    match fault {
        None => perform(),
        Some(TokenFault::CloseBeforeEffect) => match cut.now().await {},
        Some(TokenFault::HoldBeforeEffect(gate)) => late(gate.clone(), perform).await,
        Some(fault) => instead(fault, now).unwrap_or_else(perform),
    }
}

/// Performs once the gate is open. In a task of its own, which goes on when the client hangs up.
async fn late(gate: Gate, perform: impl FnOnce() -> Response + Send + 'static) -> Response {
    let late = tokio::spawn(async move {
        gate.pass().await;
        perform()
    });
    late.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Returns the answer of a fault that prevents the request from taking effect; `None` for other faults.
fn instead(fault: &TokenFault, now: i64) -> Option<Response> {
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
        TokenFault::Refuse(error) => Some(oauth_error(error, "refused")),
        TokenFault::Answer(answer) => Some(raw(answer.clone())),
        TokenFault::TooMany(when) => Some(too_many(&when.value(now))),
        TokenFault::CloseBeforeEffect
        | TokenFault::HoldBeforeEffect(_)
        | TokenFault::CloseBeforeAnswer
        | TokenFault::CloseMidBody
        | TokenFault::Trickle
        | TokenFault::HoldAnswer(_)
        | TokenFault::AnswerAfterEffect(_) => None,
    }
}

/// Applies a fault that loses or slows an answer on its way out.
pub(crate) async fn after(fault: &TokenFault, answer: Response, cut: &Cut) -> Response {
    match fault {
        TokenFault::CloseBeforeAnswer => match cut.now().await {},
        TokenFault::CloseMidBody => rewrite(answer, body::broken).await,
        TokenFault::Trickle => rewrite(answer, body::trickle).await,
        TokenFault::AnswerAfterEffect(instead) => raw(instead.clone()),
        TokenFault::HoldAnswer(gate) => {
            gate.pass().await;
            answer
        }
        _ => answer,
    }
}

/// Makes an answer of 429 (RFC 6585 section 4).
fn too_many(retry_after: &str) -> Response {
    let body = json!({ "error": "too_many_requests" });
    raw(Raw::json(429, &body).with_header("retry-after", retry_after))
}

async fn rewrite(answer: Response, slow: impl FnOnce(&Bytes) -> Body) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    // The full length is announced, so that a client can tell half an answer from a whole one.
    parts.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    Response::from_parts(parts, slow(&whole))
}
