//! The authorization request: the URL to which the browser is sent (RFC 6749 section 4.1.1, OpenID Connect Core
//! section 3.1.2.1).

use alter_core::Recipe;
use alter_core::origin::is_loopback;
use url::Url;

/// The content of one authorization request. The attempt keeps the state (as a hash), the nonce, the redirect URI and the
/// scopes, so that they can be compared with what comes back. No `Debug`: only the browser may know the state.
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// The provider's recipe.
    pub recipe: &'a Recipe,
    /// The id of our client at the provider.
    pub client_id: &'a str,
    /// Our callback URL, byte for byte the same as in the token request (T30).
    pub redirect_uri: &'a str,
    /// The scopes to ask for, in order; with none, no scope parameter is sent.
    pub scopes: &'a [String],
    /// 256 random bits as base64url.
    pub state: &'a str,
    /// 256 random bits; sent when the scopes contain `openid` ([`Recipe::asks_for_openid`]).
    pub nonce: &'a str,
    /// The value of [`crate::Pkce::challenge`]; sent unless the recipe switches PKCE off.
    pub challenge: &'a str,
}

/// The recipe cannot be used. The fault of the operator or of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OauthError {
    /// `authorize_url` is not an absolute https URL (or http on a loopback host), or has a user name or a fragment.
    #[error("the provider's authorize_url cannot be used: {0}")]
    AuthorizeUrl(&'static str),
}

/// Parameters that only this crate sets. `request` and `request_uri` (RFC 9101) would replace all the others at the
/// provider, so they are never sent.
const RESERVED: [&str; 9] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

