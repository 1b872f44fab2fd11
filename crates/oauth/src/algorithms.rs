//! The signature algorithms that are verified: those that a token may name and that metadata are read for.

use jsonwebtoken::Algorithm;

/// The algorithms that are verified, by their names in RFC 7518 and RFC 8037. None of them uses a shared secret, and
/// `none` is not among them.
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
