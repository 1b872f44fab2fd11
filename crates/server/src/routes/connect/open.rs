//! `POST /connect/open`: door A. The browser's own `Origin` header is the proof.

use alter_api::ErrorCode;
use alter_core::{ClaimRefused, Mode};
use alter_flows::{BindingFault, ClaimError, Claimed, ForeignPage, Proof, connect};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;

use super::way_back;
use crate::{
    Shared,
    error::ApiError,
    extract::{Browser, Form, PAGE_BODY_MAX, clear_cookie, only, set_cookie},
    middleware::{RequestId, busy, html, page},
    pages::{CancelledView, ExpiryReason, Frame, Page, Unproven},
};

pub(crate) async fn open(
    State(shared): State<Shared>,
    Extension(request_id): Extension<RequestId>,
    browser: Browser,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let bytes = match shared.bodies.read(&headers, body, PAGE_BODY_MAX).await {
        Ok(bytes) => bytes,
        Err(refused) if refused.code == ErrorCode::ServiceUnavailable => return busy(&request_id),
        Err(_) => return page(400, &Page::InvalidToken),
    };
    let form = Form::parse(&bytes);
    let origin = only(&headers, header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let proof = Proof::FormOrigin { origin, cb: form.field("cb") };
    let (token, mode) = (form.field("session"), mode(&form));
    match connect::claim(&shared.flows, token, &proof, mode, |sid| browser.key(sid)).await {
        Ok(claimed) => enter(&shared, &browser, &claimed).await.unwrap_or_else(IntoResponse::into_response),
        Err(error) => {
            let back = match mode {
                Mode::Redirect => way_back::address_of_refused(&shared, token, &error).await,
                Mode::Popup => None,
            };
            refused(error, back.as_ref(), &request_id)
        }
    }
}

fn mode(form: &Form) -> Mode {
    if form.field("m") == "r" { Mode::Redirect } else { Mode::Popup }
}

/// A 303 to the session's page, with the cookie.
async fn enter(shared: &Shared, browser: &Browser, claimed: &Claimed) -> Result<Response, ApiError> {
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, page_path(claimed))]).into_response();
    for cookie in cookies(shared, browser, claimed).await? {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// `/connect/s/{sid}`, with the one-time marker of a fresh claim.
pub(super) fn page_path(claimed: &Claimed) -> String {
    match &claimed.marker {
        Some(marker) => format!("/connect/s/{}?c={}", claimed.sid, marker.expose_secret()),
        None => format!("/connect/s/{}", claimed.sid),
    }
}

/// The new cookie, and the removal of those that make room for it (T48).
pub(super) async fn cookies(
    shared: &Shared,
    browser: &Browser,
    claimed: &Claimed,
) -> Result<Vec<HeaderValue>, ApiError> {
    let Some(key) = &claimed.browser_key else { return Ok(Vec::new()) };
    let mut cookies: Vec<HeaderValue> =
        set_cookie(&shared.site, &claimed.sid, key, claimed.max_age).into_iter().collect();
    // If making room fails, it can wait for the next claim; this claim must not lose its cookie over it.
    let surplus = connect::surplus_sessions(&shared.flows, browser.sessions()).await.unwrap_or_default();
    cookies.extend(
        surplus.iter().filter(|sid| **sid != claimed.sid).filter_map(|sid| clear_cookie(&shared.site, sid)),
    );
    Ok(cookies)
}

fn refused(error: ClaimError, back: Option<&way_back::Refused>, request_id: &RequestId) -> Response {
    let app_name = back.map(|back| back.names.app.as_str());
    let frame = Frame { app_name, back: back.map(|back| back.url.as_str()), ..Frame::default() };
    let page = |status, page: &Page<'_>| html(status, page, &frame);
    match error {
        ClaimError::InvalidToken => page(404, &Page::InvalidToken),
        ClaimError::Binding { app_name, why } => {
            let why = match &why {
                BindingFault::OtherOrigin(ForeignPage { page, allowed: Some(allowed) }) => {
                    Unproven::OtherOrigin { page, allowed: allowed.as_str() }
                }
                BindingFault::OtherOrigin(_)
                | BindingFault::Page
                | BindingFault::NoForm
                | BindingFault::UsedWindow => Unproven::NoProof,
            };
            page(403, &Page::OpenFromApp { app: Some(&app_name), why })
        }
        ClaimError::ReturnUrlRequired { app_name, .. } => {
            page(ErrorCode::ReturnUrlRequired.status(), &Page::NoWayBack { app: &app_name })
        }
        ClaimError::Refused(ClaimRefused::OtherBrowser) => page(410, &Page::WrongBrowser),
        ClaimError::Refused(ClaimRefused::Cancelled) => {
            page(410, &Page::Cancelled(CancelledView { any_connected: false, legacy: None }))
        }
        ClaimError::Refused(ClaimRefused::Used) => page(410, &Page::Expired { reason: ExpiryReason::Used }),
        ClaimError::Refused(_) => page(410, &Page::Expired { reason: ExpiryReason::Expired }),
        ClaimError::Fault(error) => {
            tracing::error!(request_id = request_id.0, %error, "claim failed");
            page(500, &Page::ServerError { request_id: &request_id.0 })
        }
    }
}
