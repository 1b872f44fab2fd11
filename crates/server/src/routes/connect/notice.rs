//! `/connect/notice/{name}`: pages without a session.

use axum::{extract::Path, response::Response};

use crate::{
    middleware::page,
    pages::{ExpiryReason, Page, Unproven},
};

pub(crate) async fn show(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "open" => page(403, &Page::OpenFromApp { app: None, why: Unproven::NoProof }),
        "used_window" => page(403, &Page::OpenFromApp { app: None, why: Unproven::UsedWindow }),
        "invalid" => page(404, &Page::InvalidToken),
        "expired" => page(410, &Page::Expired { reason: ExpiryReason::Expired }),
        "used" => page(410, &Page::Expired { reason: ExpiryReason::Used }),
        "other_browser" => page(410, &Page::WrongBrowser),
        "cookies" => page(400, &Page::CookiesBlocked),
        _ => page(404, &Page::NotFound),
    }
}
