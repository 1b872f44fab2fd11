//! Asking the provider whose account a token opens (OpenID Connect Core section 5.3, or the endpoint that a provider
//! has in its place).

use std::time::Duration;

use alter_core::Recipe;
use alter_egress::{Egress, EgressError, Limits, Request};
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::strict_json;

/// For one answer, all of it.
const TOTAL: Duration = Duration::from_secs(15);

/// Bytes of an answer.
const BODY_MAX: usize = 256 * 1024;

/// Token types for which a bearer header is not enough (RFC 9449, and drafts before it).
const PROOF_TYPES: [&str; 3] = ["dpop", "pop", "mac"];

/// Why nothing is known. Nothing of the answer is in any text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UserinfoError {
    /// The recipe has no `userinfo_url`, or none that is a URL. The operator's fault.
    #[error("the provider's userinfo_url is missing or cannot be used")]
    NotConfigured,
    /// The token needs a proof of possession that we do not make.
    #[error("the provider issued a token of a type that is not supported")]
    TokenType,
    /// There was no whole answer.
    #[error("the provider's account information could not be fetched: {0}")]
    Egress(#[from] EgressError),
    /// Another status than 200.
    #[error("the provider answered {0} when asked for the account")]
    Status(u16),
    /// Not JSON (signed and encrypted answers are not read), or with duplicate members.
    #[error("the provider's account information was not understood")]
    NotUnderstood,
}

/// Asks `userinfo_url`. The token is sent as `Bearer`, whatever its type is called: providers that call it `bot`,
/// `user` or nothing at all mean the same.
///
/// # Errors
/// [`UserinfoError`].
pub async fn userinfo(
    egress: &Egress,
    recipe: &Recipe,
    access_token: &SecretString,
    token_type: &str,
) -> Result<Value, UserinfoError> {
    if PROOF_TYPES.iter().any(|proof| token_type.eq_ignore_ascii_case(proof)) {
        return Err(UserinfoError::TokenType);
    }
    let url = recipe.userinfo_url.as_deref().ok_or(UserinfoError::NotConfigured)?;
    let url = Url::parse(url).map_err(|_| UserinfoError::NotConfigured)?;
    let headers = headers(access_token).ok_or(UserinfoError::TokenType)?;
    let limits = Limits { total: TOTAL, body_max: BODY_MAX };
    let request = Request { method: Method::GET, url, headers, body: Default::default(), limits };
    let response = egress.send(request).await?;
    match response.status.as_u16() {
        200 => strict_json::parse(&response.body)
            .filter(|document| document.is_object() || document.is_array())
            .ok_or(UserinfoError::NotUnderstood),
        status => Err(UserinfoError::Status(status)),
    }
}

fn headers(access_token: &SecretString) -> Option<HeaderMap> {
    let value = Zeroizing::new(format!("Bearer {}", access_token.expose_secret()));
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, value);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // GitHub's API answers 403 to whoever does not say who he is.
    headers.insert(USER_AGENT, HeaderValue::from_static("alter-connect"));
    Some(headers)
}
