//! A provider's own description (OpenID Connect Discovery 1.0, RFC 8414). It is read once, when the operator configures
//! the provider; its content is then pinned, and a document that changes later changes nothing (T20). An app's identity
//! provider is asked only for the URL of its keys, and again every hour (`jwks_cache.rs`).

use std::time::Duration;

use alter_core::{ClientAuth, recipe::SIGNATURE_ALGS, text::one_line};
use alter_egress::{Egress, EgressError, Limits, Request};
use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::Value;
use url::Url;

use crate::algorithms::algorithm;
use crate::strict_json;

/// Time for one whole document when an operator waits for it.
pub(crate) const TOTAL: Duration = Duration::from_secs(30);

/// Maximum size of a document, in bytes.
const BODY_MAX: usize = 256 * 1024;

/// The content of the document, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The issuer, byte for byte the one that was asked.
    pub issuer: String,
    /// The URL to which the browser goes.
    pub authorization_endpoint: String,
    /// The URL to which codes go.
    pub token_endpoint: String,
    /// The URL that tells whose account it is.
    pub userinfo_endpoint: Option<String>,
    /// The URL of the keys that sign id_tokens.
    pub jwks_uri: Option<String>,
    /// The URL that ends tokens (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Whether the provider promises `iss` in authorization responses (RFC 9207).
    pub iss_parameter: bool,
    /// Whether the provider says that it supports PKCE with S256. Many that support it do not say so; send the
    /// challenge all the same.
    pub pkce_s256: bool,
    /// How our client authenticates: with Basic if the provider accepts it, else in the body, else not at all.
    pub client_auth: ClientAuth,
    /// The algorithms of the provider's id_tokens that this crate verifies; `None` when the provider names none at all.
    pub id_token_algs: Option<Vec<String>>,
    /// The scopes that the provider names; `None` when it names none. It may have others too.
    pub scopes: Option<Vec<String>>,
    /// The words for `prompt` that the provider names; `None` when it names none (Initiating User Registration section 4).
    pub prompts: Option<Vec<String>>,
}

impl Discovered {
    /// Returns the hosts of the endpoints other than the issuer's own host: codes, tokens or the browser would go
    /// there. Large providers have legitimate ones; the operator should see them before they are pinned.
    pub fn foreign_hosts(&self) -> Vec<String> {
        let host = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(String::from));
        let own = host(&self.issuer);
        let endpoints = [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            self.userinfo_endpoint.as_ref(),
            self.jwks_uri.as_ref(),
            self.revocation_endpoint.as_ref(),
        ];
        let mut hosts: Vec<String> = endpoints.into_iter().flatten().filter_map(|url| host(url)).collect();
        hosts.retain(|host| own.as_ref() != Some(host));
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

/// Why a provider cannot be configured from its issuer. The texts are for operators.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DiscoveryError {
    /// The issuer is not a URL that an issuer may have.
    #[error(
        "{0:?} is not an issuer: it must be https (http only at an address that the operator allowed), without query or fragment"
    )]
    BadIssuer(String),
    /// The issuer is the address of its metadata.
    #[error("{asked:?} is the address of the metadata; the issuer is {issuer:?}")]
    WellKnown {
        /// The issuer as configured, at most 200 characters.
        asked: String,
        /// What comes before `/.well-known/`.
        issuer: String,
    },
    /// No whole answer arrived.
    #[error("the provider's metadata could not be fetched: {0}")]
    Egress(#[from] EgressError),
    /// The status was not 200 at either well-known URL; this is the first one's.
    #[error("the provider has no metadata for this issuer (status {0})")]
    Status(u16),
    /// The document is not a JSON object, or has duplicate members.
    #[error("the provider's metadata is not JSON, or has duplicate members")]
    NotUnderstood,
    /// The document describes another issuer: a typing error, or an attack.
    #[error(
        "the metadata belongs to issuer {found:?}, not to {asked:?}: the two must be equal to the last character"
    )]
    IssuerMismatch {
        /// The issuer as configured.
        asked: String,
        /// The issuer in the document, at most 200 characters.
        found: String,
    },
    /// A required endpoint is missing, or a given endpoint cannot be used.
    #[error("the metadata's {0} is missing or is not an https URL")]
    Endpoint(&'static str),
    /// The provider does not support the authorization code flow.
    #[error("the provider does not support the authorization code flow")]
    NoCodeFlow,
    /// The provider accepts none of the ways in which our client can authenticate.
    #[error("the provider accepts neither client_secret_basic nor client_secret_post nor public clients")]
    ClientAuth,
    /// The provider signs id_tokens only with algorithms that are not verified here.
    #[error("the provider signs with {0}: not supported; choose one of {list} for this client at the provider", list = SIGNATURE_ALGS.join(", "))]
    Algorithms(String),
    /// The provider takes authorization requests only by the back channel (RFC 9126).
    #[error("the provider requires pushed authorization requests, which are not built")]
    PushedRequests,
}

