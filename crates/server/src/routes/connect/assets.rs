//! The pages' script, at a path that contains the hash of its content.

use axum::http::{HeaderMap, HeaderName, header};
use axum::response::Response;

use crate::{coding::StaticFile, pages};

static SCRIPT: StaticFile = StaticFile::embedded(
    "text/javascript; charset=utf-8",
    pages::SCRIPT.as_bytes(),
    Some(include_bytes!(concat!(env!("OUT_DIR"), "/connect.js.gz"))),
);

pub(crate) async fn script(asked: HeaderMap) -> Response {
    let more = [
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    SCRIPT.answer(&asked, &more)
}
