//! The audit: append-only, numbered and chained per app without gaps.

use alter_core::{
    AppId, AuditEntry, AuditHead, AuditRow, AuditStore, StoreError,
    audit::{CHAIN_START, chain},
};
use async_trait::async_trait;
use serde_json::Value;
use sqlx::{PgConnection, postgres::PgRow};

use crate::{
    PostgresStore,
    column::{json, optional_text, read, read_hash, read_json, read_optional_hash, read_text},
    fault::Fault,
    statement::{one, run, values},
};

macro_rules! head {
    () => {
        "SELECT seq, hash, chained_after FROM audit_heads WHERE app_id = $1"
    };
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(|tx| Box::pin(append(tx.c, &entry))).await
    }

    async fn list_audit(&self, app: AppId, limit: u32) -> Result<Vec<(String, Value)>, StoreError> {
        let sql = "SELECT kind, details FROM audit WHERE app_id = $1 ORDER BY seq DESC LIMIT $2";
        self.all(sql, values![app.to_string(), i64::from(limit)], |row| {
            Ok((read_text(row, "kind")?, read_json(row, "details")?))
        })
        .await
    }

    async fn read_audit(&self, app: AppId, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "SELECT seq, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id, details, hash
                   FROM audit WHERE app_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        self.all(sql, values![app.to_string(), after, i64::from(limit)], read_row).await
    }

    async fn audit_head(&self, app: AppId) -> Result<Option<AuditHead>, StoreError> {
        self.one(head!(), values![app.to_string()], read_head).await
    }
}

/// Appends one entry inside the caller's transaction: what it tells of and the entry stand or fall together. The
/// head's row stays locked until the commit, so nothing comes between reading the head and moving it; it is the last
/// lock that any command takes, so that nobody waits for it in a circle.
pub(crate) async fn append(c: &mut PgConnection, entry: &AuditEntry) -> Result<(), Fault> {
    let app = entry.app_id.to_string();
    let before = locked_head(c, &app).await?;
    let mut row = AuditRow {
        seq: before.seq + 1,
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
    let hash = chain(entry.app_id, &before.hash, &row);
    row.hash = Some(hash);
    let moved = "UPDATE audit_heads SET seq = $2, hash = $3 WHERE app_id = $1";
    run(c, moved, values![&*app, row.seq, &hash[..]]).await?;
    alter_failpoint::pass(&row.kind);
    insert(c, &app, &row).await
}

/// The head, locked; made where the app has no entry yet.
async fn locked_head(c: &mut PgConnection, app: &str) -> Result<AuditHead, Fault> {
    let locked = concat!(head!(), " FOR UPDATE");
    if let Some(head) = one(c, locked, values![app], read_head).await? {
        return Ok(head);
    }
    // Waits for whoever is making the same one.
    let made =
        "INSERT INTO audit_heads (app_id, seq, hash) VALUES ($1, 0, $2) ON CONFLICT (app_id) DO NOTHING";
    run(c, made, values![app, &CHAIN_START[..]]).await?;
    one(c, locked, values![app], read_head).await?.ok_or(Fault::corrupt("seq"))
}

async fn insert(c: &mut PgConnection, app: &str, row: &AuditRow) -> Result<(), Fault> {
    let sql =
        "INSERT INTO audit (app_id, seq, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id,
                                  details, hash)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let values = values![
        app,
        row.seq,
        row.at,
        &*row.kind,
        row.grant_id.as_deref(),
        row.sid.as_deref(),
        row.key_id.as_deref(),
        row.user_id.as_deref(),
        row.agent_id.as_deref(),
        row.request_id.as_deref(),
        &*row.details,
        row.hash.as_ref().map(|hash| &hash[..]),
    ];
    run(c, sql, values).await?;
    Ok(())
}

fn read_head(row: &PgRow) -> Result<AuditHead, Fault> {
    Ok(AuditHead {
        seq: read(row, "seq")?,
        hash: read_hash(row, "hash")?,
        chained_after: read(row, "chained_after")?,
    })
}

fn read_row(row: &PgRow) -> Result<AuditRow, Fault> {
    Ok(AuditRow {
        seq: read(row, "seq")?,
        at: read(row, "at")?,
        kind: read_text(row, "kind")?,
        grant_id: read(row, "grant_id")?,
        sid: read(row, "sid")?,
        key_id: read(row, "key_id")?,
        user_id: read(row, "user_id")?,
        agent_id: read(row, "agent_id")?,
        request_id: read(row, "request_id")?,
        details: read_text(row, "details")?,
        hash: read_optional_hash(row, "hash")?,
    })
}
