//! Attempts. Every move is one conditional UPDATE that names the status it starts from: the first caller gets the row; any
//! other caller gets no row and changes nothing.

use alter_core::{
    Attempt, AttemptId, AttemptStatus, AttemptStore, AuditEntry, Brought, CompleteConnect, Consumed, Ended,
    Failure, Hash, Micros, Saved, Session, SessionId, StageConnect, StoreError,
};
use alter_rows::{
    Noun,
    session::Save,
    sql::Piece::{Names, Places},
    storable::json,
};
use async_trait::async_trait;
use rusqlite::{Connection, Params, params};

use crate::{
    SqliteStore,
    audit::append,
    data_key::refuse_retired,
    delegation,
    fault::Fault,
    grant,
    row::{bound, sql},
    session::{change, save},
    statement::{all, one, run},
};

/// The condition is written exactly like that of the index `attempts_stuck`: otherwise the index is not used.
const STUCK: &str = sql!(
    "SELECT {} FROM attempts
     WHERE status IN ('consumed', 'sent') AND status_at < ?1 ORDER BY status_at, id LIMIT ?2",
    Names(Attempt::COLUMNS),
);

/// As [`STUCK`], for the index `attempts_staged`.
const WAITING: &str = sql!(
    "SELECT {} FROM attempts WHERE status = 'staged' AND status_at < ?1 ORDER BY status_at, id LIMIT ?2",
    Names(Attempt::COLUMNS),
);

#[async_trait]
impl AttemptStore for SqliteStore {
    async fn start_attempt(&self, session: &Session, attempt: Attempt) -> Result<Saved, StoreError> {
        let saved = Save::of(session)?;
        self.write(move |c| {
            refuse_retired(c, attempt.app_id, [Some(&attempt.verifier)])?;
            if !save(c, &saved)?.is_done() {
                return Ok(Saved::Moved);
            }
            insert(c, &attempt)?;
            Ok(Saved::Done)
        })
        .await
    }

    async fn find_attempt(&self, state_hash: &Hash) -> Result<Option<Attempt>, StoreError> {
        let sql = sql!("SELECT {} FROM attempts WHERE state_hash = ?1", Names(Attempt::COLUMNS));
        self.read(|c| one(c, sql, [state_hash], Attempt::read)).await
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

    async fn mark_sent(&self, id: AttemptId, brought: &Brought, now: Micros) -> Result<Saved, StoreError> {
        let sql = "UPDATE attempts SET status = 'sent', status_at = ?2, brought = ?3
                   WHERE id = ?1 AND status = 'consumed'";
        let brought = json(brought)?;
        self.write(move |c| Ok(Saved::when(run(c, sql, params![id.to_string(), now.0, brought])? == 1))).await
    }

    async fn save_body(&self, id: AttemptId, sealed: Vec<u8>) -> Result<Saved, StoreError> {
        // `status_at` stays: it says when the attempt became `sent`.
        let sql = "UPDATE attempts SET body = ?2 WHERE id = ?1 AND status = 'sent' RETURNING app_id";
        self.write(move |c| {
            let app = one(c, sql, params![id.to_string(), sealed], |row| row.get("app_id"))?;
            let Some(app) = app else { return Ok(Saved::Moved) };
            refuse_retired(c, app, [Some(&sealed)])?;
            Ok(Saved::Done)
        })
        .await
    }

    async fn stage_connect(&self, stage: StageConnect) -> Result<Ended, StoreError> {
        self.write(move |c| stage_in(c, stage)).await
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

    async fn discard_staged(
        &self,
        id: AttemptId,
        failure: Failure,
        audit: AuditEntry,
        now: Micros,
    ) -> Result<Ended, StoreError> {
        let sql = "UPDATE attempts SET status = 'failed', status_at = ?2, body = NULL, staged = NULL
                   WHERE id = ?1 AND status = 'staged'
                   RETURNING sid";
        self.write(move |c| {
            let Some(sid) = moved(c, sql, params![id.to_string(), now.0])? else { return Ok(Ended::Before) };
            let session = change(c, &sid, |session| session.discarded(id, failure, now))?;
            append(c, &audit)?;
            Ok(Ended::Done { session })
        })
        .await
    }

    async fn list_staged_attempts(&self, sid: &SessionId) -> Result<Vec<Attempt>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM attempts WHERE sid = ?1 AND status = 'staged' ORDER BY status_at, id",
            Names(Attempt::COLUMNS),
        );
        self.read(|c| all(c, sql, [sid.as_str()], Attempt::read)).await
    }

    async fn list_waiting_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.read(|c| all(c, WAITING, params![before.0, limit], Attempt::read)).await
    }

    async fn list_stuck_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.read(|c| all(c, STUCK, params![before.0, limit], Attempt::read)).await
    }
}

/// The row must belong to the session and the app: another's ids change nothing (T72).
fn stage_in(c: &Connection, stage: StageConnect) -> Result<Ended, Fault> {
    let StageConnect { sid, app_id, account, staged, audit } = stage;
    refuse_retired(c, app_id, [Some(&account)])?;
    let sql = "UPDATE attempts SET status = 'staged', status_at = ?4, verifier = X'', staged = ?5
               WHERE id = ?1 AND sid = ?2 AND app_id = ?3 AND status = 'sent' AND body IS NOT NULL
               RETURNING sid";
    let values = params![staged.attempt.to_string(), sid.as_str(), app_id.to_string(), staged.at.0, account];
    if moved(c, sql, values)?.is_none() {
        return Ok(Ended::Before);
    }
    let session = change(c, &sid, |session| session.staged(staged))?;
    append(c, &audit)?;
    Ok(Ended::Done { session })
}

/// As [`stage_in`].
fn complete_in(c: &Connection, complete: CompleteConnect) -> Result<Ended, Fault> {
    let CompleteConnect { attempt, from, sid, grant, delegation, connection, audit, at } = complete;
    let sql =
        "UPDATE attempts SET status = 'succeeded', status_at = ?4, verifier = X'', body = NULL, staged = NULL
               WHERE id = ?1 AND sid = ?2 AND app_id = ?3 AND status = ?5 AND status IN ('sent', 'staged')
               RETURNING sid";
    let values = params![attempt.to_string(), sid.as_str(), grant.app_id.to_string(), at.0, from.as_str()];
    if moved(c, sql, values)?.is_none() {
        return Ok(Ended::Before);
    }
    grant::put(c, &grant)?;
    if let Some(delegation) = delegation {
        delegation::put(c, grant.app_id, &delegation)?;
    }
    let session = change(c, &sid, |session| match from {
        AttemptStatus::Staged => session.confirmed(attempt, connection),
        _ => session.connected(attempt, connection),
    })?;
    append(c, &audit)?;
    Ok(Ended::Done { session })
}

/// Moves an attempt by a statement that returns its session.
fn moved(c: &Connection, sql: &str, values: impl Params) -> Result<Option<SessionId>, Fault> {
    one(c, sql, values, |row| row.get("sid"))
}

fn insert(c: &Connection, attempt: &Attempt) -> Result<(), Fault> {
    let sql =
        sql!("INSERT INTO attempts ({}) VALUES ({})", Names(Attempt::WRITTEN), Places(Attempt::WRITTEN));
    run(c, sql, bound(attempt.values()?))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_attempts_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan(STUCK);
        assert!(plan.contains("USING INDEX attempts_stuck"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
        let plan = crate::migrate::plan(WAITING);
        assert!(plan.contains("USING INDEX attempts_staged"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
}
