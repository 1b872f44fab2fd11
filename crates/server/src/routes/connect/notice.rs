//! `/connect/notice/{name}`: pages without a session.

use axum::{extract::Path, response::Response};

use crate::{
    middleware::page,
    pages::{ExpiryReason, Page, Unproven},
};

pub(crate) async fn show(Path(name): Path<String>) -> Response {
    let (status, notice) = match name.as_str() {
        "open" => (403, Page::OpenFromApp { app: None, why: Unproven::NoProof }),
        "used_window" => (403, Page::OpenFromApp { app: None, why: Unproven::UsedWindow }),
        "invalid" => (404, Page::InvalidToken),
        "expired" => (410, Page::Expired { reason: ExpiryReason::Expired }),
        "used" => (410, Page::Expired { reason: ExpiryReason::Used }),
        "other_browser" => (410, Page::WrongBrowser),
        "cookies" => (400, Page::CookiesBlocked),
        _ => return page(404, &Page::NotFound),
    };
    // Of a page that had no token, or whose opener did not prove itself, no other request tells the server.
    tracing::info!(notice = name, "a flow ended at a notice");
    page(status, &notice)
}
