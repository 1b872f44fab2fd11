//! Transactions. Every move is one conditional UPDATE that names the status it starts from: the first caller gets the
//! row, every other gets `false` and changes nothing.

use alter_core::{
    AppId, AuditEntry, CompleteConnect, ConfigId, Failure, Hash, Micros, Session, SessionId, StoreError,
    Transaction, TransactionId, TransactionStatus, TransactionStore,
};
use async_trait::async_trait;
use rusqlite::{Connection, Params, Row, params};

use crate::{
    SqliteStore,
    app_key::refuse_retired,
    audit::append,
    column::{json, parsed, read_hash, read_json, read_text, read_time, text},
    delegation,
    fault::Fault,
    grant,
    session::{Saved, change},
    statement::{all, one, run},
};

macro_rules! columns {
    () => {
        "id, sid, app_id, config_id, state_hash, verifier, nonce, redirect_uri, scopes, created_at, expires_at,
         status, status_at, body"
    };
}

/// With the words of the index `transactions_stuck`: otherwise it is not used.
const STUCK: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM transactions WHERE status IN ('consumed', 'sent') AND status_at < ?1 ORDER BY status_at, id LIMIT ?2"
);

#[async_trait]
impl TransactionStore for SqliteStore {
    async fn start_transaction(
        &self,
        session: &Session,
        transaction: Transaction,
    ) -> Result<bool, StoreError> {
        let saved = Saved::of(session)?;
        self.write(move |c| {
            refuse_retired(c, transaction.app_id, [Some(&transaction.verifier)])?;
            if !saved.save(c)? {
                return Ok(false);
            }
            insert(c, &transaction)?;
            Ok(true)
        })
        .await
    }

    async fn find_transaction(&self, state_hash: &Hash) -> Result<Option<Transaction>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM transactions WHERE state_hash = ?1");
        self.read(|c| one(c, sql, [state_hash], read_transaction)).await
    }

    async fn consume_transaction(&self, id: TransactionId, now: Micros) -> Result<bool, StoreError> {
        let sql = "UPDATE transactions SET status = 'consumed', status_at = ?2
                   WHERE id = ?1 AND status = 'started' AND expires_at > ?2
                   RETURNING sid";
        self.write(move |c| {
            let Some(sid) = moved(c, sql, params![id.to_string(), now.0])? else { return Ok(false) };
            change(c, &sid, |session| session.exchanging(id, now))?;
            Ok(true)
        })
        .await
    }

    async fn mark_sent(&self, id: TransactionId, now: Micros) -> Result<bool, StoreError> {
        let sql =
            "UPDATE transactions SET status = 'sent', status_at = ?2 WHERE id = ?1 AND status = 'consumed'";
        self.write(move |c| Ok(run(c, sql, params![id.to_string(), now.0])? == 1)).await
    }

    async fn save_body(&self, id: TransactionId, sealed: Vec<u8>) -> Result<bool, StoreError> {
        // `status_at` stays: it tells since when the transaction has been `sent`.
        let sql = "UPDATE transactions SET body = ?2 WHERE id = ?1 AND status = 'sent' RETURNING app_id";
        self.write(move |c| {
            let app =
                one(c, sql, params![id.to_string(), sealed], |row| parsed(row, "app_id", AppId::parse))?;
            let Some(app) = app else { return Ok(false) };
            refuse_retired(c, app, [Some(&sealed)])?;
            Ok(true)
        })
        .await
    }

    async fn complete_connect(&self, complete: CompleteConnect) -> Result<bool, StoreError> {
        self.write(move |c| complete_in(c, complete)).await
    }

    async fn fail_transaction(
        &self,
        id: TransactionId,
        status: TransactionStatus,
        failure: Failure,
        audit: AuditEntry,
        now: Micros,
    ) -> Result<bool, StoreError> {
        use TransactionStatus as S;
        if !matches!(status, S::Denied | S::Failed | S::Interrupted) {
            return Err(StoreError::Unavailable(format!("no transaction fails as {}", status.as_str())));
        }
        let sql = "UPDATE transactions SET status = ?2, status_at = ?3, verifier = X'', body = NULL
                   WHERE id = ?1 AND status IN ('started', 'consumed', 'sent')
                         AND (?2 <> 'interrupted' OR body IS NULL)
                   RETURNING sid";
        self.write(move |c| {
            let Some(sid) = moved(c, sql, params![id.to_string(), status.as_str(), now.0])? else {
                return Ok(false);
            };
            change(c, &sid, |session| session.transaction_failed(id, failure, now))?;
            append(c, &audit)?;
            Ok(true)
        })
        .await
    }

    async fn list_stuck_transactions(
        &self,
        before: Micros,
        limit: u32,
    ) -> Result<Vec<Transaction>, StoreError> {
        self.read(|c| all(c, STUCK, params![before.0, limit], read_transaction)).await
    }
}

/// The row must be the session's and the app's own: ids of others change nothing (T72).
fn complete_in(c: &Connection, complete: CompleteConnect) -> Result<bool, Fault> {
    let CompleteConnect { transaction, sid, grant, delegation, connection, audit, at } = complete;
    let sql = "UPDATE transactions SET status = 'succeeded', status_at = ?4, verifier = X'', body = NULL
               WHERE id = ?1 AND sid = ?2 AND app_id = ?3 AND status = 'sent'
               RETURNING sid";
    let values = params![transaction.to_string(), sid.as_str(), grant.app_id.to_string(), at.0];
    if moved(c, sql, values)?.is_none() {
        return Ok(false);
    }
    grant::put(c, &grant)?;
    if let Some(delegation) = delegation {
        delegation::put(c, grant.app_id, &delegation)?;
    }
    change(c, &sid, |session| session.connected(transaction, connection))?;
    append(c, &audit)?;
    Ok(true)
}

/// Moves a transaction by a statement that answers its session.
fn moved(c: &Connection, sql: &str, values: impl Params) -> Result<Option<SessionId>, Fault> {
    one(c, sql, values, |row| parsed(row, "sid", SessionId::parse))
}

fn insert(c: &Connection, t: &Transaction) -> Result<(), Fault> {
    let sql = concat!(
        "INSERT INTO transactions (",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
    );
    let values = params![
        t.id.to_string(),
        t.sid.as_str(),
        t.app_id.to_string(),
        t.config_id.as_str(),
        t.state_hash,
        t.verifier,
        text(&t.nonce)?,
        text(&t.redirect_uri)?,
        json(&t.scopes)?,
        t.created_at.0,
        t.expires_at.0,
        t.status.as_str(),
        t.status_at.0,
        t.body,
    ];
    run(c, sql, values)?;
    Ok(())
}

fn read_transaction(row: &Row<'_>) -> Result<Transaction, Fault> {
    Ok(Transaction {
        id: parsed(row, "id", TransactionId::parse)?,
        sid: parsed(row, "sid", SessionId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        config_id: parsed(row, "config_id", ConfigId::parse)?,
        state_hash: read_hash(row, "state_hash")?,
        verifier: row.get("verifier")?,
        nonce: read_text(row, "nonce")?,
        redirect_uri: read_text(row, "redirect_uri")?,
        scopes: read_json(row, "scopes")?,
        created_at: read_time(row, "created_at")?,
        expires_at: read_time(row, "expires_at")?,
        status: parsed(row, "status", TransactionStatus::parse)?,
        status_at: read_time(row, "status_at")?,
        body: row.get("body")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_transactions_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan(STUCK);
        assert!(plan.contains("USING INDEX transactions_stuck"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
