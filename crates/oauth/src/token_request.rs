//! The token request that turns a code into tokens (RFC 6749 section 4.1.3). It is sent once, and the answer is
//! returned unread. The caller decides by [`ExchangeError::maybe_sent`] whether to try again.

use std::collections::BTreeMap;
use std::time::Duration;

use alter_core::{
    BodyFormat, Cause, ClientAuth, Recipe,
    recipe::{Names, with_client_id},
};
use alter_egress::{Egress, EgressError, Limits, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use crate::RawAnswer;

/// Time for one whole exchange.
const TOTAL: Duration = Duration::from_secs(30);

/// Maximum size of a token answer, in bytes; large answers (several JWTs) stay below a tenth of it.
const BODY_MAX: usize = 256 * 1024;

/// Our client at the provider.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The public `client_id`.
    pub id: &'a str,
    /// The client secret. `None` makes it a public client, whatever the recipe's `client_auth` says.
    pub secret: Option<&'a SecretString>,
}

/// Why there is no answer. No text contains a code, a token or a secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// The recipe cannot be used; nothing was sent. The operator's fault.
    #[error("the provider's configuration cannot be used: {0}")]
    Configuration(&'static str),
    /// The attempt has no PKCE verifier; nothing was sent. Our own fault.
    #[error("the attempt has no PKCE verifier")]
    NoVerifier,
    /// No whole answer arrived.
    #[error("the token endpoint could not be asked: {0}")]
    Egress(#[from] EgressError),
}

impl ExchangeError {
    /// Why the flow ends here.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Configuration(_) => Cause::ProviderMisconfigured,
            Self::NoVerifier => Cause::ServerFault,
            Self::Egress(error) if error.is_configuration() => Cause::ProviderMisconfigured,
            Self::Egress(_) => Cause::TokenEndpointUnreachable,
        }
    }

    /// Whether the provider may have seen the code. If it has, the code counts as used.
    pub fn maybe_sent(&self) -> bool {
        matches!(self, Self::Egress(error) if error.maybe_sent())
    }

    /// Whether the egress guard refused the address of the token endpoint.
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Egress(error) if error.is_blocked())
    }

    /// Whether the exchange took longer than its time limit.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Egress(EgressError::Timeout { .. }))
    }
}

/// Sends the code. `redirect_uri` must be the same constant as in the authorization request (T30). The verifier is left
/// out only if the recipe says that PKCE breaks the provider.
///
/// Dropping the future may lose a code that was spent, so run the exchange in a separate task.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange(
    egress: &Egress,
    recipe: &Recipe,
    client: &Client<'_>,
    code: &SecretString,
    verifier: &SecretString,
    redirect_uri: &str,
) -> Result<RawAnswer, ExchangeError> {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        (recipe.names.code.as_str(), code.expose_secret()),
        ("redirect_uri", redirect_uri),
    ];
    if recipe.pkce {
        if verifier.expose_secret().is_empty() {
            return Err(ExchangeError::NoVerifier);
        }
        fields.push(("code_verifier", verifier.expose_secret()));
    }
    let request = token_request(recipe, &recipe.token_url, client, fields)?;
    send(egress, request).await
}

/// Sends a token request, and returns the answer unread.
pub(crate) async fn send(egress: &Egress, request: Request) -> Result<RawAnswer, ExchangeError> {
    let response = egress.send(request).await?;
    let kind = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut answer = RawAnswer::new(response.status.as_u16(), kind.unwrap_or_default(), &response.body);
    answer.retry_after = retry_after_of(&response.headers);
    Ok(answer)
}

/// How long an answer asks us to wait, in seconds; `None` when it does not say.
pub(crate) fn retry_after_of(headers: &HeaderMap) -> Option<u32> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    header(RETRY_AFTER).and_then(|text| retry_after(text, header(DATE)))
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3), in seconds. A date counts from the answer's own `Date`, so that the
/// provider's clock may be wrong. Anything else is as if it were absent.
fn retry_after(text: &str, date: Option<&str>) -> Option<u32> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<u64>().ok().map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    }
    let (at, now) = (httpdate::parse_http_date(text).ok()?, httpdate::parse_http_date(date?).ok()?);
    u32::try_from(at.duration_since(now).ok()?.as_secs()).ok()
}

