//! Sessions: a few columns for finding and ordering them, and the rest as one document.

use alter_core::{
    AuditEntry, CallNonce, EndKind, Hash, Micros, Saved, Session, SessionId, SessionStore, StoreError,
};
use alter_rows::{
    Column, Noun,
    session::Save,
    sql::Piece::{After, Names, Places},
};
use async_trait::async_trait;
use sqlx::postgres::PgArguments;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    data_key::refuse_retired,
    fault::Fault,
    row::{bound, sql},
    statement::{one, run, values},
};

const BY_SID: &str = sql!("SELECT {} FROM sessions WHERE sid = $1", Names(Session::COLUMNS));

/// One statement, so one round trip to the server: next to releasing, minting is what apps do most. After the session's
/// values come the call's: key, second, nonce. The driver tells the server each value's type.
const MINT: &str = sql!(
    "WITH call AS (INSERT INTO call_nonces (key_id, second, nonce)
                   SELECT {}::TEXT, {}::BIGINT, {}::BYTEA WHERE {} IS NOT NULL
                   ON CONFLICT (key_id, second, nonce) DO NOTHING RETURNING key_id)
     INSERT INTO sessions ({}) SELECT {} WHERE {} IS NULL OR EXISTS (SELECT key_id FROM call)",
    After(Session::WRITTEN, 1),
    After(Session::WRITTEN, 2),
    After(Session::WRITTEN, 3),
    After(Session::WRITTEN, 1),
    Names(Session::WRITTEN),
    Places(Session::WRITTEN),
    After(Session::WRITTEN, 1),
);

/// The condition is written exactly like that of the index `sessions_open`: otherwise the index is not used.
const LAPSED: &str = sql!(
    "SELECT {} FROM sessions
     WHERE state IN ('minted', 'claimed') AND expires_at <= $1 ORDER BY expires_at, sid LIMIT $2",
    Names(Session::COLUMNS),
);

const WITH_TOKEN: &str = sql!(
    "SELECT {} FROM sessions WHERE user_token IS NOT NULL ORDER BY expires_at, sid LIMIT $1",
    Names(Session::COLUMNS),
);

const VERSIONS: &str = "SELECT sid, version FROM sessions WHERE sid = ANY($1::TEXT[])";

#[async_trait]
impl SessionStore for PostgresStore {
    async fn insert_session(&self, call: Option<CallNonce>, session: Session) -> Result<(), StoreError> {
        let (key, second, nonce) = (
            call.map(|call| call.key_id),
            call.map(|call| call.at.as_seconds()),
            call.map(|call| call.nonce),
        );
        let call = [key.value()?, second.value()?, nonce.value()?];
        match self.run(MINT, bound(session.values()?.into_iter().chain(call))).await? {
            0 => Err(StoreError::NonceReplayed),
            _ => Ok(()),
        }
    }

    async fn get_session(&self, sid: &SessionId) -> Result<Option<Session>, StoreError> {
        self.one(BY_SID, values![sid.as_str()], Session::read).await
    }

    async fn find_session(&self, token_hash: &Hash) -> Result<Option<Session>, StoreError> {
        let sql = sql!("SELECT {} FROM sessions WHERE token_hash = $1", Names(Session::COLUMNS));
        self.one(sql, values![&token_hash[..]], Session::read).await
    }

    async fn save_session(&self, session: &Session) -> Result<Saved, StoreError> {
        Ok(Saved::when(self.run(SAVE, saved_values(&Save::of(session)?)).await? == 1))
    }

    async fn save_session_with_token(
        &self,
        session: &Session,
        token: Option<Vec<u8>>,
        audit: Option<AuditEntry>,
    ) -> Result<Saved, StoreError> {
        let (saved, app, token, audit) = (&Save::of(session)?, session.app_id, &token, &audit);
        self.write(|tx| {
            let values = values![&*saved.sid, token.as_deref()];
            Box::pin(async move {
                if save(tx.c, saved).await? == Saved::Moved {
                    return Ok(Saved::Moved);
                }
                refuse_retired(tx.c, app, &[token.as_deref()]).await?;
                run(tx.c, "UPDATE sessions SET user_token = $2 WHERE sid = $1", values).await?;
                if let Some(entry) = audit {
                    append(tx.c, entry).await?;
                }
                Ok(Saved::Done)
            })
        })
        .await
    }

    async fn get_user_token(&self, sid: &SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT user_token FROM sessions WHERE sid = $1 AND user_token IS NOT NULL";
        self.one(sql, values![sid.as_str()], |row| row.get("user_token")).await
    }

    async fn list_session_versions(&self, sids: &[SessionId]) -> Result<Vec<(SessionId, u64)>, StoreError> {
        let sids: Vec<&str> = sids.iter().map(SessionId::as_str).collect();
        self.all(VERSIONS, values![sids], |row| Ok((row.get("sid")?, row.get("version")?))).await
    }

    async fn list_lapsed_sessions(&self, now: Micros, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.all(LAPSED, values![now.0, i64::from(limit)], Session::read).await
    }

    async fn list_sessions_with_token(&self, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.all(WITH_TOKEN, values![i64::from(limit)], Session::read).await
    }

    async fn delete_old_sessions(&self, before: Micros, limit: u32) -> Result<u64, StoreError> {
        // Their attempts are deleted with them: ON DELETE CASCADE. Several processes may tidy up at once; each takes
        // different rows. An array is computed once; a joined subquery might run for every row, and its limit would not
        // hold.
        let sql = "DELETE FROM sessions WHERE sid = ANY(ARRAY(
                       SELECT sid FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
                       FOR UPDATE SKIP LOCKED))";
        self.run(sql, values![before.0, i64::from(limit)]).await
    }
}

/// The compare-and-set; returns no row when the session has changed or is gone.
const SAVE: &str = "UPDATE sessions SET state = $3, data = $4, version = version + 1
                    WHERE sid = $1 AND version = $2";

/// The compare-and-set.
pub(crate) async fn save(c: &mut Connection, saved: &Save) -> Result<Saved, Fault> {
    Ok(Saved::when(run(c, SAVE, saved_values(saved)).await? == 1))
}

fn saved_values(saved: &Save) -> PgArguments {
    values![&*saved.sid, saved.version, saved.state, &*saved.data]
}

/// Loads a session that must exist, applies `rule`, and saves it; its row is locked, so no other write can come in between.
/// Returns how `rule` ended the session, if it did.
pub(crate) async fn change(
    c: &mut Connection,
    sid: &SessionId,
    rule: impl FnOnce(&mut Session),
) -> Result<Option<EndKind>, Fault> {
    let sql = sql!("SELECT {} FROM sessions WHERE sid = $1 FOR UPDATE", Names(Session::COLUMNS));
    let found = one(c, sql, values![sid.as_str()], Session::read).await?;
    let mut session = found.ok_or(Fault::corrupt("sid"))?;
    let open = session.end().is_none();
    rule(&mut session);
    match save(c, &Save::of(&session)?).await? {
        Saved::Done => Ok(session.end().filter(|_| open).map(|end| end.kind)),
        Saved::Moved => Err(StoreError::Moved.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lapsed_sessions_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan("", LAPSED, &["0", "9"]).await;
        assert!(plan.contains("Index Scan using sessions_open") && !plan.contains("Sort"), "{plan}");
    }

    #[tokio::test]
    async fn versions_are_found_by_sid() {
        let plan = crate::migrate::plan("", VERSIONS, &["'{a,b}'"]).await;
        assert!(plan.contains("Index Scan using sessions_pkey"), "{plan}");
    }
}
