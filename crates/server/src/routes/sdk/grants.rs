//! `/sdk/grants/list`, `/sdk/oauth/grants/{grant_id}/revoke` and `/sdk/grants/{grant_id}/delegations/...` (wire 3.5,
//! 3.6, 3.11).

use std::collections::BTreeMap;

use alter_api::{
    ErrorCode,
    grant::{
        AccessVia, BindingLevel, GrantItem, GrantKind, GrantStatus, ListGrants, ListedGrants, PrincipalType,
        ProviderFact, RevocationOutcome, RevokeGrantBody, RevokedGrantAnswer,
    },
};
use alter_core::{
    AgentId, Facts, GrantId, GrantState, Level, ListedGrant, Micros, Principal, recipe::Fact,
    stored::storable,
};
use alter_flows::{
    GrantPage, ListError, ListRequest, RevokeDelegationError, RevokeGrantError, grants, needs_reconnect,
};
use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    Shared,
    error::ApiError,
    extract::{Signed, SignedEmpty},
};

/// Longest `reason`, characters.
const REASON_MAX: usize = 512;

/// List grants.
///
/// An app sees all of its grants; an agent sees those delegated to it.
#[utoipa::path(
    post, path = "/sdk/grants/list", operation_id = "list_grants", tag = "Grants",
    request_body = ListGrants,
    responses((status = 200, description = "A page of grants.", body = ListedGrants)),
)]
pub(crate) async fn list(
    State(shared): State<Shared>,
    signed: Signed<ListGrants>,
) -> Result<Response, ApiError> {
    let body = &signed.body;
    let texts = [&body.provider_id, &body.status, &body.account, &body.label];
    if !(1..=1000).contains(&body.limit) || !texts.into_iter().flatten().all(|text| storable(text)) {
        let message = "limit must be 1 to 1000, and no text may contain NUL.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let request = ListRequest {
        provider: body.provider_id.as_deref(),
        status: body.status.as_deref(),
        account: body.account.as_deref(),
        label: body.label.as_deref(),
        user_token: body.user_token.as_ref().map(|token| &token.0),
        limit: body.limit,
        offset: body.offset,
    };
    let page = grants::list_grants(&shared.flows, &signed.caller, &request).await?;
    let now = shared.flows.now();
    let listed = ListedGrants {
        has_more: u64::from(body.offset) + (page.grants.len() as u64) < page.total,
        total: page.total,
        limit: body.limit,
        offset: body.offset,
        grants: page.grants.iter().map(|listed| item(listed, &page, &signed.caller, now)).collect(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(listed)).into_response())
}

/// An agent is shown only what concerns it: the scopes that it may use, and no other agent.
fn item(listed: &ListedGrant, page: &GrantPage, caller: &alter_flows::Caller, now: Micros) -> GrantItem {
    let grant = &listed.grant;
    let visible = |id: &&AgentId| page.agent.is_none_or(|own| own == **id);
    GrantItem {
        grant_kind: GrantKind::Oauth,
        grant_id: grant.id.to_string(),
        provider_id: grant.provider.clone(),
        status: match grant.state(now) {
            GrantState::Active => GrantStatus::Active,
            GrantState::Expired => GrantStatus::Expired,
            GrantState::Revoked => GrantStatus::Revoked,
        },
        created_at: grant.created_at.to_rfc3339(),
        principal_type: match grant.principal {
            Principal::App => PrincipalType::System,
            Principal::User(_) => PrincipalType::User,
        },
        access_via: if page.agent.is_some() { AccessVia::OauthDelegation } else { AccessVia::Ownership },
        scopes: page.visible_scopes(caller, listed),
        delegated_agent_ids: listed.agents.iter().filter(visible).map(ToString::to_string).collect(),
        scope_mismatch: !grant.missing_scopes.is_empty(),
        needs_reconnect: needs_reconnect(grant, now),
        account_id: grant.subject.clone(),
        account_identifier: grant.account_identifier.clone(),
        account_verified: grant.account_verified,
        account_display_name: grant.account_display_name.clone(),
        api_base_url: page.api_bases.get(&grant.id).cloned(),
        expires_at: grant.credential.expires_at.map(Micros::to_rfc3339),
        grant_expires_at: grant.ends_at.map(Micros::to_rfc3339),
        last_used_at: grant.last_used_at.map(Micros::to_rfc3339),
        delegated_at: listed.delegation.as_ref().map(|delegation| delegation.created_at.to_rfc3339()),
        label: grant.label.clone(),
        provider_metadata: provider_metadata(&grant.metadata),
        credential_id: None,
        parent_grant_id: None,
        grant_policy: None,
        depth: 0,
        delegable: false,
        scope_constraint: None,
        binding: binding(grant.level),
        signed_in: grant.signed_in,
        revoked_at: grant.revoked.as_ref().map(|revoked| revoked.at.to_rfc3339()),
        revocation: grant.revoked.as_ref().map(|revoked| outcome(revoked.outcome)),
    }
}

