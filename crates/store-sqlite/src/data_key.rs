//! Apps' data keys, and the values sealed under them.

use alter_core::{
    AddDataKey, AppId, AuditEntry, DataKeyId, DataKeyStore, Micros, ReplaceRootKey, Retired, Saved,
    SealedColumn, SealedValue, StoreError, StoredDataKey, data_key::KEY_ID_AT,
};
use alter_rows::{Noun, sql::Piece::Names, storable::counter};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::append,
    fault::Fault,
    row::sql,
    statement::{all, one, run},
};

#[async_trait]
impl DataKeyStore for SqliteStore {
    async fn list_data_keys(&self, app: AppId) -> Result<Vec<StoredDataKey>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM data_keys WHERE app_id = ?1 ORDER BY created_at, key_id",
            Names(StoredDataKey::COLUMNS)
        );
        self.read(|c| all(c, sql, [app.to_string()], StoredDataKey::read)).await
    }

    async fn get_data_key(&self, app: AppId, key: DataKeyId) -> Result<Option<StoredDataKey>, StoreError> {
        let sql =
            sql!("SELECT {} FROM data_keys WHERE app_id = ?1 AND key_id = ?2", Names(StoredDataKey::COLUMNS));
        self.read(|c| one(c, sql, params![app.to_string(), key], StoredDataKey::read)).await
    }

    async fn add_data_key(&self, add: AddDataKey) -> Result<Saved, StoreError> {
        self.write(move |c| {
            let AddDataKey { app_id, wrapped, replaces, at, audit } = &add;
            let sql = "UPDATE apps SET wrapped_key = ?2 WHERE id = ?1 AND wrapped_key = ?3";
            if run(c, sql, params![app_id.to_string(), wrapped, replaces])? == 0 {
                return Ok(Saved::Moved);
            }
            insert(c, *app_id, wrapped, *at)?;
            append(c, audit)?;
            Ok(Saved::Done)
        })
        .await
    }

    async fn count_sealed(&self, app: AppId, key: DataKeyId) -> Result<u64, StoreError> {
        self.read(|c| count(c, app, key)).await
    }

    async fn list_sealed(
        &self,
        app: AppId,
        key: DataKeyId,
        column: SealedColumn,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SealedValue>, StoreError> {
        self.read(|c| {
            all(c, &list_sql(column), params![app.to_string(), key, after, limit], |row| {
                Ok(SealedValue {
                    column,
                    row: row.get("row")?,
                    generation: row.get("generation")?,
                    sealed: row.get("sealed")?,
                })
            })
        })
        .await
    }

    async fn replace_sealed(
        &self,
        app: AppId,
        values: Vec<(SealedValue, Vec<u8>)>,
    ) -> Result<u64, StoreError> {
        self.write(move |c| {
            let mut replaced = 0;
            for (value, sealed) in &values {
                refuse_retired(c, app, [Some(sealed)])?;
                replaced += replace(c, app, value, sealed)?;
            }
            Ok(replaced)
        })
        .await
    }

    async fn retire_data_key(
        &self,
        app: AppId,
        key: DataKeyId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Retired, StoreError> {
        self.write(move |c| {
            if is_current(c, app, key)? || count(c, app, key)? > 0 {
                return Ok(Retired::Kept);
            }
            let sql = "UPDATE data_keys SET wrapped = X'', retired_at = ?3
                       WHERE app_id = ?1 AND key_id = ?2 AND retired_at IS NULL";
            if run(c, sql, params![app.to_string(), key, at.0])? == 0 {
                return Ok(Retired::Kept);
            }
            append(c, &audit)?;
            Ok(Retired::Done)
        })
        .await
    }

    async fn replace_root_key(&self, replace: ReplaceRootKey) -> Result<Saved, StoreError> {
        let done = self.write(move |c| replace_root(c, &replace)).await;
        match done {
            Ok(()) => Ok(Saved::Done),
            Err(error) if error.is_overtaken() => Ok(Saved::Moved),
            Err(error) => Err(error),
        }
    }
}

/// Stores another data key for an app.
pub(crate) fn insert(c: &Connection, app: AppId, wrapped: &[u8], at: Micros) -> Result<(), Fault> {
    let sql =
        "INSERT INTO data_keys (app_id, key_id, wrapped, created_at) VALUES (?1, substr(?2, 7, 16), ?2, ?3)";
    run(c, sql, params![app.to_string(), wrapped, at.0])?;
    Ok(())
}

/// Refuses to store a value under a wiped key: nobody could open it. Every command that stores sealed values calls this
/// inside its transaction, so a key is retired before or after the command, never in between.
///
/// # Errors
/// [`StoreError::KeyRetired`]: seal again under the current key.
pub(crate) fn refuse_retired<'a>(
    c: &Connection,
    app: AppId,
    values: impl IntoIterator<Item = Option<&'a Vec<u8>>>,
) -> Result<(), Fault> {
    let sql = "SELECT retired_at FROM data_keys WHERE app_id = ?1 AND key_id = ?2 AND retired_at IS NOT NULL";
    let mut known = None;
    for key in values.into_iter().flatten().filter_map(|value| value.get(KEY_ID_AT)) {
        // The values of one command are nearly always under one key.
        if known == Some(key) {
            continue;
        }
        known = Some(key);
        if one(c, sql, params![app.to_string(), key], |_| Ok(()))?.is_some() {
            return Err(StoreError::KeyRetired.into());
        }
    }
    Ok(())
}

