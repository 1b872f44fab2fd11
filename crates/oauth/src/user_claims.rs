//! The claims of a user token whose signature holds. Time is an argument; one minute of skew is allowed in either
//! direction.

use alter_core::{IdentityProvider, Micros};
use serde_json::Value;

use crate::{clean, jws::Verified};

/// Seconds by which the issuer's clock and ours may differ.
const SKEW_S: f64 = 60.0;

/// How many seconds a token may still live: 366 days. A token that lives longer was not meant to end.
const LIFE_MAX_S: f64 = 366.0 * 86_400.0;

/// Maximum length of a subject, in characters (OpenID Connect Core section 2: 255 ASCII characters).
const SUBJECT_MAX: usize = 255;

/// Maximum length of a label, in characters.
const LABEL_MAX: usize = 320;

/// The claims that may give the label, in order of preference; the subject is the last resort.
const LABELS: [&str; 3] = ["name", "email", "preferred_username"];

/// Who the user is, and how long the token says so. The user is `(app, issuer, subject)` (T15), never the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    /// The token's issuer, byte for byte; with a template, that of the user's tenant.
    pub issuer: String,
    /// The issuer's id of the user, byte for byte; 1 to 255 characters, none of them hidden.
    pub subject: String,
    /// What pages call the user. Cleaned, 1 to 320 characters.
    pub label: String,
    /// The claim `exp`. The token is accepted for one minute longer.
    pub expires_at: Micros,
    /// The claim `iat`; `None` when the token has none.
    pub issued_at: Option<Micros>,
}

/// The claim that is wrong. No text contains anything from the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUserClaim {
    /// `iss` is missing or is not the configured issuer.
    #[error("its iss is missing, is not the app's identity provider, or is a tenant that is not accepted")]
    Iss,
    /// The key that signed the token belongs to another tenant.
    #[error("its key belongs to another issuer")]
    KeyIssuer,
    /// The token was issued to another client, or does not say to which.
    #[error("its azp, or without one its client_id, is missing or not the configured authorized party")]
    AuthorizedParty,
    /// There is no subject, or one that cannot be kept as it is.
    #[error("its sub is missing, longer than 255 characters, or has characters that cannot be shown")]
    Sub,
    /// The token is meant for another audience.
    #[error("its aud is missing, malformed or does not contain the configured audience")]
    Aud,
    /// The token does not say when it expires.
    #[error("its exp is missing or not a number")]
    Exp,
    /// The token expired more than a minute ago.
    #[error("it has expired")]
    Expired,
    /// The token lives longer than 366 days from now.
    #[error("its exp is more than a year ahead")]
    Endless,
    /// `iat` is not a number, or more than a minute in the future.
    #[error("its iat is malformed or in the future")]
    Iat,
    /// `nbf` is not a number, or more than a minute in the future.
    #[error("its nbf is malformed or in the future")]
    Nbf,
    /// The token reports a logout or another event of that user, with the same issuer, audience and subject (RFC 8417).
    #[error("it is a token about an event, not about a user")]
    Event,
}

/// Checks every claim and returns who the user is. A token of `client` needs no other audience.
pub(crate) fn read(
    verified: &Verified,
    idp: &IdentityProvider,
    client: Option<&str>,
    now: Micros,
) -> Result<UserClaims, BadUserClaim> {
    let claims = &verified.claims;
    let issuer = text(claims, "iss").filter(|iss| idp.is_issuer(iss, text(claims, "tid")));
    let issuer = issuer.ok_or(BadUserClaim::Iss)?;
    let key_issuer = verified.key_issuer.as_deref().filter(|_| idp.is_template());
    ensure(is_key_of(key_issuer, issuer, claims), BadUserClaim::KeyIssuer)?;
    if !client.is_some_and(|client| is_of_client(claims, client)) {
        ensure(is_audience(claims.get("aud"), idp.audience.as_deref()), BadUserClaim::Aud)?;
        ensure(is_authorized(claims, idp.authorized_party.as_deref()), BadUserClaim::AuthorizedParty)?;
    }
    ensure(claims.get("events").is_none(), BadUserClaim::Event)?;
    let subject = text(claims, "sub").filter(|sub| is_subject(sub)).ok_or(BadUserClaim::Sub)?;
    let (expires_at, issued_at) = times(claims, now)?;
    let label = LABELS.iter().find_map(|name| clean::label(text(claims, name)?, LABEL_MAX));
    Ok(UserClaims {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        label: label.or_else(|| clean::label(subject, LABEL_MAX)).ok_or(BadUserClaim::Sub)?,
        expires_at,
        issued_at,
    })
}

