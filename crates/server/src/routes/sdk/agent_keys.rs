//! `/sdk/agents/{id}/keys...` (wire 3.12).

use alter_api::{
    ErrorCode,
    agent::{AgentKey, CreatedAgentKey, ListedAgentKeys, NoFields},
};
use alter_core::{ApiKey, KeyId, Micros};
use alter_flows::callers;
use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::agents::{agent_id, answer};
use crate::{
    Shared,
    error::ApiError,
    extract::{Signed, SignedEmpty},
};

/// Make another key for an agent.
///
/// An agent may have at most ten keys that are not revoked.
#[utoipa::path(
    post, path = "/sdk/agents/{id}/keys", operation_id = "create_agent_key", tag = "Agent keys",
    params(("id" = String, Path, description = "The agent.")),
    request_body = NoFields,
    responses((status = 201, description = "The key, shown once.", body = CreatedAgentKey)),
)]
pub(crate) async fn create(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    signed: Signed<NoFields>,
) -> Result<Response, ApiError> {
    let new = callers::create_agent_key(&shared.flows, &signed.caller, agent_id(&id)?).await?;
    let created = CreatedAgentKey { key: shown(&new.key), api_key: new.secret.into() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

/// List the keys of an agent.
///
/// The keys themselves are not shown.
#[utoipa::path(
    get, path = "/sdk/agents/{id}/keys", operation_id = "list_agent_keys", tag = "Agent keys",
    params(("id" = String, Path, description = "The agent.")),
    responses((status = 200, description = "All of them, revoked ones too.", body = ListedAgentKeys)),
)]
pub(crate) async fn list(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    signed: SignedEmpty,
) -> Result<Response, ApiError> {
    let keys = callers::list_agent_keys(&shared.flows, &signed.caller, agent_id(&id)?).await?;
    Ok(answer(ListedAgentKeys { items: keys.iter().rev().map(shown).collect() }))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevokeQuery {
    /// Revoke the agent's last active key too.
    force: bool,
}

/// Revoke a key of an agent.
#[utoipa::path(
    delete, path = "/sdk/agents/{id}/keys/{key_id}", operation_id = "revoke_agent_key", tag = "Agent keys",
    params(
        ("id" = String, Path, description = "The agent."),
        ("key_id" = String, Path, description = "The key."),
        RevokeQuery,
    ),
    responses((status = 200, description = "The key is revoked.", body = AgentKey)),
)]
pub(crate) async fn revoke(
    State(shared): State<Shared>,
    Path((id, key)): Path<(String, String)>,
    signed: SignedEmpty<RevokeQuery>,
) -> Result<Response, ApiError> {
    let force = signed.query.force;
    let which = (agent_id(&id)?, key_id(&key)?);
    let revoked = callers::revoke_agent_key(&shared.flows, &signed.caller, which, force).await?;
    Ok(answer(shown(&revoked)))
}

/// Mark a key of an agent as deprecated.
///
/// The key still works; responses to its calls have `X-Alter-Key-Deprecated: true`.
#[utoipa::path(
    patch, path = "/sdk/agents/{id}/keys/{key_id}/deprecate", operation_id = "deprecate_agent_key", tag = "Agent keys",
    params(
        ("id" = String, Path, description = "The agent."),
        ("key_id" = String, Path, description = "The key."),
    ),
    request_body = NoFields,
    responses((status = 200, description = "The key as it is now.", body = AgentKey)),
)]
pub(crate) async fn deprecate(
    state: State<Shared>,
    path: Path<(String, String)>,
    signed: Signed<NoFields>,
) -> Result<Response, ApiError> {
    mark(state, path, signed, true).await
}

/// Remove the mark from a key of an agent.
#[utoipa::path(
    patch, path = "/sdk/agents/{id}/keys/{key_id}/undeprecate", operation_id = "undeprecate_agent_key", tag = "Agent keys",
    params(
        ("id" = String, Path, description = "The agent."),
        ("key_id" = String, Path, description = "The key."),
    ),
    request_body = NoFields,
    responses((status = 200, description = "The key as it is now.", body = AgentKey)),
)]
pub(crate) async fn undeprecate(
    state: State<Shared>,
    path: Path<(String, String)>,
    signed: Signed<NoFields>,
) -> Result<Response, ApiError> {
    mark(state, path, signed, false).await
}

async fn mark(
    State(shared): State<Shared>,
    Path((id, key)): Path<(String, String)>,
    signed: Signed<NoFields>,
    deprecated: bool,
) -> Result<Response, ApiError> {
    let which = (agent_id(&id)?, key_id(&key)?);
    let key = callers::deprecate_agent_key(&shared.flows, &signed.caller, which, deprecated).await?;
    Ok(answer(shown(&key)))
}

fn key_id(text: &str) -> Result<KeyId, ApiError> {
    KeyId::parse(text).ok_or_else(|| ApiError::plain(ErrorCode::KeyNotFound))
}

fn shown(key: &ApiKey) -> AgentKey {
    AgentKey {
        key_id: key.id.to_string(),
        key_prefix: key.prefix.clone(),
        name: key.name.clone(),
        created_at: key.created_at.to_rfc3339(),
        deprecated_at: key.deprecated_at.map(Micros::to_rfc3339),
        revoked_at: key.revoked_at.map(Micros::to_rfc3339),
    }
}
