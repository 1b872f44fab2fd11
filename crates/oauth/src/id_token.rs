//! The id_token: what its header may say, whose key verifies it, and what it must claim (OpenID Connect Core section
//! 3.1.3.7, RFC 8725).
//!
//! The token decides nothing about its own verification: algorithms come from the recipe, keys from the recipe's key
//! set, and the header's `kid` only looks one up. `jku`, `x5u`, `jwk` and `x5c` are not read; `crit` and `b64` are
//! refused.

use alter_core::secret::{base64url, from_base64url, same};
use alter_core::{Micros, Recipe};
use alter_egress::Egress;
use aws_lc_rs::digest;
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::claims::{self, Expected};
use crate::jwks::{Candidates, KeySet};
use crate::{BadClaim, JwksCache, JwksError, strict_json};

/// Bytes of a token.
const TOKEN_MAX: usize = 64 * 1024;

/// Bytes of a `kid`.
const KID_MAX: usize = 512;

/// The algorithms that we verify, by their names of RFC 7518 and RFC 8037. No secret-key one, and never `none`.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Why an id_token is not believed. Nothing of the token is in any text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdTokenRefused {
    /// The recipe lacks what is needed to verify one. The operator's fault.
    #[error("the provider's configuration lacks {0}")]
    NotConfigured(&'static str),
    /// It is no JWT that we read.
    #[error("the id_token is malformed: {0}")]
    Malformed(&'static str),
    /// Its algorithm is none of the recipe's.
    #[error("the id_token is signed with an algorithm that is not accepted")]
    Algorithm,
    /// The keys cannot be had; another try may succeed.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// No key of the provider is the one that it names, or several are and it names none.
    #[error("the id_token's key is not known, or not named")]
    Key,
    /// The signature is another's.
    #[error("the id_token's signature is wrong")]
    Signature,
    /// The signature holds, and a claim does not.
    #[error("the id_token's {0}")]
    Claim(#[from] BadClaim),
}

/// A token taken apart, unverified.
struct Parts<'a> {
    alg_name: String,
    alg: Algorithm,
    kid: Option<String>,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl JwksCache {
    /// Verifies an id_token and answers its claims.
    ///
    /// `nonce` is that of the authorization request, and mandatory. With `access_token` an `at_hash` that the token
    /// carries must fit it. A key that is not known makes the key set be read again, at most once a minute per URL.
    /// The claims are judged by the time when the token came, which for a journalled answer is not now; the key set's
    /// age is counted from now.
    ///
    /// # Errors
    /// [`IdTokenRefused`]: store nothing.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another fact of the flow, used once and here only"
    )]
    pub async fn verify_id_token(
        &self,
        egress: &Egress,
        recipe: &Recipe,
        id_token: &SecretString,
        client_id: &str,
        nonce: &str,
        access_token: Option<&SecretString>,
        received_at: Micros,
        now: Micros,
    ) -> Result<Value, IdTokenRefused> {
        let url = recipe.jwks_url.as_deref().ok_or(IdTokenRefused::NotConfigured("jwks_url"))?;
        if recipe.issuer.is_none() && recipe.issuer_template.is_none() {
            return Err(IdTokenRefused::NotConfigured("issuer"));
        }
        let parts = take_apart(recipe, id_token.expose_secret())?;
        let keys = self.get(egress, url, now).await?;
        let verdict = match verify(&parts, &keys) {
            Err(refused) if may_be_rotation(&refused, &parts) => {
                match self.newer(egress, url, &keys, now).await {
                    Some(keys) => verify(&parts, &keys),
                    None => Err(refused),
                }
            }
            verdict => verdict,
        };
        verdict?;
        let claims = object(parts.payload).ok_or(IdTokenRefused::Malformed("its claims"))?;
        claims::check(&claims, &Expected { recipe, client_id, nonce, now: received_at })?;
        check_at_hash(&claims, parts.alg, access_token)?;
        Ok(claims)
    }
}

