//! Apps' data keys, and the values sealed under them.
//!
//! A transaction that stores a sealed value locks the row of its key against being retired (`FOR KEY SHARE`, which any
//! number may hold). Retiring waits for those transactions (`FOR UPDATE`) and only then counts, so it sees what they
//! stored.

use std::sync::LazyLock;

use alter_core::{
    AddDataKey, AppId, AuditEntry, DataKeyId, DataKeyStore, Micros, ReplaceRootKey, Retired, Saved,
    SealedColumn, SealedValue, StoreError, StoredDataKey, data_key::KEY_ID_AT,
};
use alter_rows::{Noun, sql::Piece::Names, storable::counter};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    fault::Fault,
    row::sql,
    statement::{one, run, values},
};

/// The statements about one column of sealed values.
struct Sealed {
    column: SealedColumn,
    count: String,
    list: String,
    replace: String,
}

/// The statements for every column, as constants: the driver keeps prepared statements by their text.
static SEALED: LazyLock<Vec<Sealed>> =
    LazyLock::new(|| SealedColumn::ALL.iter().copied().map(Sealed::of).collect());

impl Sealed {
    fn of(column: SealedColumn) -> Self {
        let (table, name, row, generation) =
            (column.table(), column.column(), column.row(), column.generation());
        let under_key = format!("app_id = $1 AND substring({name} FROM 7 FOR 16) = $2");
        Self {
            column,
            count: format!("SELECT COUNT(*) AS n FROM {table} WHERE {under_key}"),
            list: format!(
                "SELECT {row} AS row_id, {generation}::BIGINT AS generation, {name} AS sealed FROM {table}
                 WHERE {row} > $3 AND {under_key} ORDER BY {row} LIMIT $4"
            ),
            replace: format!(
                "UPDATE {table} SET {name} = $5
                 WHERE {row} = $1 AND app_id = $2 AND {generation}::BIGINT = $3 AND {name} = $4"
            ),
        }
    }
}

fn about(column: SealedColumn) -> &'static Sealed {
    SEALED.iter().find(|sealed| sealed.column == column).expect("every column is among them")
}

