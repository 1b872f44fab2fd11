//! The part of the port that belongs to no noun: signed calls' nonces, the key check, the probe.

use std::collections::{BTreeSet, HashSet};

use alter_core::{CallNonce, KeyId, Micros, Store, StoreError};
use async_trait::async_trait;
use sqlx::postgres::PgArguments;

use crate::{
    PostgresStore,
    connection::Connection,
    fault::Fault,
    statement::{all, one, run, values},
};

/// The value by which a root key is recognised; no row before `alter init` wrote one.
pub(crate) const KEY_CHECK: &str = "SELECT value FROM key_check WHERE id = 1";

#[async_trait]
impl Store for PostgresStore {
    async fn record_call(&self, call: CallNonce) -> Result<(), StoreError> {
        replayed_unless(self.run(RECORD, nonce_values(call)).await? == 1)
    }

    async fn refuse_known_call(&self, call: CallNonce) -> Result<(), StoreError> {
        replayed_unless(self.one(KNOWN, nonce_values(call), |_| Ok(())).await?.is_none())
    }

    async fn delete_old_nonces(&self, before: Micros) -> Result<u64, StoreError> {
        self.run("DELETE FROM call_nonces WHERE second < $1", values![before.as_seconds()]).await
    }

    async fn key_check(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.one(KEY_CHECK, values![], |row| row.get("value")).await
    }

    async fn insert_key_check(&self, value: Vec<u8>) -> Result<(), StoreError> {
        let sql = "INSERT INTO key_check (id, value) VALUES (1, $1)";
        self.run(sql, values![value]).await.map(|_| ())
    }

    async fn probe(&self, now: Micros) -> Result<(), StoreError> {
        let write =
            "INSERT INTO probes (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
        self.run(write, values![now.0]).await?;
        // Another probe may have come in between, so the time is not compared.
        let found = self.one("SELECT at FROM probes WHERE id = 1", values![], |_| Ok(())).await?;
        found.ok_or(StoreError::Unavailable("what was just written cannot be read".into()))
    }
}

/// Waits if another transaction is recording the same nonce at this moment, and learns whether it did.
const RECORD: &str = "INSERT INTO call_nonces (key_id, nonce, second) VALUES ($1, $2, $3)
                      ON CONFLICT (key_id, second, nonce) DO NOTHING";

const KNOWN: &str = "SELECT second FROM call_nonces WHERE second = $3 AND key_id = $1 AND nonce = $2";

fn nonce_values(call: CallNonce) -> PgArguments {
    values![call.key_id.to_string(), &call.nonce[..], call.at.as_seconds()]
}

fn replayed_unless(new: bool) -> Result<(), StoreError> {
    if new { Ok(()) } else { Err(StoreError::NonceReplayed) }
}

/// Records a signed call's nonce, if there is one, inside the caller's transaction (T61).
///
/// # Errors
/// [`StoreError::NonceReplayed`].
pub(crate) async fn record_nonce(c: &mut Connection, call: Option<CallNonce>) -> Result<(), Fault> {
    let Some(call) = call else { return Ok(()) };
    Ok(replayed_unless(run(c, RECORD, nonce_values(call)).await? == 1)?)
}

/// Records the nonce if the command stored something; otherwise only refuses a replay, and the nonce stays unused.
pub(crate) async fn record_nonce_if(
    done: bool,
    c: &mut Connection,
    call: Option<CallNonce>,
) -> Result<(), Fault> {
    if done { record_nonce(c, call).await } else { refuse_known_nonce(c, call).await }
}

/// Refuses a replay without recording anything.
pub(crate) async fn refuse_known_nonce(c: &mut Connection, call: Option<CallNonce>) -> Result<(), Fault> {
    let Some(call) = call else { return Ok(()) };
    Ok(replayed_unless(one(c, KNOWN, nonce_values(call), |_| Ok(())).await?.is_none())?)
}

/// A nonce as it is stored: key, second, nonce.
pub(crate) type Nonce = (KeyId, i64, [u8; 16]);

pub(crate) fn nonce_of(call: CallNonce) -> Nonce {
    (call.key_id, call.at.as_seconds(), call.nonce)
}

/// Records several nonces and returns those that were new. They are recorded in sorted order, so that two processes never
/// wait for each other.
pub(crate) async fn record_nonces(
    c: &mut Connection,
    nonces: BTreeSet<Nonce>,
) -> Result<HashSet<Nonce>, Fault> {
    let sql = "INSERT INTO call_nonces (key_id, second, nonce)
               SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::BYTEA[])
               ON CONFLICT (key_id, second, nonce) DO NOTHING RETURNING key_id, second, nonce";
    nonces_by(c, sql, nonces).await
}

/// Returns the nonces that are recorded already.
pub(crate) async fn known_nonces(
    c: &mut Connection,
    nonces: BTreeSet<Nonce>,
) -> Result<HashSet<Nonce>, Fault> {
    let sql = "SELECT n.key_id, n.second, n.nonce FROM call_nonces n
               JOIN unnest($1::TEXT[], $2::BIGINT[], $3::BYTEA[]) AS asked(key_id, second, nonce)
                   ON n.key_id = asked.key_id AND n.second = asked.second AND n.nonce = asked.nonce";
    nonces_by(c, sql, nonces).await
}

async fn nonces_by(
    c: &mut Connection,
    sql: &'static str,
    nonces: BTreeSet<Nonce>,
) -> Result<HashSet<Nonce>, Fault> {
    if nonces.is_empty() {
        return Ok(HashSet::new());
    }
    let keys: Vec<_> = nonces.iter().map(|(key, _, _)| key.to_string()).collect();
    let seconds: Vec<_> = nonces.iter().map(|(_, second, _)| *second).collect();
    let bytes: Vec<_> = nonces.iter().map(|(_, _, nonce)| &nonce[..]).collect();
    let found = all(c, sql, values![keys, seconds, bytes], |row| {
        Ok((row.get("key_id")?, row.get("second")?, row.get("nonce")?))
    });
    Ok(found.await?.into_iter().collect())
}
