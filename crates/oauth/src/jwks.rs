//! A provider's key set (RFC 7517), parsed once into keys that can only verify. Members that would name a key elsewhere
//! (`x5u`, `x5c`) are not read, nor are secret (`oct`) keys.

use std::time::Duration;

use alter_core::secret::from_base64url;
use alter_egress::{Egress, EgressError, Limits, Request};
use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, Method};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use url::Url;

use crate::LATER;
use crate::algorithms::algorithm;
use crate::{discovery, strict_json};

/// Maximum size of a key set, in bytes.
const BODY_MAX: usize = 256 * 1024;

/// Maximum number of keys in a key set.
const KEYS_MAX: usize = 100;

/// Accepted lengths of an RSA modulus, in bytes: 2048 to 8192 bits. Smaller ones are broken; larger ones exist to be
/// slow.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// Why there are no keys. The fault of the provider, or of the operator who configured the URL.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JwksError {
    /// `jwks_url` is not an absolute URL.
    #[error("the provider's jwks_url cannot be used")]
    BadUrl,
    /// No whole answer arrived.
    #[error("the provider's keys could not be fetched: {0}")]
    Egress(#[from] EgressError),
    /// The provider answered with a status other than 200.
    #[error("the provider answered {0} when asked for its keys")]
    Status(u16),
    /// The answer is not a key set, or has more than 100 keys.
    #[error("the provider's keys were not understood: {0}")]
    NotUnderstood(&'static str),
}

impl JwksError {
    /// Whether asking again in a moment can help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::BadUrl | Self::NotUnderstood(_) => false,
            Self::Egress(error) => !error.is_configuration(),
            Self::Status(status) => *status >= 500 || LATER.contains(status),
        }
    }
}

/// Asks for a key set now, for operators who configure or check it. Returns how many of its keys can verify a signature;
/// with 0 no token can be believed.
///
/// # Errors
/// [`JwksError`].
pub async fn look_at_keys(egress: &Egress, url: &str) -> Result<usize, JwksError> {
    KeySet::fetch(egress, url, discovery::TOTAL).await.map(|keys| keys.len())
}

/// The type of a key, which decides what it can verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Kind {
    fn verifies(self, alg: Algorithm) -> bool {
        match alg {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => self == Self::Rsa,
            Algorithm::ES256 => self == Self::P256,
            Algorithm::ES384 => self == Self::P384,
            Algorithm::EdDSA => self == Self::Ed25519,
            _ => false,
        }
    }
}

/// One public key.
pub(crate) struct Key {
    kid: Option<String>,
    /// The only algorithm for which the key is meant, if the key set says so.
    alg: Option<Algorithm>,
    kind: Kind,
    /// Whose tokens it signs, if the key set says so (Microsoft Entra).
    pub(crate) issuer: Option<String>,
    pub(crate) key: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The keys that can verify signatures, as one URL gave them at one time.
pub(crate) struct KeySet(Vec<Key>);

/// The keys to try for one token.
#[derive(Debug)]
pub(crate) enum Candidates<'a> {
    /// No key fits: the provider may have replaced its keys.
    None,
    /// The token names no key, and several fit (OpenID Connect Core section 10.1).
    Ambiguous,
    /// One key, or several under one `kid`.
    These(Vec<&'a Key>),
}

impl KeySet {
    /// Reads the key set from the provider, within `total`.
    pub(crate) async fn fetch(egress: &Egress, url: &str, total: Duration) -> Result<Self, JwksError> {
        let url = Url::parse(url).map_err(|_| JwksError::BadUrl)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
        let limits = Limits { total, body_max: BODY_MAX };
        let request = Request { method: Method::GET, url, headers, body: Default::default(), limits };
        let response = egress.send(request).await?;
        match response.status.as_u16() {
            200 => Self::parse(&response.body),
            status => Err(JwksError::Status(status)),
        }
    }

    /// Parses a key set. Keys that cannot be used here are skipped; a set without a usable key is still a set.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JwksError> {
        let document = strict_json::parse(body)
            .ok_or(JwksError::NotUnderstood("they are not JSON, or have duplicate members"))?;
        let keys = document.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(JwksError::NotUnderstood("there is no list of keys"))?;
        if keys.len() > KEYS_MAX {
            return Err(JwksError::NotUnderstood("there are more than 100 keys"));
        }
        Ok(Self(keys.iter().filter_map(key).collect()))
    }

