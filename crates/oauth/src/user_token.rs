//! The token of an app's user: a JWT from the identity provider that the operator configured (S7).
//!
//! 1. The token is a JWT signed with an accepted algorithm.
//! 2. The keys come from the configured `jwks_url`, else from the key set that the issuer's own metadata name.
//! 3. One of these keys verifies the signature.
//! 4. The claims hold at this moment.
//!
//! Everything that is kept between calls is kept for each app separately (T73).

use alter_core::{AppId, IdentityProvider, Micros};
use alter_egress::Egress;
use secrecy::{ExposeSecret, SecretString};

use crate::discovery::{self, DiscoveryError};
use crate::jwks::{JwksError, look_at_keys};
use crate::jws::{self, JwsRefused, Rules};
use crate::user_claims::{self, BadUserClaim, UserClaims};
use crate::{AppKeySets, JwksCache};

/// Maximum length of a token, in bytes. One that lists 150 groups of its user has some 10,000.
const TOKEN_MAX: usize = 32 * 1024;

/// Accepted kinds of JWT besides the plain one: an access token that is a JWT (RFC 9068) is a user token too if its
/// audience is the app's.
const KINDS: [&str; 1] = ["at+jwt"];

/// Why the user is not known: the fault of the token, or one for which the caller is not to blame.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UserTokenRefused {
    /// The token is not believed. Another token may be.
    #[error("the user token is not valid: {0}")]
    Token(#[from] BadUserToken),
    /// The identity provider cannot be asked; the token may be good.
    #[error(transparent)]
    Unreachable(#[from] IdpUnreachable),
}

/// Why a user token is not believed. No text contains anything from the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUserToken {
    /// The token is not a JWT that this crate reads.
    #[error("it is malformed ({0})")]
    Malformed(&'static str),
    /// The token's algorithm is not one of those that this crate verifies.
    #[error("it is signed with an algorithm that is not accepted")]
    Algorithm,
    /// The issuer has no key of the name that the token gives, or has several keys and the token names none.
    #[error("its key is not one of the identity provider's")]
    Key,
    /// The signature was not made with the issuer's key.
    #[error("its signature is wrong")]
    Signature,
    /// The signature holds, and a claim does not.
    #[error(transparent)]
    Claim(#[from] BadUserClaim),
}

/// Why an identity provider cannot be asked. The fault of the identity provider, or of the operator who configured it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdpUnreachable {
    /// The metadata cannot be read or do not say where the keys are.
    #[error("the identity provider's metadata: {0}")]
    Metadata(#[from] DiscoveryError),
    /// The keys cannot be fetched or read.
    #[error("the identity provider's keys: {0}")]
    Keys(#[from] JwksError),
}

/// Verifies a user token and returns who the user is. `client`: tokens of this client are user tokens too, beside those for
/// the configured audience. There is no nonce: the app asked for the token and not this server, or long ago.
///
/// # Errors
/// [`UserTokenRefused`]; the user is then not known.
pub async fn verify_user_token(
    cache: &JwksCache,
    egress: &Egress,
    app: AppId,
    idp: &IdentityProvider,
    client: Option<&str>,
    token: &SecretString,
    now: Micros,
) -> Result<UserClaims, UserTokenRefused> {
    let rules = Rules { max: TOKEN_MAX, allows: &|_| true, kinds: &KINDS };
    let parts = jws::take_apart(token.expose_secret(), &rules)?;
    let keys = cache.of(app);
    let url = jwks_url(keys, egress, idp, now).await?;
    let verified = jws::verified_claims(&parts, keys, egress, &url, now).await?;
    Ok(user_claims::read(&verified, idp, client, now).map_err(BadUserToken::from)?)
}

async fn jwks_url(
    keys: AppKeySets<'_>,
    egress: &Egress,
    idp: &IdentityProvider,
    now: Micros,
) -> Result<String, IdpUnreachable> {
    match &idp.jwks_url {
        Some(url) => Ok(url.clone()),
        None => Ok(keys.jwks_url(egress, &idp.issuer, now).await?.as_ref().clone()),
    }
}

impl From<JwsRefused> for UserTokenRefused {
    fn from(refused: JwsRefused) -> Self {
        match refused {
            JwsRefused::Malformed(what) => Self::Token(BadUserToken::Malformed(what)),
            JwsRefused::Algorithm => Self::Token(BadUserToken::Algorithm),
            JwsRefused::Key => Self::Token(BadUserToken::Key),
            JwsRefused::Signature => Self::Token(BadUserToken::Signature),
            JwsRefused::Keys(error) => Self::Unreachable(error.into()),
        }
    }
}

/// What an identity provider publishes, read now and not from the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdpFound {
    /// Where its keys are: the configured URL, or the one in its metadata.
    pub jwks_url: String,
    /// How many of its keys can verify a user token; with 0 no token can be believed.
    pub keys: usize,
}

/// Asks an identity provider for what every user token will need. For operators who configure or check it.
///
/// # Errors
/// [`IdpUnreachable`].
pub async fn look_at_idp(egress: &Egress, idp: &IdentityProvider) -> Result<IdpFound, IdpUnreachable> {
    let jwks_url = match &idp.jwks_url {
        Some(url) => url.clone(),
        None => discovery::jwks_url(egress, &idp.issuer, discovery::TOTAL).await?,
    };
    let keys = look_at_keys(egress, &jwks_url).await?;
    Ok(IdpFound { jwks_url, keys })
}
