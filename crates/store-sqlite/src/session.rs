//! Sessions: a few columns to find and order them by, and the rest as one document.

use alter_core::{
    AppId, CallNonce, EndKind, Hash, Micros, Saved, Session, SessionId, SessionStore, StoreError,
};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use crate::{
    SqliteStore,
    column::{counter, json, parsed, read_counter, read_hash, read_json, read_time},
    fault::Fault,
    statement::{all, one, run},
    store::record_nonce,
};

macro_rules! columns {
    () => {
        "sid, app_id, token_hash, created_at, expires_at, version, data"
    };
}

/// With the words of the index `sessions_open`: otherwise it is not used.
const LAPSED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM sessions WHERE state IN ('minted', 'claimed') AND expires_at <= ?1 ORDER BY expires_at, sid LIMIT ?2"
);

#[async_trait]
impl SessionStore for SqliteStore {
    async fn insert_session(&self, call: Option<CallNonce>, session: Session) -> Result<(), StoreError> {
        let saved = Save::of(&session)?;
        self.write(move |c| {
            record_nonce(c, call)?;
            run(
                c,
                "INSERT INTO sessions (sid, app_id, token_hash, state, created_at, expires_at, version, data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    saved.sid,
                    session.app_id.to_string(),
                    session.token_hash,
                    saved.state,
                    session.created_at.0,
                    session.expires_at.0,
                    saved.version,
                    saved.data,
                ],
            )?;
            Ok(())
        })
        .await
    }

    async fn get_session(&self, sid: &SessionId) -> Result<Option<Session>, StoreError> {
        self.read(|c| get(c, sid)).await
    }

    async fn find_session(&self, token_hash: &Hash) -> Result<Option<Session>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM sessions WHERE token_hash = ?1");
        self.read(|c| one(c, sql, [token_hash], read_session)).await
    }

    async fn save_session(&self, session: &Session) -> Result<Saved, StoreError> {
        let saved = Save::of(session)?;
        self.write(move |c| saved.save(c)).await
    }

    async fn list_lapsed_sessions(&self, now: Micros, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.read(|c| all(c, LAPSED, params![now.0, limit], read_session)).await
    }

    async fn delete_old_sessions(&self, before: Micros, limit: u32) -> Result<u64, StoreError> {
        // Their attempts go with them: ON DELETE CASCADE.
        let sql = "DELETE FROM sessions WHERE sid IN
                       (SELECT sid FROM sessions WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";
        self.write(move |c| Ok(run(c, sql, params![before.0, limit])? as u64)).await
    }
}

/// What a save writes. Made on the caller's thread: the writer has better things to do than to write JSON.
pub(crate) struct Save {
    sid: String,
    state: &'static str,
    version: i64,
    data: String,
}

impl Save {
    pub(crate) fn of(session: &Session) -> Result<Self, StoreError> {
        Ok(Self {
            sid: session.sid.as_str().to_owned(),
            state: session.state_name(),
            version: counter(session.version)?,
            data: json(&session.data)?,
        })
    }

    /// The compare-and-set.
    pub(crate) fn save(&self, c: &Connection) -> Result<Saved, Fault> {
        let sql = "UPDATE sessions SET state = ?3, data = ?4, version = version + 1
                   WHERE sid = ?1 AND version = ?2";
        Ok(Saved::when(run(c, sql, params![self.sid, self.version, self.state, self.data])? == 1))
    }
}

/// Loads a session that must be there, applies `rule`, and saves it. Returns how `rule` ended the session, if it did: inside a write transaction nothing can come
/// between.
pub(crate) fn change(
    c: &Connection,
    sid: &SessionId,
    rule: impl FnOnce(&mut Session),
) -> Result<Option<EndKind>, Fault> {
    let mut session = get(c, sid)?.ok_or(Fault::corrupt("sid"))?;
    let open = session.end().is_none();
    rule(&mut session);
    match Save::of(&session)?.save(c)? {
        Saved::Done => Ok(session.end().filter(|_| open).map(|end| end.kind)),
        Saved::Moved => Err(StoreError::Moved.into()),
    }
}

fn get(c: &Connection, sid: &SessionId) -> Result<Option<Session>, Fault> {
    let sql = concat!("SELECT ", columns!(), " FROM sessions WHERE sid = ?1");
    one(c, sql, [sid.as_str()], read_session)
}

fn read_session(row: &Row<'_>) -> Result<Session, Fault> {
    Ok(Session {
        sid: parsed(row, "sid", SessionId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        token_hash: read_hash(row, "token_hash")?,
        created_at: read_time(row, "created_at")?,
        expires_at: read_time(row, "expires_at")?,
        data: read_json(row, "data")?,
        version: read_counter(row, "version")?,
    })
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
}
