//! `/healthz` (the process lives) and `/readyz` (it can do its job: a write, a read, the key).

use alter_api::{
    ErrorCode,
    health::{Alive, Ready},
};
use alter_flows::ready;
use axum::{Extension, Json, extract::State};

use crate::{Shared, accept::Stopping, error::ApiError};

/// Ask whether the process lives.
#[utoipa::path(
    get, path = "/healthz", operation_id = "get_liveness", tag = "Health",
    responses((status = 200, description = "The process lives.", body = Alive)),
)]
pub(crate) async fn alive(State(shared): State<Shared>) -> Json<Alive> {
    Json(Alive { instance: ready::instance(&shared.flows).map(str::to_owned), status: "ok".to_owned() })
}

/// Ask whether it can do its job.
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_readiness", tag = "Health",
    responses(
        (status = 200, description = "A write, a read and the root key are in order.", body = Ready),
    ),
)]
pub(crate) async fn ready(
    State(shared): State<Shared>,
    stopping: Option<Extension<Stopping>>,
) -> Result<Json<Ready>, ApiError> {
    if stopping.is_some() {
        return Err(ApiError::new(ErrorCode::ServiceUnavailable, "This server is stopping."));
    }
    ready::ready(&shared.flows).await.map_err(|error| {
        tracing::error!(%error, "not ready");
        ApiError::new(ErrorCode::ServiceUnavailable, "Not ready: the log of this request id says why.")
    })?;
    Ok(Json(Ready { status: "ready".to_owned() }))
}
