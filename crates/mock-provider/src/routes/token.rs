//! `/token` (RFC 6749 sections 4.1.3 and 6, RFC 7636 section 4.6).
//!
//! In this order: authenticate the client, check the grant, issue, build the answer. Delays, the gate and
//! the faults that lose an answer come last, so that their requests have taken effect.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Provider;
use super::answer::{json_answer, oauth_error, raw};
use super::client_auth::authenticate;
use super::token_fault;
use crate::accept::Cut;
use crate::grants::{AuthRequest, Held, Issued};
use crate::id_token::id_token;
use crate::quirks::RefreshMode;
use crate::seen::{json_fields, pairs};
use crate::state::Inner;
use crate::switches::Switches;

type Fields = HashMap<String, String>;

/// An error code of RFC 6749 section 5.2, and a sentence.
type Refusal = (&'static str, &'static str);

pub(crate) async fn token(
    State(inner): Provider,
    Extension(cut): Extension<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let switches = inner.switches();
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // Some providers take JSON as well as the standard's form.
    let form: Fields = if kind.starts_with("application/json") {
        json_fields(kind, &body).into_iter().collect()
    } else {
        pairs(&body).into_iter().collect()
    };
    let fault = inner.world().take_token_fault();
    let answer = match fault.as_ref().and_then(token_fault::instead) {
        Some(answer) => answer,
        None => process(&inner, &switches, &headers, &form),
    };
    tokio::time::sleep(switches.token_delay).await;
    if let Some(gate) = &switches.token_gate {
        gate.pass().await;
    }
    match fault {
        Some(fault) => token_fault::after(&fault, answer, &cut).await,
        None => answer,
    }
}

fn process(inner: &Arc<Inner>, switches: &Switches, headers: &HeaderMap, form: &Fields) -> Response {
    let client_id = match authenticate(inner, switches.client_auth, headers, form) {
        Ok(client_id) => client_id,
        Err(refusal) => return *refusal,
    };
    let outcome = match form.get("grant_type").map(String::as_str) {
        Some("authorization_code") => by_code(inner, switches, &client_id, form),
        Some("refresh_token") => by_refresh(inner, switches, &client_id, form),
        Some(_) => Err(("unsupported_grant_type", "authorization_code and refresh_token are supported")),
        None => Err(("invalid_request", "grant_type is missing")),
    };
    outcome.unwrap_or_else(|(error, why)| oauth_error(error, why))
}

fn by_code(inner: &Inner, switches: &Switches, client_id: &str, form: &Fields) -> Result<Response, Refusal> {
    let presented = form.get("code").ok_or(("invalid_request", "code is missing"))?;
    let now = inner.now();
    let mut world = inner.world();
    let code = world.grants.find_code(presented, now);
    let code = code.ok_or(("invalid_grant", "the code is unknown, expired or used"))?;
    check_code(switches, &code.request, client_id, form)?;

    let scope = switches.granted_scopes.clone().unwrap_or_else(|| code.request.scope.clone());
    let held = world.grants.spend_code(presented, scope).expect("the lock is held since it was found");
    let issued = world.grants.issue(&held, switches.access_token_life, !switches.omit_refresh_token, now);
    let user = world.users.get(&code.sub);
    drop(world);

    let asked_openid = code.request.scope.split_whitespace().any(|scope| scope == "openid");
    let id_token = user
        .filter(|_| asked_openid)
        .and_then(|user| id_token(inner, switches, client_id, &user, code.request.nonce.as_deref()));
    Ok(answer(switches, &held, &issued, id_token))
}

/// Checks that the code was issued to this client, for this redirect URI, and that the client has the verifier.
fn check_code(
    switches: &Switches,
    request: &AuthRequest,
    client_id: &str,
    form: &Fields,
) -> Result<(), Refusal> {
    if request.client_id != client_id {
        return Err(("invalid_grant", "the code was issued to another client"));
    }
    if switches.strict_redirect_uri && form.get("redirect_uri") != Some(&request.redirect_uri) {
        return Err(("invalid_grant", "redirect_uri differs from the authorization request"));
    }
    let Some(challenge) = request.challenge.as_ref().filter(|_| !switches.ignore_pkce) else {
        return Ok(());
    };
    let verifier = form.get("code_verifier").ok_or(("invalid_grant", "code_verifier is missing"))?;
    let computed = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    if computed == *challenge { Ok(()) } else { Err(("invalid_grant", "code_verifier does not match")) }
}

fn by_refresh(
    inner: &Inner,
    switches: &Switches,
    client_id: &str,
    form: &Fields,
) -> Result<Response, Refusal> {
    let presented = form.get("refresh_token").ok_or(("invalid_request", "refresh_token is missing"))?;
    let now = inner.now();
    let mut world = inner.world();
    let held = world.grants.use_refresh(presented, client_id, switches.refresh, now);
    let mut held = held.ok_or(("invalid_grant", "the refresh token is unknown, used or revoked"))?;
    if let Some(scope) = form.get("scope") {
        let granted: Vec<&str> = held.scope.split_whitespace().collect();
        if !scope.split_whitespace().all(|word| granted.contains(&word)) {
            return Err(("invalid_scope", "more than was granted"));
        }
        held.scope.clone_from(scope);
    }
    let with_refresh = switches.refresh != RefreshMode::Keep && !switches.omit_refresh_token;
    let issued = world.grants.issue(&held, switches.access_token_life, with_refresh, now);
    Ok(answer(switches, &held, &issued, None))
}

fn answer(switches: &Switches, held: &Held, issued: &Issued, id_token: Option<String>) -> Response {
    if let Some(mut replay) = switches.token_response.clone() {
        let refresh_token = issued.refresh_token.as_deref().unwrap_or_default();
        replay.body = replay
            .body
            .replace("{{id_token}}", id_token.as_deref().unwrap_or_default())
            .replace("{{access_token}}", &issued.access_token)
            .replace("{{refresh_token}}", refresh_token);
        return raw(replay);
    }
    let life = Value::from(switches.access_token_life.as_secs());
    let mut body = json!({
        "access_token": issued.access_token,
        "token_type": switches.token_type.as_deref().unwrap_or("Bearer"),
        "expires_in": switches.expires_in.as_ref().unwrap_or(&life),
        "scope": held.scope,
    });
    let members = body.as_object_mut().expect("built as an object above");
    members.extend(issued.refresh_token.clone().map(|token| ("refresh_token".to_owned(), token.into())));
    members.extend(id_token.map(|token| ("id_token".to_owned(), token.into())));
    members.retain(|name, _| !switches.omit_token_fields.contains(name));
    json_answer(StatusCode::OK, body)
}
