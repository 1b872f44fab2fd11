//! The token of an app's user: a JWT of the identity provider that the operator configured (S7).
//!
//! 1. The token is a signed JWT by an algorithm of ours.
//! 2. The keys are those of the configured `jwks_url`, else those that the issuer's own metadata name.
//! 3. The signature is by one of them.
//! 4. The claims fit, now.
//!
//! Everything that is kept between calls is kept for the app alone (T73).

use alter_core::{AppId, IdentityProvider, Micros};
use alter_egress::Egress;
use secrecy::{ExposeSecret, SecretString};

use crate::discovery::{self, DiscoveryError};
use crate::jwks::{JwksError, KeySet};
use crate::jws::{self, JwsRefused, Rules};
use crate::user_claims::{self, BadUserClaim, UserClaims};
use crate::{AppKeySets, JwksCache};

/// Bytes of a token.
const TOKEN_MAX: usize = 8192;

/// An access token that is a JWT (RFC 9068) is a user token too, where its audience is the app's.
const KINDS: [&str; 1] = ["at+jwt"];

/// Why it is not known who the user is: the token's fault, or nobody's who calls.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UserTokenRefused {
    /// The token is not believed. Another token may be.
    #[error("the user token is not valid: {0}")]
    Token(#[from] BadUserToken),
    /// The identity provider cannot be asked; the token may be good.
    #[error(transparent)]
    Unreachable(#[from] IdpUnreachable),
}

/// Why a user token is not believed. Nothing of the token is in any text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUserToken {
    /// It is no JWT that we read.
    #[error("it is malformed ({0})")]
    Malformed(&'static str),
    /// Its algorithm is none that we verify.
    #[error("it is signed with an algorithm that is not accepted")]
    Algorithm,
    /// No key of the issuer is the one that it names, or several are and it names none.
    #[error("its key is not one of the identity provider's")]
    Key,
    /// The signature is another's.
    #[error("its signature is wrong")]
    Signature,
    /// The signature holds, and a claim does not.
    #[error(transparent)]
    Claim(#[from] BadUserClaim),
}

/// Why an identity provider cannot be asked. Its fault, or the operator's who configured it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdpUnreachable {
    /// Its metadata do not say where its keys are.
    #[error("the identity provider's metadata: {0}")]
    Metadata(#[from] DiscoveryError),
    /// Its keys cannot be had.
    #[error("the identity provider's keys: {0}")]
    Keys(#[from] JwksError),
}

/// Verifies a user token and answers who the user is. There is no nonce: the app, not this server, asked for it.
///
/// # Errors
/// [`UserTokenRefused`]: the user is nobody.
pub async fn verify_user_token(
    cache: &JwksCache,
    egress: &Egress,
    app: AppId,
    idp: &IdentityProvider,
    token: &SecretString,
    now: Micros,
) -> Result<UserClaims, UserTokenRefused> {
    let rules = Rules { max: TOKEN_MAX, allows: &|_| true, kinds: &KINDS };
    let parts = jws::take_apart(token.expose_secret(), &rules)?;
    let keys = cache.of(app);
    let url = jwks_url(keys, egress, idp, now).await?;
    let claims = jws::verified_claims(&parts, keys, egress, &url, now).await?;
    Ok(user_claims::read(&claims, idp, now).map_err(BadUserToken::from)?)
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

/// What an identity provider has to show, asked now and not from memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdpFound {
    /// Where its keys are.
    pub jwks_url: String,
    /// How many of them can verify a user token; 0 = none can be believed.
    pub keys: usize,
}

/// Asks an identity provider for what every user token will need: for the operator, who configures or checks it.
///
/// # Errors
/// [`IdpUnreachable`].
pub async fn look_at_idp(egress: &Egress, idp: &IdentityProvider) -> Result<IdpFound, IdpUnreachable> {
    let jwks_url = match &idp.jwks_url {
        Some(url) => url.clone(),
        None => discovery::jwks_url(egress, &idp.issuer).await?,
    };
    let keys = KeySet::fetch(egress, &jwks_url).await?.len();
    Ok(IdpFound { jwks_url, keys })
}
