//! Ends a grant at the provider: by RFC 7009, or by what the provider has instead, as the recipe's [`Revoke`] says.

use alter_core::{
    Recipe,
    recipe::{Revoke, RevokeAuth, RevokeMethod},
};
use alter_egress::{Egress, EgressError, Request};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    Client,
    token_request::{add_headers, client_request},
};

/// Why the provider did not confirm a revocation. No text contains a token or a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevokeError {
    /// The recipe names no way to revoke, or one that cannot be used.
    #[error("the provider offers no revocation")]
    NotOffered,
    /// A header that the recipe adds is none that HTTP allows.
    #[error("api_headers has one that HTTP does not allow")]
    BadHeader,
    /// The provider answered with a status other than 2xx, or reported a failure in the body. Holds the status.
    #[error("the revocation endpoint answered {0}")]
    Status(u16),
    /// No whole answer arrived.
    #[error(transparent)]
    Egress(#[from] EgressError),
}

/// The token to revoke.
#[derive(Debug, Clone, Copy)]
pub struct RevokedToken<'a> {
    /// The token itself; sent in the body, or in the header of `api_auth`, as the recipe says.
    pub token: &'a SecretString,
    /// True for a refresh token, false for an access token; becomes the `token_type_hint`.
    pub is_refresh_token: bool,
    /// The account's id at the provider, for recipes that revoke by account.
    pub subject: &'a str,
}

/// Asks the provider to end what the token stands for. A provider answers 200 for a token that it does not know, too
/// (RFC 7009 section 2.2), so asking again is harmless.
///
/// # Errors
/// [`RevokeError`]; all but [`RevokeError::NotOffered`] may succeed when asked again later.
pub async fn revoke(
    egress: &Egress,
    recipe: &Recipe,
    client: &Client<'_>,
    what: &RevokedToken<'_>,
) -> Result<(), RevokeError> {
    let how = recipe.revocation().ok_or(RevokeError::NotOffered)?;
    let response = egress.send(request(recipe, &how, client, what)?).await?;
    let (status, answer) = (response.status, Answer::read(&response.body, recipe));
    match status {
        // A 2xx with `ok: false` in its body (Slack) is not a success.
        _ if status.is_success() && !answer.failed => Ok(()),
        // Some providers answer so (Google) where the RFC wants 200: the token is revoked already, as was asked.
        StatusCode::BAD_REQUEST | StatusCode::OK if answer.is_over_already => Ok(()),
        // The grant is a resource and does not exist (GitHub).
        StatusCode::NOT_FOUND if how.method == RevokeMethod::Delete => Ok(()),
        other => Err(RevokeError::Status(other.as_u16())),
    }
}

struct Answer {
    failed: bool,
    is_over_already: bool,
}

impl Answer {
    fn read(body: &[u8], recipe: &Recipe) -> Self {
        let answer = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
        let ok = recipe.token.ok.as_deref().and_then(|path| answer.pointer(path));
        let over = ["invalid_token", "token_revoked", "invalid_auth"];
        let is_over_already = answer["error"].as_str().is_some_and(|code| over.contains(&code));
        Self { failed: ok == Some(&serde_json::Value::Bool(false)), is_over_already }
    }
}

fn request(
    recipe: &Recipe,
    how: &Revoke,
    client: &Client<'_>,
    what: &RevokedToken<'_>,
) -> Result<Request, RevokeError> {
    let id: String = form_urlencoded::byte_serialize(client.id.as_bytes()).collect();
    let url = Url::parse(&how.url.replace("{client_id}", &id)).map_err(|_| RevokeError::NotOffered)?;
    let filled = |value: &str| value.replace("{client_id}", client.id).replace("{subject}", what.subject);
    let params: Vec<(&str, String)> =
        how.params.iter().map(|(name, value)| (name.as_str(), filled(value))).collect();
    let mut fields: Vec<(&str, &str)> = params.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if !how.token_field.is_empty() {
        fields.push((&how.token_field, what.token.expose_secret()));
    }
    if how.hint {
        let kind = if what.is_refresh_token { "refresh_token" } else { "access_token" };
        fields.push(("token_type_hint", kind));
    }
    let client_auth = match how.auth {
        RevokeAuth::Client => Some(how.client_auth.unwrap_or(recipe.client_auth)),
        RevokeAuth::Token => None,
    };
    let mut request = client_request(client_auth, &recipe.names, client, url, fields, how.body);
    if how.auth == RevokeAuth::Token {
        let (name, value) = bearer(recipe, what.token)?;
        request.headers.insert(name, value);
        add_headers(&mut request.headers, &recipe.api_headers, client.id).ok_or(RevokeError::BadHeader)?;
    }
    request.method = match how.method {
        RevokeMethod::Post => Method::POST,
        RevokeMethod::Delete => Method::DELETE,
    };
    Ok(request)
}

