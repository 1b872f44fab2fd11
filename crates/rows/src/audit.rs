//! Audit entries, and the heads of their chains.

use alter_core::{AuditEntry, AuditHead, AuditRow, StoreError};

use crate::{
    noun::columns,
    storable::{json, optional_text},
};

columns! {
    AuditRow { seq, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id, details, hash }
}

columns! { AuditHead { seq, hash, chained_after } }

/// Makes the stored form of an entry, without its place in the chain.
///
/// # Errors
/// [`StoreError::Unstorable`].
pub fn row(entry: &AuditEntry) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        seq: 0,
        at: entry.at.0,
        kind: entry.kind.as_str().to_owned(),
        grant_id: entry.grant_id.map(|id| id.to_string()),
        sid: entry.sid.as_ref().map(|sid| sid.as_str().to_owned()),
        key_id: entry.key_id.map(|id| id.to_string()),
        user_id: entry.user_id.map(|id| id.to_string()),
        agent_id: entry.agent_id.map(|id| id.to_string()),
        request_id: optional_text(entry.request_id.as_deref())?.map(str::to_owned),
        details: json(&entry.details)?,
        hash: None,
    })
}
