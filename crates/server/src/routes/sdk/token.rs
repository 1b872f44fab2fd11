//! `POST /sdk/token`: an access token for the app's backend (wire 3.3).

use std::collections::BTreeMap;

use alter_api::{
    ErrorCode,
    token::{Injection, RetrieveToken, RetrievedToken, WantedFor},
};
use alter_core::{GrantId, refresh::Trouble, stored::storable};
use alter_flows::{
    Ambiguous, Candidate, ChoiceError, GrantChoice, NotUsable, ReleaseError, ReleaseRequest, Released, calls,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::grants::provider_metadata;
use crate::{
    Shared,
    error::ApiError,
    extract::{Signed, single},
};

/// Longest `reason`, characters.
const REASON_MAX: usize = 512;
/// Longest `X-Alter-Caller`.
const CALLER_MAX: usize = 255;

/// Release an access token.
///
/// For one request to one of the provider's API hosts. Name the grant by `grant_id`, or by `provider_id` and, as far as
/// needed to choose one, `user_token`, `account` and `label`.
#[utoipa::path(
    post, path = "/sdk/token", operation_id = "retrieve_token", tag = "Tokens",
    params(
        ("X-Alter-Caller" = Option<String>, Header, description = "Whom the call is made for; kept in the audit. Signed. At most 255 characters.", max_length = 255),
    ),
    request_body = RetrieveToken,
    responses((status = 200, description = "The token.", body = RetrievedToken)),
)]
pub(crate) async fn retrieve(
    State(shared): State<Shared>,
    signed: Signed<RetrieveToken>,
) -> Result<Response, ApiError> {
    let (choice, wanted) = check(&signed.body)?;
    let request = ReleaseRequest {
        choice,
        user_token: signed.body.user_token.as_ref().map(|token| &token.0),
        method: &wanted.method,
        url: &wanted.url,
        reason: signed.body.reason.as_deref(),
        acting_for: acting_for(&signed.headers)?,
    };
    let released = calls::release(&shared.flows, &signed.caller, &request).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer(released))).into_response())
}

/// `X-Alter-Caller`: it goes into the audit, so its length is limited (wire 1.4).
fn acting_for(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let name = single(headers, "x-alter-caller")?;
    if name.is_some_and(|name| name.len() > CALLER_MAX) {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "X-Alter-Caller is longer than 255 characters.",
        ));
    }
    Ok(name)
}

fn check(body: &RetrieveToken) -> Result<(GrantChoice<'_>, &WantedFor), ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorCode::InvalidRequest, message);
    if body.app_user_id.is_some() {
        let message = "app_user_id is not built yet: name the user by user_token.";
        return Err(
            ApiError::new(ErrorCode::UnsupportedField, message).with(json!({ "field": "app_user_id" }))
        );
    }
    let choice = choice(body)?;
    let wanted = body.request.as_ref().ok_or_else(|| invalid("request {method, url} is missing."))?;
    if !wanted.method.bytes().all(|b| b.is_ascii_alphabetic()) || !(1..=16).contains(&wanted.method.len()) {
        return Err(invalid("request.method is not an HTTP method."));
    }
    if wanted.url.len() > 65_536 {
        return Err(invalid("request.url is longer than 65,536 characters."));
    }
    match body.reason.as_deref() {
        Some(reason) if reason.chars().count() > REASON_MAX || !storable(reason) => {
            Err(invalid("reason is longer than 512 characters or contains NUL."))
        }
        _ => Ok((choice, wanted)),
    }
}

fn choice(body: &RetrieveToken) -> Result<GrantChoice<'_>, ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorCode::InvalidRequest, message);
    match (body.grant_id.as_deref(), body.provider_id.as_deref()) {
        (Some(_), None) if body.account.is_some() || body.label.is_some() => Err(invalid(
            "account and label choose among the grants of provider_id; grant_id names one already.",
        )),
        (Some(id), None) => GrantId::parse(id)
            .map(GrantChoice::Id)
            .ok_or_else(|| invalid("grant_id is not a lower-case hyphenated UUID.")),
        (None, Some(provider)) => {
            let (account, label) = (body.account.as_deref(), body.label.as_deref());
            if [Some(provider), account, label].into_iter().flatten().all(storable) {
                Ok(GrantChoice::Provider { provider, account, label })
            } else {
                Err(invalid("provider_id, account or label contains NUL."))
            }
        }
        _ => Err(invalid("Name the grant by grant_id or by provider_id, one of the two.")),
    }
}