pub(crate) fn token_request<'a>(
    recipe: &'a Recipe,
    url: &str,
    client: &'a Client<'_>,
    mut fields: Vec<(&'a str, &'a str)>,
) -> Result<Request, ExchangeError> {
    let url =
        Url::parse(url).map_err(|_| ExchangeError::Configuration("token_url is not an absolute URL"))?;
    // A recipe can add a parameter but not replace one of ours.
    let names = &recipe.names;
    let own = [&names.client_id, &names.client_secret, &names.code];
    let extra = recipe.token_params.iter();
    let extra = extra.filter(|(name, _)| !OURS.contains(&name.as_str()) && !own.contains(name));
    fields.extend(extra.map(|(name, value)| (name.as_str(), value.as_str())));
    let mut request = client_request(Some(recipe.client_auth), names, client, url, fields, recipe.token_body);
    add_headers(&mut request.headers, &recipe.token_headers, client.id)
        .ok_or(ExchangeError::Configuration("token_headers has one that HTTP does not allow"))?;
    Ok(request)
}

/// Adds a recipe's headers, with our client's id in them. Those that are there stay: how the client proves itself, and what
/// the body is. `None`: one of them is none that HTTP allows.
pub(crate) fn add_headers(
    all: &mut HeaderMap,
    more: &BTreeMap<String, String>,
    client_id: &str,
) -> Option<()> {
    for (name, value) in with_client_id(more, client_id) {
        let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
        all.entry(name).or_insert(value);
    }
    Some(())
}

/// Parameters of a token request that no recipe can set.
const OURS: [&str; 8] = [
    "grant_type",
    "code",
    "redirect_uri",
    "code_verifier",
    "client_id",
    "client_secret",
    "refresh_token",
    "scope",
];

/// Builds a POST that authenticates our client (RFC 6749 section 2.3.1). With `client_auth` `None`, something else
/// authenticates the request.
pub(crate) fn client_request<'a>(
    client_auth: Option<ClientAuth>,
    names: &'a Names,
    client: &'a Client<'_>,
    url: Url,
    mut fields: Vec<(&'a str, &'a str)>,
    format: BodyFormat,
) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    match (client_auth, client.secret) {
        (None, _) => {}
        (Some(ClientAuth::Basic), Some(secret)) => {
            headers.insert(AUTHORIZATION, basic(client.id, secret));
        }
        (Some(ClientAuth::Post), Some(secret)) => {
            fields.extend([
                (names.client_id.as_str(), client.id),
                (names.client_secret.as_str(), secret.expose_secret()),
            ]);
        }
        (Some(ClientAuth::None), _) | (_, None) => fields.push((&names.client_id, client.id)),
    }
    // A form without fields is an empty body and gets no content type: Dropbox refuses an empty body with one.
    let content_type = match format {
        BodyFormat::Form if fields.is_empty() => None,
        BodyFormat::Form => Some("application/x-www-form-urlencoded"),
        BodyFormat::Json => Some("application/json"),
    };
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    let body = Zeroizing::new(match format {
        BodyFormat::Form => {
            form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes()
        }
        BodyFormat::Json => {
            let object: BTreeMap<_, _> = fields.into_iter().collect();
            serde_json::to_vec(&object).expect("strings are JSON")
        }
    });
    let limits = Limits { total: TOTAL, body_max: BODY_MAX };
    Request { method: Method::POST, url, headers, body: body.to_vec().into(), limits }
}

