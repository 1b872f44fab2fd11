//! `/openapi.json`: the contract of the routes that clients call. `contract/openapi.json` is this document, committed.

use axum::Json;
use utoipa::OpenApi;

use crate::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Alter Connect",
        description = "What an app's backend and the browser SDK call. Calls under /sdk are signed (docs/reference/signing.md)."
    ),
    paths(
        routes::sdk::session::create,
        routes::sdk::session::poll,
        routes::sdk::token::retrieve,
        routes::sdk::auth::verify_token,
        routes::connect::status::status,
        routes::health::alive,
        routes::health::ready,
    )
)]
struct Contract;

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Contract::openapi()
}

pub(crate) async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}
