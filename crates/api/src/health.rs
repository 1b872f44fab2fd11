//! The responses to probes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// 200 of `GET /healthz`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Alive {
    /// A name for this installation: the same in every process on one database; null before the root key has been checked.
    pub instance: Option<String>,
    /// `ok`.
    pub status: String,
}

/// 200 of `GET /readyz`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// `ready`.
    pub status: String,
}
