//! Asks the provider whose account a token opens, at the userinfo endpoint (OpenID Connect Core section 5.3), at the
//! endpoint that the provider has instead, or by introspection (RFC 7662).

use std::time::Duration;

use alter_core::{BodyFormat, Cause, Recipe, UserinfoMethod};
use alter_egress::{Egress, EgressError, Limits, Request};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::strict_json;
use crate::token_request::{Client, add_headers, client_request, retry_after_of};

/// Time for one whole answer, and the cap on its body, in bytes.
const LIMITS: Limits = Limits { total: Duration::from_secs(15), body_max: 256 * 1024 };

/// Token types for which a bearer header is not enough (RFC 9449, and earlier drafts).
const PROOF_TYPES: [&str; 3] = ["dpop", "pop", "mac"];

/// Why the account is not known. No text contains anything from the answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UserinfoError {
    /// The recipe has no `userinfo_url`, or one that is not a URL, or a header that HTTP does not allow. The operator's fault.
    #[error("the provider's userinfo_url is missing or cannot be used")]
    NotConfigured,
    /// The token needs a proof of possession, which this client cannot make.
    #[error("the provider issued a token of a type that is not supported")]
    TokenType,
    /// No whole answer arrived.
    #[error("the provider's account information could not be fetched: {0}")]
    Egress(#[from] EgressError),
    /// The provider answered with a status other than 200.
    #[error("the provider answered {status} when asked for the account")]
    Status {
        /// The HTTP status.
        status: u16,
        /// For how long the provider asks us to wait, in seconds.
        retry_after: Option<u32>,
    },
    /// The answer is not JSON (signed and encrypted answers are not read), or has duplicate members.
    #[error("the provider's account information was not understood")]
    NotUnderstood,
    /// Introspection says nothing about the token but that it is not one of our client.
    #[error("the provider says that the token it issued is not active")]
    NotActive,
}

impl UserinfoError {
    /// Why the flow ends here, if it does.
    pub fn cause(&self) -> Cause {
        match self {
            Self::NotConfigured => Cause::ProviderMisconfigured,
            Self::Egress(error) if error.is_configuration() => Cause::ProviderMisconfigured,
            Self::TokenType
            | Self::Egress(_)
            | Self::Status { .. }
            | Self::NotUnderstood
            | Self::NotActive => Cause::UserinfoFailed,
        }
    }

