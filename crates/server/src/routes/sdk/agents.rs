//! `/sdk/agents` and `/sdk/agents/{id}` (wire 3.12). Keys: `agent_keys`.

use alter_api::{
    ErrorCode,
    agent::{AgentInfo, AgentStatus, AgentType, ChangeAgent, CreateAgent, CreatedAgent, ListedAgents},
};
use alter_core::{Agent, AgentId, AgentKind, secret::sha256};
use alter_flows::{AgentChange, AgentError, NewAgent, callers};
use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use crate::{
    Shared,
    error::ApiError,
    extract::{Signed, SignedEmpty, SignedSuspendedToo, single},
};

/// Make an agent.
///
/// With its first key, which is shown once.
#[utoipa::path(
    post, path = "/sdk/agents", operation_id = "create_agent", tag = "Agents",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "A repeated call with the same key and body returns the first agent, without its key."),
    ),
    request_body = CreateAgent,
    responses((status = 201, description = "The agent and its first key.", body = CreatedAgent)),
)]
pub(crate) async fn create(
    State(shared): State<Shared>,
    signed: Signed<CreateAgent>,
) -> Result<Response, ApiError> {
    let body = signed.body;
    refuse_policy(body.policy.as_ref())?;
    let same = single(&signed.headers, "idempotency-key")?;
    let new = NewAgent {
        name: body.name,
        kind: match body.kind {
            AgentType::Agent => AgentKind::Agent,
            AgentType::Service => AgentKind::Service,
        },
        display_name: body.display_name,
        scopes: body.scopes,
        metadata: body.metadata.unwrap_or_default(),
        idempotency: same.map(|key| (key.to_owned(), sha256(&signed.raw))),
    };
    let made = callers::create_agent(&shared.flows, &signed.caller, new).await.map_err(|error| {
        // Published clients know this refusal by its own name.
        match error {
            AgentError::AppKeyRequired(_) => ApiError::plain(ErrorCode::AgentCannotMintSubagents),
            error => error.into(),
        }
    })?;
    let created = CreatedAgent {
        agent: info(made.agent),
        api_key: made.key.map(|key| key.secret.into()),
        key_id: made.key_id.to_string(),
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(created)).into_response())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Deleted agents too.
    include_revoked: bool,
    /// 1-1000.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: u32,
    /// How many agents to skip.
    offset: u32,
    /// Only the agent with this name.
    name: Option<String>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { include_revoked: false, limit: 100, offset: 0, name: None }
    }
}

/// List agents.
#[utoipa::path(
    get, path = "/sdk/agents", operation_id = "list_agents", tag = "Agents",
    params(ListQuery),
    responses((status = 200, description = "A page of agents.", body = ListedAgents)),
)]
pub(crate) async fn list(
    State(shared): State<Shared>,
    signed: SignedEmpty<ListQuery>,
) -> Result<Response, ApiError> {
    let ListQuery { include_revoked, limit, offset, name } = signed.query;
    if !(1..=1000).contains(&limit) || name.as_deref().is_some_and(|name| name.contains('\0')) {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "limit must be 1 to 1000, and name without NUL.",
        ));
    }
    let (agents, total) = match name {
        Some(name) => {
            let found = callers::find_agent(&shared.flows, &signed.caller, &name).await?;
            let total = u64::from(found.is_some());
            (found.into_iter().collect(), total)
        }
        None => callers::list_agents(&shared.flows, &signed.caller, include_revoked, limit, offset).await?,
    };
    let has_more = u64::from(offset) + (agents.len() as u64) < total;
    let items = agents.into_iter().map(info).collect();
    Ok(answer(ListedAgents { items, total, limit, offset, has_more }))
}

/// Read the calling agent.
///
/// Needs an agent's key; works for a suspended agent too.
#[utoipa::path(
    get, path = "/sdk/agents/me", operation_id = "get_own_agent", tag = "Agents",
    responses((status = 200, description = "The agent of this key.", body = AgentInfo)),
)]
pub(crate) async fn me(
    State(shared): State<Shared>,
    signed: SignedSuspendedToo,
) -> Result<Response, ApiError> {
    Ok(answer(info(callers::own_agent(&shared.flows, &signed.caller).await?)))
}