    /// How many keys can verify a signature.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the keys for a token with this algorithm and `kid`. The `kid` only chooses among keys.
    pub(crate) fn candidates(&self, alg: Algorithm, kid: Option<&str>) -> Candidates<'_> {
        let fits = |key: &&Key| {
            key.kind.verifies(alg)
                && key.alg.is_none_or(|only| only == alg)
                && (kid.is_none() || key.kid.as_deref() == kid)
        };
        let found: Vec<&Key> = self.0.iter().filter(fits).collect();
        match (found.len(), kid) {
            (0, _) => Candidates::None,
            (2.., None) => Candidates::Ambiguous,
            _ => Candidates::These(found),
        }
    }
}

fn key(jwk: &Value) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if !is_for_signatures(jwk) {
        return None;
    }
    let (kind, key) = match (text("kty")?, text("crv")) {
        ("RSA", _) => (Kind::Rsa, rsa(text("n")?, text("e")?)?),
        ("EC", Some("P-256")) => (Kind::P256, ec(text("x")?, text("y")?, 32)?),
        ("EC", Some("P-384")) => (Kind::P384, ec(text("x")?, text("y")?, 48)?),
        ("OKP", Some("Ed25519")) => (Kind::Ed25519, ed(text("x")?)?),
        _ => return None,
    };
    // A key for an algorithm that is not verified is of no use.
    let alg = match text("alg") {
        Some(name) => Some(algorithm(name)?),
        None => None,
    };
    let owned = |name| text(name).map(String::from);
    Some(Key { kid: owned("kid"), alg, kind, issuer: owned("issuer"), key })
}

/// Whether a key is for signatures. `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3) may each say that it is not.
fn is_for_signatures(jwk: &Value) -> bool {
    let right_use = jwk.get("use").is_none_or(|value| value == "sig");
    let right_ops = jwk
        .get("key_ops")
        .is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
    right_use && right_ops
}

fn rsa(n: &str, e: &str) -> Option<DecodingKey> {
    let (n, e) = (from_base64url(n)?, from_base64url(e)?);
    // Some providers send the sign byte of ASN.1 too. RFC 7518 section 6.3.1.1 forbids it; to skip it is harmless.
    let start = n.iter().take_while(|byte| **byte == 0).count();
    let n = &n[start..];
    (MODULUS.contains(&n.len()) && (1..=8).contains(&e.len()))
        .then(|| DecodingKey::from_rsa_raw_components(n, &e))
}

fn ec(x: &str, y: &str, size: usize) -> Option<DecodingKey> {
    let right_size = |text: &str| from_base64url(text).is_some_and(|bytes| bytes.len() == size);
    if !right_size(x) || !right_size(y) {
        return None;
    }
    DecodingKey::from_ec_components(x, y).ok()
}

fn ed(x: &str) -> Option<DecodingKey> {
    let point: [u8; 32] = from_base64url(x)?.try_into().ok()?;
    (!is_of_small_order(point)).then(|| DecodingKey::from_ed_der(&point))
}

/// Whether an Ed25519 point has order 1, 2, 4 or 8. Nobody holds a secret for such a key, and signatures that it verifies
/// can be written down without one; RFC 8032 does not require verifiers to notice.
fn is_of_small_order(mut point: [u8; 32]) -> bool {
    point[31] &= 0x7f; // the sign of the other coordinate
    SMALL_ORDER.contains(&point)
}

const fn y(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut y = [middle; 32];
    (y[0], y[31]) = (first, last);
    y
}

/// The second coordinates of these points, little-endian: 0, 1, -1 and the two of order 8; then 0 and 1 written as p and
/// p + 1, which verifiers read too.
const SMALL_ORDER: [[u8; 32]; 7] = [
    y(0, 0, 0),
    y(1, 0, 0),
    y(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    y(0xed, 0xff, 0x7f),
    y(0xee, 0xff, 0x7f),
];

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
