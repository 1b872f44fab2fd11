//! The audit: append-only, numbered and chained per app without gaps.

use alter_core::{
    AppId, AuditEntry, AuditHead, AuditRow, AuditStore, StoreError,
    audit::{CHAIN_START, chain},
};
use alter_rows::{
    Noun,
    audit::row,
    sql::Piece::{Names, Text},
};
use async_trait::async_trait;
use serde_json::Value;

use crate::{
    PostgresStore,
    connection::Connection,
    fault::Fault,
    row::sql,
    statement::{one, run, values},
};

const HEAD: &str = sql!("SELECT {} FROM audit_heads WHERE app_id = $1", Names(AuditHead::COLUMNS));

#[async_trait]
impl AuditStore for PostgresStore {
    async fn append_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(|tx| Box::pin(append(tx.c, &entry))).await
    }

    async fn list_audit(&self, app: AppId, limit: u32) -> Result<Vec<(String, Value)>, StoreError> {
        let sql = "SELECT kind, details FROM audit WHERE app_id = $1 ORDER BY seq DESC LIMIT $2";
        self.all(sql, values![app.to_string(), i64::from(limit)], |row| {
            Ok((row.get("kind")?, row.get("details")?))
        })
        .await
    }

    async fn read_audit(&self, app: AppId, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM audit WHERE app_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            Names(AuditRow::COLUMNS)
        );
        self.all(sql, values![app.to_string(), after, i64::from(limit)], AuditRow::read).await
    }

    async fn list_audited_apps(&self) -> Result<Vec<AppId>, StoreError> {
        let sql = "SELECT app_id FROM audit_heads ORDER BY app_id";
        self.all(sql, values![], |row| row.get("app_id")).await
    }

    async fn audit_head(&self, app: AppId) -> Result<Option<AuditHead>, StoreError> {
        self.one(HEAD, values![app.to_string()], AuditHead::read).await
    }
}

/// Appends one entry inside the caller's transaction, so the change and its entry are both stored or neither is. The
/// head's row stays locked until the commit, so nothing comes between reading the head and moving it. It is the last lock
/// that any command takes, so no deadlock can arise from it.
pub(crate) async fn append(c: &mut Connection, entry: &AuditEntry) -> Result<(), Fault> {
    append_all(c, entry.app_id, vec![row(entry)?]).await
}

/// Like [`append`], for several entries of one app, in order.
pub(crate) async fn append_all(c: &mut Connection, app: AppId, mut rows: Vec<AuditRow>) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let id = app.to_string();
    let head = locked_head(c, &id).await?;
    let (mut seq, mut hash) = (head.seq, head.before_next());
    for row in &mut rows {
        seq += 1;
        row.seq = seq;
        hash = chain(app, &hash, row);
        row.hash = Some(hash);
    }
    let moved = "UPDATE audit_heads SET seq = $2, hash = $3 WHERE app_id = $1";
    run(c, moved, values![&*id, seq, &hash[..]]).await?;
    rows.iter().for_each(|row| alter_failpoint::pass(&row.kind));
    insert(c, &id, &rows).await
}

/// Locks the head, and makes it if the app has no entry yet.
async fn locked_head(c: &mut Connection, app: &str) -> Result<AuditHead, Fault> {
    let locked = sql!("{} FOR UPDATE", Text(HEAD));
    if let Some(head) = one(c, locked, values![app], AuditHead::read).await? {
        return Ok(head);
    }
    // Waits if another transaction is making the same head.
    let made =
        "INSERT INTO audit_heads (app_id, seq, hash) VALUES ($1, 0, $2) ON CONFLICT (app_id) DO NOTHING";
    run(c, made, values![app, &CHAIN_START[..]]).await?;
    one(c, locked, values![app], AuditHead::read).await?.ok_or(Fault::corrupt("seq"))
}

async fn insert(c: &mut Connection, app: &str, rows: &[AuditRow]) -> Result<(), Fault> {
    let sql =
        "INSERT INTO audit (app_id, seq, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id, details, hash)
               SELECT $1, * FROM unnest($2::BIGINT[], $3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::TEXT[], $7::TEXT[],
                                        $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::BYTEA[])";
    let texts = |of: fn(&AuditRow) -> Option<&str>| rows.iter().map(of).collect::<Vec<_>>();
    let values = values![
        app,
        rows.iter().map(|row| row.seq).collect::<Vec<_>>(),
        rows.iter().map(|row| row.at).collect::<Vec<_>>(),
        texts(|row| Some(&row.kind)),
        texts(|row| row.grant_id.as_deref()),
        texts(|row| row.sid.as_deref()),
        texts(|row| row.key_id.as_deref()),
        texts(|row| row.user_id.as_deref()),
        texts(|row| row.agent_id.as_deref()),
        texts(|row| row.request_id.as_deref()),
        texts(|row| Some(&row.details)),
        rows.iter().map(|row| row.hash.as_ref().map(|hash| &hash[..])).collect::<Vec<_>>(),
    ];
    run(c, sql, values).await?;
    Ok(())
}
