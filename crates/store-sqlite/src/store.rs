//! The part of the port that belongs to no noun: signed calls' nonces, the key check, the probe.

use alter_core::{CallNonce, Micros, Store, StoreError};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    fault::Fault,
    statement::{one, run},
};

/// The value by which a root key is recognised; none before `alter init` wrote one.
pub(crate) fn key_check(c: &Connection) -> Result<Option<Vec<u8>>, Fault> {
    one(c, "SELECT value FROM key_check WHERE id = 1", [], |row| row.get("value"))
}

#[async_trait]
impl Store for SqliteStore {
    async fn record_call(&self, call: CallNonce) -> Result<(), StoreError> {
        self.write(move |c| record_nonce(c, Some(call))).await
    }

    async fn refuse_known_call(&self, call: CallNonce) -> Result<(), StoreError> {
        self.read(|c| refuse_known_nonce(c, Some(call))).await
    }

    async fn delete_old_nonces(&self, before: Micros) -> Result<u64, StoreError> {
        let sql = "DELETE FROM call_nonces WHERE second < ?1";
        self.write(move |c| Ok(run(c, sql, [before.as_seconds()])? as u64)).await
    }

    async fn key_check(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(key_check).await
    }

    async fn insert_key_check(&self, value: Vec<u8>) -> Result<(), StoreError> {
        let sql = "INSERT INTO key_check (id, value) VALUES (1, ?1)";
        self.write(move |c| run(c, sql, [value]).map(|_| ())).await
    }

    async fn probe(&self, now: Micros) -> Result<(), StoreError> {
        let write =
            "INSERT INTO probes (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        self.write(move |c| run(c, write, [now.0]).map(|_| ())).await?;
        // Another probe may have come in between, so the time is not compared.
        let found = self.read(|c| one(c, "SELECT at FROM probes WHERE id = 1", [], |_| Ok(()))).await?;
        found.ok_or(StoreError::Unavailable("what was just written cannot be read".into()))
    }
}

/// Records a signed call's nonce, if there is one, inside the caller's transaction (T61).
///
/// # Errors
/// [`StoreError::NonceReplayed`].
pub(crate) fn record_nonce(c: &Connection, call: Option<CallNonce>) -> Result<(), Fault> {
    let Some(call) = call else { return Ok(()) };
    let sql = "INSERT INTO call_nonces (key_id, nonce, second) VALUES (?1, ?2, ?3)
               ON CONFLICT (second, key_id, nonce) DO NOTHING";
    match run(c, sql, params![call.key_id.to_string(), call.nonce, call.at.as_seconds()])? {
        1 => Ok(()),
        _ => Err(StoreError::NonceReplayed.into()),
    }
}

/// Records the nonce if the command stored something; otherwise only refuses a replay, and the nonce stays unused.
pub(crate) fn record_nonce_if(done: bool, c: &Connection, call: Option<CallNonce>) -> Result<(), Fault> {
    if done { record_nonce(c, call) } else { refuse_known_nonce(c, call) }
}

/// Refuses a replay without recording anything.
pub(crate) fn refuse_known_nonce(c: &Connection, call: Option<CallNonce>) -> Result<(), Fault> {
    let Some(call) = call else { return Ok(()) };
    let sql = "SELECT second FROM call_nonces WHERE second = ?3 AND key_id = ?1 AND nonce = ?2";
    match one(c, sql, params![call.key_id.to_string(), call.nonce, call.at.as_seconds()], |_| Ok(()))? {
        None => Ok(()),
        Some(()) => Err(StoreError::NonceReplayed.into()),
    }
}