fn answer(released: Released) -> RetrievedToken {
    let grant = released.grant;
    let token_generation = grant.token_generation().to_string();
    let scopes = grant.shown_scopes();
    let (additional_credentials, additional_injections) = injections(released.api_headers);
    RetrievedToken {
        provider_metadata: provider_metadata(&grant.metadata),
        additional_credentials,
        additional_injections,
        access_token: released.access_token.into(),
        token_type: grant.credential.token_type,
        expires_in: released.expires_in,
        expires_at: grant.credential.expires_at.map(alter_core::Micros::to_rfc3339),
        grant_id: grant.id.to_string(),
        token_generation,
        provider_id: grant.provider,
        scope_mismatch: !grant.missing_scopes.is_empty(),
        scopes,
        injection_header: released.api_auth.header,
        injection_format: released.api_auth.format,
    }
}

/// Further headers, in the form that published clients take (wire 3.3): each names where its value stands.
fn injections(headers: BTreeMap<String, String>) -> (Option<BTreeMap<String, String>>, Vec<Injection>) {
    let mut values = BTreeMap::new();
    let mut injections = Vec::new();
    for (header, value) in headers {
        let name = header.to_ascii_lowercase().replace('-', "_");
        let value_source = format!("additional_credentials.{name}");
        injections.push(Injection { target: "header".into(), key: header, value_source });
        values.insert(name, value);
    }
    ((!values.is_empty()).then_some(values), injections)
}

impl From<ReleaseError> for ApiError {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Choice(error) => error.into(),
            ReleaseError::KeyRevoked => Self::plain(ErrorCode::KeyRevoked),
            ReleaseError::AgentInactive => Self::plain(ErrorCode::AgentInactive),
            ReleaseError::AgentRevoked => Self::plain(ErrorCode::AgentRevoked),
            ReleaseError::CallerMismatch => Self::plain(ErrorCode::CallerAgentMismatch),
            ReleaseError::AgentScope { provider, scopes, unapproved, over_limit } => {
                let message = scopes_refused(&provider, &unapproved, &over_limit);
                let details = json!({
                    "provider_id": provider, "scopes": scopes, "unapproved_scopes": unapproved,
                    "over_limit_scopes": over_limit,
                });
                Self::new(ErrorCode::AgentScopeNotAllowed, message).with(details)
            }
            ReleaseError::ProviderGone => Self::plain(ErrorCode::ProviderNotConfigured),
            ReleaseError::BlockedDestination { host, provider, allowed } => {
                let hint = if allowed.is_empty() {
                    "No API host is configured: alter provider set ... --api-host HOST.".to_owned()
                } else {
                    format!("Allowed: {}.", allowed.join(", "))
                };
                let message = format!("{host} is not an API host of {provider}. {hint}");
                Self::new(ErrorCode::BlockedDestination, message).with(json!({ "allowed_hosts": allowed }))
            }
            ReleaseError::NotUsable(error) => not_usable(error),
            ReleaseError::GrantExpired(id) => {
                Self::plain(ErrorCode::GrantExpired).fact("grant_id", id.to_string())
            }
            ReleaseError::Fault(fault) => fault.into(),
        }
    }
}

/// Which scopes keep an agent from a token, and who can do what about each.
fn scopes_refused(provider: &str, unapproved: &[String], over_limit: &[String]) -> String {
    let mut text = format!("The token of {provider} carries scopes that the agent may not use.");
    if !unapproved.is_empty() {
        text.push_str(&format!(
            " The user has not approved {} for it: let the user connect again in a session with this agent and press Allow \
             on the last page, or have the scopes asked for (alter provider set APP {provider} ... --scopes).",
            unapproved.join(" ")
        ));
    }
    if !over_limit.is_empty() {
        text.push_str(&format!(
            " The agent's own limit leaves out {}: change its scopes (PATCH /sdk/agents/ID).",
            over_limit.join(" ")
        ));
    }
    text
}

