//! The audit: one entry for everything that made, released, refused or revoked a credential, and for every change to
//! who may. Append-only. A release whose entry cannot be written does not happen.
//!
//! The entries of an app form a chain: each carries the SHA-256 over the one before it and its own fields ([`chain`]).
//! Whoever edits, deletes, reorders or inserts an entry breaks it at that place (T96). Whoever rewrites everything from
//! some entry on, or cuts the end off, is found by a head that was exported and kept elsewhere. The walk along the chain
//! is [`crate::audit_chain`].

use async_trait::async_trait;

use crate::{AgentId, AppId, GrantId, Hash, KeyId, Micros, SessionId, StoreError, UserId, secret::sha256};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum AuditKind { $($(#[$doc])* $name,)* }

        impl AuditKind {
            /// The name in storage.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The reverse of [`Self::as_str`].
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }

            /// Every name.
            pub const NAMES: &[&str] = &[$($text),*];
        }
    };
}

kinds! {
    /// A session was opened by a browser.
    SessionClaimed = "session_claimed",
    /// A grant was made or renewed, with its delegation if the session named an agent.
    GrantConnected = "grant_connected",
    /// An attempt was denied, failed or was interrupted.
    ConnectFailed = "connect_failed",
    /// A callback came without, or with another, browser's cookie: the attempt was burned (T02).
    BrowserMismatch = "browser_mismatch",
    /// An access token was released.
    TokenReleased = "token_released",
    /// What a client says that it did with a released token: unproven, and in the client's words.
    CallReported = "call_reported",
    /// A grant was revoked and its values wiped.
    GrantRevoked = "grant_revoked",
    /// What the provider answered to a revocation, or that it was given up.
    RevocationEnded = "revocation_ended",
    /// A delegation was revoked.
    DelegationRevoked = "delegation_revoked",
    /// An agent was made.
    AgentCreated = "agent_created",
    /// An agent was changed, suspended or resumed.
    AgentChanged = "agent_changed",
    /// An agent was deleted, with its keys and delegations.
    AgentRevoked = "agent_revoked",
    /// A key of an agent was made.
    KeyCreated = "key_created",
    /// A key of an agent was deprecated, or the mark taken away.
    KeyDeprecated = "key_deprecated",
    /// A key of an agent was revoked.
    KeyRevoked = "key_revoked",
    /// The app seals under a new data key.
    DataKeyAdded = "data_key_added",
    /// A data key that nothing is sealed under any more was wiped.
    DataKeyRetired = "data_key_retired",
    /// The app's data keys were wrapped under another root key.
    RootKeyReplaced = "root_key_replaced",
    /// The database was replaced by a backup: entries after `copy` in the details are in the replaced one alone.
    DatabaseRestored = "database_restored",
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
    /// The user it concerns.
    pub user_id: Option<UserId>,
    /// The agent that called or that it concerns.
    pub agent_id: Option<AgentId>,
    /// The request.
    pub request_id: Option<String>,
    /// Further facts as a JSON object of strings.
    pub details: serde_json::Value,
}

impl AuditEntry {
    /// An entry that concerns nothing yet.
    pub fn new(app_id: AppId, at: Micros, kind: AuditKind, details: serde_json::Value) -> Self {
        Self {
            app_id,
            at,
            kind,
            grant_id: None,
            sid: None,
            key_id: None,
            user_id: None,
            agent_id: None,
            request_id: None,
            details,
        }
    }
}

/// An entry as stored: texts exactly as they stand there, since the chain is over those bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditRow {
    /// Its number in its app, from 1, without gaps.
    pub seq: i64,
    /// Microseconds since the epoch.
    pub at: i64,
    /// [`AuditKind::as_str`].
    pub kind: String,
    /// The grant it concerns.
    pub grant_id: Option<String>,
    /// The session it concerns.
    pub sid: Option<String>,
    /// The key that called.
    pub key_id: Option<String>,
    /// The user it concerns.
    pub user_id: Option<String>,
    /// The agent that called or that it concerns.
    pub agent_id: Option<String>,
    /// The request.
    pub request_id: Option<String>,
    /// JSON text.
    pub details: String,
    /// The chain's value here; `None` for an entry older than the chain.
    #[serde(with = "hex_hash")]
    pub hash: Option<Hash>,
}

