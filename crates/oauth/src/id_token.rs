//! The id_token: verified like any signed JWT (`jws.rs`), with the recipe's algorithms and keys, and then judged by its
//! claims (OpenID Connect Core section 3.1.3.7).

use alter_core::secret::{base64url, same};
use alter_core::{Cause, Micros, Recipe};
use alter_egress::Egress;
use aws_lc_rs::digest;
use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::algorithms::algorithm;
use crate::claims::{self, Expected};
use crate::jws::{self, JwsRefused, Rules};
use crate::{AppKeySets, BadClaim, JwksError};

/// Maximum length of a token, in bytes.
const TOKEN_MAX: usize = 64 * 1024;

/// Why an id_token is not believed. No text contains anything from the token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdTokenRefused {
    /// The recipe lacks what is needed to verify one. The operator's fault.
    #[error("the provider's configuration lacks {0}")]
    NotConfigured(&'static str),
    /// The token is not a JWT that this crate reads.
    #[error("the id_token is malformed: {0}")]
    Malformed(&'static str),
    /// The token's algorithm is not one of the recipe's.
    #[error("the id_token is signed with an algorithm that is not accepted")]
    Algorithm,
    /// The keys could not be fetched or read.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// The provider has no key of the name that the token gives, or has several keys and the token names none.
    #[error("the id_token's key is not known, or not named")]
    Key,
    /// The signature was not made with the provider's key.
    #[error("the id_token's signature is wrong")]
    Signature,
    /// The signature holds, but a claim does not.
    #[error("the id_token's {0}")]
    Claim(#[from] BadClaim),
}

impl IdTokenRefused {
    /// Why the flow ends here, if it does.
    pub fn cause(&self) -> Cause {
        match self {
            Self::NotConfigured(_) | Self::Keys(JwksError::BadUrl) => Cause::ProviderMisconfigured,
            Self::Keys(JwksError::Egress(error)) if error.is_configuration() => Cause::ProviderMisconfigured,
            Self::Keys(error) if error.is_passing() => Cause::KeysUnreachable,
            Self::Keys(_) => Cause::KeysUnreadable,
            Self::Malformed(_) | Self::Algorithm | Self::Key | Self::Signature | Self::Claim(_) => {
                Cause::IdTokenInvalid
            }
        }
    }
}

impl From<JwsRefused> for IdTokenRefused {
    fn from(refused: JwsRefused) -> Self {
        match refused {
            JwsRefused::Malformed(what) => Self::Malformed(what),
            JwsRefused::Algorithm => Self::Algorithm,
            JwsRefused::Keys(error) => Self::Keys(error),
            JwsRefused::Key => Self::Key,
            JwsRefused::Signature => Self::Signature,
        }
    }
}

impl AppKeySets<'_> {
    /// Verifies an id_token and returns its claims.
    ///
    /// `nonce` is the nonce of the authorization request, and mandatory. If `access_token` is given and the id_token
    /// has an `at_hash`, the two must match. An unknown key makes the key set be read again, at most once a minute. The
    /// claims are judged at `received_at`, which for a journalled answer is earlier than `now`; the age of the key set
    /// is counted from `now`.
    ///
    /// # Errors
    /// [`IdTokenRefused`]; the caller then stores nothing.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a separate fact of the flow, used once and only here"
    )]
    pub async fn verify_id_token(
        self,
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
        let allows = |alg| recipe.id_token_algs.iter().any(|allowed| algorithm(allowed) == Some(alg));
        let rules = Rules { max: TOKEN_MAX, allows: &allows, kinds: &[] };
        let parts = jws::take_apart(id_token.expose_secret(), &rules)?;
        let claims = jws::verified_claims(&parts, self.patiently(), egress, url, now).await?.claims;
        claims::check(&claims, &Expected { recipe, client_id, nonce, now: received_at })?;
        check_at_hash(&claims, parts.alg, access_token)?;
        Ok(claims)
    }
}

/// Compares `at_hash` with the left half of the access token's hash (OpenID Connect Core section 3.1.3.8). The
/// algorithm of the signature decides which hash; for Ed25519 it is SHA-512.
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
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn at_hash_is_that_of_the_standards_example_and_of_no_other_token() {
        // OpenID Connect Core appendix A.3.
        let token = SecretString::from("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
        let claims = json!({"at_hash":"77QmUPtjPfzWtF2AnpK9RQ"});
        assert_eq!(check_at_hash(&claims, Algorithm::RS256, Some(&token)), Ok(()));
        assert_eq!(check_at_hash(&claims, Algorithm::RS256, None), Ok(()));
        assert_eq!(check_at_hash(&json!({}), Algorithm::RS256, Some(&token)), Ok(()));
        for (claims, alg, token) in [
            (&claims, Algorithm::RS256, "another"),
            (&claims, Algorithm::RS384, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            (&json!({"at_hash":7}), Algorithm::RS256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            (&json!({"at_hash":""}), Algorithm::EdDSA, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
        ] {
            assert_eq!(check_at_hash(claims, alg, Some(&token.into())), Err(BadClaim::AtHash), "{claims}");
        }
    }

    #[test]
    fn t24_at_hash_is_made_with_the_hash_of_the_signatures_algorithm() {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let token = SecretString::from("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
        let hashes = [
            ("77QmUPtjPfzWtF2AnpK9RQ", vec![RS256, PS256, ES256]),
            ("jtAeDp945y1dDqU3nkIVGNZP1HjH_MFs", vec![RS384, PS384, ES384]),
            ("q7nS86GgvvFaZkzALLWqJYaJIKw2wCDAVfCAsm5CrBM", vec![RS512, PS512, EdDSA]),
        ];
        for (at_hash, own) in &hashes {
            for alg in hashes.iter().flat_map(|(_, algs)| algs) {
                let verdict = check_at_hash(&json!({ "at_hash": at_hash }), *alg, Some(&token));
                assert_eq!(verdict.is_ok(), own.contains(alg), "{alg:?} {at_hash}");
            }
        }
    }

    #[test]
    fn keys_that_cannot_be_had_now_are_told_apart_from_keys_that_nobody_will_ever_read() {
        use alter_egress::EgressError;
        let keys = |error: EgressError| IdTokenRefused::Keys(error.into());
        let timeout = EgressError::Timeout { host: "a.example".into(), maybe_sent: true };
        for (refused, cause) in [
            (IdTokenRefused::NotConfigured("issuer"), Cause::ProviderMisconfigured),
            (JwksError::BadUrl.into(), Cause::ProviderMisconfigured),
            (keys(EgressError::BadUrl { reason: "it has no host" }), Cause::ProviderMisconfigured),
            (keys(timeout), Cause::KeysUnreachable),
            (JwksError::Status(503).into(), Cause::KeysUnreachable),
            (JwksError::Status(429).into(), Cause::KeysUnreachable),
            (JwksError::Status(404).into(), Cause::KeysUnreadable),
            (JwksError::Status(301).into(), Cause::KeysUnreadable),
            (JwksError::NotUnderstood("they are not JSON").into(), Cause::KeysUnreadable),
            (IdTokenRefused::Signature, Cause::IdTokenInvalid),
            (BadClaim::Nonce.into(), Cause::IdTokenInvalid),
        ] {
            assert_eq!(refused.cause(), cause, "{refused}");
        }
    }
}
