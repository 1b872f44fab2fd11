//! Asks the provider whose account a token opens, at the userinfo endpoint (OpenID Connect Core section 5.3) or at the
//! endpoint that the provider has instead.

use std::time::Duration;

use alter_core::{Cause, Recipe, UserinfoMethod};
use alter_egress::{Egress, EgressError, Limits, Request};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::strict_json;

/// Time for one whole answer.
const TOTAL: Duration = Duration::from_secs(15);

/// Cap on the body of an answer, in bytes.
const BODY_MAX: usize = 256 * 1024;

/// Token types for which a bearer header is not enough (RFC 9449, and earlier drafts).
const PROOF_TYPES: [&str; 3] = ["dpop", "pop", "mac"];

/// Why the account is not known. No text contains anything from the answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UserinfoError {
    /// The recipe has no `userinfo_url`, or one that is not a URL. The operator's fault.
    #[error("the provider's userinfo_url is missing or cannot be used")]
    NotConfigured,
    /// The token needs a proof of possession, which this client cannot make.
    #[error("the provider issued a token of a type that is not supported")]
    TokenType,
    /// No whole answer arrived.
    #[error("the provider's account information could not be fetched: {0}")]
    Egress(#[from] EgressError),
    /// The provider answered with a status other than 200.
    #[error("the provider answered {0} when asked for the account")]
    Status(u16),
    /// The answer is not JSON (signed and encrypted answers are not read), or has duplicate members.
    #[error("the provider's account information was not understood")]
    NotUnderstood,
}

impl UserinfoError {
    /// Why the flow ends here, if it does.
    pub fn cause(&self) -> Cause {
        match self {
            Self::NotConfigured => Cause::ProviderMisconfigured,
            Self::Egress(error) if error.is_configuration() => Cause::ProviderMisconfigured,
            Self::TokenType | Self::Egress(_) | Self::Status(_) | Self::NotUnderstood => {
                Cause::UserinfoFailed
            }
        }
    }
}

/// Asks `userinfo_url`. The token goes into the header that the recipe's `api_auth` names, whatever the token's type is
/// called: providers that call it `bot`, `user` or nothing at all mean `Bearer`. The token is never in the URL (T86).
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
    let headers = headers(recipe, access_token).ok_or(UserinfoError::TokenType)?;
    let limits = Limits { total: TOTAL, body_max: BODY_MAX };
    let (method, body) = match recipe.userinfo.method {
        UserinfoMethod::Get => (Method::GET, None),
        UserinfoMethod::Post => (Method::POST, recipe.userinfo.body.clone()),
    };
    let body = body.unwrap_or_default().into_bytes().into();
    let request = Request { method, url, headers, body, limits };
    let response = egress.send(request).await?;
    match response.status.as_u16() {
        200 => strict_json::parse(&response.body)
            .filter(|document| document.is_object() || document.is_array())
            .ok_or(UserinfoError::NotUnderstood),
        status => Err(UserinfoError::Status(status)),
    }
}

fn headers(recipe: &Recipe, access_token: &SecretString) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &recipe.userinfo.headers {
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?);
    }
    // Our headers come after the recipe's, so that the recipe cannot replace them.
    let auth = &recipe.api_auth;
    let value = Zeroizing::new(auth.format.replacen("{token}", access_token.expose_secret(), 1));
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    headers.insert(HeaderName::try_from(&auth.header).ok()?, value);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // A POST without a body has no type: Dropbox refuses one that claims to be JSON.
    if recipe.userinfo.method == UserinfoMethod::Post && recipe.userinfo.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(more: &Value) -> HeaderMap {
        let mut all = json!({"id":"a","name":"A","authorize_url":"https://a.example/a","token_url":"https://a.example/t"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let recipe: Recipe = serde_json::from_value(all).expect("a recipe");
        headers(&recipe, &SecretString::from("{token}-1")).expect("usable")
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
            (UserinfoError::Status(403), Cause::UserinfoFailed),
        ] {
            assert_eq!(error.cause(), cause, "{error}");
        }
    }
}
