//! `POST /sdk/oauth/connect/session` (mint) and `.../poll` (wire 3.1, 3.2).

use alter_api::{
    ErrorCode,
    session::{
        CreateSession, CreatedSession, DeclinedProvider, PollFailure, PollSession, PollStatus,
        PolledDelegation, PolledGrant, PolledSession,
    },
};
use alter_core::{AgentId, Failure, name::check_name};
use alter_flows::{Connected, MintError, MintRequest, Names, Poll, PollError, Quota, connect};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{Shared, error::ApiError, extract::Signed, failure, routes::connect::operation};

/// Longest label of a grant, characters.
const LABEL_MAX: usize = 255;

/// Mint a session.
///
/// The browser SDK opens the session. `user_token` makes a user the owner of its grants, `agent` delegates them,
/// `requested_grant.label` names them. Pass `session_token` only to the app's page.
#[utoipa::path(
    post, path = "/sdk/oauth/connect/session", operation_id = "create_session", tag = "Sessions",
    request_body = CreateSession,
    responses(
        (status = 201, description = "The session. Its token is shown once.", body = CreatedSession),
    ),
)]
pub(crate) async fn create(
    State(shared): State<Shared>,
    signed: Signed<CreateSession>,
) -> Result<Response, ApiError> {
    let body = signed.body;
    if let Some(field) = body.unsupported() {
        let message = format!("{field} is not built yet. Leave it out or send null.");
        return Err(ApiError::new(ErrorCode::UnsupportedField, message).with(json!({ "field": field })));
    }
    let label = body.requested_grant.and_then(|wanted| wanted.label);
    if let Some(Err(bad)) = label.as_deref().map(|text| check_name(text, LABEL_MAX)) {
        let message = format!("requested_grant.label {bad}.");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let request = MintRequest {
        user_token: body.user_token.map(|token| token.0),
        agent: body.agent,
        label,
        allowed_providers: body.allowed_providers,
        allowed_origin: body.allowed_origin,
        return_url: body.return_url,
        connection_config: body.connection_config.unwrap_or_default(),
        code_challenge: body.code_challenge,
        code_challenge_method: body.code_challenge_method,
    };
    let minted = connect::mint(&shared.flows, &signed.caller, request).await?;
    let created = CreatedSession {
        session_token: minted.token.into(),
        connect_url: minted.connect_url.into(),
        expires_in: minted.expires_in,
        expires_at: minted.expires_at.to_rfc3339(),
        single_provider: minted.single_provider,
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

/// Ask where a session stands.
///
/// For the app's backend; the page asks the status channel.
#[utoipa::path(
    post, path = "/sdk/oauth/connect/session/poll", operation_id = "poll_session", tag = "Sessions",
    request_body = PollSession,
    responses((status = 200, description = "Where it stands.", body = PolledSession)),
)]
pub(crate) async fn poll(
    State(shared): State<Shared>,
    signed: Signed<PollSession>,
) -> Result<Response, ApiError> {
    let poll =
        connect::poll(&shared.flows, &signed.caller, signed.body.session_token.0.expose_secret()).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(polled(poll))).into_response())
}

fn polled(poll: Poll) -> PolledSession {
    let answer = |status| PolledSession { status, declined_providers: None, grants: None, error: None };
    match poll {
        Poll::Pending { declined } => {
            let declined = declined.into_iter().map(|d| DeclinedProvider {
                provider_id: d.provider,
                error_code: "connect_denied".to_owned(),
                declined_at: d.at.to_rfc3339(),
            });
            PolledSession { declined_providers: Some(declined.collect()), ..answer(PollStatus::Pending) }
        }
        Poll::Completed(connections, agent) => {
            let grants = connections.iter().map(|connected| grant(connected, agent));
            PolledSession { grants: Some(grants.collect()), ..answer(PollStatus::Completed) }
        }
        Poll::Failed(failure, names) => {
            PolledSession { error: Some(poll_failure(&failure, &names)), ..answer(PollStatus::Error) }
        }
        Poll::Cancelled => {
            let error_message = "The user left before connecting an account.".to_owned();
            let error = PollFailure { error_code: "connect_denied".to_owned(), error_message };
            PolledSession { error: Some(error), ..answer(PollStatus::Error) }
        }
        Poll::Expired => answer(PollStatus::Expired),
    }
}