#[async_trait]
impl DataKeyStore for PostgresStore {
    async fn list_data_keys(&self, app: AppId) -> Result<Vec<StoredDataKey>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM data_keys WHERE app_id = $1 ORDER BY created_at, key_id",
            Names(StoredDataKey::COLUMNS)
        );
        self.all(sql, values![app.to_string()], StoredDataKey::read).await
    }

    async fn get_data_key(&self, app: AppId, key: DataKeyId) -> Result<Option<StoredDataKey>, StoreError> {
        let sql =
            sql!("SELECT {} FROM data_keys WHERE app_id = $1 AND key_id = $2", Names(StoredDataKey::COLUMNS));
        self.one(sql, values![app.to_string(), &key[..]], StoredDataKey::read).await
    }

    async fn add_data_key(&self, add: AddDataKey) -> Result<Saved, StoreError> {
        let add = &add;
        self.write(|tx| Box::pin(add_in(tx.c, add))).await
    }

    async fn count_sealed(&self, app: AppId, key: DataKeyId) -> Result<u64, StoreError> {
        self.write(|tx| Box::pin(count(tx.c, app, key))).await
    }

    async fn list_sealed(
        &self,
        app: AppId,
        key: DataKeyId,
        column: SealedColumn,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SealedValue>, StoreError> {
        let values = values![app.to_string(), &key[..], after, i64::from(limit)];
        let found = self.all(&about(column).list, values, |row| {
            Ok((row.get("row_id")?, row.get("generation")?, row.get("sealed")?))
        });
        let value = |(row, generation, sealed)| SealedValue { column, row, generation, sealed };
        Ok(found.await?.into_iter().map(value).collect())
    }

    async fn replace_sealed(
        &self,
        app: AppId,
        values: Vec<(SealedValue, Vec<u8>)>,
    ) -> Result<u64, StoreError> {
        let values = &values;
        self.write(|tx| Box::pin(replace_in(tx.c, app, values))).await
    }

    async fn retire_data_key(
        &self,
        app: AppId,
        key: DataKeyId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Retired, StoreError> {
        let audit = &audit;
        self.write(|tx| Box::pin(retire_in(tx.c, app, key, at, audit))).await
    }

    async fn replace_root_key(&self, replace: ReplaceRootKey) -> Result<Saved, StoreError> {
        let replace = &replace;
        match self.write(|tx| Box::pin(replace_root(tx.c, replace))).await {
            Ok(()) => Ok(Saved::Done),
            Err(error) if error.is_overtaken() => Ok(Saved::Moved),
            Err(error) => Err(error),
        }
    }
}

/// Waits if the root key is being replaced at this moment, and keeps it from being replaced until the transaction ends, so
/// that a replacement sees every key. It must be the first lock of a transaction that stores a key, because a replacement
/// takes it first too.
pub(crate) async fn hold_root(c: &mut Connection) -> Result<(), Fault> {
    one(c, "SELECT id FROM key_check WHERE id = 1 FOR SHARE", values![], |_| Ok(())).await?;
    Ok(())
}

/// Stores another data key for an app; the caller holds [`hold_root`].
pub(crate) async fn insert(c: &mut Connection, app: AppId, wrapped: &[u8], at: Micros) -> Result<(), Fault> {
    let sql = "INSERT INTO data_keys (app_id, key_id, wrapped, created_at)
               VALUES ($1, substring($2::BYTEA FROM 7 FOR 16), $2, $3)";
    run(c, sql, values![app.to_string(), wrapped, at.0]).await?;
    Ok(())
}

/// Refuses to store a value under a wiped key: nobody could open it. Every command that stores sealed values calls this
/// inside its transaction; the key cannot be retired until that ends.
///
/// # Errors
/// [`StoreError::KeyRetired`]: seal again under the current key.
pub(crate) async fn refuse_retired(
    c: &mut Connection,
    app: AppId,
    sealed: &[Option<&[u8]>],
) -> Result<(), Fault> {
    let sql = "SELECT retired_at FROM data_keys WHERE app_id = $1 AND key_id = $2 FOR KEY SHARE";
    let mut known = None;
    for key in sealed.iter().flatten().filter_map(|value| value.get(KEY_ID_AT)) {
        // The values of one command are nearly always under one key.
        if known == Some(key) {
            continue;
        }
        known = Some(key);
        let retired =
            one(c, sql, values![app.to_string(), key], |row| row.get::<Option<Micros>>("retired_at")).await?;
        if retired.flatten().is_some() {
            return Err(StoreError::KeyRetired.into());
        }
    }
    Ok(())
}

async fn add_in(c: &mut Connection, add: &AddDataKey) -> Result<Saved, Fault> {
    let AddDataKey { app_id, wrapped, replaces, at, audit } = add;
    hold_root(c).await?;
    let sql = "UPDATE apps SET wrapped_key = $2 WHERE id = $1 AND wrapped_key = $3";
    if run(c, sql, values![app_id.to_string(), &**wrapped, &**replaces]).await? == 0 {
        return Ok(Saved::Moved);
    }
    insert(c, *app_id, wrapped, *at).await?;
    append(c, audit).await?;
    Ok(Saved::Done)
}

async fn count(c: &mut Connection, app: AppId, key: DataKeyId) -> Result<u64, Fault> {
    let mut sum = 0;
    for column in SealedColumn::ALL {
        let values = values![app.to_string(), &key[..]];
        sum += one(c, &about(*column).count, values, |row| row.get::<u64>("n")).await?.unwrap_or(0);
    }
    Ok(sum)
}

async fn replace_in(
    c: &mut Connection,
    app: AppId,
    rewrapped: &[(SealedValue, Vec<u8>)],
) -> Result<u64, Fault> {
    let mut replaced = 0;
    for (value, sealed) in rewrapped {
        refuse_retired(c, app, &[Some(sealed)]).await?;
        let values =
            values![&*value.row, app.to_string(), counter(value.generation)?, &*value.sealed, &**sealed,];
        replaced += run(c, &about(value.column).replace, values).await?;
    }
    Ok(replaced)
}

async fn retire_in(
    c: &mut Connection,
    app: AppId,
    key: DataKeyId,
    at: Micros,
    audit: &AuditEntry,
) -> Result<Retired, Fault> {
    let id = app.to_string();
    let lock = "SELECT retired_at FROM data_keys WHERE app_id = $1 AND key_id = $2 FOR UPDATE";
    let retired =
        one(c, lock, values![&*id, &key[..]], |row| row.get::<Option<Micros>>("retired_at")).await?;
    if retired != Some(None) {
        return Ok(Retired::Kept);
    }
    let current = "SELECT id FROM apps WHERE id = $1 AND substring(wrapped_key FROM 7 FOR 16) = $2";
    if one(c, current, values![&*id, &key[..]], |_| Ok(())).await?.is_some() || count(c, app, key).await? > 0
    {
        return Ok(Retired::Kept);
    }
    let sql = r"UPDATE data_keys SET wrapped = '\x', retired_at = $3 WHERE app_id = $1 AND key_id = $2";
    run(c, sql, values![&*id, &key[..], at.0]).await?;
    append(c, audit).await?;
    Ok(Retired::Done)
}

/// # Errors
/// [`StoreError::Moved`]: a row has changed since it was read, so everything is undone.
async fn replace_root(c: &mut Connection, replace: &ReplaceRootKey) -> Result<(), Fault> {
    let must = |changed: u64| if changed == 1 { Ok(()) } else { Err(Fault::from(StoreError::Moved)) };
    let check = "UPDATE key_check SET value = $2 WHERE id = 1 AND value = $1";
    must(run(c, check, values![&*replace.old_check, &*replace.new_check]).await?)?;
    let mut current = 0;
    for (key, wrapped) in &replace.keys {
        let app = key.app_id.to_string();
        let kept = "UPDATE data_keys SET wrapped = $4
                    WHERE app_id = $1 AND key_id = $2 AND wrapped = $3 AND retired_at IS NULL";
        let values = values![&*app, &key.key_id[..], key.wrapped.as_deref(), &**wrapped];
        must(run(c, kept, values).await?)?;
        let in_use = "UPDATE apps SET wrapped_key = $3 WHERE id = $1 AND wrapped_key = $2";
        current += run(c, in_use, values![&*app, key.wrapped.as_deref(), &**wrapped]).await?;
    }
    let keys = "SELECT COUNT(*) AS n FROM data_keys WHERE retired_at IS NULL";
    let keys = one(c, keys, values![], |row| row.get::<u64>("n")).await?;
    let apps = one(c, "SELECT COUNT(*) AS n FROM apps WHERE deleted_at IS NULL", values![], |row| {
        row.get::<u64>("n")
    })
    .await?;
    if (keys, apps) != (Some(replace.keys.len() as u64), Some(current)) {
        return Err(StoreError::Moved.into());
    }
    for entry in &replace.audit {
        append(c, entry).await?;
    }
    Ok(())
}
