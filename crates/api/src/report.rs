//! Reporting a call that was made with a released token (wire 3.7).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /sdk/oauth/audit/api-call`, at most 64 KiB.
///
/// Published clients also send headers, bodies, the reason and more. None of that is read, so none of it can be kept.
// No Debug: a URL may carry a secret.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct ReportedCall {
    /// The grant whose token was used.
    pub grant_id: String,
    /// `token_generation` of the token that was used. A report of 401 with it lets this server ask the provider for a new
    /// token.
    #[serde(default)]
    pub token_generation: Option<String>,
    /// HTTP method.
    pub method: String,
    /// The URL that was called. Only the host is kept.
    pub url: String,
    /// The provider's status; 0 = it did not answer.
    pub response_status: u16,
    /// How long the call took, milliseconds.
    pub latency_ms: u32,
}
