//! The pages' script, at a path that contains the hash of its content.

use axum::http::header;
use axum::response::IntoResponse;

use crate::pages;

pub(crate) async fn script() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (headers, pages::SCRIPT)
}
