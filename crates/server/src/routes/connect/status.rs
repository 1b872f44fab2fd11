//! `POST /connect/status`: how the app page learns the result (protocol 5). A simple request, so there is no preflight;
//! only the session's origin can read the answer. A page at another origin reads that it is one, and where both are.

use std::{sync::Arc, time::Duration};

use alter_api::{
    ErrorCode,
    connect::{EventMetadata, FlowStatus, StatusAnswer, StatusEvent, StatusRequest},
};
use alter_flows::{Status, StatusError, StatusReport, StatusRequest as Report, connect};
use axum::{
    Extension, Json,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    claim::{other_origin, reason_word},
    connected, event_name,
};
use crate::{
    Shared,
    error::ApiError,
    extract::{PAGE_BODY_MAX, only, parse_json},
    failure, for_people,
    waiting_room::WaitingRoom,
};

/// The longest wait for news, seconds. Proxies and browsers give up on a silent answer after 30 s at the earliest.
const WAIT_MAX: u32 = 25;

/// Ask where a flow stands.
///
/// For the app page. A browser sends the JSON as `text/plain`, which needs no preflight; the content type is not checked.
/// Only the session's origin can read the answer. Another origin reads `binding_failed`, whose `details` name both:
/// `page_origin` and `allowed_origin`. A request that names no origin, or two, is refused with `foreign_origin`, and no page
/// can read that.
///
/// With `wait` the answer comes as soon as it differs from what it would be now, at the latest after so many seconds. A
/// second call for the session releases the first. The server may answer earlier.
#[utoipa::path(
    post, path = "/connect/status", operation_id = "get_flow_status", tag = "Browser",
    request_body(content((StatusRequest = "application/json"), (String = "text/plain"))),
    responses((status = 200, description = "Where it stands.", body = StatusAnswer)),
)]
pub(crate) async fn status(
    State(shared): State<Shared>,
    room: Option<Extension<Arc<WaitingRoom>>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let origin = only(&headers, header::ORIGIN).cloned();
    let (answer, readable) = match answer(&shared, room, &headers, body).await {
        Ok(answer) => (Json(answer).into_response(), true),
        // The page that asked may read every refusal, also that it is the wrong page; a browser that names no origin, or
        // two, names nobody who may read.
        Err(error) => {
            let readable = error.code != ErrorCode::ForeignOrigin;
            (error.into_response(), readable)
        }
    };
    with_cors(answer, origin.filter(|_| readable))
}

async fn answer(
    shared: &Shared,
    room: Option<Extension<Arc<WaitingRoom>>>,
    headers: &HeaderMap,
    body: Body,
) -> Result<StatusAnswer, ApiError> {
    // The bytes are dropped here: they may hold the connection's whole buffer.
    let request: StatusRequest = parse_json(&shared.bodies.read(headers, body, PAGE_BODY_MAX).await?)?;
    let origin = only(headers, header::ORIGIN).and_then(|o| o.to_str().ok());
    let report = Report {
        cb: request.cb.as_deref(),
        cursor: request.cursor,
        closed: request.closed,
        cancel: request.cancel,
    };
    let token = request.session_token.0.expose_secret();
    let wait = request.wait.unwrap_or_default().min(WAIT_MAX);
    let place = room.filter(|_| wait > 0).and_then(|room| room.enter());
    let report = match place {
        Some(place) => {
            let enough = place.over(Duration::from_secs(wait.into()));
            connect::status_with_news(&shared.flows, token, origin, &report, enough).await?
        }
        None => connect::status(&shared.flows, token, origin, &report).await?,
    };
    Ok(written(report))
}

/// A refusal that the page which asked may read, whoever it is.
pub(crate) fn readable(error: ApiError, headers: &HeaderMap) -> Response {
    with_cors(error.into_response(), only(headers, header::ORIGIN).cloned())
}

pub(super) fn with_cors(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

pub(super) fn written(report: StatusReport) -> StatusAnswer {
    let events = report.events.into_iter().map(|event| StatusEvent {
        name: event_name(event.name),
        metadata: EventMetadata { provider: event.provider, timestamp: event.at.to_rfc3339() },
    });
    let mut answer = StatusAnswer {
        status: FlowStatus::Open,
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
        Status::Pending => answer.status = FlowStatus::Pending,
        Status::Exited => answer.status = FlowStatus::Exited,
        Status::Taken(reason, names) => {
            answer.status = FlowStatus::Failed;
            answer.error = Some(ErrorCode::SessionExpired.as_str().to_owned());
            answer.message = Some(for_people::taken(reason, &names));
            answer.details = Some(json!({ "reason": reason_word(reason) }));
        }
        Status::Completed(connections) => {
            answer.status = FlowStatus::Completed;
            answer.connections = Some(connections.iter().map(connected).collect());
        }
        Status::Failed(None, names) => {
            answer.status = FlowStatus::Failed;
            answer.error = Some(ErrorCode::SessionExpired.as_str().to_owned());
            answer.message = Some(for_people::expired(&names));
            answer.details = Some(json!({ "reason": "expired" }));
        }
        Status::Failed(Some(failure), names) => {
            answer.status = FlowStatus::Failed;
            answer.error = Some(failure::told(&failure.cause).sdk.to_owned());
            answer.message = Some(for_people::message(&failure, &names));
            answer.details = Some(failure::details(&failure).into());
        }
    }
    answer
}

impl From<StatusError> for ApiError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::InvalidToken => Self::plain(ErrorCode::InvalidToken),
            StatusError::NoOrigin => Self::plain(ErrorCode::ForeignOrigin),
            StatusError::OtherOrigin(foreign) => other_origin(&foreign),
            StatusError::Fault(error) => error.into(),
        }
    }
}