/// The newest entry of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Its number.
    pub seq: i64,
    /// Its chain value; zeros when it is older than the chain.
    pub hash: Hash,
    /// Entries up to this number are older than the chain: they carry no value.
    pub chained_after: i64,
}

/// What stands before the first entry.
pub const CHAIN_START: Hash = [0; 32];

/// The chain's value at `row`: SHA-256 over a label, the value before, and each field with its length, so that no two
/// rows have the same bytes. `row.hash` itself is left out.
pub fn chain(app: AppId, before: &Hash, row: &AuditRow) -> Hash {
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(b"alter-audit/1");
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(&row.seq.to_be_bytes());
    bytes.extend_from_slice(&row.at.to_be_bytes());
    let app = app.to_string();
    let fields = [
        Some(&app),
        Some(&row.kind),
        row.grant_id.as_ref(),
        row.sid.as_ref(),
        row.key_id.as_ref(),
        row.user_id.as_ref(),
        row.agent_id.as_ref(),
        row.request_id.as_ref(),
        Some(&row.details),
    ];
    for field in fields {
        // Absent is not empty: the length of nothing is one that no text has.
        let length = field.map_or(u64::MAX, |text| text.len() as u64);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field.map(String::as_bytes).unwrap_or_default());
    }
    sha256(&bytes)
}

mod hex_hash {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::{Hash, secret::hex};

    pub(super) fn serialize<S: Serializer>(hash: &Option<Hash>, s: S) -> Result<S::Ok, S::Error> {
        hash.as_ref().map(|h| hex(h)).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Hash>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        let read = |text: String| {
            crate::secret::from_hex(&text)
                .ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
        };
        text.map(read).transpose()
    }
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
    /// Whole entries of an app with numbers above `after`, in order.
    async fn read_audit(&self, app: AppId, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError>;
    /// The newest entry of an app; `None` when it has none.
    async fn audit_head(&self, app: AppId) -> Result<Option<AuditHead>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    fn row() -> AuditRow {
        AuditRow {
            seq: 7,
            at: 1,
            kind: "token_released".into(),
            grant_id: Some("g".into()),
            sid: None,
            key_id: Some("k".into()),
            user_id: None,
            agent_id: Some("a".into()),
            request_id: Some("r".into()),
            details: "{}".into(),
            hash: None,
        }
    }

    #[test]
    fn t96_every_field_and_every_shift_between_fields_changes_the_chain() {
        let app = AppId::new(&SystemRandom);
        let base = chain(app, &CHAIN_START, &row());
        let changes: [fn(&mut AuditRow); 12] = [
            |r| r.seq = 8,
            |r| r.at = 2,
            |r| r.kind = "token_released ".into(),
            |r| r.grant_id = None,
            |r| r.grant_id = Some(String::new()),
            |r| r.sid = Some(String::new()),
            |r| (r.grant_id, r.sid) = (None, Some("g".into())),
            |r| r.key_id = Some("K".into()),
            |r| r.user_id = Some("u".into()),
            |r| (r.agent_id, r.user_id) = (None, Some("a".into())),
            |r| r.request_id = Some("r{".into()),
            |r| r.details = "{ }".into(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = row();
            change(&mut changed);
            assert_ne!(chain(app, &CHAIN_START, &changed), base, "change {number}");
        }
        assert_ne!(chain(AppId::new(&SystemRandom), &CHAIN_START, &row()), base, "another app");
        assert_ne!(chain(app, &[1; 32], &row()), base, "another entry before");
        assert_eq!(chain(app, &CHAIN_START, &AuditRow { hash: Some([9; 32]), ..row() }), base);
    }

    #[test]
    fn a_row_reads_back_from_its_json() {
        let row = AuditRow { hash: Some([0xab; 32]), ..row() };
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.contains(&"ab".repeat(32)));
        assert_eq!(serde_json::from_str::<AuditRow>(&text).unwrap(), row);
        assert!(serde_json::from_str::<AuditRow>(&text.replace("abab", "zzzz")).is_err());
    }
}
