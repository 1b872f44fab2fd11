//! `POST /connect/result`: the app's page, back from a redirect, fetches what became of its flow (protocol 6). CORS as at
//! `/connect/status`.

use alter_api::{
    ErrorCode,
    connect::{ResultRequest, StatusAnswer},
};
use alter_flows::{ResultError, Ticket, Waits, connect};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    claim::other_origin,
    connected, staged,
    status::{with_cors, written},
};
use crate::{
    Shared,
    error::ApiError,
    extract::{PAGE_BODY_MAX, only, parse_json},
};

/// Fetch what became of a redirect flow.
///
/// For the page at `return_url`, with the `alter_result_code` that came in its address and the `v` that the page kept when it
/// left. May be repeated with the same `v` for five minutes. At binding level L3 the status is `pending`, and
/// `metadata.result_code` of its connections is what the app's backend confirms with; the page of a popup asks for it with
/// `session_token`. Where the address has no code, `alter_sid` may stand for it (as `result_code` too), and tells failures
/// alone. A browser sends the JSON as `text/plain`, which needs no preflight; the content type is not checked. Only a page at the session's origin or
/// at that of `return_url` can read the answer.
#[utoipa::path(
    post, path = "/connect/result", operation_id = "get_flow_result", tag = "Browser",
    request_body(content((ResultRequest = "application/json"), (String = "text/plain"))),
    responses((status = 200, description = "What became of it.", body = StatusAnswer)),
)]
pub(crate) async fn result(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let origin = only(&headers, header::ORIGIN).cloned();
    let (answer, readable) = match answer(&shared, &headers, body).await {
        Ok(answer) => (Json(answer).into_response(), true),
        Err(error) => {
            let readable = error.code != ErrorCode::ForeignOrigin;
            (error.into_response(), readable)
        }
    };
    with_cors(answer, origin.filter(|_| readable))
}

async fn answer(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<StatusAnswer, ApiError> {
    let bytes = shared.bodies.read(headers, body, PAGE_BODY_MAX).await?;
    let request: ResultRequest = parse_json(&bytes)?;
    let origin = only(headers, header::ORIGIN).and_then(|o| o.to_str().ok());
    let ticket = match (&request.result_code, &request.sid, &request.session_token) {
        (Some(code), _, _) => Ticket::read(code.0.expose_secret()),
        (None, Some(sid), _) => Ticket::Sid(sid),
        (None, None, Some(token)) => Ticket::Token(token.0.expose_secret()),
        (None, None, None) => {
            let message = "result_code, sid or session_token is missing.";
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
    };
    let v = request.v.as_ref().map(|v| v.0.expose_secret()).unwrap_or_default();
    let told = connect::result(&shared.flows, ticket, v, origin).await?;
    let waits = told.waits.map(|Waits { code, staged: waiting, made }| {
        waiting.iter().map(|one| staged(one, &code)).chain(made.iter().map(connected)).collect()
    });
    let answer = written(told.report);
    Ok(StatusAnswer { connections: waits.or(answer.connections), ..answer })
}

impl From<ResultError> for ApiError {
    fn from(error: ResultError) -> Self {
        match error {
            ResultError::UnknownToken => Self::plain(ErrorCode::InvalidToken),
            ResultError::UnknownCode => Self::plain(ErrorCode::InvalidResultCode),
            ResultError::Expired => {
                Self::plain(ErrorCode::SessionExpired).with(json!({ "reason": "expired" }))
            }
            ResultError::NotStartedHere => Self::plain(ErrorCode::BindingFailed),
            ResultError::NoOrigin => Self::plain(ErrorCode::ForeignOrigin),
            ResultError::OtherOrigin(foreign) => other_origin(&foreign),
            ResultError::Fault(error) => error.into(),
        }
    }
}
