//! `POST /sdk/auth/verify-token`: who the app's user is, by a token of the app's identity provider (wire 3.8).

use alter_api::{
    ErrorCode,
    user::{VerifiedUser, VerifyToken},
};
use alter_flows::{BadUserClaim, BadUserToken, UserTokenError, VerifyUserError, callers};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{Shared, error::ApiError, extract::Signed};

/// Check a user's token.
///
/// Who the user is, by a JWT of the app's identity provider.
#[utoipa::path(
    post, path = "/sdk/auth/verify-token", operation_id = "verify_user_token", tag = "Users",
    request_body = VerifyToken,
    responses(
        (status = 200, description = "The token is valid: this is the user.", body = VerifiedUser),
    ),
)]
pub(crate) async fn verify_token(
    State(shared): State<Shared>,
    signed: Signed<VerifyToken>,
) -> Result<Response, ApiError> {
    let user = callers::verify_user_call(&shared.flows, &signed.caller, &signed.body.token.0).await?;
    let verified =
        VerifiedUser { sub: user.subject, iss: user.issuer, expires_at: user.expires_at.to_rfc3339() };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(verified)).into_response())
}

/// What the app does about it. A new token from the same identity provider helps only where the old one has run out.
fn what_helps(why: BadUserToken) -> &'static str {
    match why {
        BadUserToken::Claim(BadUserClaim::Expired) => "Sign the user in again.",
        BadUserToken::Key | BadUserToken::Signature => {
            "Keys that the identity provider has just replaced are found within a minute; otherwise it is another identity \
             provider's: alter idp show APP prints the one that the app has."
        }
        _ => "Another sign-in does not help: compare the token with what alter idp show APP prints.",
    }
}

impl From<VerifyUserError> for ApiError {
    fn from(error: VerifyUserError) -> Self {
        match error {
            VerifyUserError::AppKeyRequired(error) => error.into(),
            VerifyUserError::User(error) => error.into(),
            VerifyUserError::Fault(fault) => fault.into(),
        }
    }
}

impl From<UserTokenError> for ApiError {
    fn from(error: UserTokenError) -> Self {
        match error {
            UserTokenError::IdpNotConfigured => Self::plain(ErrorCode::IdpNotConfigured),
            UserTokenError::Refused(why) => {
                let message = format!("The user token is not valid: {why}. {}", what_helps(why));
                Self::new(ErrorCode::JwtValidationError, message)
            }
            // The cause may name hosts inside the operator's network, so it is only in the log.
            UserTokenError::Unreachable(_) => Self::plain(ErrorCode::IdpUnreachable),
            UserTokenError::Fault(fault) => fault.into(),
        }
    }
}
