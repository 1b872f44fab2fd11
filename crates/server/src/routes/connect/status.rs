//! `POST /connect/status`: how the app page learns (protocol 5). A simple request, so no preflight; the answer
//! is readable by exactly the session's origin.

use alter_api::{
    ErrorBody, ErrorCode,
    connect::{Connection, StatusAnswer, StatusEvent, StatusRequest},
};
use alter_flows::{Status, StatusError, StatusReport, StatusRequest as Report, connect};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::claim::reason_word;
use crate::{
    Shared,
    error::ApiError,
    extract::{only, parse_json, read_body},
    failure,
};

#[utoipa::path(post, path = "/connect/status", request_body(content = StatusRequest, content_type = "text/plain"),
    responses(
        (status = 200, body = StatusAnswer), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    ))]
pub(crate) async fn status(State(shared): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let origin = only(&headers, header::ORIGIN).cloned();
    let (answer, readable) = match answer(&shared, origin.as_ref(), body).await {
        Ok(answer) => (Json(answer).into_response(), true),
        // Everything but "you are the wrong page" may be read by the page that asked: it says nothing of a session.
        Err(error) => {
            let readable = error.code != ErrorCode::ForeignOrigin;
            (error.into_response(), readable)
        }
    };
    with_cors(answer, origin.filter(|_| readable))
}

async fn answer(shared: &Shared, origin: Option<&HeaderValue>, body: Body) -> Result<StatusAnswer, ApiError> {
    let bytes = read_body(body).await?;
    let request: StatusRequest = parse_json(&bytes)?;
    let origin = origin.and_then(|o| o.to_str().ok());
    let report = Report {
        cb: request.cb.as_deref(),
        cursor: request.cursor,
        closed: request.closed,
        cancel: request.cancel,
    };
    let report = connect::status(&shared.flows, &request.session_token, origin, &report).await?;
    Ok(written(report))
}

fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

fn written(report: StatusReport) -> StatusAnswer {
    let events = report.events.into_iter().map(|event| {
        let mut metadata = json!({ "timestamp": event.at.to_rfc3339() });
        if let Some(provider) = event.provider {
            metadata["provider"] = Value::String(provider);
        }
        StatusEvent { name: event.name, metadata }
    });
    let mut answer = StatusAnswer {
        status: "open",
        cursor: report.cursor,
        deadline: report.deadline.to_rfc3339(),
        events: events.collect(),
        connections: None,
        error: None,
        message: None,
        details: None,
    };
    match report.status {
        Status::Open => {}
        Status::Exited => answer.status = "exited",
        Status::Taken(reason) => {
            answer.status = "failed";
            answer.error = Some(ErrorCode::SessionExpired.as_str());
            answer.message = Some(ErrorCode::SessionExpired.meaning().to_owned());
            answer.details = Some(json!({ "reason": reason_word(reason) }));
        }
        Status::Completed(connections) => {
            answer.status = "completed";
            answer.connections = Some(connections.iter().map(Connection::from).collect());
        }
        Status::Failed(None) => {
            answer.status = "failed";
            answer.error = Some(ErrorCode::SessionExpired.as_str());
            answer.message = Some("The session expired. Mint a fresh one.".to_owned());
            answer.details = Some(json!({ "reason": "expired" }));
        }
        Status::Failed(Some(failure)) => {
            answer.status = "failed";
            answer.error = Some(failure::told(&failure.cause).sdk);
            answer.message = Some(failure::message(&failure));
            answer.details = Some(failure::details(&failure).into());
        }
    }
    answer
}

impl From<StatusError> for ApiError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::InvalidToken => Self::plain(ErrorCode::InvalidToken),
            StatusError::ForeignOrigin => Self::plain(ErrorCode::ForeignOrigin),
            StatusError::Store(error) => error.into(),
        }
    }
}
