//! Sessions: a few columns to find and order them by, and the rest as one document.

use alter_core::{
    AppId, CallNonce, EndKind, Hash, Micros, Saved, Session, SessionId, SessionStore, StoreError,
};
use async_trait::async_trait;
use sqlx::{
    PgConnection,
    postgres::{PgArguments, PgRow},
};

use crate::{
    PostgresStore,
    column::{counter, json, parsed, read_counter, read_hash, read_json, read_time},
    fault::Fault,
    statement::{one, run, values},
};

macro_rules! columns {
    () => {
        "sid, app_id, token_hash, created_at, expires_at, version, data"
    };
}

const BY_SID: &str = concat!("SELECT ", columns!(), " FROM sessions WHERE sid = $1");

/// With the words of the index `sessions_open`: otherwise it is not used.
const LAPSED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM sessions WHERE state IN ('minted', 'claimed') AND expires_at <= $1 ORDER BY expires_at, sid LIMIT $2"
);

#[async_trait]
impl SessionStore for PostgresStore {
    async fn insert_session(&self, call: Option<CallNonce>, session: Session) -> Result<(), StoreError> {
        // One statement, so one journey to the server and back: minting is what apps do most beside releasing.
        let sql = "WITH call AS (INSERT INTO call_nonces (key_id, second, nonce)
                           SELECT $9::TEXT, $10::BIGINT, $11::BYTEA WHERE $9 IS NOT NULL
                           ON CONFLICT (key_id, second, nonce) DO NOTHING RETURNING key_id)
             INSERT INTO sessions (sid, app_id, token_hash, state, created_at, expires_at, version, data)
             SELECT $1::TEXT, $2::TEXT, $3::BYTEA, $4::TEXT, $5::BIGINT, $6::BIGINT, $7::BIGINT, $8::TEXT
             WHERE $9 IS NULL OR EXISTS (SELECT key_id FROM call)";
        let saved = Save::of(&session)?;
        let values = values![
            saved.sid,
            session.app_id.to_string(),
            &session.token_hash[..],
            saved.state,
            session.created_at.0,
            session.expires_at.0,
            saved.version,
            saved.data,
            call.map(|call| call.key_id.to_string()),
            call.map(|call| call.at.as_seconds()),
            call.map(|call| call.nonce.to_vec()),
        ];
        match self.run(sql, values).await? {
            0 => Err(StoreError::NonceReplayed),
            _ => Ok(()),
        }
    }

    async fn get_session(&self, sid: &SessionId) -> Result<Option<Session>, StoreError> {
        self.one(BY_SID, values![sid.as_str()], read_session).await
    }

    async fn find_session(&self, token_hash: &Hash) -> Result<Option<Session>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM sessions WHERE token_hash = $1");
        self.one(sql, values![&token_hash[..]], read_session).await
    }

    async fn save_session(&self, session: &Session) -> Result<Saved, StoreError> {
        Ok(Saved::when(self.run(SAVE, Save::of(session)?.values()).await? == 1))
    }

    async fn list_lapsed_sessions(&self, now: Micros, limit: u32) -> Result<Vec<Session>, StoreError> {
        self.all(LAPSED, values![now.0, i64::from(limit)], read_session).await
    }

    async fn delete_old_sessions(&self, before: Micros, limit: u32) -> Result<u64, StoreError> {
        // Their attempts go with them: ON DELETE CASCADE. Several processes tidy up at once: each takes others. An
        // array is looked up once; a joined subquery might be for every row, and its limit would not hold.
        let sql = "DELETE FROM sessions WHERE sid = ANY(ARRAY(
                       SELECT sid FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2
                       FOR UPDATE SKIP LOCKED))";
        self.run(sql, values![before.0, i64::from(limit)]).await
    }
}

/// The compare-and-set; no row when the session has moved or is gone.
const SAVE: &str = "UPDATE sessions SET state = $3, data = $4, version = version + 1
                    WHERE sid = $1 AND version = $2";

/// What a save writes.
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
    pub(crate) async fn save(&self, c: &mut PgConnection) -> Result<Saved, Fault> {
        Ok(Saved::when(run(c, SAVE, self.values()).await? == 1))
    }

    fn values(&self) -> PgArguments {
        values![&*self.sid, self.version, self.state, &*self.data]
    }
}

/// Loads a session that must be there, applies `rule`, and saves it. Returns how `rule` ended the session, if it did: its row is locked, so nothing can come between.
pub(crate) async fn change(
    c: &mut PgConnection,
    sid: &SessionId,
    rule: impl FnOnce(&mut Session),
) -> Result<Option<EndKind>, Fault> {
    let sql = concat!("SELECT ", columns!(), " FROM sessions WHERE sid = $1 FOR UPDATE");
    let found = one(c, sql, values![sid.as_str()], read_session).await?;
    let mut session = found.ok_or(Fault::corrupt("sid"))?;
    let open = session.end().is_none();
    rule(&mut session);
    match Save::of(&session)?.save(c).await? {
        Saved::Done => Ok(session.end().filter(|_| open).map(|end| end.kind)),
        Saved::Moved => Err(StoreError::Moved.into()),
    }
}

fn read_session(row: &PgRow) -> Result<Session, Fault> {
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

    #[tokio::test]
    async fn lapsed_sessions_are_found_by_their_index_without_sorting() {
        let plan = crate::migrate::plan("", LAPSED, &["0", "9"]).await;
        assert!(plan.contains("Index Scan using sessions_open") && !plan.contains("Sort"), "{plan}");
    }
}