/// Builds the URL. It keeps the query of the provider's `authorize_url` and the recipe's `authorize_params`, except for
/// parameters that only this crate sets.
///
/// # Errors
/// [`OauthError::AuthorizeUrl`].
pub fn authorize_url(request: &AuthorizationRequest<'_>) -> Result<Url, OauthError> {
    let recipe = request.recipe;
    let mut url = usable(&recipe.authorize_url)?;
    let is_ours = |name: &str| {
        RESERVED.contains(&name) || name == recipe.scope_parameter || name == recipe.names.client_id
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in url.query_pairs().filter(|(name, _)| !is_ours(name)) {
        if !recipe.authorize_params.contains_key(name.as_ref()) {
            query.append_pair(&name, &value);
        }
    }
    query.extend_pairs(recipe.authorize_params.iter().filter(|(name, _)| !is_ours(name)));
    query.extend_pairs(ours(request));
    // `+` and `%20` both mean a space in this encoding, but only the second is understood everywhere. A `+` in a value
    // was written as `%2B`, so every `+` that is left is a space.
    let query = query.finish().replace('+', "%20");
    url.set_query(Some(&query));
    Ok(url)
}

fn ours(request: &AuthorizationRequest<'_>) -> Vec<(String, String)> {
    let recipe = request.recipe;
    let mut pairs = vec![
        ("response_type", "code".to_owned()),
        (recipe.names.client_id.as_str(), request.client_id.to_owned()),
        ("redirect_uri", request.redirect_uri.to_owned()),
        ("state", request.state.to_owned()),
    ];
    if !request.scopes.is_empty() {
        pairs.push((&recipe.scope_parameter, request.scopes.join(&recipe.scope_separator)));
    }
    if recipe.asks_for_openid(request.scopes) {
        pairs.push(("nonce", request.nonce.to_owned()));
    }
    if recipe.pkce {
        pairs.push(("code_challenge", request.challenge.to_owned()));
        pairs.push(("code_challenge_method", "S256".to_owned()));
    }
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn usable(text: &str) -> Result<Url, OauthError> {
    let url = Url::parse(text).map_err(|_| OauthError::AuthorizeUrl("it is not an absolute URL"))?;
    let local = url.scheme() == "http" && url.host_str().is_some_and(is_loopback);
    if url.scheme() != "https" && !local {
        return Err(OauthError::AuthorizeUrl("it is not https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OauthError::AuthorizeUrl("it carries a user name"));
    }
    // RFC 6749 section 3.1.
    if url.fragment().is_some() {
        return Err(OauthError::AuthorizeUrl("it has a fragment"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recipe(more: serde_json::Value) -> Recipe {
        let mut all = json!({"id":"acme","name":"Acme","authorize_url":"https://acme.example/authorize",
            "token_url":"https://acme.example/token"});
        let over = more.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(over);
        serde_json::from_value(all).expect("a recipe")
    }

    fn ask(recipe: &Recipe, scopes: &[&str]) -> Result<Url, OauthError> {
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        authorize_url(&AuthorizationRequest {
            recipe,
            client_id: "client 1",
            redirect_uri: "https://alter.example/oauth/callback/pc_1",
            scopes: &scopes,
            state: "the-state",
            nonce: "the-nonce",
            challenge: "the-challenge",
        })
    }

    fn values(url: &Url, name: &str) -> Vec<String> {
        url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }

    #[test]
    fn the_request_carries_each_of_its_parameters_once_with_spaces_as_percent_20() {
        let url = ask(&recipe(json!({})), &["openid", "email+x"]).unwrap();
        assert_eq!(
            url.as_str(),
            "https://acme.example/authorize?response_type=code&client_id=client%201\
             &redirect_uri=https%3A%2F%2Falter.example%2Foauth%2Fcallback%2Fpc_1&state=the-state\
             &scope=openid%20email%2Bx&nonce=the-nonce&code_challenge=the-challenge&code_challenge_method=S256"
        );
    }

    #[test]
    fn a_nonce_is_sent_with_openid_only_and_no_scope_sends_no_parameter() {
        let url = ask(&recipe(json!({})), &["repo"]).unwrap();
        assert_eq!(values(&url, "nonce"), [""; 0]);
        let url = ask(&recipe(json!({})), &[]).unwrap();
        assert_eq!(values(&url, "scope"), [""; 0]);
    }

    #[test]
    fn t22_neither_recipe_nor_url_can_take_the_challenge_away_or_weaken_it() {
        let hostile = recipe(json!({
            "authorize_url": "https://acme.example/authorize?code_challenge_method=plain&state=fixed&team=T1&team=T2",
            "authorize_params": {"code_challenge_method": "plain", "code_challenge": "known", "state": "mine",
                "redirect_uri": "https://evil.example/", "client_id": "evil", "response_type": "token",
                "nonce": "n", "request": "jwt", "request_uri": "urn:x", "scope": "all", "access_type": "offline"},
        }));
        let url = ask(&hostile, &["openid"]).unwrap();
        for (name, value) in [
            ("code_challenge_method", "S256"),
            ("code_challenge", "the-challenge"),
            ("state", "the-state"),
            ("client_id", "client 1"),
            ("redirect_uri", "https://alter.example/oauth/callback/pc_1"),
            ("response_type", "code"),
            ("nonce", "the-nonce"),
            ("scope", "openid"),
            ("access_type", "offline"),
        ] {
            assert_eq!(values(&url, name), [value], "{name}");
        }
        assert_eq!(values(&url, "team"), ["T1", "T2"]);
        for name in ["request", "request_uri"] {
            assert_eq!(values(&url, name), [""; 0]);
        }
        let by_url = recipe(json!({"authorize_url":
            "https://acme.example/authorize?code_challenge=known&client_id=evil&scope=all&nonce=n&request_uri=urn:x"}));
        let url = ask(&by_url, &["openid"]).unwrap();
        for (name, value) in
            [("code_challenge", "the-challenge"), ("client_id", "client 1"), ("scope", "openid")]
        {
            assert_eq!(values(&url, name), [value], "{name}");
        }
        assert_eq!(values(&url, "nonce"), ["the-nonce"]);
        assert_eq!(values(&url, "request_uri"), [""; 0]);
    }

    #[test]
    fn a_provider_that_calls_the_client_something_else_hears_it_by_that_name_alone() {
        let renamed = recipe(json!({"names": {"client_id": "client_key"},
            "authorize_params": {"client_key": "evil", "client_id": "evil", "filter[kind]": "a"}}));
        let url = ask(&renamed, &["a"]).unwrap();
        assert_eq!(values(&url, "client_key"), ["client 1"]);
        assert_eq!(values(&url, "client_id"), [""; 0]);
        assert_eq!(values(&url, "filter[kind]"), ["a"]);
    }

    #[test]
    fn a_recipe_may_say_that_pkce_breaks_the_provider_and_where_scopes_go() {
        let quirky = recipe(json!({"pkce": false, "scope_parameter": "user_scope", "scope_separator": ",",
            "authorize_params": {"scope": "commands"}}));
        let url = ask(&quirky, &["a", "b"]).unwrap();
        assert_eq!(values(&url, "code_challenge"), [""; 0]);
        assert_eq!(values(&url, "user_scope"), ["a,b"]);
        assert_eq!(values(&url, "scope"), ["commands"]);
    }

    #[test]
    fn an_authorize_url_that_no_browser_should_be_sent_to_is_refused() {
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "http://acme.example/authorize",
            "https://user@acme.example/authorize",
            "https://acme.example/authorize#x",
            "/authorize",
        ] {
            let recipe = recipe(json!({ "authorize_url": bad }));
            assert!(matches!(ask(&recipe, &[]), Err(OauthError::AuthorizeUrl(_))), "{bad}");
        }
        assert!(ask(&recipe(json!({"authorize_url": "http://127.0.0.1:9000/authorize"})), &[]).is_ok());
    }
}