/// Revoke a grant.
///
/// The grant ends here at once; `revocation` says what became of it at the provider. Revoking again returns the time of
/// the first revocation.
#[utoipa::path(
    post, path = "/sdk/oauth/grants/{grant_id}/revoke", operation_id = "revoke_grant", tag = "Grants",
    params(("grant_id" = String, Path, description = "The grant.")),
    request_body = RevokeGrantBody,
    responses((status = 200, description = "The grant is revoked.", body = RevokedGrantAnswer)),
)]
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    Path(grant_id): Path<String>,
    signed: Signed<RevokeGrantBody>,
) -> Result<Response, ApiError> {
    let reason = signed.body.reason.as_deref();
    if reason.is_some_and(|text| text.chars().count() > REASON_MAX || !storable(text)) {
        let message = "reason is longer than 512 characters or contains NUL.";
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let id = GrantId::parse(&grant_id).ok_or_else(|| ApiError::plain(ErrorCode::GrantNotFound))?;
    let token = signed.body.user_token.as_ref().map(|token| &token.0);
    let revoked = grants::revoke_grant(&shared.flows, &signed.caller, id, reason, token).await?;
    let answer = RevokedGrantAnswer {
        success: true,
        message: sentence(outcome(revoked.outcome)).to_owned(),
        grant_id,
        revoked_at: revoked.at.to_rfc3339(),
        revocation: outcome(revoked.outcome),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// What the provider said beside the token, and what a browser brought, told apart.
pub(super) fn provider_metadata(facts: &Facts) -> BTreeMap<String, ProviderFact> {
    let told = |(name, fact): (&String, &Fact)| {
        (name.clone(), ProviderFact { value: fact.value.clone(), verified: fact.verified })
    };
    facts.iter().map(told).collect()
}

fn binding(level: Level) -> BindingLevel {
    match level {
        Level::L0 => BindingLevel::L0,
        Level::L1 => BindingLevel::L1,
        Level::L2 => BindingLevel::L2,
        Level::L3 => BindingLevel::L3,
    }
}

fn outcome(outcome: alter_core::RevocationOutcome) -> RevocationOutcome {
    match outcome {
        alter_core::RevocationOutcome::Pending => RevocationOutcome::Pending,
        alter_core::RevocationOutcome::Confirmed => RevocationOutcome::Confirmed,
        alter_core::RevocationOutcome::GivenUp => RevocationOutcome::GivenUp,
        alter_core::RevocationOutcome::Shared => RevocationOutcome::Shared,
        alter_core::RevocationOutcome::NotOffered => RevocationOutcome::NotOffered,
    }
}

fn sentence(outcome: RevocationOutcome) -> &'static str {
    match outcome {
        RevocationOutcome::Confirmed => "The grant is revoked, and the provider has confirmed it.",
        RevocationOutcome::Pending => {
            "The grant is revoked here; the provider has not confirmed yet and is asked again for a day."
        }
        RevocationOutcome::Shared => {
            "The grant is revoked here; the provider was not asked, because it would end other active grants of the account."
        }
        RevocationOutcome::GivenUp => "The grant is revoked here; the provider did not confirm within a day.",
        RevocationOutcome::NotOffered => {
            "The grant is revoked here; the provider offers no revocation: the user ends it in the account's settings."
        }
    }
}

/// End the delegation of a grant to an agent.
///
/// Repeating the call has the same outcome.
#[utoipa::path(
    delete, path = "/sdk/grants/{grant_id}/delegations/{agent_id}", operation_id = "revoke_delegation", tag = "Grants",
    params(
        ("grant_id" = String, Path, description = "The grant."),
        ("agent_id" = String, Path, description = "The agent."),
    ),
    responses((status = 204, description = "The agent has no delegation of the grant.")),
)]
pub(crate) async fn revoke_delegation(
    State(shared): State<Shared>,
    Path((grant_id, agent_id)): Path<(String, String)>,
    signed: SignedEmpty,
) -> Result<StatusCode, ApiError> {
    let grant = GrantId::parse(&grant_id).ok_or_else(|| ApiError::plain(ErrorCode::GrantNotFound))?;
    let agent = AgentId::parse(&agent_id).ok_or_else(|| ApiError::plain(ErrorCode::AgentNotFound))?;
    grants::revoke_delegation(&shared.flows, &signed.caller, grant, agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give up the calling agent's delegation of a grant.
///
/// Needs an agent's key. Repeating the call has the same outcome.
#[utoipa::path(
    delete, path = "/sdk/grants/{grant_id}/delegations/me", operation_id = "give_up_delegation", tag = "Grants",
    params(("grant_id" = String, Path, description = "The grant.")),
    responses((status = 204, description = "The agent has no delegation of the grant.")),
)]
pub(crate) async fn give_up_delegation(
    State(shared): State<Shared>,
    Path(grant_id): Path<String>,
    signed: SignedEmpty,
) -> Result<StatusCode, ApiError> {
    let grant = GrantId::parse(&grant_id).ok_or_else(|| ApiError::plain(ErrorCode::NoDelegatedGrant))?;
    grants::give_up_delegation(&shared.flows, &signed.caller, grant).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::User(error) => error.into(),
            ListError::Fault(error) => error.into(),
        }
    }
}

impl From<RevokeGrantError> for ApiError {
    fn from(error: RevokeGrantError) -> Self {
        match error {
            RevokeGrantError::AppKeyRequired(error) => error.into(),
            RevokeGrantError::NotFound => Self::plain(ErrorCode::GrantNotFound),
            RevokeGrantError::User(error) => error.into(),
            RevokeGrantError::Fault(fault) => fault.into(),
        }
    }
}

impl From<RevokeDelegationError> for ApiError {
    fn from(error: RevokeDelegationError) -> Self {
        match error {
            RevokeDelegationError::UseSelfPath => Self::plain(ErrorCode::UseSelfRevokePath),
            RevokeDelegationError::AgentKeyRequired => Self::plain(ErrorCode::AgentKeyRequired),
            RevokeDelegationError::GrantNotFound => Self::plain(ErrorCode::GrantNotFound),
            RevokeDelegationError::AgentNotFound => Self::plain(ErrorCode::AgentNotFound),
            RevokeDelegationError::Fault(error) => error.into(),
        }
    }
}
