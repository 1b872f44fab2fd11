//! The audit: append-only, numbered and chained per app without gaps.

use alter_core::{
    AppId, AuditEntry, AuditHead, AuditRow, AuditStore, StoreError,
    audit::{CHAIN_START, chain},
};
use alter_rows::{
    Noun, Value, audit,
    sql::Piece::{After, Names, Places},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use serde_json::Value as Json;

use crate::{
    SqliteStore,
    fault::Fault,
    row::{bound, sql},
    statement::{all, one, run},
};

const HEAD: &str = sql!("SELECT {} FROM audit_heads WHERE app_id = ?1", Names(AuditHead::COLUMNS));

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(move |c| append(c, &entry)).await
    }

    async fn list_audit(&self, app: AppId, limit: u32) -> Result<Vec<(String, Json)>, StoreError> {
        let sql = "SELECT kind, details FROM audit WHERE app_id = ?1 ORDER BY seq DESC LIMIT ?2";
        self.read(|c| {
            all(c, sql, params![app.to_string(), limit], |row| Ok((row.get("kind")?, row.get("details")?)))
        })
        .await
    }

    async fn read_audit(&self, app: AppId, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM audit WHERE app_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            Names(AuditRow::COLUMNS)
        );
        self.read(|c| all(c, sql, params![app.to_string(), after, limit], AuditRow::read)).await
    }

    async fn list_audited_apps(&self) -> Result<Vec<AppId>, StoreError> {
        let sql = "SELECT app_id FROM audit_heads ORDER BY app_id";
        self.read(|c| all(c, sql, [], |row| row.get("app_id"))).await
    }

    async fn audit_head(&self, app: AppId) -> Result<Option<AuditHead>, StoreError> {
        self.read(|c| one(c, HEAD, [app.to_string()], AuditHead::read)).await
    }
}

/// Appends one entry inside the caller's transaction, so the change and its entry are both stored or neither is. There is
/// only one writer, so nothing comes between reading the head and moving it.
pub(crate) fn append(c: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let app = entry.app_id.to_string();
    let before = one(c, HEAD, [&app], AuditHead::read)?;
    let (last, hash) = before.map_or((0, CHAIN_START), |head| (head.seq, head.before_next()));
    let mut row = AuditRow { seq: last + 1, ..audit::row(entry)? };
    let hash = chain(entry.app_id, &hash, &row);
    row.hash = Some(hash);
    let moved = "INSERT INTO audit_heads (app_id, seq, hash) VALUES (?1, ?2, ?3)
                 ON CONFLICT (app_id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
    run(c, moved, params![app, row.seq, hash])?;
    alter_failpoint::pass(&row.kind);
    let sql = sql!(
        "INSERT INTO audit ({}, app_id) VALUES ({}, {})",
        Names(AuditRow::WRITTEN),
        Places(AuditRow::WRITTEN),
        After(AuditRow::WRITTEN, 1),
    );
    run(c, sql, bound(row.values()?.into_iter().chain([Value::word(&*app)])))?;
    Ok(())
}

/// Appends an entry about a change if that change was made.
pub(crate) fn append_if(made: bool, c: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    if made { append(c, entry) } else { Ok(()) }
}
