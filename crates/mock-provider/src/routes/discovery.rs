//! `/.well-known/openid-configuration` (OpenID Connect Discovery) and the RFC 8414 document, which have the
//! same content.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::Provider;
use super::answer::{json_answer, raw};
use crate::keys::merge;
use crate::quirks::ClientAuth;
use crate::switches::Switches;

pub(crate) async fn metadata(State(inner): Provider) -> Response {
    let switches = inner.switches();
    let mut document = document(&inner.issuer, &switches);
    merge(&mut document, &switches.discovery_fields);
    match switches.discovery {
        Some(answer) => raw(answer),
        None => json_answer(StatusCode::OK, document),
    }
}

fn document(issuer: &str, switches: &Switches) -> Value {
    let auth_methods = match switches.client_auth {
        ClientAuth::Any => json!(["client_secret_basic", "client_secret_post", "none"]),
        ClientAuth::BasicOnly => json!(["client_secret_basic", "none"]),
        ClientAuth::PostOnly => json!(["client_secret_post", "none"]),
    };
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": auth_methods,
        "revocation_endpoint_auth_methods_supported": auth_methods,
        "authorization_response_iss_parameter_supported": switches.advertise_iss,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [switches.id_token_alg.name()],
        "scopes_supported": ["openid", "email", "profile", "offline_access", "notes.read", "notes.write"],
        "claims_supported": ["sub", "email", "email_verified", "name"],
    })
}
