//! Calls of the published backend client that this version does not have (wire 3). A plain 404 would be "no such grant"
//! to that client, and an app would send its user through consent again and again.

use alter_api::ErrorCode;
use axum::{
    Router,
    http::Method,
    routing::{MethodFilter, on},
};

use crate::{Shared, error::ApiError};

/// Method, path, and what the call would do.
const CALLS: [(Method, &str, &str); 19] = [
    (Method::POST, "/sdk/proxy", "calls through the server"),
    (Method::POST, "/sdk/grants/{grant_id}/delegate", "delegation by an agent"),
    (Method::POST, "/sdk/grants/{grant_id}/mint", "several grants of one credential"),
    (Method::POST, "/sdk/grants/{grant_id}/report-scope-mismatch", "reports of missing scopes"),
    (Method::POST, "/sdk/managed-secrets/connect/session", "managed secrets"),
    (Method::POST, "/sdk/managed-secrets/{managed_secret_id}/grants", "managed secrets"),
    (Method::POST, "/sdk/keys/derive", "derived keys"),
    (Method::POST, "/sdk/keys/{id}/rotate", "rotating keys by a call; the operator has `alter key`"),
    (Method::DELETE, "/sdk/keys/{id}", "revoking keys by a call; the operator has `alter key revoke`"),
    (Method::GET, "/sdk/scopes", "scopes of keys"),
    (Method::GET, "/sdk/provider-specs", "provider specifications"),
    (Method::GET, "/sdk/provider-specs/{kind}/{provider}", "provider specifications"),
    (Method::GET, "/sdk/provider-specs/{kind}/{provider}/operations", "provider specifications"),
    (Method::GET, "/sdk/provider-specs/{kind}/{provider}/operation", "provider specifications"),
    (Method::GET, "/sdk/approvals/{approval_id}", "approvals"),
    (Method::GET, "/sdk/approvals/{approval_id}/result", "approvals"),
    (Method::POST, "/sdk/identity/resolve", "identity assertions"),
    (Method::POST, "/sdk/identity/assert", "identity assertions"),
    (Method::POST, "/sdk/spans", "spans"),
];

/// The routes of these calls. Whoever asks learns nothing but what the documentation says, so nothing is judged first.
pub(crate) fn routes() -> Router<Shared> {
    CALLS.into_iter().fold(Router::new(), |router, (method, path, what)| {
        let message = format!("{method} {path} is not built in this version: {what}.");
        let answer = move || async move { ApiError::new(ErrorCode::NotBuilt, message) };
        let filter = MethodFilter::try_from(method).expect("a method of HTTP");
        router.route(path, on(filter, answer))
    })
}
