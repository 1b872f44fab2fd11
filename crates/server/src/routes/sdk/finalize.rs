//! `POST /sdk/oauth/connect/session/finalize`: the app's word about a flow at binding level L3.

use alter_api::{
    ErrorCode,
    session::{FinalizeSession, FinalizedSession, PollStatus},
};
use alter_flows::{FinalizeError, FinalizeRequest, connect};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::session::grant;
use crate::{Shared, error::ApiError, extract::Signed, failure};

/// Confirm a flow.
///
/// For sessions at binding level L3: with the result code that came to the app's own page, and with proof that the user who
/// is signed in at the app is the one who started. Then the connections become grants. With a wrong proof they are wiped, and
/// the provider is asked to end what it issued where that ends nothing else. So they are after five minutes. A repeated call
/// with the right proof gets the same answer.
#[utoipa::path(
    post, path = "/sdk/oauth/connect/session/finalize", operation_id = "finalize_session", tag = "Sessions",
    request_body = FinalizeSession,
    responses((status = 200, description = "The grants.", body = FinalizedSession)),
)]
pub(crate) async fn finalize(
    State(shared): State<Shared>,
    signed: Signed<FinalizeSession>,
) -> Result<Response, ApiError> {
    let request = FinalizeRequest {
        result_code: signed.body.result_code.0,
        user_token: signed.body.user_token.map(|token| token.0),
        code_verifier: signed.body.code_verifier.map(|verifier| verifier.0),
    };
    let done = connect::finalize(&shared.flows, &signed.caller, request).await?;
    let grants = done.connections.iter().map(|connected| grant(connected, done.agent)).collect();
    let answer = FinalizedSession { status: PollStatus::Completed, grants };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

impl From<FinalizeError> for ApiError {
    fn from(error: FinalizeError) -> Self {
        match error {
            FinalizeError::AppKeyRequired(e) => e.into(),
            FinalizeError::UnknownCode => Self::plain(ErrorCode::InvalidResultCode),
            FinalizeError::NoProof(why) => Self::new(ErrorCode::InvalidRequest, format!("{why}.")),
            FinalizeError::User(e) => e.into(),
            FinalizeError::OtherUser => {
                let message = "Another person than the one who started completed the flow. The account was not \
                               connected: let the user start again.";
                Self::new(ErrorCode::BindingFailed, message).with(json!({ "reason": "other_user" }))
            }
            FinalizeError::TooLate => {
                let message = "The app confirmed later than five minutes after the flow. The account was not \
                               connected: mint a fresh session.";
                Self::new(ErrorCode::SessionExpired, message).with(json!({ "reason": "not_confirmed" }))
            }
            FinalizeError::Failed(failure, names) => {
                let message = failure::message(&failure, &names);
                Self::new(ErrorCode::NothingToConfirm, message).with(failure::details(&failure).into())
            }
            FinalizeError::Nothing => Self::plain(ErrorCode::NothingToConfirm),
            FinalizeError::Fault(e) => e.into(),
        }
    }
}