/// Builds the value of `Authorization: Basic`. Both halves are form-encoded before they are joined (RFC 6749 section
/// 2.3.1), because a secret may contain a colon.
fn basic(id: &str, secret: &SecretString) -> HeaderValue {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encode(id), encode(secret.expose_secret())));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::from_str(&value).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recipe(auth: &str) -> Recipe {
        serde_json::from_value(json!({"id":"a","name":"A","authorize_url":"https://a.example/a",
            "token_url":"https://a.example/t","client_auth":auth}))
        .expect("a recipe")
    }

    fn sent(auth: &str, secret: Option<&str>) -> (Option<String>, String) {
        let secret = secret.map(SecretString::from);
        let client = Client { id: "client:1", secret: secret.as_ref() };
        let recipe = recipe(auth);
        let request =
            token_request(&recipe, &recipe.token_url, &client, vec![("code", "c d")]).expect("usable");
        let header = request.headers.get(AUTHORIZATION).map(|v| v.to_str().expect("ASCII").to_owned());
        (header, String::from_utf8(request.body.to_vec()).expect("form encoding is ASCII"))
    }

    #[test]
    fn basic_encodes_both_halves_before_it_joins_them() {
        let (header, body) = sent("basic", Some("p:w d/+%ü"));
        let pair = STANDARD
            .decode(header.expect("a header").strip_prefix("Basic ").expect("Basic"))
            .expect("base64");
        assert_eq!(pair, b"client%3A1:p%3Aw+d%2F%2B%25%C3%BC");
        assert_eq!(body, "code=c+d");
    }

    #[test]
    fn the_secret_is_in_one_place_and_a_public_client_sends_its_id_alone() {
        assert_eq!(sent("post", Some("pw")), (None, "code=c+d&client_id=client%3A1&client_secret=pw".into()));
        for auth in ["basic", "post", "none"] {
            assert_eq!(sent(auth, None), (None, "code=c+d&client_id=client%3A1".into()), "{auth}");
        }
        assert_eq!(sent("none", Some("pw")), (None, "code=c+d&client_id=client%3A1".into()));
    }

    #[test]
    fn a_recipe_may_want_json_and_parameters_of_its_own_and_replaces_none_of_ours() {
        let mut json = recipe("basic");
        json.token_body = BodyFormat::Json;
        json.token_params =
            [("audience", "api"), ("code", "x"), ("grant_type", "password"), ("client_secret", "x")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let secret = SecretString::from("pw");
        let client = Client { id: "c", secret: Some(&secret) };
        let fields = vec![("grant_type", "authorization_code"), ("code", "a\"b")];
        let request = token_request(&json, &json.token_url, &client, fields).expect("usable");
        assert_eq!(request.headers[CONTENT_TYPE], "application/json");
        assert!(request.headers.contains_key(AUTHORIZATION));
        let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body, json!({"grant_type": "authorization_code", "code": "a\"b", "audience": "api"}));
    }

    #[test]
    fn a_provider_that_has_names_and_headers_of_its_own_gets_them_and_none_of_ours_is_replaced() {
        let mut odd = recipe("post");
        odd.names = Names {
            client_id: "client_key".into(),
            client_secret: "secret".into(),
            code: "auth_code".into(),
        };
        odd.token_params = [("client_key", "evil"), ("auth_code", "evil"), ("filter[kind]", "a")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        odd.token_headers = [("x-version", "7"), ("x-client", "{client_id}"), ("content-type", "text/evil")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let secret = SecretString::from("pw");
        let client = Client { id: "c", secret: Some(&secret) };
        let fields = vec![(odd.names.code.as_str(), "4711")];
        let request = token_request(&odd, &odd.token_url, &client, fields).expect("usable");
        let body = String::from_utf8(request.body.to_vec()).expect("form encoding is ASCII");
        assert_eq!(body, "auth_code=4711&filter%5Bkind%5D=a&client_key=c&secret=pw");
        assert_eq!(
            (&request.headers["x-version"], &request.headers["x-client"]),
            (&"7".parse().unwrap(), &"c".parse().unwrap())
        );
        assert_eq!(request.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
    }

    #[test]
    fn f40_retry_after_is_read_in_both_forms_and_nonsense_is_left_out() {
        let date = Some("Sun, 29 Nov 2026 12:00:00 GMT");
        assert_eq!(retry_after("120", None), Some(120));
        assert_eq!(retry_after("1000000000000", None), Some(u32::MAX));
        assert_eq!(retry_after("Sun, 29 Nov 2026 12:01:30 GMT", date), Some(90));
        for odd in ["-1", "soon", "1.5", "Sun, 29 Nov 2026 11:00:00 GMT", "99999999999999999999999"] {
            assert_eq!(retry_after(odd, date), None, "{odd}");
        }
        assert_eq!(retry_after("Sun, 29 Nov 2026 12:01:30 GMT", None), None);
    }

    #[test]
    fn only_a_time_limit_that_ran_out_is_a_timeout() {
        let host = || "a.example".to_owned();
        let timeout = EgressError::Timeout { host: host(), maybe_sent: true };
        assert!(ExchangeError::from(timeout).is_timeout());
        let failed = EgressError::Protocol { host: host(), detail: String::new(), maybe_sent: true };
        assert!(!ExchangeError::from(failed).is_timeout());
        assert!(!ExchangeError::Configuration("token_url").is_timeout());
    }

    #[test]
    fn neither_request_nor_client_shows_the_secret() {
        let secret = SecretString::from("canary-4711");
        let client = Client { id: "c", secret: Some(&secret) };
        let recipe = recipe("basic");
        let request = token_request(&recipe, &recipe.token_url, &client, vec![("code", "canary-4712")])
            .expect("usable");
        let shown = format!("{client:?} {request:?} {:?}", request.headers);
        assert!(!shown.contains("canary") && !shown.contains(&STANDARD.encode("c:canary-4711")), "{shown}");
    }
}
