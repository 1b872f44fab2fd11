//! `POST /sdk/auth/session` and `.../poll` (wire 3.9, 3.10): users sign in for an app without a page.

use std::{sync::Arc, time::Duration};

use alter_api::{
    ErrorCode,
    user::{
        AuthStatus, CreateAuthSession, CreatedAuthSession, PollAuthSession, PolledAuthSession, UserInfo,
        UserToken,
    },
};
use alter_flows::{CreateAuthError, PollAuth, PollAuthError, callers};
use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;

use super::session::too_many;
use crate::{Shared, error::ApiError, extract::Signed, waiting_room::WaitingRoom};

/// The longest that a poll waits, milliseconds.
const WAIT_MAX: u32 = 25_000;

/// Let a user sign in.
///
/// The user opens `auth_url` in any browser and signs in at the app's identity provider. Whoever signs in there gives the app
/// their token, so that a mailed address is phishing: show `user_code`, and let the user compare.
#[utoipa::path(
    post, path = "/sdk/auth/session", operation_id = "create_auth_session", tag = "Users",
    request_body = CreateAuthSession,
    responses(
        (status = 201, description = "The auth session. Its token is shown once.", body = CreatedAuthSession),
    ),
)]
pub(crate) async fn create(
    State(shared): State<Shared>,
    signed: Signed<CreateAuthSession>,
) -> Result<Response, ApiError> {
    let created = callers::create_auth_session(&shared.flows, &signed.caller).await?;
    let answer = CreatedAuthSession {
        session_token: created.token.into(),
        auth_url: created.auth_url.into(),
        user_code: created.user_code,
        expires_in: created.expires_in,
        expires_at: created.expires_at.to_rfc3339(),
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Ask whether the user has signed in.
///
/// The token is released once, and to the key that started the session alone.
#[utoipa::path(
    post, path = "/sdk/auth/poll", operation_id = "poll_auth_session", tag = "Users",
    request_body = PollAuthSession,
    responses(
        (status = 200, description = "Where the auth session stands.", body = PolledAuthSession),
    ),
)]
pub(crate) async fn poll(
    State(shared): State<Shared>,
    room: Option<Extension<Arc<WaitingRoom>>>,
    signed: Signed<PollAuthSession>,
) -> Result<Response, ApiError> {
    let token = signed.body.session_token.0.expose_secret();
    let wait = signed.body.wait_ms.unwrap_or_default().min(WAIT_MAX);
    let place = room.filter(|_| wait > 0).and_then(|room| room.enter());
    let enough = async {
        if let Some(place) = place {
            place.over(Duration::from_millis(wait.into())).await;
        }
    };
    let polled = callers::poll_auth_session(&shared.flows, &signed.caller, token, enough).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer(polled))).into_response())
}

fn answer(polled: PollAuth) -> PolledAuthSession {
    let is = |status| PolledAuthSession {
        status,
        user_token: None,
        user_info: None,
        error_code: None,
        error_message: None,
    };
    let error = |code: &str, message: &str| PolledAuthSession {
        error_code: Some(code.to_owned()),
        error_message: Some(message.to_owned()),
        ..is(AuthStatus::Error)
    };
    match polled {
        PollAuth::Pending => is(AuthStatus::Pending),
        PollAuth::Expired => is(AuthStatus::Expired),
        PollAuth::Cancelled => error("access_denied", "The user did not sign in."),
        PollAuth::Released => {
            error("token_released", "The token was released before, once. Start another auth session.")
        }
        PollAuth::Stale => error(
            "jwt_validation_error",
            "The token has run out, or is not valid any more. Start another auth session.",
        ),
        PollAuth::Completed { user_token, user } => PolledAuthSession {
            user_token: Some(UserToken(user_token)),
            user_info: Some(UserInfo {
                sub: user.subject,
                iss: user.issuer,
                name: user.label,
                expires_at: user.expires_at.to_rfc3339(),
            }),
            ..is(AuthStatus::Completed)
        },
    }
}

fn no_sign_in() -> ApiError {
    ApiError::new(
        ErrorCode::IdpNotConfigured,
        "The app has no client by which its users could sign in: alter idp set APP ... --client-id ID.",
    )
}

impl From<CreateAuthError> for ApiError {
    fn from(error: CreateAuthError) -> Self {
        match error {
            CreateAuthError::AppKeyRequired(error) => error.into(),
            CreateAuthError::NotAllowed => Self::plain(ErrorCode::AuthSessionsNotAllowed),
            CreateAuthError::NoSignIn => no_sign_in(),
            CreateAuthError::TooMany { limit, retry_after } => too_many("The app", limit, retry_after),
            CreateAuthError::Fault(fault) => fault.into(),
        }
    }
}

impl From<PollAuthError> for ApiError {
    fn from(error: PollAuthError) -> Self {
        match error {
            PollAuthError::AppKeyRequired(error) => error.into(),
            PollAuthError::NotAllowed => Self::plain(ErrorCode::AuthSessionsNotAllowed),
            PollAuthError::InvalidToken => Self::plain(ErrorCode::InvalidToken),
            PollAuthError::Key(error) => error.into(),
            PollAuthError::User(error) => error.into(),
            PollAuthError::Fault(fault) => fault.into(),
        }
    }
}
