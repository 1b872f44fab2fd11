//! A POST from our own page (T49): the exact `Origin`, `Sec-Fetch-Site: same-origin` where the browser sends it, and JSON,
//! which a form cannot send.

use alter_api::ErrorCode;
use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;

use super::{
    body::{PAGE_BODY_MAX, parse_json},
    headers::only,
};
use crate::{Shared, error::ApiError};

/// The JSON body of a POST from our own page.
#[derive(Debug)]
pub(crate) struct PagePost<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for PagePost<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if let Err(refused) = by_headers(&parts.headers, &shared.site.origin) {
            shared.bodies.discard(body).await;
            return Err(refused);
        }
        let bytes = shared.bodies.read(&parts.headers, body, PAGE_BODY_MAX).await?;
        parse_json(&bytes).map(Self)
    }
}

fn by_headers(headers: &HeaderMap, ours: &str) -> Result<(), ApiError> {
    check_origin(headers, ours)?;
    if is_json(headers) { Ok(()) } else { Err(ApiError::plain(ErrorCode::UnsupportedMediaType)) }
}

fn check_origin(headers: &HeaderMap, ours: &str) -> Result<(), ApiError> {
    if is_our_page(headers, ours) { Ok(()) } else { Err(ApiError::plain(ErrorCode::CsrfRefused)) }
}

/// Whether a page of ours sent the request.
pub(crate) fn is_our_page(headers: &HeaderMap, ours: &str) -> bool {
    let ours_alone = only(headers, header::ORIGIN).is_some_and(|origin| origin.as_bytes() == ours.as_bytes());
    let site = headers.get("sec-fetch-site").is_none_or(|site| site.as_bytes() == b"same-origin");
    ours_alone && site
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
