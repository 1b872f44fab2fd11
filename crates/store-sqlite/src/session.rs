//! Sessions: a few columns for finding and ordering them, and the rest as one document.

use alter_core::{
    AuditEntry, CallNonce, EndKind, Hash, Micros, Saved, Session, SessionId, SessionStore, StoreError,
};
use alter_rows::{
    Noun,
    session::Save,
    sql::Piece::{Names, Places},
    storable::json,
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::append,
    data_key::refuse_retired,
    fault::Fault,
    row::{bound, owned, sql},
    statement::{all, one, run},
    store::record_nonce,
};

/// The condition is written exactly like that of the index `sessions_open`: otherwise the index is not used.
const LAPSED: &str = sql!(
    "SELECT {} FROM sessions
     WHERE state IN ('minted', 'claimed') AND expires_at <= ?1 ORDER BY expires_at, sid LIMIT ?2",
    Names(Session::COLUMNS),
);

const WITH_TOKEN: &str = sql!(
    "SELECT {} FROM sessions WHERE user_token IS NOT NULL ORDER BY expires_at, sid LIMIT ?1",
    Names(Session::COLUMNS),
);

const VERSIONS: &str = "SELECT sid, version FROM sessions WHERE sid IN (SELECT value FROM json_each(?1))";

#[async_trait]
impl SessionStore for SqliteStore {
    async fn insert_session(&self, call: Option<CallNonce>, session: Session) -> Result<(), StoreError> {
        let sql =
            sql!("INSERT INTO sessions ({}) VALUES ({})", Names(Session::WRITTEN), Places(Session::WRITTEN));
        let values = owned(session.values()?);
        self.write(move |c| {
            record_nonce(c, call)?;
            run(c, sql, bound(values))?;
            Ok(())
        })
        .await
    }

    async fn get_session(&self, sid: &SessionId) -> Result<Option<Session>, StoreError> {
        self.read(|c| get(c, sid)).await
    }

    async fn find_session(&self, token_hash: &Hash) -> Result<Option<Session>, StoreError> {
        let sql = sql!("SELECT {} FROM sessions WHERE token_hash = ?1", Names(Session::COLUMNS));
        self.read(|c| one(c, sql, [token_hash], Session::read)).await
    }

    async fn save_session(&self, session: &Session) -> Result<Saved, StoreError> {
        let saved = Save::of(session)?;
        self.write(move |c| save(c, &saved)).await
    }

    async fn save_session_with_token(
        &self,
        session: &Session,
        token: Option<Vec<u8>>,
        audit: Option<AuditEntry>,
    ) -> Result<Saved, StoreError> {
        let (saved, app) = (Save::of(session)?, session.app_id);
        self.write(move |c| {
            if save(c, &saved)? == Saved::Moved {
                return Ok(Saved::Moved);
            }
            refuse_retired(c, app, [token.as_ref()])?;
            run(c, "UPDATE sessions SET user_token = ?2 WHERE sid = ?1", params![saved.sid, token])?;
            audit.iter().try_for_each(|entry| append(c, entry))?;
            Ok(Saved::Done)
        })
        .await
    }

    async fn get_user_token(&self, sid: &SessionId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT user_token FROM sessions WHERE sid = ?1 AND user_token IS NOT NULL";
        self.read(|c| one(c, sql, [sid.as_str()], |row| row.get("user_token"))).await
    }

    async fn list_session_versions(&self, sids: &[SessionId]) -> Result<Vec<(SessionId, u64)>, StoreError> {
        let sids = json(&sids.iter().map(SessionId::as_str).collect::<Vec<_>>())?;
        self.read(|c| all(c, VERSIONS, [sids], |row| Ok((row.get("sid")?, row.get("version")?)))).await
    }

    async fn list_lapsed_sessions(&self, now: Micros, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.read(|c| all(c, LAPSED, params![now.0, limit], Session::read)).await
    }

    async fn list_sessions_with_token(&self, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.read(|c| all(c, WITH_TOKEN, [limit], Session::read)).await
    }

    async fn delete_old_sessions(&self, before: Micros, limit: u32) -> Result<u64, StoreError> {
        // Their attempts are deleted with them: ON DELETE CASCADE.
        let sql = "DELETE FROM sessions WHERE sid IN
                       (SELECT sid FROM sessions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
        self.write(move |c| Ok(run(c, sql, params![before.0, limit])? as u64)).await
    }
}

/// The compare-and-set.
pub(crate) fn save(c: &Connection, saved: &Save) -> Result<Saved, Fault> {
    let sql = "UPDATE sessions SET state = ?3, data = ?4, version = version + 1
               WHERE sid = ?1 AND version = ?2";
    Ok(Saved::when(run(c, sql, params![saved.sid, saved.version, saved.state, saved.data])? == 1))
}

/// Loads a session that must exist, applies `rule`, and saves it; inside a write transaction, no other write can come in
/// between. Returns how `rule` ended the session, if it did.
pub(crate) fn change(
    c: &Connection,
    sid: &SessionId,
    rule: impl FnOnce(&mut Session),
) -> Result<Option<EndKind>, Fault> {
    let mut session = get(c, sid)?.ok_or(Fault::corrupt("sid"))?;
    let open = session.end().is_none();
    rule(&mut session);
    match save(c, &Save::of(&session)?)? {
        Saved::Done => Ok(session.end().filter(|_| open).map(|end| end.kind)),
        Saved::Moved => Err(StoreError::Moved.into()),
    }
}

fn get(c: &Connection, sid: &SessionId) -> Result<Option<Session>, Fault> {
    let sql = sql!("SELECT {} FROM sessions WHERE sid = ?1", Names(Session::COLUMNS));
    one(c, sql, [sid.as_str()], Session::read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lapsed_sessions_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan(LAPSED);
        assert!(plan.contains("USING INDEX sessions_open"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }

    #[test]
    fn versions_are_found_by_sid() {
        let plan = crate::migrate::plan(VERSIONS);
        assert!(plan.contains("SEARCH sessions USING INDEX"), "{plan}");
    }
}
