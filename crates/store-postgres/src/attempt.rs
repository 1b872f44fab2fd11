//! Attempts. Every move is one conditional UPDATE that names the status it starts from: the first caller gets the row; any
//! other caller waits for the first one's commit, gets no row and changes nothing.

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
use sqlx::postgres::PgArguments;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    data_key::refuse_retired,
    delegation,
    fault::Fault,
    grant,
    row::{bound, sql},
    session::{change, save},
    statement::{one, run, values},
};

/// The condition is written exactly like that of the index `attempts_stuck`: otherwise the index is not used.
const STUCK: &str = sql!(
    "SELECT {} FROM attempts
     WHERE status IN ('consumed', 'sent') AND status_at < $1 ORDER BY status_at, id LIMIT $2",
    Names(Attempt::COLUMNS),
);

/// As [`STUCK`], for the index `attempts_staged`.
const WAITING: &str = sql!(
    "SELECT {} FROM attempts WHERE status = 'staged' AND status_at < $1 ORDER BY status_at, id LIMIT $2",
    Names(Attempt::COLUMNS),
);

#[async_trait]
impl AttemptStore for PostgresStore {
    async fn start_attempt(&self, session: &Session, attempt: Attempt) -> Result<Saved, StoreError> {
        let (saved, attempt) = (&Save::of(session)?, &attempt);
        self.write(|tx| {
            Box::pin(async move {
                if !save(tx.c, saved).await?.is_done() {
                    return Ok(Saved::Moved);
                }
                refuse_retired(tx.c, attempt.app_id, &[Some(&attempt.verifier)]).await?;
                insert(tx.c, attempt).await?;
                Ok(Saved::Done)
            })
        })
        .await
    }

    async fn find_attempt(&self, state_hash: &Hash) -> Result<Option<Attempt>, StoreError> {
        let sql = sql!("SELECT {} FROM attempts WHERE state_hash = $1", Names(Attempt::COLUMNS));
        self.one(sql, values![&state_hash[..]], Attempt::read).await
    }

    async fn consume_attempt(&self, id: AttemptId, now: Micros) -> Result<Consumed, StoreError> {
        let sql = "UPDATE attempts SET status = 'consumed', status_at = $2
                   WHERE id = $1 AND status = 'started' AND expires_at > $2
                   RETURNING sid";
        self.write(|tx| {
            Box::pin(async move {
                let Some(sid) = moved(tx.c, sql, values![id.to_string(), now.0]).await? else {
                    return Ok(Consumed::Late);
                };
                change(tx.c, &sid, |session| session.exchanging(id, now)).await?;
                Ok(Consumed::First)
            })
        })
        .await
    }

    async fn mark_sent(&self, id: AttemptId, brought: &Brought, now: Micros) -> Result<Saved, StoreError> {
        let sql = "UPDATE attempts SET status = 'sent', status_at = $2, brought = $3
                   WHERE id = $1 AND status = 'consumed'";
        let brought = json(brought)?;
        Ok(Saved::when(self.run(sql, values![id.to_string(), now.0, brought]).await? == 1))
    }

    async fn save_body(&self, id: AttemptId, sealed: Vec<u8>) -> Result<Saved, StoreError> {
        // `status_at` stays: it says when the attempt became `sent`.
        let sql = "UPDATE attempts SET body = $2 WHERE id = $1 AND status = 'sent' RETURNING app_id";
        let sealed = &sealed;
        self.write(|tx| {
            let values = values![id.to_string(), &**sealed];
            Box::pin(async move {
                let app = one(tx.c, sql, values, |row| row.get("app_id")).await?;
                let Some(app) = app else { return Ok(Saved::Moved) };
                refuse_retired(tx.c, app, &[Some(sealed)]).await?;
                Ok(Saved::Done)
            })
        })
        .await
    }

    async fn stage_connect(&self, stage: StageConnect) -> Result<Ended, StoreError> {
        self.write(|tx| Box::pin(stage_in(tx.c, &stage))).await
    }

