//! A signed JWT (RFC 7515, RFC 7519): what its header may say, and whose key verifies it. id_tokens and user tokens
//! share this file; each checks its own claims.
//!
//! The token decides nothing about its own verification: the algorithms come from the rules, the keys from the issuer's
//! key set, and the header's `kid` only looks up a key. `jku`, `x5u`, `jwk` and `x5c` are not read; `crit` and `b64`
//! are refused (RFC 8725).

use alter_core::Micros;
use alter_core::secret::from_base64url;
use alter_egress::Egress;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::algorithms::algorithm;
use crate::jwks::{Candidates, JwksError, KeySet};
use crate::jwks_cache::AppKeySets;
use crate::strict_json;

/// Maximum length of a `kid`, in bytes.
const KID_MAX: usize = 512;

/// Why a signature is not believed. No text contains anything from the token.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum JwsRefused {
    /// The token is not a JWT that this crate reads.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// The token's algorithm is not allowed.
    #[error("signed with an algorithm that is not accepted")]
    Algorithm,
    /// The keys could not be fetched or read; another try may succeed.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// The issuer has no key of the name that the token gives, or has several keys and the token names none.
    #[error("the key is not known, or not named")]
    Key,
    /// The signature was not made with the issuer's key.
    #[error("the signature is wrong")]
    Signature,
}

/// What a token for one purpose may look like.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Maximum length of the whole token, in bytes.
    pub(crate) max: usize,
    /// Whether a token may be signed with this algorithm.
    pub(crate) allows: &'a (dyn Fn(Algorithm) -> bool + Sync),
    /// Accepted kinds of JWT (`typ`, in lower case) besides the plain `JWT`.
    pub(crate) kinds: &'a [&'a str],
}

/// The parts of a token, not verified. Without `Debug`: anyone who holds the token can act as the user.
pub(crate) struct Parts<'a> {
    pub(crate) alg: Algorithm,
    kid: Option<String>,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

pub(crate) fn take_apart<'a>(token: &'a str, rules: &Rules<'_>) -> Result<Parts<'a>, JwsRefused> {
    if token.len() > rules.max {
        return Err(JwsRefused::Malformed("it is too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(JwsRefused::Malformed("it is no JWT"))?;
    let (header, payload) = message.split_once('.').ok_or(JwsRefused::Malformed("it is no JWT"))?;
    if payload.contains('.') {
        return Err(JwsRefused::Malformed("it is no signed JWT"));
    }
    let header = object(header).ok_or(JwsRefused::Malformed("its header"))?;
    refuse_extensions(&header, rules)?;
    let alg = header.get("alg").and_then(Value::as_str).and_then(algorithm);
    let alg = alg.filter(|alg| (rules.allows)(*alg)).ok_or(JwsRefused::Algorithm)?;
    Ok(Parts { alg, kid: kid(&header)?, message, payload, signature })
}

/// The claims of a token whose signature holds.
pub(crate) struct Verified {
    pub(crate) claims: Value,
    /// Whose key it was, where the key set says so.
    pub(crate) key_issuer: Option<String>,
}

/// Verifies the signature and returns the claims. At this point the only thing known about the claims is that the
/// issuer wrote them. An unknown key, or one that does not verify the token, makes the key set be read again, at most once a
/// minute.
pub(crate) async fn verified_claims(
    parts: &Parts<'_>,
    keys_of: AppKeySets<'_>,
    egress: &Egress,
    jwks_url: &str,
    now: Micros,
) -> Result<Verified, JwsRefused> {
    let keys = keys_of.get(egress, jwks_url, now).await?;
    let verdict = match verify(parts, &keys) {
        Err(refused) if may_be_rotation(&refused) => {
            match keys_of.newer(egress, jwks_url, &keys, now).await {
                Some(keys) => verify(parts, &keys),
                None => Err(refused),
            }
        }
        verdict => verdict,
    };
    let key_issuer = verdict?;
    let claims = object(parts.payload).ok_or(JwsRefused::Malformed("its claims"))?;
    Ok(Verified { claims, key_issuer })
}

fn object(encoded: &str) -> Option<Value> {
    strict_json::parse(&from_base64url(encoded)?).filter(Value::is_object)
}

/// `crit` names extensions that must be understood (RFC 7515 section 4.1.11), and this crate understands none; `b64`
/// changes what is signed (RFC 7797); a `cty` of some JWT says that there is another one inside (RFC 7519 section 5.2).
/// A `typ` other than `JWT` marks what was made for another purpose (RFC 8725 section 3.11), so only the kinds that are
/// meant are accepted.
fn refuse_extensions(header: &Value, rules: &Rules<'_>) -> Result<(), JwsRefused> {
    if ["crit", "b64", "zip", "enc"].iter().any(|name| header.get(*name).is_some()) {
        return Err(JwsRefused::Malformed("its header has extensions"));
    }
    if media(header, "cty")?.is_some_and(|inside| inside.ends_with("jwt")) {
        return Err(JwsRefused::Malformed("it is a JWT in a JWT"));
    }
    match media(header, "typ")?.as_deref() {
        None | Some("jwt") => Ok(()),
        Some(kind) if rules.kinds.contains(&kind) => Ok(()),
        Some(_) => Err(JwsRefused::Malformed("it is another kind of JWT")),
    }
}

/// A media type of the header in lower case, without its parameters and without `application/`, which may be left out
/// (RFC 7515 section 4.1.9).
fn media(header: &Value, name: &str) -> Result<Option<String>, JwsRefused> {
    let text = match header.get(name) {
        None => return Ok(None),
        Some(Value::String(text)) => text.to_ascii_lowercase(),
        Some(_) => return Err(JwsRefused::Malformed("its typ or cty")),
    };
    let kind = text.split(';').next().unwrap_or_default().trim();
    Ok(Some(kind.strip_prefix("application/").unwrap_or(kind).to_owned()))
}

fn kid(header: &Value) -> Result<Option<String>, JwsRefused> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KID_MAX => Ok(Some(kid.clone())),
        Some(_) => Err(JwsRefused::Malformed("its kid")),
    }
}

/// Returns the issuer of the key that verifies the token, if the key set names one.
fn verify(parts: &Parts<'_>, keys: &KeySet) -> Result<Option<String>, JwsRefused> {
    match keys.candidates(parts.alg, parts.kid.as_deref()) {
        Candidates::None | Candidates::Ambiguous => Err(JwsRefused::Key),
        Candidates::These(keys) => {
            let signed = keys.into_iter().find(|key| is_signed(parts, &key.key));
            signed.map(|key| key.issuer.clone()).ok_or(JwsRefused::Signature)
        }
    }
}

fn is_signed(parts: &Parts<'_>, key: &DecodingKey) -> bool {
    // For an empty or undecodable signature the library returns an error or false: both mean false here.
    jsonwebtoken::crypto::verify(parts.signature, parts.message.as_bytes(), key, parts.alg).unwrap_or(false)
}

/// Whether the issuer may have replaced its keys: the key's name is not known, or the key does not verify the token. Some
/// issuers put another key under the same name.
fn may_be_rotation(refused: &JwsRefused) -> bool {
    matches!(refused, JwsRefused::Key | JwsRefused::Signature)
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
