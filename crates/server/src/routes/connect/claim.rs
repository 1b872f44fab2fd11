//! `POST /connect/api/peek` and `/connect/api/claim`: doors B, C and D, from our own connect page.

use alter_api::{
    ErrorCode,
    connect::{ClaimRequest, Location, PeekAnswer, PeekRequest},
};
use alter_core::{ClaimRefused, Mode, Origin};
use alter_flows::{BindingFault, ClaimError, ForeignPage, Marks, Proof, connect};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    open::{cookies, page_path},
    way_back,
};
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
    let allowed_origin = peek.allowed_origin.map(|origin| origin.to_string());
    Ok(Json(PeekAnswer { allowed_origin, app_name: peek.app_name }))
}

pub(crate) async fn claim(
    State(shared): State<Shared>,
    browser: Browser,
    PagePost(request): PagePost<ClaimRequest>,
) -> Result<Response, ApiError> {
    let proof = proof(&request)?;
    let (token, mode) = (request.token.0.expose_secret(), mode(&request));
    let claimed = match connect::claim(&shared.flows, token, &proof, mode, |sid| browser.key(sid)).await {
        Ok(claimed) => claimed,
        Err(error) => return Err(refused(&shared, &request, error).await),
    };
    let mut response = Json(Location { location: page_path(&claimed).into() }).into_response();
    for cookie in cookies(&shared, &browser, &claimed).await? {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

fn mode(request: &ClaimRequest) -> Mode {
    if request.m.as_deref() == Some("r") { Mode::Redirect } else { Mode::Popup }
}

/// Who came with the whole page learns how to get back to the app's: a popup can be closed.
async fn refused(shared: &Shared, request: &ClaimRequest, error: ClaimError) -> ApiError {
    let opened = request.marks.as_ref().is_some_and(|marks| marks.opener) || request.v.is_some();
    let whole = mode(request) == Mode::Redirect || (request.cb.is_none() && !opened);
    let back = match whole {
        true => way_back::address_of_refused(shared, request.token.0.expose_secret(), &error).await,
        false => None,
    };
    let mut refused = ApiError::from(error);
    if let Some(back) = back {
        let details = refused.details.get_or_insert_with(|| json!({}));
        details["back"] = back.url.into();
        refused.message = back.words;
    }
    refused
}

fn proof(request: &ClaimRequest) -> Result<Proof<'_>, ApiError> {
    let marks = request.marks.as_ref().map(|marks| Marks {
        opener: marks.opener,
        name: marks.name.clone(),
        referrer: marks.referrer.clone(),
        site: marks.site.clone(),
        history: marks.history,
    });
    match (&request.cb, &request.v, marks) {
        (Some(cb), Some(v), _) => Ok(Proof::Opener { cb, v: v.0.expose_secret() }),
        (None, None, Some(marks)) => Ok(Proof::Marks(marks)),
        (Some(cb), None, marks) if mode(request) == Mode::Redirect => Ok(Proof::AtTheEnd { cb, marks }),
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
            ClaimError::Binding { why: BindingFault::NoForm, .. } => {
                Self::plain(ErrorCode::BindingFailed).with(json!({ "reason": "form_action" }))
            }
            ClaimError::ReturnUrlRequired { .. } => Self::plain(ErrorCode::ReturnUrlRequired),
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
    let allowed = foreign.allowed.as_ref().map(Origin::as_str);
    let origins = json!({ "page_origin": foreign.page, "allowed_origin": allowed });
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
