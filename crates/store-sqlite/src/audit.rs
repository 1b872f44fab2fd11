//! The audit: append-only, numbered and chained per app without gaps.

use alter_core::{
    AppId, AuditEntry, AuditHead, AuditRow, AuditStore, StoreError,
    audit::{CHAIN_START, chain},
};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use serde_json::Value;

use crate::{
    SqliteStore,
    column::{json, optional_text, read_hash, read_json, read_optional_hash, read_text},
    fault::Fault,
    statement::{all, one, run},
};

const HEAD: &str = "SELECT seq, hash, chained_after FROM audit_heads WHERE app_id = ?1";

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

    async fn read_audit(&self, app: AppId, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "SELECT seq, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id, details, hash
                   FROM audit WHERE app_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        self.read(|c| all(c, sql, params![app.to_string(), after, limit], read_row)).await
    }

    async fn audit_head(&self, app: AppId) -> Result<Option<AuditHead>, StoreError> {
        self.read(|c| one(c, HEAD, [app.to_string()], read_head)).await
    }
}

/// Appends one entry inside the caller's transaction: what it tells of and the entry stand or fall together. The one
/// writer lets nothing come between reading the head and moving it.
pub(crate) fn append(c: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let app = entry.app_id.to_string();
    let before = one(c, HEAD, [&app], read_head)?;
    let (last, hash) = before.map_or((0, CHAIN_START), |head| (head.seq, head.hash));
    let mut row = AuditRow {
        seq: last + 1,
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
    };
    let hash = chain(entry.app_id, &hash, &row);
    row.hash = Some(hash);
    let moved = "INSERT INTO audit_heads (app_id, seq, hash) VALUES (?1, ?2, ?3)
                 ON CONFLICT (app_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    run(c, moved, params![app, row.seq, hash])?;
    alter_failpoint::pass(&row.kind);
    run(
        c,
        "INSERT INTO audit (app_id, seq, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id, details, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            app,
            row.seq,
            row.at,
            row.kind,
            row.grant_id,
            row.sid,
            row.key_id,
            row.user_id,
            row.agent_id,
            row.request_id,
            row.details,
            row.hash,
        ],
    )?;
    Ok(())
}

fn read_head(row: &Row<'_>) -> Result<AuditHead, Fault> {
    Ok(AuditHead {
        seq: row.get("seq")?,
        hash: read_hash(row, "hash")?,
        chained_after: row.get("chained_after")?,
    })
}

fn read_row(row: &Row<'_>) -> Result<AuditRow, Fault> {
    Ok(AuditRow {
        seq: row.get("seq")?,
        at: row.get("at")?,
        kind: read_text(row, "kind")?,
        grant_id: row.get("grant_id")?,
        sid: row.get("sid")?,
        key_id: row.get("key_id")?,
        user_id: row.get("user_id")?,
        agent_id: row.get("agent_id")?,
        request_id: row.get("request_id")?,
        details: read_text(row, "details")?,
        hash: read_optional_hash(row, "hash")?,
    })
}
