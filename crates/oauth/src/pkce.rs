//! Proof Key for Code Exchange (RFC 7636), with the method S256 only.

use alter_core::secret::{base64url, sha256};
use alter_core::time::{Random, random_bytes};
use secrecy::SecretString;

/// A verifier and its challenge, made for one authorization request.
#[derive(Debug)]
pub struct Pkce {
    /// 43 characters of base64url: 256 random bits (RFC 7636 section 4.1). Sent to the token endpoint only.
    pub verifier: SecretString,
    /// `base64url(SHA-256(verifier))` (section 4.2). Sent with the authorization request.
    pub challenge: String,
}

impl Pkce {
    /// Makes a fresh pair.
    pub fn new(random: &dyn Random) -> Self {
        Self::of(base64url(&random_bytes::<32>(random)))
    }

    fn of(verifier: String) -> Self {
        let challenge = base64url(&sha256(verifier.as_bytes()));
        Self { verifier: verifier.into(), challenge }
    }
}

#[cfg(test)]
mod tests {
    use alter_core::SystemRandom;
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn every_pair_is_another_of_256_bits_and_debug_shows_no_verifier() {
        let (one, two) = (Pkce::new(&SystemRandom), Pkce::new(&SystemRandom));
        assert_eq!(one.verifier.expose_secret().len(), 43);
        assert_ne!(one.challenge, two.challenge);
        assert!(!format!("{one:?}").contains(one.verifier.expose_secret()));
    }
}
