//! Attempts. Every move is one conditional UPDATE that names the status it starts from: the first caller gets the
//! row, every other waits for the first one's commit, gets `false` and changes nothing.

use alter_core::{
    AppId, Attempt, AttemptId, AttemptStatus, AttemptStore, AuditEntry, CompleteConnect, ConfigId, Consumed,
    Ended, Failure, Hash, Micros, Saved, Session, SessionId, StoreError,
};
use async_trait::async_trait;
use sqlx::{
    PgConnection,
    postgres::{PgArguments, PgRow},
};

use crate::{
    PostgresStore,
    audit::append,
    column::{json, parsed, read, read_hash, read_json, read_text, read_time, text},
    data_key::refuse_retired,
    delegation,
    fault::Fault,
    grant,
    session::{Save, change},
    statement::{one, run, values},
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
    " FROM attempts WHERE status IN ('consumed', 'sent') AND status_at < $1 ORDER BY status_at, id LIMIT $2"
);

#[async_trait]
impl AttemptStore for PostgresStore {
    async fn start_attempt(&self, session: &Session, attempt: Attempt) -> Result<Saved, StoreError> {
        let (saved, attempt) = (&Save::of(session)?, &attempt);
        self.write(|tx| {
            Box::pin(async move {
                if !saved.save(tx.c).await?.is_done() {
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
        let sql = concat!("SELECT ", columns!(), " FROM attempts WHERE state_hash = $1");
        self.one(sql, values![&state_hash[..]], read_attempt).await
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

    async fn mark_sent(&self, id: AttemptId, now: Micros) -> Result<Saved, StoreError> {
        let sql = "UPDATE attempts SET status = 'sent', status_at = $2 WHERE id = $1 AND status = 'consumed'";
        Ok(Saved::when(self.run(sql, values![id.to_string(), now.0]).await? == 1))
    }

    async fn save_body(&self, id: AttemptId, sealed: Vec<u8>) -> Result<Saved, StoreError> {
        // `status_at` stays: it tells since when the attempt has been `sent`.
        let sql = "UPDATE attempts SET body = $2 WHERE id = $1 AND status = 'sent' RETURNING app_id";
        let sealed = &sealed;
        self.write(|tx| {
            let values = values![id.to_string(), &**sealed];
            Box::pin(async move {
                let app = one(tx.c, sql, values, |row| parsed(row, "app_id", AppId::parse)).await?;
                let Some(app) = app else { return Ok(Saved::Moved) };
                refuse_retired(tx.c, app, &[Some(sealed)]).await?;
                Ok(Saved::Done)
            })
        })
        .await
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

    async fn list_stuck_attempts(&self, before: Micros, limit: u32) -> Result<Vec<Attempt>, StoreError> {
        self.all(STUCK, values![before.0, i64::from(limit)], read_attempt).await
    }
}

/// The row must be the session's and the app's own: ids of others change nothing (T72).
async fn complete_in(c: &mut PgConnection, complete: &CompleteConnect) -> Result<Ended, Fault> {
    let CompleteConnect { attempt, sid, grant, delegation, connection, audit, at } = complete;
    let sql = r"UPDATE attempts SET status = 'succeeded', status_at = $4, verifier = '\x', body = NULL
                WHERE id = $1 AND sid = $2 AND app_id = $3 AND status = 'sent'
                RETURNING sid";
    let values = values![attempt.to_string(), sid.as_str(), grant.app_id.to_string(), at.0];
    if moved(c, sql, values).await?.is_none() {
        return Ok(Ended::Before);
    }
    grant::put(c, grant).await?;
    if let Some(delegation) = delegation {
        delegation::put(c, grant.app_id, delegation).await?;
    }
    let session = change(c, sid, |session| session.connected(*attempt, connection.clone())).await?;
    append(c, audit).await?;
    Ok(Ended::Done { session })
}

/// Moves an attempt by a statement that answers its session.
async fn moved(
    c: &mut PgConnection,
    sql: &'static str,
    values: PgArguments,
) -> Result<Option<SessionId>, Fault> {
    one(c, sql, values, |row| parsed(row, "sid", SessionId::parse)).await
}

async fn insert(c: &mut PgConnection, t: &Attempt) -> Result<(), Fault> {
    let sql = concat!(
        "INSERT INTO attempts (",
        columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    let values = values![
        t.id.to_string(),
        t.sid.as_str(),
        t.app_id.to_string(),
        t.config_id.as_str(),
        &t.state_hash[..],
        &*t.verifier,
        text(&t.nonce)?,
        text(&t.redirect_uri)?,
        json(&t.scopes)?,
        t.created_at.0,
        t.expires_at.0,
        t.status.as_str(),
        t.status_at.0,
        t.body.as_deref(),
    ];
    run(c, sql, values).await?;
    Ok(())
}

fn read_attempt(row: &PgRow) -> Result<Attempt, Fault> {
    Ok(Attempt {
        id: parsed(row, "id", AttemptId::parse)?,
        sid: parsed(row, "sid", SessionId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        config_id: parsed(row, "config_id", ConfigId::parse)?,
        state_hash: read_hash(row, "state_hash")?,
        verifier: read(row, "verifier")?,
        nonce: read_text(row, "nonce")?,
        redirect_uri: read_text(row, "redirect_uri")?,
        scopes: read_json(row, "scopes")?,
        created_at: read_time(row, "created_at")?,
        expires_at: read_time(row, "expires_at")?,
        status: parsed(row, "status", AttemptStatus::parse)?,
        status_at: read_time(row, "status_at")?,
        body: read(row, "body")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stuck_attempts_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan("", STUCK, &["0", "9"]).await;
        assert!(plan.contains("Index Scan using attempts_stuck") && !plan.contains("Sort"), "{plan}");
    }
}
