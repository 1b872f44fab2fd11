//! The audit: one entry for everything that made, released, refused or revoked a credential, and for every change to
//! who may use one. Append-only. A release whose entry cannot be written does not happen.
//!
//! An app's entries form a chain: each has the SHA-256 over the previous entry's hash and its own fields ([`chain`]).
//! Editing, deleting, reordering or inserting an entry breaks the chain at that place (T96). Rewriting everything from
//! some entry on, or cutting off the end, is found by comparing with a head that was exported and kept elsewhere.
//! [`crate::audit_chain`] walks the chain.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    AgentId, AppId, GrantId, Hash, KeyId, Micros, SessionId, StoreError, UserId,
    secret::{hex, sha256},
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What an audit entry records.
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

            /// The names of all kinds.
            pub const NAMES: &[&str] = &[$($text),*];
        }
    };
}

kinds! {
    /// A session was opened by a browser.
    SessionClaimed = "session_claimed",
    /// A browser that came by a link has proven whose it is: the session's user signed in at the app's identity provider.
    SignedIn = "signed_in",
    /// The token of a user who had signed in for an auth session was released to the app.
    UserTokenReleased = "user_token_released",
    /// A sign-in proved nothing: another user, a refusal, or an answer that does not do.
    SignInRefused = "sign_in_refused",
    /// A grant was made or renewed, with its delegation if the session named an agent.
    GrantConnected = "grant_connected",
    /// An account was connected, and the app's backend has to confirm it.
    ConnectionStaged = "connection_staged",
    /// A staged connection was wiped: another person had completed the flow, or nobody confirmed it.
    ConnectionDiscarded = "connection_discarded",
    /// An attempt was denied, failed or was interrupted.
    ConnectFailed = "connect_failed",
    /// A callback came without the session's browser cookie, or with another browser's, so the attempt was ended (T02).
    BrowserMismatch = "browser_mismatch",
    /// An access token was released.
    TokenReleased = "token_released",
    /// A client reported what it did with a released token: unproven, and in the client's words.
    CallReported = "call_reported",
    /// A grant was revoked and its values wiped.
    GrantRevoked = "grant_revoked",
    /// A provider answered a revocation, or the revocation was given up.
    RevocationEnded = "revocation_ended",
    /// The provider gave a grant new tokens.
    CredentialRefreshed = "credential_refreshed",
    /// Tokens of a refresh came after the user had connected again or the grant was revoked, and were discarded.
    RefreshDiscarded = "refresh_discarded",
    /// A grant's refresh token is taken for dead: only the user can help, by connecting again.
    ReconnectNeeded = "reconnect_needed",
    /// A user allowed an agent scopes that the provider had granted unasked.
    DelegationWidened = "delegation_widened",
    /// A delegation was revoked.
    DelegationRevoked = "delegation_revoked",
    /// An agent was made.
    AgentCreated = "agent_created",
    /// An agent was changed, suspended or resumed.
    AgentChanged = "agent_changed",
    /// An agent was deleted, with its keys and delegations.
    AgentRevoked = "agent_revoked",
    /// A key of the app or of an agent was made.
    KeyCreated = "key_created",
    /// An agent's key was deprecated, or the mark was removed.
    KeyDeprecated = "key_deprecated",
    /// A key of the app or of an agent was revoked.
    KeyRevoked = "key_revoked",
    /// The app was made.
    AppCreated = "app_created",
    /// The app's settings or its identity provider were changed.
    AppChanged = "app_changed",
    /// The app was deleted, with everything that belonged to it. The last entry, but for a restore.
    AppDeleted = "app_deleted",
    /// A provider was configured on the app, or its configuration was changed.
    ProviderSet = "provider_set",
    /// A provider's configuration was removed from the app.
    ProviderRemoved = "provider_removed",
    /// The app got a new data key; from now on it seals under that.
    DataKeyAdded = "data_key_added",
    /// A data key was wiped, because nothing was sealed under it any more.
    DataKeyRetired = "data_key_retired",
    /// The app's data keys were wrapped under another root key.
    RootKeyReplaced = "root_key_replaced",
    /// The database was replaced by a backup. Entries after `copy` in the details exist only in the replaced database.
    DatabaseRestored = "database_restored",
}

/// One entry. It contains nothing secret, and of what a provider wrote only the names of scopes.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// The app whose log it belongs to.
    pub app_id: AppId,
    /// When it happened.
    pub at: Micros,
    /// What happened.
    pub kind: AuditKind,
    /// The grant it concerns.
    pub grant_id: Option<GrantId>,
    /// The session it concerns.
    pub sid: Option<SessionId>,
    /// The key that made the call.
    pub key_id: Option<KeyId>,
    /// The user it concerns.
    pub user_id: Option<UserId>,
    /// The agent that made the call, or that it concerns.
    pub agent_id: Option<AgentId>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// More facts, as a JSON object.
    pub details: Value,
}

impl AuditEntry {
    /// An entry with none of the ids set. Details longer than [`DETAILS_MAX`] are shortened.
    pub fn new(app_id: AppId, at: Micros, kind: AuditKind, details: Value) -> Self {
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
            details: shortened(details),
        }
    }
}

/// The longest details of one entry, bytes of JSON. Entries are never deleted, and callers choose some of what is in them.
pub const DETAILS_MAX: usize = 4096;
/// What the length and the hash of a value that is left out need at most, bytes.
const LEFT_OUT: usize = 128;

