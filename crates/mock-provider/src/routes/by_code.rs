//! Redeeming a code (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use aws_lc_rs::digest::{SHA256, digest};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::token_answer::{Fields, token_answer};
use crate::access_token::mint;
use crate::grants::{AuthRequest, Refusal};
use crate::id_token::id_token;
use crate::state::Inner;
use crate::switches::Switches;

pub(super) fn by_code(
    inner: &Inner,
    switches: &Switches,
    client_id: &str,
    form: &Fields,
) -> Result<Response, Refusal> {
    let presented = form.get("code").ok_or(("invalid_request", "code is missing"))?;
    let now = inner.now();
    let mut world = inner.world();
    let code = world.grants.find_code(presented, now);
    let code = code.ok_or(("invalid_grant", "the code is unknown, expired or used"))?;
    check_code(switches, &code.request, client_id, form)?;

    let scope = switches.granted_scopes.clone().unwrap_or_else(|| code.request.scope.clone());
    let held = world.grants.spend_code(presented, scope).expect("the lock is held since it was found");
    let access_token = mint(inner, switches, &held, now);
    let issued = world.grants.issue(switches, &held, access_token, !switches.omit_refresh_token, now);
    let user = world.users.get(&code.sub);
    drop(world);

    let asked_openid = code.request.scope.split_whitespace().any(|scope| scope == "openid");
    let id_token = user
        .filter(|_| asked_openid)
        .and_then(|user| id_token(inner, switches, client_id, &user, code.request.nonce.as_deref()));
    Ok(token_answer(switches, &held, &issued, id_token, &Value::Null))
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
