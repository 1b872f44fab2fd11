//! `GET /sdk/oauth/connect`: the page that reads the fragment (doors B, C, D). It sets no cookie and has no session.

use axum::{extract::RawQuery, http::HeaderMap, response::Response};

use crate::{middleware::page, pages::Page};

pub(crate) async fn show(RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    // A token in a query would be in every log on the way, so it is refused, whoever wrote it (T44).
    if query.is_some_and(|q| ["session=", "alter_cs_", "alter_as_"].iter().any(|sign| q.contains(sign))) {
        tracing::info!(
            "a connect link with the session in its query was refused: it belongs in the fragment"
        );
        return page(400, &Page::InvalidToken);
    }
    let site = headers.get("sec-fetch-site").and_then(|v| v.to_str().ok()).unwrap_or_default();
    page(200, &Page::Shell { site })
}