/// Reads and checks the document of an issuer at `/.well-known/openid-configuration`, and if there is none, at the URL of
/// RFC 8414.
///
/// # Errors
/// [`DiscoveryError`].
pub async fn discover(egress: &Egress, issuer: &str) -> Result<Discovered, DiscoveryError> {
    let (document, base) = document(egress, issuer, TOTAL).await?;
    read(&document, issuer, &base)
}

/// Reads where the keys of an issuer are. Nothing else is required of an issuer whose tokens are only verified: it may
/// have no authorization endpoint at all.
///
/// # Errors
/// [`DiscoveryError`].
pub(crate) async fn jwks_url(
    egress: &Egress,
    issuer: &str,
    total: Duration,
) -> Result<String, DiscoveryError> {
    let (document, base) = document(egress, issuer, total).await?;
    is_of(&document, issuer)?;
    endpoint(&document, "jwks_uri", &base)?.ok_or(DiscoveryError::Endpoint("jwks_uri"))
}

async fn document(egress: &Egress, issuer: &str, total: Duration) -> Result<(Value, Url), DiscoveryError> {
    let base = base_of(issuer)?;
    let document = match fetch(egress, openid_location(&base), total).await {
        // Some servers answer an unknown path with 400, 401 or a page. What the first place said is the better reason.
        Err(none @ (DiscoveryError::Status(_) | DiscoveryError::NotUnderstood)) => {
            fetch(egress, oauth_location(&base), total).await.map_err(|_| none)?
        }
        other => other?,
    };
    Ok((document, base))
}

/// Parses the issuer.
fn base_of(issuer: &str) -> Result<Url, DiscoveryError> {
    let shown = || issuer.chars().take(200).collect();
    if let Some((before, _)) = issuer.split_once("/.well-known/") {
        return Err(DiscoveryError::WellKnown { asked: shown(), issuer: before.chars().take(200).collect() });
    }
    issuer_url(issuer).ok_or_else(|| DiscoveryError::BadIssuer(shown()))
}

async fn fetch(egress: &Egress, url: Url, total: Duration) -> Result<Value, DiscoveryError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let limits = Limits { total, body_max: BODY_MAX };
    let request = Request { method: Method::GET, url, headers, body: Default::default(), limits };
    let response = egress.send(request).await?;
    match response.status.as_u16() {
        200 => {
            strict_json::parse(&response.body).filter(Value::is_object).ok_or(DiscoveryError::NotUnderstood)
        }
        status => Err(DiscoveryError::Status(status)),
    }
}

/// Parses an issuer (RFC 8414 section 2). The egress guard decides whether http is allowed there.
fn issuer_url(issuer: &str) -> Option<Url> {
    let url = Url::parse(issuer).ok()?;
    let fit = matches!(url.scheme(), "https" | "http")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    fit.then_some(url)
}

/// The well-known path appended to the issuer without its last slash (OpenID Connect Discovery section 4.1).
fn openid_location(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/.well-known/openid-configuration", base.path().trim_end_matches('/')));
    url
}

/// The well-known path inserted between the issuer's host and path (RFC 8414 section 3.1).
fn oauth_location(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("/.well-known/oauth-authorization-server{}", base.path().trim_end_matches('/')));
    url
}

