//! Client authentication of token and revocation requests (RFC 6749 section 2.3).

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::answer::oauth_error;
use crate::quirks::ClientAuth;
use crate::state::Inner;

/// What the request claims: a client id, and a secret if it sent one.
struct Claimed {
    client_id: String,
    secret: Option<SecretString>,
    basic: bool,
}

/// Checks the client's secret and returns its id. Public clients send an id and no secret.
///
/// # Errors
/// `invalid_client`, or `invalid_request` for credentials in two places.
pub(crate) fn authenticate(
    inner: &Inner,
    accepted: ClientAuth,
    headers: &HeaderMap,
    form: &HashMap<String, String>,
) -> Result<String, Box<Response>> {
    let refuse = |why| Box::new(oauth_error("invalid_client", why));
    let basic = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let readable = value.to_str().ok().and_then(from_basic);
            Some(readable.ok_or_else(|| refuse("the Authorization header is not readable"))?)
        }
        None => None,
    };
    if basic.is_some() && form.contains_key("client_secret") {
        return Err(Box::new(oauth_error("invalid_request", "client credentials in two places")));
    }
    let claimed = basic.or_else(|| from_form(form)).ok_or_else(|| refuse("no client credentials"))?;
    if form.get("client_id").is_some_and(|id| *id != claimed.client_id) {
        return Err(refuse("two different client ids"));
    }
    let world = inner.world();
    let client = world.clients.get(&claimed.client_id).ok_or_else(|| refuse("unknown client"))?;
    match (&client.secret, &claimed.secret) {
        (None, None) => Ok(claimed.client_id),
        (Some(_), Some(_)) if !allows(accepted, claimed.basic) => {
            Err(refuse("this method of client authentication is not accepted"))
        }
        (Some(right), Some(given)) if equal(right, given) => Ok(claimed.client_id),
        _ => Err(refuse("wrong client credentials")),
    }
}

fn allows(accepted: ClientAuth, basic: bool) -> bool {
    match accepted {
        ClientAuth::Any => true,
        ClientAuth::BasicOnly => basic,
        ClientAuth::PostOnly => !basic,
    }
}

fn equal(right: &SecretString, given: &SecretString) -> bool {
    verify_slices_are_equal(right.expose_secret().as_bytes(), given.expose_secret().as_bytes()).is_ok()
}

fn from_form(form: &HashMap<String, String>) -> Option<Claimed> {
    let secret = form.get("client_secret").map(|secret| secret.as_str().into());
    Some(Claimed { client_id: form.get("client_id")?.clone(), secret, basic: false })
}

/// Reads Basic credentials. Both halves were form-encoded before they were joined (RFC 6749 section 2.3.1).
fn from_basic(value: &str) -> Option<Claimed> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    // A client that sends its id and an empty password is a public client.
    let secret = (!secret.is_empty()).then(|| form_decode(secret).into());
    Some(Claimed { client_id: form_decode(id), secret, basic: true })
}

fn form_decode(text: &str) -> String {
    // `=` and `&` cannot occur in encoded text. If they were left as they are, they would end the name.
    let escaped = text.replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(escaped.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}