fn ensure(holds: bool, otherwise: BadUserClaim) -> Result<(), BadUserClaim> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn text<'a>(claims: &'a Value, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// Whether a subject can be kept as it is. It is never cleaned: cleaning could turn two users into one.
fn is_subject(sub: &str) -> bool {
    !sub.trim().is_empty() && sub.chars().count() <= SUBJECT_MAX && clean::is_plain(sub)
}

/// Whether a key may sign for this issuer. A key set that many tenants share (Microsoft Entra) says of each key whose it is:
/// one issuer, or `{tenantid}` in it for each tenant's.
fn is_key_of(key_issuer: Option<&str>, issuer: &str, claims: &Value) -> bool {
    let Some(template) = key_issuer else { return true };
    template.replace("{tenantid}", text(claims, "tid").unwrap_or_default()) == issuer
}

/// Whether it is an id_token of this client, and of no other (OpenID Connect Core section 3.1.3.7).
fn is_of_client(claims: &Value, client: &str) -> bool {
    is_audience(claims.get("aud"), Some(client)) && claims.get("azp").is_none_or(|azp| azp == client)
}

/// Whether the token was issued to this client. `azp` names the client in OpenID Connect, `client_id` in RFC 9068.
fn is_authorized(claims: &Value, party: Option<&str>) -> bool {
    let named = claims.get("azp").or_else(|| claims.get("client_id"));
    party.is_none_or(|party| named.and_then(Value::as_str) == Some(party))
}

/// Whether `aud`, one audience or a list (RFC 7519 section 4.1.3), contains ours. It may contain others too: an access
/// token also names userinfo.
fn is_audience(aud: Option<&Value>, ours: Option<&str>) -> bool {
    let named: Vec<&Value> = match aud {
        None => Vec::new(),
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
    };
    let wanted = ours.is_none_or(|ours| named.iter().any(|one| one.as_str() == Some(ours)));
    wanted && named.iter().all(|one| one.is_string())
}

fn times(claims: &Value, now: Micros) -> Result<(Micros, Option<Micros>), BadUserClaim> {
    // Seconds of this millennium are exact in an f64; claims may have fractions (RFC 7519 section 2).
    let now = now.as_seconds() as f64;
    let past = |seconds: f64| seconds <= now + SKEW_S;
    let exp = claims.get("exp").and_then(Value::as_f64).ok_or(BadUserClaim::Exp)?;
    ensure(now - SKEW_S < exp, BadUserClaim::Expired)?;
    ensure(exp <= now + LIFE_MAX_S, BadUserClaim::Endless)?;
    let optional = |name: &str, otherwise| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|seconds| past(*seconds)).map(Some).ok_or(otherwise),
    };
    optional("nbf", BadUserClaim::Nbf)?;
    let iat = optional("iat", BadUserClaim::Iat)?;
    Ok((micros(exp), iat.map(micros)))
}

/// Converts with saturation: an `iat` far before the epoch is odd, not dangerous.
#[expect(clippy::cast_possible_truncation, reason = "saturation is meant")]
fn micros(seconds: f64) -> Micros {
    Micros((seconds * 1e6) as i64)
}