/// Checks that the document belongs to `issuer`: one that belongs to another is a typing error, or an attack.
fn is_of(document: &Value, issuer: &str) -> Result<(), DiscoveryError> {
    let found = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if found != issuer {
        let found = found.chars().take(200).collect();
        return Err(DiscoveryError::IssuerMismatch { asked: issuer.to_owned(), found });
    }
    Ok(())
}

fn read(document: &Value, issuer: &str, base: &Url) -> Result<Discovered, DiscoveryError> {
    is_of(document, issuer)?;
    if list(document, "response_types_supported").is_some_and(|types| !types.contains(&"code")) {
        return Err(DiscoveryError::NoCodeFlow);
    }
    if document.get("require_pushed_authorization_requests") == Some(&Value::Bool(true)) {
        return Err(DiscoveryError::PushedRequests);
    }
    let required = |name| endpoint(document, name, base)?.ok_or(DiscoveryError::Endpoint(name));
    let challenges = list(document, "code_challenge_methods_supported").unwrap_or_default();
    Ok(Discovered {
        issuer: issuer.to_owned(),
        authorization_endpoint: required("authorization_endpoint")?,
        token_endpoint: required("token_endpoint")?,
        userinfo_endpoint: endpoint(document, "userinfo_endpoint", base)?,
        jwks_uri: endpoint(document, "jwks_uri", base)?,
        revocation_endpoint: endpoint(document, "revocation_endpoint", base)?,
        iss_parameter: document.get("authorization_response_iss_parameter_supported")
            == Some(&Value::Bool(true)),
        pkce_s256: challenges.contains(&"S256"),
        client_auth: client_auth(document)?,
        id_token_algs: id_token_algs(document)?,
        scopes: texts(document, "scopes_supported"),
        prompts: texts(document, "prompt_values_supported"),
    })
}

fn texts(document: &Value, name: &str) -> Option<Vec<String>> {
    Some(list(document, name)?.into_iter().map(String::from).collect())
}

fn list<'a>(document: &'a Value, name: &str) -> Option<Vec<&'a str>> {
    let items = document.get(name)?.as_array()?;
    Some(items.iter().filter_map(Value::as_str).collect())
}

/// Reads an endpoint. It must be https, or http at the issuer's own origin (the same host and port).
fn endpoint(document: &Value, name: &'static str, base: &Url) -> Result<Option<String>, DiscoveryError> {
    let text = match document.get(name) {
        None => return Ok(None),
        Some(value) => value.as_str().ok_or(DiscoveryError::Endpoint(name))?,
    };
    let url = Url::parse(text).map_err(|_| DiscoveryError::Endpoint(name))?;
    let right_scheme = url.scheme() == "https" || (url.scheme() == "http" && url.origin() == base.origin());
    let clean = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if right_scheme && clean { Ok(Some(text.to_owned())) } else { Err(DiscoveryError::Endpoint(name)) }
}

/// Chooses the way to authenticate. A document that names no methods means Basic (OpenID Connect Discovery section 3).
fn client_auth(document: &Value) -> Result<ClientAuth, DiscoveryError> {
    let Some(methods) = list(document, "token_endpoint_auth_methods_supported") else {
        return Ok(ClientAuth::Basic);
    };
    let by_preference = [
        ("client_secret_basic", ClientAuth::Basic),
        ("client_secret_post", ClientAuth::Post),
        ("none", ClientAuth::None),
    ];
    let first = by_preference.into_iter().find(|(name, _)| methods.contains(name));
    first.map(|(_, way)| way).ok_or(DiscoveryError::ClientAuth)
}

/// The algorithms that the provider names and that are verified here. OpenID Connect Discovery wants some to be named;
/// providers leave the list out, and RFC 8414 does not have it.
fn id_token_algs(document: &Value) -> Result<Option<Vec<String>>, DiscoveryError> {
    let Some(named) = list(document, "id_token_signing_alg_values_supported") else { return Ok(None) };
    let ours: Vec<String> =
        named.iter().filter(|name| algorithm(name).is_some()).map(|name| String::from(*name)).collect();
    if ours.is_empty() {
        let named: String = one_line(named.join(", ").chars()).chars().take(200).collect();
        return Err(DiscoveryError::Algorithms(if named.is_empty() { "no algorithm".into() } else { named }));
    }
    Ok(Some(ours))
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