    async fn complete_connect(&self, complete: CompleteConnect) -> Result<Ended, StoreError> {
        self.write(|tx| Box::pin(complete_in(tx.c, &complete))).await
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
        let sql = r"UPDATE attempts SET status = $2, status_at = $3, verifier = '\x', body = NULL
                    WHERE id = $1 AND status IN ('started', 'consumed', 'sent')
                          AND ($2 <> 'interrupted' OR body IS NULL)
                    RETURNING sid";
        let (failure, audit) = (&failure, &audit);
        self.write(|tx| {
            Box::pin(async move {
                let values = values![id.to_string(), status.as_str(), now.0];
                let Some(sid) = moved(tx.c, sql, values).await? else { return Ok(Ended::Before) };
                let session =
                    change(tx.c, &sid, |session| session.attempt_ended(id, failure.clone(), now)).await?;
                append(tx.c, audit).await?;
                Ok(Ended::Done { session })
            })
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
        let sql = "UPDATE attempts SET status = 'failed', status_at = $2, body = NULL, staged = NULL
                   WHERE id = $1 AND status = 'staged'
                   RETURNING sid";
        let (failure, audit) = (&failure, &audit);
        self.write(|tx| {
            Box::pin(async move {
                let values = values![id.to_string(), now.0];
                let Some(sid) = moved(tx.c, sql, values).await? else { return Ok(Ended::Before) };
                let session =
                    change(tx.c, &sid, |session| session.discarded(id, failure.clone(), now)).await?;
                append(tx.c, audit).await?;
                Ok(Ended::Done { session })
            })
        })
        .await
    }

    async fn list_staged_attempts(&self, sid: &SessionId) -> Result<Vec<Attempt>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM attempts WHERE sid = $1 AND status = 'staged' ORDER BY status_at, id",
            Names(Attempt::COLUMNS),
        );
        self.all(sql, values![sid.as_str()], Attempt::read).await
    }

    async fn list_waiting_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.all(WAITING, values![before.0, i64::from(limit)], Attempt::read).await
    }

    async fn list_stuck_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.all(STUCK, values![before.0, i64::from(limit)], Attempt::read).await
    }
}

/// The row must belong to the session and the app: another's ids change nothing (T72).
async fn stage_in(c: &mut Connection, stage: &StageConnect) -> Result<Ended, Fault> {
    let StageConnect { sid, app_id, account, staged, audit } = stage;
    let sql = r"UPDATE attempts SET status = 'staged', status_at = $4, verifier = '\x', staged = $5
                WHERE id = $1 AND sid = $2 AND app_id = $3 AND status = 'sent' AND body IS NOT NULL
                RETURNING sid";
    let values =
        values![staged.attempt.to_string(), sid.as_str(), app_id.to_string(), staged.at.0, &**account];
    if moved(c, sql, values).await?.is_none() {
        return Ok(Ended::Before);
    }
    refuse_retired(c, *app_id, &[Some(account)]).await?;
    let session = change(c, sid, |session| session.staged(staged.clone())).await?;
    append(c, audit).await?;
    Ok(Ended::Done { session })
}

/// As [`stage_in`].
async fn complete_in(c: &mut Connection, complete: &CompleteConnect) -> Result<Ended, Fault> {
    let CompleteConnect { attempt, from, sid, grant, delegation, connection, audit, at } = complete;
    let sql = r"UPDATE attempts SET status = 'succeeded', status_at = $4, verifier = '\x', body = NULL, staged = NULL
                WHERE id = $1 AND sid = $2 AND app_id = $3 AND status = $5 AND status IN ('sent', 'staged')
                RETURNING sid";
    let values = values![attempt.to_string(), sid.as_str(), grant.app_id.to_string(), at.0, from.as_str()];
    if moved(c, sql, values).await?.is_none() {
        return Ok(Ended::Before);
    }
    grant::put(c, grant).await?;
    if let Some(delegation) = delegation {
        delegation::put(c, grant.app_id, delegation).await?;
    }
    let session = change(c, sid, |session| match from {
        AttemptStatus::Staged => session.confirmed(*attempt, connection.clone()),
        _ => session.connected(*attempt, connection.clone()),
    })
    .await?;
    append(c, audit).await?;
    Ok(Ended::Done { session })
}

/// Moves an attempt by a statement that returns its session.
async fn moved(
    c: &mut Connection,
    sql: &'static str,
    values: PgArguments,
) -> Result<Option<SessionId>, Fault> {
    one(c, sql, values, |row| row.get("sid")).await
}

async fn insert(c: &mut Connection, attempt: &Attempt) -> Result<(), Fault> {
    let sql =
        sql!("INSERT INTO attempts ({}) VALUES ({})", Names(Attempt::WRITTEN), Places(Attempt::WRITTEN));
    run(c, sql, bound(attempt.values()?)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stuck_attempts_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan("", STUCK, &["0", "9"]).await;
        assert!(plan.contains("Index Scan using attempts_stuck") && !plan.contains("Sort"), "{plan}");
        let plan = crate::migrate::plan("", WAITING, &["0", "9"]).await;
        assert!(plan.contains("Index Scan using attempts_staged") && !plan.contains("Sort"), "{plan}");
    }
}