/// Read an agent.
#[utoipa::path(
    get, path = "/sdk/agents/{id}", operation_id = "get_agent", tag = "Agents",
    params(("id" = String, Path, description = "The agent.")),
    responses((status = 200, description = "The agent.", body = AgentInfo)),
)]
pub(crate) async fn get(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    signed: SignedEmpty,
) -> Result<Response, ApiError> {
    Ok(answer(info(callers::get_agent(&shared.flows, &signed.caller, agent_id(&id)?).await?)))
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangeQuery {
    /// Changes nothing when the agent has another version. A change of `scopes` needs it.
    expected_version: Option<u64>,
    /// Not built yet: only 0 is accepted.
    grace_seconds: Option<u64>,
}

/// Change, suspend or resume an agent.
///
/// Fields that are left out stay as they are.
#[utoipa::path(
    patch, path = "/sdk/agents/{id}", operation_id = "update_agent", tag = "Agents",
    params(("id" = String, Path, description = "The agent."), ChangeQuery),
    request_body = ChangeAgent,
    responses((status = 200, description = "The agent as it is now.", body = AgentInfo)),
)]
pub(crate) async fn change(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    signed: Signed<ChangeAgent, ChangeQuery>,
) -> Result<Response, ApiError> {
    let ChangeQuery { expected_version, grace_seconds } = signed.query;
    if grace_seconds.is_some_and(|seconds| seconds > 0) {
        let message = "grace_seconds is not built yet: new scopes apply at once. Leave it out.";
        return Err(
            ApiError::new(ErrorCode::UnsupportedField, message).with(json!({ "field": "grace_seconds" }))
        );
    }
    let body = signed.body;
    refuse_policy(body.policy.as_ref())?;
    let active = match body.status.as_deref() {
        None => None,
        Some("active") => Some(true),
        Some("inactive") => Some(false),
        Some(_) => {
            return Err(ApiError::new(ErrorCode::InvalidRequest, "status must be active or inactive."));
        }
    };
    let change = AgentChange {
        active,
        display_name: body.display_name,
        scopes: body.scopes,
        metadata: body.metadata,
        expected_version,
    };
    let changed = callers::change_agent(&shared.flows, &signed.caller, agent_id(&id)?, &change).await?;
    Ok(answer(info(changed)))
}

/// Delete an agent.
///
/// With its keys and delegations. It does not come back.
#[utoipa::path(
    delete, path = "/sdk/agents/{id}", operation_id = "delete_agent", tag = "Agents",
    params(("id" = String, Path, description = "The agent.")),
    responses((status = 200, description = "The agent as it was left.", body = AgentInfo)),
)]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    signed: SignedEmpty,
) -> Result<Response, ApiError> {
    Ok(answer(info(callers::delete_agent(&shared.flows, &signed.caller, agent_id(&id)?).await?)))
}

pub(super) fn agent_id(text: &str) -> Result<AgentId, ApiError> {
    AgentId::parse(text).ok_or_else(|| ApiError::plain(ErrorCode::AgentNotFound))
}

pub(super) fn answer<T: serde::Serialize>(body: T) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn refuse_policy(policy: Option<&Map<String, Value>>) -> Result<(), ApiError> {
    match policy {
        Some(policy) if !policy.is_empty() => {
            let message = "policy is not built yet. Leave it out or send {}.";
            Err(ApiError::new(ErrorCode::UnsupportedField, message).with(json!({ "field": "policy" })))
        }
        _ => Ok(()),
    }
}

fn info(agent: Agent) -> AgentInfo {
    AgentInfo {
        id: agent.id.to_string(),
        kind: match agent.data.kind {
            AgentKind::Agent => AgentType::Agent,
            AgentKind::Service => AgentType::Service,
        },
        status: status(agent.status),
        version: agent.version,
        created_at: agent.created_at.to_rfc3339(),
        updated_at: agent.updated_at.to_rfc3339(),
        name: agent.name,
        display_name: agent.data.display_name,
        scopes: agent.data.scopes,
        policy: Map::new(),
        metadata: agent.data.metadata,
        parent_agent_id: None,
    }
}

fn status(status: alter_core::AgentStatus) -> AgentStatus {
    match status {
        alter_core::AgentStatus::Active => AgentStatus::Active,
        alter_core::AgentStatus::Inactive => AgentStatus::Inactive,
        alter_core::AgentStatus::Revoked => AgentStatus::Revoked,
    }
}

impl From<AgentError> for ApiError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::AppKeyRequired(error) => error.into(),
            AgentError::AgentKeyRequired => Self::plain(ErrorCode::MeRequiresAgentKey),
            AgentError::NotFound => Self::plain(ErrorCode::AgentNotFound),
            AgentError::KeyNotFound => Self::plain(ErrorCode::KeyNotFound),
            AgentError::KeyAlreadyRevoked => Self::plain(ErrorCode::KeyAlreadyRevoked),
            AgentError::LastActiveKey => Self::plain(ErrorCode::LastActiveKey),
            AgentError::TooManyKeys => Self::plain(ErrorCode::AgentKeyLimitReached),
            AgentError::NameTaken => Self::plain(ErrorCode::AgentNameExists),
            AgentError::Revoked => Self::plain(ErrorCode::AgentGone),
            AgentError::Moved(version) => {
                Self::plain(ErrorCode::AgentConcurrentUpdate).with(json!({ "version": version }))
            }
            AgentError::IdempotencyMismatch => Self::plain(ErrorCode::IdempotencyKeyBodyMismatch),
            AgentError::IdempotencyInactive => Self::plain(ErrorCode::IdempotencyKeyAgentInactive),
            AgentError::IdempotencyRevoked => Self::plain(ErrorCode::IdempotencyKeyAgentRevoked),
            AgentError::Invalid(message) => Self::new(ErrorCode::InvalidRequest, message),
            AgentError::Fault(error) => error.into(),
        }
    }
}