fn is_current(c: &Connection, app: AppId, key: DataKeyId) -> Result<bool, Fault> {
    let sql = "SELECT id FROM apps WHERE id = ?1 AND substr(wrapped_key, 7, 16) = ?2";
    Ok(one(c, sql, params![app.to_string(), key], |_| Ok(()))?.is_some())
}

fn count(c: &Connection, app: AppId, key: DataKeyId) -> Result<u64, Fault> {
    let mut sum = 0;
    for column in SealedColumn::ALL {
        let (table, name) = (column.table(), column.column());
        let sql =
            format!("SELECT COUNT(*) AS n FROM {table} WHERE app_id = ?1 AND substr({name}, 7, 16) = ?2");
        sum += one(c, &sql, params![app.to_string(), key], |row| row.get::<u64>("n"))?.unwrap_or(0);
    }
    Ok(sum)
}

/// Goes along the primary key, so that a page starts where the previous one ended. `+` keeps SQLite from using an index
/// by app, whose rows it would have to sort for every page.
fn list_sql(column: SealedColumn) -> String {
    let (table, name, row) = (column.table(), column.column(), column.row());
    format!(
        "SELECT {row} AS row, {} AS generation, {name} AS sealed FROM {table}
         WHERE {row} > ?3 AND +app_id = ?1 AND substr({name}, 7, 16) = ?2 ORDER BY {row} LIMIT ?4",
        column.generation()
    )
}

fn replace(c: &Connection, app: AppId, value: &SealedValue, sealed: &[u8]) -> Result<u64, Fault> {
    let SealedValue { column, row, generation, sealed: old } = value;
    let (table, name, key) = (column.table(), column.column(), column.row());
    let sql = format!(
        "UPDATE {table} SET {name} = ?5
         WHERE {key} = ?1 AND app_id = ?2 AND {} = ?3 AND {name} = ?4",
        column.generation()
    );
    let values = params![row, app.to_string(), counter(*generation)?, old, sealed];
    Ok(run(c, &sql, values)? as u64)
}

/// # Errors
/// [`StoreError::Moved`]: a row has changed since it was read, so everything is undone.
fn replace_root(c: &Connection, replace: &ReplaceRootKey) -> Result<(), Fault> {
    let must = |changed: usize| if changed == 1 { Ok(()) } else { Err(Fault::from(StoreError::Moved)) };
    let check = "UPDATE key_check SET value = ?2 WHERE id = 1 AND value = ?1";
    must(run(c, check, params![replace.old_check, replace.new_check])?)?;
    let mut current = 0;
    for (key, wrapped) in &replace.keys {
        let app = key.app_id.to_string();
        let kept = "UPDATE data_keys SET wrapped = ?4
                    WHERE app_id = ?1 AND key_id = ?2 AND wrapped = ?3 AND retired_at IS NULL";
        must(run(c, kept, params![app, key.key_id, key.wrapped, wrapped])?)?;
        let in_use = "UPDATE apps SET wrapped_key = ?3 WHERE id = ?1 AND wrapped_key = ?2";
        current += run(c, in_use, params![app, key.wrapped, wrapped])?;
    }
    let how_many = |sql| one(c, sql, [], |row| row.get::<u64>("n")).map(Option::unwrap_or_default);
    let keys = how_many("SELECT COUNT(*) AS n FROM data_keys WHERE retired_at IS NULL")?;
    let apps = how_many("SELECT COUNT(*) AS n FROM apps WHERE deleted_at IS NULL")?;
    if (keys, apps) != (replace.keys.len() as u64, current as u64) {
        return Err(StoreError::Moved.into());
    }
    replace.audit.iter().try_for_each(|entry| append(c, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_under_a_key_are_listed_along_the_primary_key_without_sorting() {
        for column in SealedColumn::ALL {
            let plan = crate::migrate::plan(&list_sql(*column));
            // A table without row ids is its primary key.
            let along = plan.contains("sqlite_autoindex") || plan.contains("USING PRIMARY KEY");
            assert!(along && !plan.contains("TEMP B-TREE"), "{column:?}: {plan}");
        }
    }
}