/// Returns the header in which the provider's API expects the token.
fn bearer(recipe: &Recipe, token: &SecretString) -> Result<(HeaderName, HeaderValue), RevokeError> {
    let name: HeaderName = recipe.api_auth.header.parse().map_err(|_| RevokeError::NotOffered)?;
    let text = recipe.api_auth.format.replacen("{token}", token.expose_secret(), 1);
    let mut value = HeaderValue::from_str(&text).map_err(|_| RevokeError::NotOffered)?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recipe(more: serde_json::Value, revoke: serde_json::Value) -> Recipe {
        let mut recipe = json!({ "id": "a", "name": "A", "authorize_url": "https://a.example/a",
            "token_url": "https://a.example/t", "client_auth": "post", "revoke": { "url": "https://a.example/r" } });
        let merge = |to: &mut serde_json::Value, from: serde_json::Value| {
            to.as_object_mut().expect("an object").extend(from.as_object().expect("an object").clone());
        };
        merge(&mut recipe["revoke"], revoke);
        merge(&mut recipe, more);
        serde_json::from_value(recipe).expect("a recipe")
    }

    #[test]
    fn no_body_has_no_type() {
        let headers = |revoke: serde_json::Value| {
            let recipe = recipe(json!({}), revoke);
            let how = recipe.revocation().expect("one");
            let client = Client { id: "c", secret: Some(&SecretString::from("s")) };
            let token = SecretString::from("t");
            let what = RevokedToken { token: &token, is_refresh_token: false, subject: "u" };
            request(&recipe, &how, &client, &what).expect("usable").headers
        };
        let plain = headers(json!({}));
        assert_eq!(plain["content-type"], "application/x-www-form-urlencoded");
        let empty = headers(json!({"auth": "token", "token_field": "", "hint": false}));
        assert!(!empty.contains_key("content-type"), "{empty:?}");
    }

    fn sent(recipe: &Recipe) -> (String, String, Option<String>, String) {
        let (secret, token) = (SecretString::from("pw"), SecretString::from("t&1"));
        let client = Client { id: "c/1", secret: Some(&secret) };
        let what = RevokedToken { token: &token, is_refresh_token: true, subject: "7" };
        let how = recipe.revocation().expect("a way");
        let request = request(recipe, &how, &client, &what).expect("usable");
        let header = request.headers.get("authorization").map(|v| v.to_str().expect("ASCII").to_owned());
        let body = String::from_utf8(request.body.to_vec()).expect("ASCII");
        (request.method.to_string(), request.url.to_string(), header, body)
    }

    #[test]
    fn without_more_it_is_rfc_7009() {
        let (method, url, header, body) = sent(&recipe(json!({}), json!({})));
        assert_eq!((method.as_str(), url.as_str(), header), ("POST", "https://a.example/r", None));
        assert_eq!(body, "token=t%261&token_type_hint=refresh_token&client_id=c%2F1&client_secret=pw");
    }

    #[test]
    fn a_recipe_says_what_is_different() {
        let github = json!({ "url": "https://a.example/applications/{client_id}/grant", "method": "delete",
            "client_auth": "basic", "body": "json", "token_field": "access_token", "hint": false });
        let (method, url, header, body) = sent(&recipe(json!({}), github));
        assert_eq!((method.as_str(), url.as_str()), ("DELETE", "https://a.example/applications/c%2F1/grant"));
        assert!(header.is_some_and(|h| h.starts_with("Basic ")));
        assert_eq!(body, r#"{"access_token":"t&1"}"#);
        let slack =
            json!({ "auth": "token", "token_field": "", "hint": false, "params": { "who": "{subject}" } });
        let (_, _, header, body) = sent(&recipe(json!({ "api_auth": { "format": "Token {token}" } }), slack));
        assert_eq!((header.as_deref(), body.as_str()), (Some("Token t&1"), "who=7"));
    }

    #[test]
    fn an_answer_that_says_no_is_no_confirmation() {
        let recipe = recipe(json!({ "token": { "ok": "/ok" } }), json!({}));
        let read = |text: &str| Answer::read(text.as_bytes(), &recipe);
        assert!(read(r#"{"ok":false,"error":"fatal_error"}"#).failed);
        assert!(!read(r#"{"ok":true}"#).failed && !read("").failed && !read("not json").failed);
        assert!(read(r#"{"error":"invalid_token"}"#).is_over_already);
        assert!(!read(r#"{"error":"invalid_client"}"#).is_over_already);
    }

    #[test]
    fn nothing_shows_the_token() {
        let token = SecretString::from("canary-4711");
        let what = RevokedToken { token: &token, is_refresh_token: false, subject: "7" };
        assert!(!format!("{what:?}").contains("canary"));
    }
}