fn shortened(mut details: Value) -> Value {
    let length = details.to_string().len();
    if length > DETAILS_MAX {
        leave_out(&mut details, length - DETAILS_MAX + LEFT_OUT);
    }
    details
}

/// Replaces the smallest part that has `excess` bytes by its length and its hash.
fn leave_out(value: &mut Value, excess: usize) {
    let length = |value: &Value| value.to_string().len();
    if let Value::Object(fields) = value
        && let Some(longest) = fields.values_mut().max_by_key(|field| length(field))
        && length(longest) >= excess
    {
        return leave_out(longest, excess);
    }
    let text = value.to_string();
    *value = json!({ "bytes": text.len(), "sha256": hex(&sha256(text.as_bytes())) });
}

/// An entry as stored. Its texts are exactly the stored ones, because the chain is computed over those bytes.
///
/// A member that is not one of these is refused: the chain would not cover it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRow {
    /// The entry's number in its app's log, from 1, without gaps.
    pub seq: i64,
    /// Microseconds since the epoch.
    pub at: i64,
    /// [`AuditKind::as_str`].
    pub kind: String,
    /// The grant it concerns.
    pub grant_id: Option<String>,
    /// The session it concerns.
    pub sid: Option<String>,
    /// The key that made the call.
    pub key_id: Option<String>,
    /// The user it concerns.
    pub user_id: Option<String>,
    /// The agent that made the call, or that it concerns.
    pub agent_id: Option<String>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// JSON text.
    pub details: String,
    /// The chain's value at this entry; `None` for an entry older than the chain.
    #[serde(default, with = "hex_hash")]
    pub hash: Option<Hash>,
}

/// The newest entry of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// The entry's number.
    pub seq: i64,
    /// The entry's chain value; zeros when the entry is older than the chain.
    pub hash: Hash,
    /// Entries up to this number are older than the chain and have no value.
    pub chained_after: i64,
}

impl AuditHead {
    /// The chain's value from which the next entry's is computed.
    pub fn before_next(&self) -> Hash {
        if self.seq == self.chained_after { chain_start(self.chained_after) } else { self.hash }
    }
}

/// The chain's value before the first entry.
pub const CHAIN_START: Hash = [0; 32];

/// The value from which the first entry of a chain is computed that begins after an older entry, so that this entry's
/// own value says where the chain begins. Early builds used [`CHAIN_START`] there too.
pub fn chain_start(chained_after: i64) -> Hash {
    match chained_after {
        0 => CHAIN_START,
        after => sha256(&[&b"alter-audit/1 begins after "[..], &after.to_be_bytes()].concat()),
    }
}

/// Computes the chain's value at `row`: SHA-256 over a label, the previous value, and each field with its length, so that
/// no two rows have the same bytes. `row.hash` itself is left out.
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
        // An absent field is not an empty one: it gets a length that no text has.
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
    /// Appends one entry.
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError>;
    /// Lists kind and details of an app's newest entries, newest first (`alter doctor`, tests).
    async fn list_audit(
        &self,
        app: AppId,
        limit: u32,
    ) -> Result<Vec<(String, serde_json::Value)>, StoreError>;
    /// Reads an app's entries with numbers above `after`, in order.
    async fn read_audit(&self, app: AppId, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError>;
    /// Lists the apps that have entries, by id. Deleted apps are among them.
    async fn list_audited_apps(&self) -> Result<Vec<AppId>, StoreError>;
    /// Finds an app's newest entry; returns `None` when the log is empty.
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
    fn t76_details_have_a_bound_as_a_whole_and_only_what_is_too_long_is_left_out() {
        let entry = |details: Value| {
            AuditEntry::new(AppId::new(&SystemRandom), Micros(1), AuditKind::AgentChanged, details).details
        };
        let short = json!({ "name": "mailbot", "changed": { "scopes": { "github": ["repo"] } } });
        assert_eq!(entry(short.clone()), short);
        let many: Vec<_> = (0..900).map(|n| format!("scope-{n}")).collect();
        let long = json!({ "name": "mailbot", "changed": { "scopes": { "github": many }, "active": true } });
        let kept = entry(long);
        assert_eq!((&kept["name"], &kept["changed"]["active"]), (&json!("mailbot"), &json!(true)));
        let scopes = &kept["changed"]["scopes"]["github"];
        assert!(scopes["bytes"].as_u64() > Some(9000) && scopes["sha256"].is_string(), "{kept}");
        let wide: serde_json::Map<_, _> = (0..900).map(|n| (format!("provider-{n}"), json!(["a"]))).collect();
        let wide = Value::Object(wide);
        for details in [json!({ "scopes": wide }), wide, json!("x".repeat(60_000))] {
            let kept = entry(details).to_string();
            assert!(kept.len() <= DETAILS_MAX && kept.contains("sha256"), "{kept}");
        }
    }

    #[test]
    fn a_row_reads_back_from_its_json() {
        let row = AuditRow { hash: Some([0xab; 32]), ..row() };
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.contains(&"ab".repeat(32)));
        assert_eq!(serde_json::from_str::<AuditRow>(&text).unwrap(), row);
        assert!(serde_json::from_str::<AuditRow>(&text.replace("abab", "zzzz")).is_err());
        let unknown =
            serde_json::from_str::<AuditRow>(&text.replace("\"sid\"", "\"approved_by\":\"me\",\"sid\""));
        assert!(unknown.is_err_and(|error| error.to_string().contains("approved_by")));
    }
}