    /// For how long the provider asks us to wait, in seconds.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Asks `userinfo_url`. The token goes into the header that the recipe's `api_auth` names, whatever the token's type is
/// called: providers that call it `bot`, `user` or nothing at all mean `Bearer`. The token is never in the URL (T86).
/// `client_id` is for the recipe's `api_headers`.
///
/// # Errors
/// [`UserinfoError`].
pub async fn userinfo(
    egress: &Egress,
    recipe: &Recipe,
    client_id: &str,
    access_token: &SecretString,
    token_type: &str,
) -> Result<Value, UserinfoError> {
    if PROOF_TYPES.iter().any(|proof| token_type.eq_ignore_ascii_case(proof)) {
        return Err(UserinfoError::TokenType);
    }
    let headers = headers(recipe, client_id, access_token)?;
    let (method, body) = match recipe.userinfo.method {
        UserinfoMethod::Get | UserinfoMethod::Introspect => (Method::GET, None),
        UserinfoMethod::Post => (Method::POST, recipe.userinfo.body.clone()),
    };
    let body = body.unwrap_or_default().into_bytes().into();
    ask(egress, Request { method, url: url(recipe)?, headers, body, limits: LIMITS }).await
}

/// Asks `userinfo_url` by introspection (RFC 7662 section 2.1): as our client, which the provider tells more than it tells
/// whoever has the token.
///
/// # Errors
/// [`UserinfoError`].
pub async fn introspect(
    egress: &Egress,
    recipe: &Recipe,
    client: &Client<'_>,
    access_token: &SecretString,
) -> Result<Value, UserinfoError> {
    let token = access_token.expose_secret();
    let mut fields = vec![("token_type_hint", "access_token")];
    match recipe.userinfo.token_fields.as_slice() {
        [] => fields.push(("token", token)),
        named => fields.extend(named.iter().map(|name| (name.as_str(), token))),
    }
    let request = client_request(
        Some(recipe.client_auth),
        &recipe.names,
        client,
        url(recipe)?,
        fields,
        BodyFormat::Form,
    );
    let answer = ask(egress, Request { limits: LIMITS, ..request }).await?;
    // Section 2.2: without it, nothing else in the answer is about this token.
    if answer["active"] == Value::Bool(true) { Ok(answer) } else { Err(UserinfoError::NotActive) }
}

fn url(recipe: &Recipe) -> Result<Url, UserinfoError> {
    let url = recipe.userinfo_url.as_deref().ok_or(UserinfoError::NotConfigured)?;
    Url::parse(url).map_err(|_| UserinfoError::NotConfigured)
}

async fn ask(egress: &Egress, request: Request) -> Result<Value, UserinfoError> {
    let response = egress.send(request).await?;
    match response.status.as_u16() {
        200 => strict_json::parse(&response.body)
            .filter(|document| document.is_object() || document.is_array())
            .ok_or(UserinfoError::NotUnderstood),
        status => Err(UserinfoError::Status { status, retry_after: retry_after_of(&response.headers) }),
    }
}

fn headers(
    recipe: &Recipe,
    client_id: &str,
    access_token: &SecretString,
) -> Result<HeaderMap, UserinfoError> {
    let mut headers = HeaderMap::new();
    let auth = &recipe.api_auth;
    let name = HeaderName::try_from(&auth.header).map_err(|_| UserinfoError::NotConfigured)?;
    let value = Zeroizing::new(auth.format.replacen("{token}", access_token.expose_secret(), 1));
    let mut value = HeaderValue::from_str(&value).map_err(|_| UserinfoError::TokenType)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // A POST without a body has no type: Dropbox refuses one that claims to be JSON.
    if recipe.userinfo.method == UserinfoMethod::Post && recipe.userinfo.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    // The recipe's come after ours, so that it cannot replace them.
    for more in [&recipe.userinfo.headers, &recipe.api_headers] {
        add_headers(&mut headers, more, client_id).ok_or(UserinfoError::NotConfigured)?;
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(more: &Value) -> HeaderMap {
        let mut all = json!({"id":"a","name":"A","authorize_url":"https://a.example/a","token_url":"https://a.example/t"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let recipe: Recipe = serde_json::from_value(all).expect("a recipe");
        headers(&recipe, "client-1", &SecretString::from("{token}-1")).expect("usable")
    }

    #[test]
    fn the_token_is_in_the_header_that_the_recipe_names_and_no_header_of_ours_is_replaced() {
        let plain = shown(&json!({}));
        assert_eq!(plain["authorization"], "Bearer {token}-1");
        assert!(plain["authorization"].is_sensitive() && !plain.contains_key(CONTENT_TYPE));
        let other = shown(&json!({
            "api_auth": {"header": "X-Token", "format": "{token}"},
            "userinfo": {"method": "post", "headers": {"x-version": "7", "x-token": "fixed", "accept": "text/html"}},
        }));
        assert_eq!(
            (&other["x-token"], &other["x-version"]),
            (&"{token}-1".parse().unwrap(), &"7".parse().unwrap())
        );
        assert_eq!(other["accept"], "application/json");
        assert!(!other.contains_key("authorization") && !other.contains_key(CONTENT_TYPE));
        let twitch = shown(&json!({"api_headers": {"Client-Id": "{client_id}", "Authorization": "fixed"}}));
        assert_eq!(
            (&twitch["client-id"], &twitch["authorization"]),
            (&"client-1".parse().unwrap(), &"Bearer {token}-1".parse().unwrap())
        );
        assert_eq!(
            shown(&json!({"userinfo": {"method": "post", "body": "{}"}}))[CONTENT_TYPE],
            "application/json"
        );
    }

    #[test]
    fn an_endpoint_that_cannot_be_asked_is_the_operators_and_any_other_failure_the_providers() {
        let timeout = EgressError::Timeout { host: "a.example".into(), maybe_sent: true };
        for (error, cause) in [
            (UserinfoError::NotConfigured, Cause::ProviderMisconfigured),
            (EgressError::BadUrl { reason: "it has no host" }.into(), Cause::ProviderMisconfigured),
            (timeout.into(), Cause::UserinfoFailed),
            (UserinfoError::Status { status: 403, retry_after: None }, Cause::UserinfoFailed),
        ] {
            assert_eq!(error.cause(), cause, "{error}");
        }
    }
}