fn not_usable(error: NotUsable) -> ApiError {
    match error {
        NotUsable::Reconnect { grant, provider, reason, since } => {
            let details =
                json!({ "needs_reconnect": true, "reason": reason.as_str(), "since": since.to_rfc3339() });
            ApiError::plain(ErrorCode::CredentialRevoked)
                .with(details)
                .fact("grant_id", grant.to_string())
                .fact("provider_id", provider)
        }
        NotUsable::InProgress(grant) => ApiError {
            retry_after: Some(1),
            ..ApiError::plain(ErrorCode::TokenRefreshInProgress).fact("grant_id", grant.to_string())
        },
        NotUsable::Later { grant, provider, trouble, retry_after } => {
            let code = match trouble {
                Trouble::Provider => ErrorCode::ProviderUnavailable,
                Trouble::Client => ErrorCode::ProviderConfigurationUnavailable,
                Trouble::Us => ErrorCode::ServerError,
            };
            ApiError {
                retry_after: u32::try_from(retry_after).ok(),
                ..ApiError::plain(code)
                    .fact("retry_after_seconds", retry_after)
                    .fact("grant_id", grant.to_string())
                    .fact("provider_id", provider)
            }
        }
        NotUsable::Fault(fault) => fault.into(),
    }
}

impl From<ChoiceError> for ApiError {
    fn from(error: ChoiceError) -> Self {
        match error {
            ChoiceError::NotFound { provider } => {
                Self::plain(ErrorCode::GrantNotFound).fact("provider_id", provider)
            }
            ChoiceError::NoDelegation { agent, provider } => Self::plain(ErrorCode::NoDelegatedGrant)
                .fact("agent_id", agent.to_string())
                .fact("provider_id", provider),
            ChoiceError::Revoked(id) => Self::plain(ErrorCode::GrantRevoked).fact("grant_id", id.to_string()),
            ChoiceError::Ambiguous(several) => ambiguous(&several, ErrorCode::AmbiguousGrant.meaning()),
            ChoiceError::Unverified(several) => ambiguous(&several, UNVERIFIED),
            ChoiceError::UserTokenRequired => Self::plain(ErrorCode::UserTokenRequired),
            ChoiceError::NotAUsers(id) => {
                Self::plain(ErrorCode::SystemGrantUserTokenMismatch).fact("grant_id", id.to_string())
            }
            ChoiceError::User(error) => error.into(),
            ChoiceError::Fault(fault) => fault.into(),
        }
    }
}

/// An `ambiguous_grant` like any other, so that clients show the candidates.
const UNVERIFIED: &str = "The provider has not verified whose name `account` is: anybody may have given it to an account. \
                          Choose by `grant_id` or by the account's id (`account_id` of a candidate), or name the user by \
                          `user_token`.";

fn ambiguous(several: &Ambiguous, message: &str) -> ApiError {
    let list = |texts: Vec<String>| json!(texts);
    let each = |text: fn(&Candidate) -> String| list(several.candidates.iter().map(text).collect());
    let candidates: Vec<_> = several
        .candidates
        .iter()
        .map(|c| {
            json!({
                "grant_id": c.grant_id.to_string(), "label": c.label, "account_id": c.subject,
                "account_identifier": c.account_identifier, "account_verified": c.account_verified,
                "account_display_name": c.account_display_name,
            })
        })
        .collect();
    ApiError::new(ErrorCode::AmbiguousGrant, message)
        .fact("provider_id", several.provider.as_str())
        .fact("candidates", candidates)
        .fact("candidates_truncated", several.truncated)
        .fact("grant_ids", each(|c| c.grant_id.to_string()))
        .fact("account_identifiers", each(|c| c.account_identifier.clone()))
        .fact("account_was_provided", several.account_was_provided)
        .fact("app_user_ids", list(several.users.iter().map(ToString::to_string).collect()))
}
