//! `POST /sdk/token`: an access token for the app's backend (wire 3.3).

use alter_api::{
    ErrorBody, ErrorCode,
    token::{RetrieveToken, RetrievedToken, WantedFor},
};
use alter_core::{GrantId, store::storable};
use alter_flows::{ReleaseError, ReleaseRequest, Released};
use axum::{
    Extension, Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{Shared, error::ApiError, extract::Signed, middleware::RequestId};

/// Longest `reason`, characters.
const REASON_MAX: usize = 512;

#[utoipa::path(post, path = "/sdk/token", request_body = RetrieveToken, responses(
    (status = 200, body = RetrievedToken),
    (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody), (status = 501, body = ErrorBody), (status = 503, body = ErrorBody),
))]
pub(crate) async fn retrieve(
    State(shared): State<Shared>,
    Extension(request_id): Extension<RequestId>,
    signed: Signed<RetrieveToken>,
) -> Result<Response, ApiError> {
    let (grant_id, wanted) = check(&signed.body)?;
    let request = ReleaseRequest {
        grant_id,
        method: &wanted.method,
        url: &wanted.url,
        reason: signed.body.reason.as_deref(),
        request_id: &request_id.0,
    };
    let released = shared.flows.release(&signed.caller, &request).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer(released))).into_response())
}

fn check(body: &RetrieveToken) -> Result<(GrantId, &WantedFor), ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorCode::InvalidRequest, message);
    if let Some(field) = body.unsupported() {
        let message = format!("{field} is not built yet: name the grant by grant_id.");
        return Err(ApiError::new(ErrorCode::UnsupportedField, message).with(json!({ "field": field })));
    }
    let grant_id = body.grant_id.as_deref().ok_or_else(|| invalid("grant_id is missing."))?;
    let grant_id =
        GrantId::parse(grant_id).ok_or_else(|| invalid("grant_id is not a lower-case hyphenated UUID."))?;
    let wanted = body.request.as_ref().ok_or_else(|| invalid("request {method, url} is missing."))?;
    if !wanted.method.bytes().all(|b| b.is_ascii_alphabetic()) || !(1..=16).contains(&wanted.method.len()) {
        return Err(invalid("request.method is not an HTTP method."));
    }
    if wanted.url.len() > 65_536 {
        return Err(invalid("request.url is longer than 65,536 characters."));
    }
    match body.reason.as_deref() {
        Some(reason) if reason.chars().count() > REASON_MAX || !storable(reason) => {
            Err(invalid("reason is longer than 512 characters or contains NUL."))
        }
        _ => Ok((grant_id, wanted)),
    }
}

fn answer(released: Released) -> RetrievedToken {
    let grant = released.grant;
    RetrievedToken {
        access_token: released.access_token.expose_secret().to_owned(),
        token_type: grant.credential.token_type,
        expires_in: released.expires_in,
        expires_at: grant.credential.expires_at.map(alter_core::Micros::to_rfc3339),
        grant_id: grant.id.to_string(),
        provider_id: grant.provider,
        scope_mismatch: !grant.missing_scopes.is_empty(),
        scopes: grant.scopes,
        injection_header: "Authorization",
        injection_format: "Bearer {token}",
    }
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::GrantNotFound => Self::plain(ErrorCode::GrantNotFound),
            ReleaseError::ProviderGone => Self::plain(ErrorCode::ProviderNotConfigured),
            ReleaseError::BlockedDestination { host, provider, allowed } => {
                let hint = match allowed.is_empty() {
                    true => "No API host is configured: alter provider set ... --api-host HOST.".to_owned(),
                    false => format!("Allowed: {}.", allowed.join(", ")),
                };
                let message = format!("{host} is not an API host of {provider}. {hint}");
                Self::new(ErrorCode::BlockedDestination, message).with(json!({ "allowed_hosts": allowed }))
            }
            ReleaseError::RefreshNotBuilt => Self::plain(ErrorCode::RefreshNotBuilt),
            ReleaseError::Fault(fault) => fault.into(),
        }
    }
}
