//! A provider's own description of itself (OpenID Connect Discovery 1.0, RFC 8414). A provider's is read once, when the
//! operator configures it; what it said is then pinned, and a document that changes later changes nothing (T20). An
//! app's identity provider is asked for the place of its keys alone, and again every hour (`jwks_cache.rs`).

use std::time::Duration;

use alter_core::ClientAuth;
use alter_egress::{Egress, EgressError, Limits, Request};
use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::Value;
use url::Url;

use crate::algorithms::ALGORITHMS;
use crate::strict_json;

/// For one document, all of it.
const TOTAL: Duration = Duration::from_secs(5);

/// Bytes of a document.
const BODY_MAX: usize = 256 * 1024;

/// What the document says, as far as we use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Byte for byte the issuer that was asked.
    pub issuer: String,
    /// Where the browser goes.
    pub authorization_endpoint: String,
    /// Where codes go.
    pub token_endpoint: String,
    /// Where the account is told.
    pub userinfo_endpoint: Option<String>,
    /// The keys of its id_tokens.
    pub jwks_uri: Option<String>,
    /// RFC 7009.
    pub revocation_endpoint: Option<String>,
    /// It promises `iss` in authorization responses (RFC 9207).
    pub iss_parameter: bool,
    /// It says that it supports PKCE with S256. `false` is often modesty: send the challenge all the same.
    pub pkce_s256: bool,
    /// Basic where it takes that, else in the body, else none.
    pub client_auth: ClientAuth,
    /// The algorithms of its id_tokens that we verify; empty when it names none.
    pub id_token_algs: Vec<String>,
}

impl Discovered {
    /// Hosts other than the issuer's to which codes, tokens or the browser would go. Legitimate at large providers; the
    /// operator should see them before they are pinned.
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

/// Why a provider cannot be configured from its issuer; for the operator, in words.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DiscoveryError {
    /// The issuer is no URL that an issuer can be.
    #[error(
        "{0:?} is not an issuer: it must be https (http only at an address that the operator allowed), without query or fragment"
    )]
    BadIssuer(String),
    /// There was no whole answer.
    #[error("the provider's metadata could not be fetched: {0}")]
    Egress(#[from] EgressError),
    /// Another status than 200, at both well-known addresses.
    #[error("the provider has no metadata for this issuer (status {0})")]
    Status(u16),
    /// Not JSON, or with duplicate members.
    #[error("the provider's metadata is not JSON, or has duplicate members")]
    NotUnderstood,
    /// It describes another issuer: a typing error, or poison.
    #[error(
        "the metadata is of issuer {found:?}, not of {asked:?}: the two must be equal to the last character"
    )]
    IssuerMismatch {
        /// As configured.
        asked: String,
        /// As the document says, shortened.
        found: String,
    },
    /// A required endpoint is missing, or one that is there cannot be used.
    #[error("the metadata's {0} is missing or is no https URL")]
    Endpoint(&'static str),
    /// It does not do the authorization code flow.
    #[error("the provider does not support the authorization code flow")]
    NoCodeFlow,
    /// It takes none of the ways in which we authenticate.
    #[error("the provider takes neither client_secret_basic nor client_secret_post nor public clients")]
    ClientAuth,
}

/// Reads and checks the document of an issuer: first at `/.well-known/openid-configuration`, and where that is not
/// found at RFC 8414's place.
///
/// # Errors
/// [`DiscoveryError`].
pub async fn discover(egress: &Egress, issuer: &str) -> Result<Discovered, DiscoveryError> {
    let (document, base) = document(egress, issuer).await?;
    read(&document, issuer, &base)
}

/// Where the keys of an issuer are. All that is asked of an issuer whose tokens are verified and nothing else: it may
/// have no authorization endpoint at all.
///
/// # Errors
/// [`DiscoveryError`].
pub(crate) async fn jwks_url(egress: &Egress, issuer: &str) -> Result<String, DiscoveryError> {
    let (document, base) = document(egress, issuer).await?;
    is_of(&document, issuer)?;
    endpoint(&document, "jwks_uri", &base)?.ok_or(DiscoveryError::Endpoint("jwks_uri"))
}

async fn document(egress: &Egress, issuer: &str) -> Result<(Value, Url), DiscoveryError> {
    let base =
        issuer_url(issuer).ok_or_else(|| DiscoveryError::BadIssuer(issuer.chars().take(200).collect()))?;
    let body = match fetch(egress, openid_location(&base)).await {
        Err(DiscoveryError::Status(404)) => fetch(egress, oauth_location(&base)).await?,
        other => other?,
    };
    let document = strict_json::parse(&body).filter(Value::is_object).ok_or(DiscoveryError::NotUnderstood)?;
    Ok((document, base))
}

async fn fetch(egress: &Egress, url: Url) -> Result<Vec<u8>, DiscoveryError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let limits = Limits { total: TOTAL, body_max: BODY_MAX };
    let request = Request { method: Method::GET, url, headers, body: Default::default(), limits };
    let response = egress.send(request).await?;
    match response.status.as_u16() {
        200 => Ok(response.body.to_vec()),
        status => Err(DiscoveryError::Status(status)),
    }
}

/// RFC 8414 section 2. Whether http is allowed there is the egress guard's to say.
fn issuer_url(issuer: &str) -> Option<Url> {
    let url = Url::parse(issuer).ok()?;
    let fit = matches!(url.scheme(), "https" | "http")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    fit.then_some(url)
}

/// Appended to the issuer, whose last slash goes (OpenID Connect Discovery section 4.1).
fn openid_location(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/.well-known/openid-configuration", base.path().trim_end_matches('/')));
    url
}

/// Put between host and path (RFC 8414 section 3.1).
fn oauth_location(base: &Url) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("/.well-known/oauth-authorization-server{}", base.path().trim_end_matches('/')));
    url
}

/// A document of another issuer is a typing error, or poison.
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
        id_token_algs: id_token_algs(document),
    })
}

fn list<'a>(document: &'a Value, name: &str) -> Option<Vec<&'a str>> {
    let items = document.get(name)?.as_array()?;
    Some(items.iter().filter_map(Value::as_str).collect())
}

/// https anywhere; http only where the issuer itself is: same host and port.
fn endpoint(document: &Value, name: &'static str, base: &Url) -> Result<Option<String>, DiscoveryError> {
    let text = match document.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().ok_or(DiscoveryError::Endpoint(name))?,
    };
    let url = Url::parse(text).map_err(|_| DiscoveryError::Endpoint(name))?;
    let right_scheme = url.scheme() == "https" || (url.scheme() == "http" && url.origin() == base.origin());
    let clean = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if right_scheme && clean { Ok(Some(text.to_owned())) } else { Err(DiscoveryError::Endpoint(name)) }
}

/// Nothing said means Basic (OpenID Connect Discovery section 3).
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

fn id_token_algs(document: &Value) -> Vec<String> {
    let named = list(document, "id_token_signing_alg_values_supported").unwrap_or_default();
    let ours = ALGORITHMS.iter().map(|(name, _)| *name).filter(|name| named.contains(name));
    ours.map(String::from).collect()
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
