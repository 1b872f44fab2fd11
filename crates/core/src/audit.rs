//! The audit: one entry for everything that made, released or refused a credential. Append-only. A release whose
//! entry cannot be written does not happen.

use async_trait::async_trait;

use crate::{AppId, GrantId, KeyId, Micros, SessionId, StoreError};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditKind {
    /// A session was opened by a browser.
    SessionClaimed,
    /// A grant was made or renewed.
    GrantConnected,
    /// An attempt was denied, failed or was interrupted.
    ConnectFailed,
    /// A callback came without, or with another, browser's cookie: the transaction was burned (T02).
    BrowserMismatch,
    /// An access token was released to the app's backend.
    TokenReleased,
}

impl AuditKind {
    /// The name in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionClaimed => "session_claimed",
            Self::GrantConnected => "grant_connected",
            Self::ConnectFailed => "connect_failed",
            Self::BrowserMismatch => "browser_mismatch",
            Self::TokenReleased => "token_released",
        }
    }
}

/// One entry. Nothing secret, no provider text.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Whose.
    pub app_id: AppId,
    /// When.
    pub at: Micros,
    /// What.
    pub kind: AuditKind,
    /// The grant it concerns.
    pub grant_id: Option<GrantId>,
    /// The session it concerns.
    pub sid: Option<SessionId>,
    /// The key that called.
    pub key_id: Option<KeyId>,
    /// The request.
    pub request_id: Option<String>,
    /// Further facts as a JSON object of strings.
    pub details: serde_json::Value,
}

/// What storage must be able to do for the audit, beyond the commands that write entries in their own commit.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends one.
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError>;
    /// Names of the newest entries of an app with their details, newest first (`alter doctor`, tests).
    async fn list_audit(
        &self,
        app: AppId,
        limit: u32,
    ) -> Result<Vec<(String, serde_json::Value)>, StoreError>;
}
