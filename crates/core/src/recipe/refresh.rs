//! Whether and how access tokens are renewed.

use serde::{Deserialize, Serialize};

/// Whether and how access tokens are renewed. `None` means that it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Refresh {
    /// Whether refresh tokens are issued (with the scopes and parameters of this recipe).
    pub supported: Option<bool>,
    /// Whether a refresh returns a new refresh token and ends the old one.
    pub rotates: Option<bool>,
    /// Seconds for which the old refresh token still works after a rotation; 0: not at all.
    pub reuse_window_seconds: Option<u32>,
    /// Days after which a refresh token that was not used ends.
    pub idle_expiry_days: Option<u32>,
    /// The URL for refresh requests, where it is not `token_url`.
    pub url: Option<String>,
    /// Error codes by which the provider refuses a refresh token, besides `invalid_grant`.
    pub refused: Vec<String>,
}
