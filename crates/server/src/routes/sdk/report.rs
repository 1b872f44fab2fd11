//! `POST /sdk/oauth/audit/api-call`: what the client did with a released token (wire 3.7).

use alter_api::{ErrorCode, REPORT_MAX, report::ReportedCall};
use alter_core::GrantId;
use alter_flows::{CallReport, calls};
use axum::{extract::State, http::StatusCode};

use crate::{Shared, error::ApiError, extract::Signed};

/// The longest host name that DNS has, characters. The host is kept for ever.
const HOST_MAX: usize = 253;

/// Report a call that was made with a released token.
///
/// Method, host, status and latency go into the audit. A report that the provider answered 401 to the grant's current
/// `token_generation` makes this server ask the provider for a new token, at most once for each. At most 64 KiB.
#[utoipa::path(
    post, path = "/sdk/oauth/audit/api-call", operation_id = "report_call", tag = "Tokens",
    request_body = ReportedCall,
    responses((status = 202, description = "It is in the audit.")),
)]
pub(crate) async fn api_call(
    State(shared): State<Shared>,
    signed: Signed<ReportedCall>,
) -> Result<StatusCode, ApiError> {
    if signed.raw.len() > REPORT_MAX {
        return Err(ApiError::new(ErrorCode::BodyTooLarge, "A report must not be larger than 64 KiB."));
    }
    let body = &signed.body;
    let invalid = |message: &str| ApiError::new(ErrorCode::InvalidRequest, message);
    let grant = GrantId::parse(&body.grant_id).ok_or_else(|| ApiError::plain(ErrorCode::GrantNotFound))?;
    let is_method = body.method.bytes().all(|b| b.is_ascii_alphabetic());
    if !is_method || !(1..=16).contains(&body.method.len()) {
        return Err(invalid("method is not an HTTP method."));
    }
    if body.response_status > 999 {
        return Err(invalid("response_status is not an HTTP status."));
    }
    let url = url::Url::parse(&body.url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let host = url.as_ref().and_then(url::Url::host_str).filter(|host| host.len() <= HOST_MAX);
    let host = host
        .ok_or_else(|| invalid("url is not an http or https URL with a host of at most 253 characters."))?;
    let report = CallReport {
        grant,
        token_generation: body.token_generation.as_deref(),
        method: &body.method,
        host,
        status: body.response_status,
        latency_ms: body.latency_ms,
    };
    calls::report_call(&shared.flows, &signed.caller, &report).await?;
    Ok(StatusCode::ACCEPTED)
}
