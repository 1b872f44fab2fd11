//! All routes. Files mirror URL paths.

pub(crate) mod connect;
pub(crate) mod health;
mod oauth;
pub(crate) mod sdk;

use alter_api::ErrorCode;
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};

pub use sdk::files::SDK_VERSION;

use crate::{
    Shared,
    error::ApiError,
    middleware::{is_for_people, page},
    pages,
    pages::{Page, Unproven},
};

pub(crate) fn all() -> Router<Shared> {
    Router::new()
        // the app's backend
        .route("/sdk/oauth/connect/session", post(sdk::session::create))
        .route("/sdk/oauth/connect/session/poll", post(sdk::session::poll))
        .route("/sdk/oauth/connect/session/finalize", post(sdk::finalize::finalize))
        .route("/sdk/oauth/provider-catalog", get(sdk::catalog::show))
        .route("/sdk/token", post(sdk::token::retrieve))
        .route("/sdk/oauth/audit/api-call", post(sdk::report::api_call))
        .route("/sdk/auth/session", post(sdk::auth_session::create))
        .route("/sdk/auth/poll", post(sdk::auth_session::poll))
        .route("/sdk/auth/verify-token", post(sdk::auth::verify_token))
        .route("/sdk/grants/list", post(sdk::grants::list))
        .route("/sdk/oauth/grants/{grant_id}/revoke", post(sdk::grants::revoke))
        .route("/sdk/grants/{grant_id}/delegations/me", delete(sdk::grants::give_up_delegation))
        .route("/sdk/grants/{grant_id}/delegations/{agent_id}", delete(sdk::grants::revoke_delegation))
        .route("/sdk/agents", post(sdk::agents::create).get(sdk::agents::list))
        .route("/sdk/agents/me", get(sdk::agents::me))
        .route(
            "/sdk/agents/{id}",
            get(sdk::agents::get).patch(sdk::agents::change).delete(sdk::agents::delete),
        )
        .route("/sdk/agents/{id}/keys", post(sdk::agent_keys::create).get(sdk::agent_keys::list))
        .route("/sdk/agents/{id}/keys/{key_id}", delete(sdk::agent_keys::revoke))
        .route("/sdk/agents/{id}/keys/{key_id}/deprecate", patch(sdk::agent_keys::deprecate))
        .route("/sdk/agents/{id}/keys/{key_id}/undeprecate", patch(sdk::agent_keys::undeprecate))
        .merge(sdk::not_built::routes())
        // the browser SDK's files
        // a call of another method meets this pattern too, and must not be told that it exists
        .route("/sdk/{file}", get(sdk::files::latest).fallback(nothing_here))
        .route("/sdk/v/{version}/{file}", get(sdk::files::versioned))
        // getting in, and the pages
        .route("/sdk/oauth/connect", get(connect::shell::show))
        .route("/connect/open", post(connect::open::open))
        .route("/connect/api/peek", post(connect::claim::peek))
        .route("/connect/api/claim", post(connect::claim::claim))
        .route("/connect/s/{sid}", get(connect::session::show).post(connect::session::answer))
        .route("/connect/s/{sid}/return", get(connect::way_back::leave))
        .route("/connect/notice/{name}", get(connect::notice::show))
        .route("/connect/api/s/{sid}/select", post(connect::steps::select))
        .route("/connect/api/s/{sid}/approve", post(connect::steps::approve))
        .route("/connect/api/s/{sid}/sign-in", post(connect::steps::sign_in))
        .route("/connect/api/s/{sid}/back", post(connect::steps::back))
        .route("/connect/api/s/{sid}/cancel", post(connect::steps::cancel))
        .route("/connect/api/s/{sid}/finish", post(connect::steps::finish))
        .route("/connect/api/s/{sid}/seen", post(connect::steps::seen))
        .route("/connect/api/s/{sid}/bye", post(connect::steps::bye))
        .route("/connect/api/s/{sid}/state", post(connect::steps::state))
        .route("/connect/status", post(connect::status::status))
        .route("/connect/result", post(connect::result::result))
        .route(pages::script_path(), get(connect::assets::script))
        // the provider sends people back
        .route("/oauth/callback/{config_id}", get(oauth::callback::take).post(oauth::callback::form_post))
        // operating it
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
}

async fn nothing_here(request: Request) -> Response {
    if is_for_people(&request) {
        page(ErrorCode::NotFound.status(), &Page::NotFound)
    } else {
        ApiError::plain(ErrorCode::NotFound).into_response()
    }
}

async fn other_method(request: Request) -> Response {
    let status = ErrorCode::MethodNotAllowed.status();
    if !is_for_people(&request) {
        ApiError::plain(ErrorCode::MethodNotAllowed).into_response()
    } else if request.uri().path() == "/connect/open" {
        // Door A, reloaded or reached by a redirect that lost its form.
        page(status, &Page::OpenFromApp { app: None, why: Unproven::NoProof })
    } else {
        page(status, &Page::NotFound)
    }
}
