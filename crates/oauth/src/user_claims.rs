//! The claims of a user token, once its signature holds. Time is an argument; one minute of skew is allowed in either
//! direction.

use alter_core::{IdentityProvider, Micros};
use serde_json::Value;

use crate::clean;

/// Seconds by which the issuer's clock and ours may differ.
const SKEW_S: f64 = 60.0;

/// Seconds that a token may still live: 366 days. One that outlives them was not meant to end.
const LIFE_MAX_S: f64 = 366.0 * 86_400.0;

/// Characters of a subject (OpenID Connect Core section 2: 255 ASCII characters).
const SUBJECT_MAX: usize = 255;

/// Characters of a label.
const LABEL_MAX: usize = 320;

/// Where a label is looked for, in this order; the subject is the last resort.
const LABELS: [&str; 3] = ["name", "email", "preferred_username"];

/// Who the user is, and for how long that was said. The user is `(app, issuer, subject)` (T15), never the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClaims {
    /// The configured issuer, byte for byte.
    pub issuer: String,
    /// The issuer's id of the user, byte for byte; 1 to 255 characters, none that hides.
    pub subject: String,
    /// What pages call the user. Cleaned, 1 to 320 characters.
    pub label: String,
    /// `exp`. The token is accepted for a minute longer.
    pub expires_at: Micros,
    /// `iat`.
    pub issued_at: Option<Micros>,
}

/// The claim that is wrong. Nothing of the token is in any text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUserClaim {
    /// Not the configured issuer.
    #[error("its iss is missing or is not the app's identity provider")]
    Iss,
    /// No subject, or one that cannot be kept as it is.
    #[error("its sub is missing, longer than 255 characters, or has characters that cannot be shown")]
    Sub,
    /// For somebody else.
    #[error("its aud is missing, malformed or does not contain the configured audience")]
    Aud,
    /// It says not when it ends.
    #[error("its exp is missing or no number")]
    Exp,
    /// It has ended.
    #[error("it has expired")]
    Expired,
    /// It does not end.
    #[error("its exp is more than a year ahead")]
    Endless,
    /// Of the future.
    #[error("its iat is malformed or in the future")]
    Iat,
    /// Not valid yet.
    #[error("its nbf is malformed or in the future")]
    Nbf,
    /// A logout or another event of that user, with the same issuer, audience and subject (RFC 8417).
    #[error("it is a token about an event, not about a user")]
    Event,
}

/// Every check; what is left is who the user is.
pub(crate) fn read(claims: &Value, idp: &IdentityProvider, now: Micros) -> Result<UserClaims, BadUserClaim> {
    ensure(text(claims, "iss") == Some(&idp.issuer), BadUserClaim::Iss)?;
    ensure(is_audience(claims.get("aud"), idp.audience.as_deref()), BadUserClaim::Aud)?;
    ensure(claims.get("events").is_none(), BadUserClaim::Event)?;
    let subject = text(claims, "sub").filter(|sub| is_subject(sub)).ok_or(BadUserClaim::Sub)?;
    let (expires_at, issued_at) = times(claims, now)?;
    let label = LABELS.iter().find_map(|name| clean::label(text(claims, name)?, LABEL_MAX));
    Ok(UserClaims {
        issuer: idp.issuer.clone(),
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

/// Kept as it is or not at all: cleaning it could make two users one.
fn is_subject(sub: &str) -> bool {
    !sub.trim().is_empty() && sub.chars().count() <= SUBJECT_MAX && clean::is_plain(sub)
}

/// One audience or a list (RFC 7519 section 4.1.3). Others may stand beside ours: an access token names userinfo too.
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

/// Saturates: an `iat` far before the epoch is odd, not dangerous.
#[expect(clippy::cast_possible_truncation, reason = "saturation is meant")]
fn micros(seconds: f64) -> Micros {
    Micros((seconds * 1e6) as i64)
}
