//! `GET /oauth/callback/{config_id}`. A cross-site `form_post` is redirected to the same request as GET, with which the
//! browser sends the Lax cookie again (T29).

use alter_api::ErrorCode;
use alter_flows::{CallbackEnd, CallbackRequest, connect};
use axum::{
    Extension,
    body::Body,
    extract::{Path, RawQuery, State},
    http::HeaderMap,
    response::Response,
};

use crate::{
    Shared,
    extract::Browser,
    middleware::{RequestId, busy, page, see_other},
    pages::{ExpiryReason, Page},
};

/// Longest query of a callback, bytes; codes of real providers stay below 2 KiB.
const QUERY_MAX: usize = 16 * 1024;

pub(crate) async fn take(
    State(shared): State<Shared>,
    Extension(request_id): Extension<RequestId>,
    Path(config_id): Path<String>,
    RawQuery(query): RawQuery,
    browser: Browser,
) -> Response {
    let query = query.unwrap_or_default();
    let sessions = browser.sessions();
    let request = CallbackRequest {
        config_id: &config_id,
        query: &query,
        sessions: &sessions,
        request_id: &request_id.0,
    };
    match connect::callback(&shared.flows, &request, |sid| browser.key(sid)).await {
        Ok(CallbackEnd::ToSession(sid)) => see_other(&format!("/connect/s/{sid}")),
        Ok(CallbackEnd::NotOurs) => not_ours(),
        Ok(CallbackEnd::NotUnderstood(Some(sid))) => see_other(&format!("/connect/s/{sid}?back=unreadable")),
        Ok(CallbackEnd::NotUnderstood(None)) => {
            page(400, &Page::Expired { reason: ExpiryReason::NotUnderstood })
        }
        Ok(CallbackEnd::OtherBrowser) => page(400, &Page::WrongBrowser),
        Err(fault) => {
            tracing::error!(request_id = request_id.0, error = %fault, "a callback failed");
            page(500, &Page::ServerError { request_id: &request_id.0 })
        }
    }
}

pub(crate) async fn form_post(
    State(shared): State<Shared>,
    Extension(request_id): Extension<RequestId>,
    Path(config_id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if alter_core::ConfigId::parse(&config_id).is_none() {
        return not_ours();
    }
    let bytes = match shared.bodies.read(&headers, body, QUERY_MAX).await {
        Ok(bytes) => bytes,
        // The session lives, and the code is not used: the browser's reload tries again.
        Err(refused) if refused.code == ErrorCode::ServiceUnavailable => return busy(&request_id),
        Err(_) => return not_ours(),
    };
    // Encoded again, so that only parameters can get into the location.
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(url::form_urlencoded::parse(&bytes))
        .finish();
    see_other(&format!("/oauth/callback/{config_id}?{query}"))
}

fn not_ours() -> Response {
    page(400, &Page::Expired { reason: ExpiryReason::Ended })
}
