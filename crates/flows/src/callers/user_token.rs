//! Who the app's user is, by a JWT from the app's identity provider (S7).
//!
//! 1. The app has an identity provider.
//! 2. That provider signed the token for this app's audience, and the token is valid now (T69): no earlier result is
//!    cached.

use alter_core::{App, User, UserId};
use alter_oauth::{BadUserToken, IdpUnreachable, UserClaims, UserTokenRefused, verify_user_token};
use secrecy::SecretString;

use crate::{AppKeyRequired, Caller, Flows, callers::caller::ours, fault::FlowFault};

/// Why a user token does not tell who the user is.
#[derive(Debug, thiserror::Error)]
pub enum UserTokenError {
    #[error("the app has no identity provider")]
    IdpNotConfigured,
    /// The token is not valid: the caller's or the user's fault.
    #[error("the user token is not valid: {0}")]
    Refused(BadUserToken),
    /// The identity provider cannot be reached, so the token may be good. The cause was logged.
    #[error(transparent)]
    Unreachable(IdpUnreachable),
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { UserTokenError; }

/// Why the call that verifies a user token is refused.
#[derive(Debug, thiserror::Error)]
pub enum VerifyUserError {
    #[error(transparent)]
    AppKeyRequired(#[from] AppKeyRequired),
    #[error(transparent)]
    User(#[from] UserTokenError),
    /// Our own failure, or the nonce was seen before.
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { VerifyUserError: User; }

/// The call that tells the app who its user is (wire 3.8). An agent has no users.
///
/// # Errors
/// [`VerifyUserError`].
pub async fn verify_user_call(
    flows: &Flows,
    caller: &Caller,
    token: &SecretString,
) -> Result<UserClaims, VerifyUserError> {
    let story = async {
        caller.app_only()?;
        Ok::<_, VerifyUserError>(verify_user(flows, &caller.app, token).await?)
    };
    flows.reading(caller, story).await
}

/// Finds the token's user; returns `None` when no session was ever minted for that user.
pub(crate) async fn known_user(
    flows: &Flows,
    app: &App,
    token: &SecretString,
) -> Result<Option<User>, UserTokenError> {
    let claims = verify_user(flows, app, token).await?;
    Ok(flows.store().find_user(app.id, &claims.issuer, &claims.subject).await?)
}

/// Returns the token's user, and stores the user if new or if the label has changed.
pub(crate) async fn ensure_user(
    flows: &Flows,
    app: &App,
    token: &SecretString,
) -> Result<User, UserTokenError> {
    let claims = verify_user(flows, app, token).await?;
    let known = flows.store().find_user(app.id, &claims.issuer, &claims.subject).await?;
    if let Some(user) = known.filter(|user| user.label == claims.label) {
        return Ok(user);
    }
    let now = flows.now();
    let user = User {
        id: UserId::new(flows.random()),
        app_id: app.id,
        issuer: claims.issuer,
        subject: claims.subject,
        label: claims.label,
        created_at: now,
        updated_at: now,
    };
    Ok(flows.store().save_user(user).await?)
}

/// Verifies a user token: a step of every story that takes one.
///
/// # Errors
/// [`UserTokenError`].
pub async fn verify_user(
    flows: &Flows,
    app: &App,
    token: &SecretString,
) -> Result<UserClaims, UserTokenError> {
    let idp = app.settings.identity_provider.as_ref().ok_or(UserTokenError::IdpNotConfigured)?;
    let inner = &flows.inner;
    let client = idp.sign_in.as_ref().filter(|_| app.settings.allow_auth_sessions);
    let client = client.map(|client| client.client_id.as_str());
    let verifying = verify_user_token(&inner.jwks, &inner.egress, app.id, idp, client, token, flows.now());
    let verified = verifying.await;
    verified.map_err(|refused| match refused {
        UserTokenRefused::Token(bad) => UserTokenError::Refused(bad),
        UserTokenRefused::Unreachable(cause) => {
            tracing::warn!(app = %app.id, issuer = idp.issuer, %cause, "an identity provider cannot be asked");
            UserTokenError::Unreachable(cause)
        }
    })
}
