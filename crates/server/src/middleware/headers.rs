//! The headers of every HTML page (threats 6.10). COOP is `unsafe-none` on purpose: `same-origin` would sever the popup
//! from the app page.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::RequestId;
use crate::coding::Compressible;
use crate::pages::{self, ExpiryReason, Frame, Page, content_security_policy};

/// A page outside of any session.
pub(crate) fn page(status: u16, page: &Page<'_>) -> Response {
    html(status, page, &Frame::default())
}

/// What a person is told who came at a moment when too many others had not finished (503): to try again.
pub(crate) fn busy(request_id: &RequestId) -> Response {
    page(503, &Page::ServerError { request_id: &request_id.0 })
}

/// A page with its headers.
pub(crate) fn html(status: u16, page: &Page<'_>, frame: &Frame<'_>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Html(pages::render(page, frame).html)).into_response();
    let fixed: [(HeaderName, &'static str); 9] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, content_security_policy()),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "unsafe-none"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if page.may_be_compressed() {
        response.extensions_mut().insert(Compressible);
    }
    response
}

/// 303, never 307: the browser must not repeat a POST (RFC 9700 section 4.12). Where it goes learns no address of ours.
pub(crate) fn see_other(location: &str) -> Response {
    let Ok(mut location) = HeaderValue::from_str(location) else {
        return page(400, &Page::Expired { reason: ExpiryReason::Ended });
    };
    location.set_sensitive(true);
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
