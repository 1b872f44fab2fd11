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
        routes::sdk::report::api_call,
        routes::sdk::auth::verify_token,
        routes::sdk::catalog::show,
        routes::sdk::grants::list,
        routes::sdk::grants::revoke,
        routes::sdk::grants::revoke_delegation,
        routes::sdk::grants::give_up_delegation,
        routes::sdk::agents::create,
        routes::sdk::agents::list,
        routes::sdk::agents::me,
        routes::sdk::agents::get,
        routes::sdk::agents::change,
        routes::sdk::agents::delete,
        routes::sdk::agent_keys::create,
        routes::sdk::agent_keys::list,
        routes::sdk::agent_keys::revoke,
        routes::sdk::agent_keys::deprecate,
        routes::sdk::agent_keys::undeprecate,
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
