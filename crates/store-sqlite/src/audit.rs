//! The audit: append-only, numbered per app without gaps.

use alter_core::{AppId, AuditEntry, AuditStore, StoreError};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::{
    SqliteStore,
    column::{json, optional_text, read_json, read_text},
    fault::Fault,
    statement::{all, one, run},
};

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(move |c| append(c, &entry)).await
    }

    async fn list_audit(&self, app: AppId, limit: u32) -> Result<Vec<(String, Value)>, StoreError> {
        let sql = "SELECT kind, details FROM audit WHERE app_id = ?1 ORDER BY seq DESC LIMIT ?2";
        self.read(|c| {
            all(c, sql, params![app.to_string(), limit], |row| {
                Ok((read_text(row, "kind")?, read_json(row, "details")?))
            })
        })
        .await
    }
}

/// Appends one entry inside the caller's transaction: what it tells of and the entry stand or fall together.
pub(crate) fn append(c: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let app = entry.app_id.to_string();
    let next = "INSERT INTO audit_heads (app_id, seq) VALUES (?1, 1)
                ON CONFLICT (app_id) DO UPDATE SET seq = audit_heads.seq + 1
                RETURNING seq";
    let seq: Option<i64> = one(c, next, [&app], |row| Ok(row.get("seq")?))?;
    run(
        c,
        "INSERT INTO audit (app_id, seq, at, kind, grant_id, sid, key_id, request_id, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            app,
            seq.ok_or(Fault::corrupt("seq"))?,
            entry.at.0,
            entry.kind.as_str(),
            entry.grant_id.map(|id| id.to_string()),
            entry.sid.as_ref().map(|sid| sid.as_str()),
            entry.key_id.map(|id| id.to_string()),
            optional_text(entry.request_id.as_deref())?,
            json(&entry.details)?,
        ],
    )?;
    Ok(())
}
