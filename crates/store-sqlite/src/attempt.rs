//! Attempts. Every move is one conditional UPDATE that names the status it starts from: the first caller gets the
//! row, every other gets `false` and changes nothing.

use alter_core::{
    AppId, Attempt, AttemptId, AttemptStatus, AttemptStore, AuditEntry, CompleteConnect, ConfigId, Consumed,
    Ended, Failure, Hash, Micros, Saved, Session, SessionId, StoreError,
};
use async_trait::async_trait;
use rusqlite::{Connection, Params, Row, params};

use crate::{
    SqliteStore,
    audit::append,
    column::{json, parsed, read_hash, read_json, read_text, read_time, text},
    data_key::refuse_retired,
    delegation,
    fault::Fault,
    grant,
    session::{Save, change},
    statement::{all, one, run},
};

macro_rules! columns {
    () => {
        "id, sid, app_id, config_id, state_hash, verifier, nonce, redirect_uri, scopes, created_at, expires_at,
         status, status_at, body"
    };
}

/// With the words of the index `attempts_stuck`: otherwise it is not used.
const STUCK: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM attempts WHERE status IN ('consumed', 'sent') AND status_at < ?1 ORDER BY status_at, id LIMIT ?2"
);

#[async_trait]
impl AttemptStore for SqliteStore {
    async fn start_attempt(&self, session: &Session, attempt: Attempt) -> Result<Saved, StoreError> {
        let saved = Save::of(session)?;
        self.write(move |c| {
            refuse_retired(c, attempt.app_id, [Some(&attempt.verifier)])?;
            if !saved.save(c)?.is_done() {
                return Ok(Saved::Moved);
            }
            insert(c, &attempt)?;
            Ok(Saved::Done)
        })
        .await
    }

    async fn find_attempt(&self, state_hash: &Hash) -> Result<Option<Attempt>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM attempts WHERE state_hash = ?1");
        self.read(|c| one(c, sql, [state_hash], read_attempt)).await
    }

    async fn consume_attempt(&self, id: AttemptId, now: Micros) -> Result<Consumed, StoreError> {
        let sql = "UPDATE attempts SET status = 'consumed', status_at = ?2
                   WHERE id = ?1 AND status = 'started' AND expires_at > ?2
                   RETURNING sid";
        self.write(move |c| {
            let Some(sid) = moved(c, sql, params![id.to_string(), now.0])? else { return Ok(Consumed::Late) };
            change(c, &sid, |session| session.exchanging(id, now))?;
            Ok(Consumed::First)
        })
        .await
    }

    async fn mark_sent(&self, id: AttemptId, now: Micros) -> Result<Saved, StoreError> {
        let sql = "UPDATE attempts SET status = 'sent', status_at = ?2 WHERE id = ?1 AND status = 'consumed'";
        self.write(move |c| Ok(Saved::when(run(c, sql, params![id.to_string(), now.0])? == 1))).await
    }

    async fn save_body(&self, id: AttemptId, sealed: Vec<u8>) -> Result<Saved, StoreError> {
        // `status_at` stays: it tells since when the attempt has been `sent`.
        let sql = "UPDATE attempts SET body = ?2 WHERE id = ?1 AND status = 'sent' RETURNING app_id";
        self.write(move |c| {
            let app =
                one(c, sql, params![id.to_string(), sealed], |row| parsed(row, "app_id", AppId::parse))?;
            let Some(app) = app else { return Ok(Saved::Moved) };
            refuse_retired(c, app, [Some(&sealed)])?;
            Ok(Saved::Done)
        })
        .await
    }

    async fn complete_connect(&self, complete: CompleteConnect) -> Result<Ended, StoreError> {
        self.write(move |c| complete_in(c, complete)).await
    }

    async fn fail_attempt(
        &self,
        id: AttemptId,
        status: AttemptStatus,
        failure: Failure,
        audit: AuditEntry,
        now: Micros,
    ) -> Result<Ended, StoreError> {
        use AttemptStatus as S;
        if !matches!(status, S::Denied | S::Failed | S::Interrupted) {
            return Err(StoreError::Unavailable(format!("no attempt fails as {}", status.as_str())));
        }
        let sql = "UPDATE attempts SET status = ?2, status_at = ?3, verifier = X'', body = NULL
                   WHERE id = ?1 AND status IN ('started', 'consumed', 'sent')
                         AND (?2 <> 'interrupted' OR body IS NULL)
                   RETURNING sid";
        self.write(move |c| {
            let Some(sid) = moved(c, sql, params![id.to_string(), status.as_str(), now.0])? else {
                return Ok(Ended::Before);
            };
            let session = change(c, &sid, |session| session.attempt_ended(id, failure, now))?;
            append(c, &audit)?;
            Ok(Ended::Done { session })
        })
        .await
    }

    async fn list_stuck_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.read(|c| all(c, STUCK, params![before.0, limit], read_attempt)).await
    }
}

/// The row must be the session's and the app's own: ids of others change nothing (T72).
fn complete_in(c: &Connection, complete: CompleteConnect) -> Result<Ended, Fault> {
    let CompleteConnect { attempt, sid, grant, delegation, connection, audit, at } = complete;
    let sql = "UPDATE attempts SET status = 'succeeded', status_at = ?4, verifier = X'', body = NULL
               WHERE id = ?1 AND sid = ?2 AND app_id = ?3 AND status = 'sent'
               RETURNING sid";
    let values = params![attempt.to_string(), sid.as_str(), grant.app_id.to_string(), at.0];
    if moved(c, sql, values)?.is_none() {
        return Ok(Ended::Before);
    }
    grant::put(c, &grant)?;
    if let Some(delegation) = delegation {
        delegation::put(c, grant.app_id, &delegation)?;
    }
    let session = change(c, &sid, |session| session.connected(attempt, connection))?;
    append(c, &audit)?;
    Ok(Ended::Done { session })
}

/// Moves an attempt by a statement that answers its session.
fn moved(c: &Connection, sql: &str, values: impl Params) -> Result<Option<SessionId>, Fault> {
    one(c, sql, values, |row| parsed(row, "sid", SessionId::parse))
}

fn insert(c: &Connection, t: &Attempt) -> Result<(), Fault> {
    let sql = concat!(
        "INSERT INTO attempts (",
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

fn read_attempt(row: &Row<'_>) -> Result<Attempt, Fault> {
    Ok(Attempt {
        id: parsed(row, "id", AttemptId::parse)?,
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
        status: parsed(row, "status", AttemptStatus::parse)?,
        status_at: read_time(row, "status_at")?,
        body: row.get("body")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_attempts_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan(STUCK);
        assert!(plan.contains("USING INDEX attempts_stuck"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
