//! Apps.

use alter_core::{App, AppContents, AppId, AppSettings, AppStore, AuditEntry, Micros, Named, StoreError};
use alter_rows::{
    Noun,
    app::read_contents,
    sql::Piece::{Names, Places},
    storable::json,
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    audit::append,
    data_key,
    fault::Fault,
    row::{bound, owned, sql},
    statement::{all, one, run},
};

const CONTENTS: &str = "SELECT (SELECT COUNT(*) FROM users WHERE app_id = ?1) AS users,
            (SELECT COUNT(*) FROM grants WHERE app_id = ?1 AND status = 'active') AS grants,
            (SELECT COUNT(*) FROM agents WHERE app_id = ?1 AND status <> 'revoked') AS agents,
            (SELECT COUNT(*) FROM delegations d JOIN grants g ON g.id = d.grant_id
             WHERE g.app_id = ?1 AND d.revoked_at IS NULL) AS delegations,
            (SELECT COUNT(*) FROM api_keys WHERE app_id = ?1 AND revoked_at IS NULL) AS keys,
            (SELECT COUNT(*) FROM providers WHERE app_id = ?1) AS providers,
            (SELECT COUNT(*) FROM sessions WHERE app_id = ?1 AND state IN ('minted', 'claimed')) AS sessions,
            (SELECT COUNT(*) FROM revocations WHERE app_id = ?1) AS revocations
     FROM apps WHERE id = ?1 AND deleted_at IS NULL";

/// Everything that belongs to an app. What refers to a row is deleted before that row.
const BELONGINGS: &[&str] = &[
    "DELETE FROM attempts WHERE app_id = ?1",
    "DELETE FROM sessions WHERE app_id = ?1",
    "DELETE FROM refreshes WHERE app_id = ?1",
    "DELETE FROM revocations WHERE app_id = ?1",
    "DELETE FROM delegations WHERE grant_id IN (SELECT id FROM grants WHERE app_id = ?1)",
    "DELETE FROM grants WHERE app_id = ?1",
    "DELETE FROM api_keys WHERE app_id = ?1",
    "DELETE FROM agents WHERE app_id = ?1",
    "DELETE FROM users WHERE app_id = ?1",
    "DELETE FROM providers WHERE app_id = ?1",
];

#[async_trait]
impl AppStore for SqliteStore {
    async fn insert_app(&self, app: App, audit: AuditEntry) -> Result<Named, StoreError> {
        let sql = sql!("INSERT INTO apps ({}) VALUES ({})", Names(App::WRITTEN), Places(App::WRITTEN));
        let values = owned(app.values()?);
        self.write(move |c| {
            if let Some(other) = other_named(c, &app.settings.name, app.id)? {
                return Ok(Named::Taken(other));
            }
            run(c, sql, bound(values))?;
            data_key::insert(c, app.id, &app.wrapped_key, app.created_at)?;
            append(c, &audit)?;
            Ok(Named::Done)
        })
        .await
    }

    async fn get_app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let sql = sql!("SELECT {} FROM apps WHERE id = ?1 AND deleted_at IS NULL", Names(App::COLUMNS));
        self.read(|c| one(c, sql, [id.to_string()], App::read)).await
    }

    async fn list_apps(&self) -> Result<Vec<App>, StoreError> {
        let sql =
            sql!("SELECT {} FROM apps WHERE deleted_at IS NULL ORDER BY created_at, id", Names(App::COLUMNS));
        self.read(|c| all(c, sql, [], App::read)).await
    }

    async fn save_app_settings(
        &self,
        id: AppId,
        settings: AppSettings,
        audit: AuditEntry,
    ) -> Result<Named, StoreError> {
        let written = json(&settings)?;
        let sql = "UPDATE apps SET settings = ?2 WHERE id = ?1";
        self.write(move |c| {
            match name_of(c, id)? {
                None => return Ok(Named::Absent),
                Some(name) if name == settings.name => {}
                Some(_) => {
                    if let Some(other) = other_named(c, &settings.name, id)? {
                        return Ok(Named::Taken(other));
                    }
                }
            }
            run(c, sql, params![id.to_string(), written])?;
            append(c, &audit)?;
            Ok(Named::Done)
        })
        .await
    }

    async fn count_app(&self, id: AppId) -> Result<Option<AppContents>, StoreError> {
        self.read(|c| one(c, CONTENTS, [id.to_string()], read_contents)).await
    }

    async fn delete_app(
        &self,
        id: AppId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Option<AppContents>, StoreError> {
        self.write(move |c| {
            let contents = delete(c, id, at)?;
            if let Some(contents) = &contents {
                append(c, &contents.recorded_in(audit))?;
            }
            Ok(contents)
        })
        .await
    }
}

/// Deletes an app's belongings and marks its row. Its data keys are wiped: nothing of it that is in a copy of a row can
/// be opened here, and a writer that still holds one is refused.
pub(crate) fn delete(c: &Connection, app: AppId, at: Micros) -> Result<Option<AppContents>, Fault> {
    let id = app.to_string();
    let Some(contents) = one(c, CONTENTS, [&id], read_contents)? else { return Ok(None) };
    for sql in BELONGINGS {
        run(c, sql, [&id])?;
    }
    let keys = "UPDATE data_keys SET wrapped = X'', retired_at = ?2 WHERE app_id = ?1 AND retired_at IS NULL";
    run(c, keys, params![id, at.0])?;
    run(c, "UPDATE apps SET wrapped_key = X'', deleted_at = ?2 WHERE id = ?1", params![id, at.0])?;
    Ok(Some(contents))
}

fn name_of(c: &Connection, app: AppId) -> Result<Option<String>, Fault> {
    let sql =
        "SELECT json_extract(settings, '$.name') AS name FROM apps WHERE id = ?1 AND deleted_at IS NULL";
    one(c, sql, [app.to_string()], |row| row.get("name"))
}

/// Another app with this name, compared byte by byte.
fn other_named(c: &Connection, name: &str, app: AppId) -> Result<Option<AppId>, Fault> {
    let sql = "SELECT id FROM apps
               WHERE json_extract(settings, '$.name') = ?1 AND id <> ?2 AND deleted_at IS NULL
               ORDER BY created_at, id LIMIT 1";
    one(c, sql, params![name, app.to_string()], |row| row.get("id"))
}