fn take_apart<'a>(recipe: &Recipe, token: &'a str) -> Result<Parts<'a>, IdTokenRefused> {
    if token.len() > TOKEN_MAX {
        return Err(IdTokenRefused::Malformed("it is too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(IdTokenRefused::Malformed("it is no JWT"))?;
    let (header, payload) = message.split_once('.').ok_or(IdTokenRefused::Malformed("it is no JWT"))?;
    if payload.contains('.') {
        return Err(IdTokenRefused::Malformed("it is no signed JWT"));
    }
    let header = object(header).ok_or(IdTokenRefused::Malformed("its header"))?;
    refuse_extensions(&header)?;
    let alg_name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let allowed = recipe.id_token_algs.iter().any(|name| name == alg_name);
    let alg = ALGORITHMS.iter().find(|(name, _)| *name == alg_name).filter(|_| allowed);
    let (_, alg) = alg.ok_or(IdTokenRefused::Algorithm)?;
    Ok(Parts { alg_name: alg_name.to_owned(), alg: *alg, kid: kid(&header)?, message, payload, signature })
}

fn object(encoded: &str) -> Option<Value> {
    strict_json::parse(&from_base64url(encoded)?).filter(Value::is_object)
}

/// `crit` names extensions that must be understood (RFC 7515 section 4.1.11), and we understand none; `b64` changes what
/// is signed (RFC 7797). A `typ` of another kind of JWT is one taken from elsewhere (RFC 8725 section 3.11).
fn refuse_extensions(header: &Value) -> Result<(), IdTokenRefused> {
    if ["crit", "b64", "zip", "enc"].iter().any(|name| header.get(*name).is_some()) {
        return Err(IdTokenRefused::Malformed("its header has extensions"));
    }
    let kind = header.get("typ").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if kind.ends_with("+jwt") {
        return Err(IdTokenRefused::Malformed("it is another kind of JWT"));
    }
    Ok(())
}

fn kid(header: &Value) -> Result<Option<String>, IdTokenRefused> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if kid.len() <= KID_MAX => Ok(Some(kid.clone())),
        Some(_) => Err(IdTokenRefused::Malformed("its kid")),
    }
}

fn verify(parts: &Parts<'_>, keys: &KeySet) -> Result<(), IdTokenRefused> {
    match keys.candidates(parts.alg, &parts.alg_name, parts.kid.as_deref()) {
        Candidates::None | Candidates::Ambiguous => Err(IdTokenRefused::Key),
        Candidates::These(keys) if keys.iter().any(|key| is_signed(parts, key)) => Ok(()),
        Candidates::These(_) => Err(IdTokenRefused::Signature),
    }
}

fn is_signed(parts: &Parts<'_>, key: &DecodingKey) -> bool {
    // An empty or undecodable signature is an error or a failure there: false either way.
    jsonwebtoken::crypto::verify(parts.signature, parts.message.as_bytes(), key, parts.alg).unwrap_or(false)
}

/// A name that is not known, or the one key of a set whose keys have no names.
fn may_be_rotation(refused: &IdTokenRefused, parts: &Parts<'_>) -> bool {
    match refused {
        IdTokenRefused::Key => true,
        IdTokenRefused::Signature => parts.kid.is_none(),
        _ => false,
    }
}

/// OpenID Connect Core section 3.1.3.8: the left half of the hash that belongs to the algorithm; for Ed25519 SHA-512.
fn check_at_hash(
    claims: &Value,
    alg: Algorithm,
    access_token: Option<&SecretString>,
) -> Result<(), BadClaim> {
    let (Some(at_hash), Some(token)) = (claims.get("at_hash"), access_token) else { return Ok(()) };
    let hash = match alg {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        _ => &digest::SHA512,
    };
    let full = digest::digest(hash, token.expose_secret().as_bytes());
    let half = base64url(&full.as_ref()[..full.as_ref().len() / 2]);
    match at_hash.as_str() {
        Some(claimed) if same(claimed.as_bytes(), half.as_bytes()) => Ok(()),
        _ => Err(BadClaim::AtHash),
    }
}

#[cfg(test)]
#[path = "id_token_tests.rs"]
mod tests;