pub(super) fn grant(connected: &Connected, agent: Option<AgentId>) -> PolledGrant {
    let Connected { connection, needs_reconnect } = connected;
    PolledGrant {
        grant_id: connection.grant_id.to_string(),
        provider_id: connection.provider.clone(),
        account_identifier: connection.account_identifier.clone(),
        account_verified: connection.account_verified,
        scopes: connection.scopes.clone(),
        operation: operation(connection.operation),
        needs_reconnect: *needs_reconnect,
        delegation: agent.map(|id| PolledDelegation { agent_id: id.to_string(), delegable: false }),
    }
}

fn poll_failure(failure: &Failure, names: &Names) -> PollFailure {
    let error_code = failure::told(&failure.cause).poll.to_owned();
    PollFailure { error_code, error_message: failure::message(failure, names) }
}

impl From<MintError> for ApiError {
    fn from(error: MintError) -> Self {
        match error {
            MintError::BadChallenge(why) => Self::new(ErrorCode::InvalidRequest, format!("{why}."))
                .with(json!({ "field": "code_challenge" })),
            MintError::ProofRequired => Self::plain(ErrorCode::ProofRequired),
            MintError::ReturnUrlRequired => Self::new(
                ErrorCode::ReturnUrlRequired,
                "At binding level L3 the browser goes back to the app at the end, and the session has no page of yours. Give \
                 return_url (the operator registers its origin: alter app set APP --return-origin ORIGIN) or allowed_origin.",
            )
            .with(json!({ "field": "return_url" })),
            MintError::UserRequired => Self::new(
                ErrorCode::ProofRequired,
                "A session for a link needs user_token: whoever opens the link signs in as that user. For a page of yours, \
                 give allowed_origin.",
            )
            .with(json!({ "field": "user_token" })),
            MintError::InvalidOrigin(e) => {
                let details = json!({ "fault": e.fault, "suggestion": e.suggestion });
                Self::new(ErrorCode::InvalidOrigin, e.to_string()).with(details)
            }
            MintError::AllowedOriginRequired => Self::plain(ErrorCode::AllowedOriginRequired),
            MintError::InvalidReturnUrl(message) => Self::new(ErrorCode::InvalidReturnUrl, message),
            e @ MintError::InvalidProviders => Self::new(ErrorCode::InvalidRequest, format!("{e}.")),
            MintError::BadConnectionConfig { ref provider, .. } => {
                let details = json!({ "field": "connection_config", "provider_id": provider });
                Self::new(ErrorCode::InvalidRequest, format!("{error}.")).with(details)
            }
            MintError::NoProviders { configured } => {
                Self::plain(ErrorCode::NoProviders).with(json!({ "configured": configured }))
            }
            MintError::AppKeyRequired(e) => e.into(),
            MintError::TooMany { quota, limit, retry_after } => {
                let whose = match quota {
                    Quota::App(_) => "The app",
                    Quota::User(_) => "The user",
                };
                too_many(whose, limit, retry_after)
            }
            MintError::AgentRequiresUserToken => Self::plain(ErrorCode::AgentRequiresUserToken),
            MintError::AgentNotFound => Self::plain(ErrorCode::AgentNotFound),
            MintError::User(e) => e.into(),
            MintError::Fault(e) => e.into(),
        }
    }
}

pub(super) fn too_many(whose: &str, limit: u32, retry_after: u32) -> ApiError {
    let message = format!("{whose} has minted too many sessions in this minute: wait {retry_after} s.");
    let mut error = ApiError::new(ErrorCode::RateLimitExceeded, message)
        .fact("scope", "api_key")
        .fact("limit", limit)
        .fact("retry_after", retry_after)
        .fact("window_seconds", 60);
    error.retry_after = Some(retry_after);
    error
}

impl From<PollError> for ApiError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::AppKeyRequired(e) => e.into(),
            PollError::InvalidToken => Self::plain(ErrorCode::InvalidToken),
            PollError::Fault(e) => e.into(),
        }
    }
}
