//! `POST /connect/api/peek` and `/connect/api/claim`: doors B, C and D, from our own connect page.

use alter_api::{
    ErrorCode,
    connect::{ClaimRequest, Location, PeekAnswer, PeekRequest},
};
use alter_core::ClaimRefused;
use alter_flows::{BindingFault, ClaimError, ForeignPage, Marks, Proof, connect};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::open::{cookies, page_path};
use crate::{
    Shared,
    error::ApiError,
    extract::{Browser, PagePost},
};

pub(crate) async fn peek(
    State(shared): State<Shared>,
    PagePost(request): PagePost<PeekRequest>,
) -> Result<Json<PeekAnswer>, ApiError> {
    let peek = connect::peek(&shared.flows, request.token.0.expose_secret()).await?;
    Ok(Json(PeekAnswer { allowed_origin: peek.allowed_origin.to_string(), app_name: peek.app_name }))
}

pub(crate) async fn claim(
    State(shared): State<Shared>,
    browser: Browser,
    PagePost(request): PagePost<ClaimRequest>,
) -> Result<Response, ApiError> {
    let proof = proof(&request)?;
    let claimed =
        connect::claim(&shared.flows, request.token.0.expose_secret(), &proof, |sid| browser.key(sid))
            .await?;
    let mut response = Json(Location { location: page_path(&claimed).into() }).into_response();
    for cookie in cookies(&shared, &browser, &claimed).await? {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

fn proof(request: &ClaimRequest) -> Result<Proof<'_>, ApiError> {
    match (&request.cb, &request.v, &request.marks) {
        (Some(cb), Some(v), _) => Ok(Proof::Opener { cb, v: v.0.expose_secret() }),
        (None, None, Some(marks)) => Ok(Proof::Marks(Marks {
            opener: marks.opener,
            name: marks.name.clone(),
            referrer: marks.referrer.clone(),
            site: marks.site.clone(),
            history: marks.history,
        })),
        // Redirect mode has no start proof; its transport is not built yet.
        (Some(_), None, _) | (None, None, None) => Ok(Proof::None),
        (None, Some(_), _) => Err(ApiError::new(ErrorCode::InvalidRequest, "v came without cb.")),
    }
}

impl From<ClaimError> for ApiError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::InvalidToken => Self::plain(ErrorCode::InvalidToken),
            ClaimError::Binding { app_name, why: BindingFault::Page } => {
                let message = format!("This page was not opened by {app_name}. Start again from there.");
                Self::new(ErrorCode::BindingFailed, message)
            }
            ClaimError::Binding { app_name, why: BindingFault::UsedWindow } => {
                let message =
                    format!("The window was already in use. Close it, and start again from {app_name}.");
                Self::new(ErrorCode::BindingFailed, message).with(json!({ "reason": "used_window" }))
            }
            ClaimError::Binding { why: BindingFault::OtherOrigin(foreign), .. } => other_origin(&foreign),
            ClaimError::Refused(reason) => {
                Self::plain(ErrorCode::SessionExpired).with(json!({ "reason": reason_word(reason) }))
            }
            ClaimError::Fault(error) => error.into(),
        }
    }
}

/// Both origins and nothing else: the page's own, and the one that the token's holder learns from `peek` too.
pub(super) fn other_origin(foreign: &ForeignPage) -> ApiError {
    let origins = json!({ "page_origin": foreign.page, "allowed_origin": foreign.allowed.as_str() });
    ApiError::new(ErrorCode::BindingFailed, foreign.to_string()).with(origins)
}

/// `details.reason` of `session_expired` (S3).
pub(super) fn reason_word(reason: ClaimRefused) -> &'static str {
    match reason {
        ClaimRefused::Used | ClaimRefused::Cancelled => "used",
        ClaimRefused::OtherBrowser => "other_browser",
        ClaimRefused::Expired | ClaimRefused::Binding => "expired",
    }
}
