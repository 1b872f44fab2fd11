//! Apps.

use alter_core::{App, AppContents, AppId, AppSettings, AppStore, AuditEntry, Micros, Named, StoreError};
use alter_rows::{
    Noun,
    app::read_contents,
    sql::Piece::{Names, Places},
    storable::json,
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    connection::Connection,
    data_key,
    fault::Fault,
    row::{bound, sql},
    statement::{one, run, values},
};

const CONTENTS: &str = "SELECT (SELECT COUNT(*) FROM users WHERE app_id = $1) AS users,
            (SELECT COUNT(*) FROM grants WHERE app_id = $1 AND status = 'active') AS grants,
            (SELECT COUNT(*) FROM agents WHERE app_id = $1 AND status <> 'revoked') AS agents,
            (SELECT COUNT(*) FROM delegations d JOIN grants g ON g.id = d.grant_id
             WHERE g.app_id = $1 AND d.revoked_at IS NULL) AS delegations,
            (SELECT COUNT(*) FROM api_keys WHERE app_id = $1 AND revoked_at IS NULL) AS keys,
            (SELECT COUNT(*) FROM providers WHERE app_id = $1) AS providers,
            (SELECT COUNT(*) FROM sessions WHERE app_id = $1 AND state IN ('minted', 'claimed')) AS sessions,
            (SELECT COUNT(*) FROM revocations WHERE app_id = $1) AS revocations
     FROM apps WHERE id = $1 AND deleted_at IS NULL";

/// Everything that belongs to an app. What refers to a row is deleted before that row.
const BELONGINGS: &[&str] = &[
    "DELETE FROM attempts WHERE app_id = $1",
    "DELETE FROM sessions WHERE app_id = $1",
    "DELETE FROM refreshes WHERE app_id = $1",
    "DELETE FROM revocations WHERE app_id = $1",
    "DELETE FROM delegations WHERE grant_id IN (SELECT id FROM grants WHERE app_id = $1)",
    "DELETE FROM grants WHERE app_id = $1",
    "DELETE FROM api_keys WHERE app_id = $1",
    "DELETE FROM agents WHERE app_id = $1",
    "DELETE FROM users WHERE app_id = $1",
    "DELETE FROM providers WHERE app_id = $1",
];

/// While a deletion waits for them, nothing new can refer to them. An attempt that makes a grant is deleted before.
const HELD: &[&str] = &[
    "SELECT COUNT(*) AS n FROM (SELECT 1 FROM grants WHERE app_id = $1 FOR UPDATE) AS held",
    "SELECT COUNT(*) AS n FROM (SELECT 1 FROM agents WHERE app_id = $1 FOR UPDATE) AS held",
];

#[async_trait]
impl AppStore for PostgresStore {
    async fn insert_app(&self, app: App, audit: AuditEntry) -> Result<Named, StoreError> {
        let sql = sql!("INSERT INTO apps ({}) VALUES ({})", Names(App::WRITTEN), Places(App::WRITTEN));
        let (values, app, audit) = (bound(app.values()?), &app, &audit);
        self.write(|tx| {
            let values = values.clone();
            Box::pin(async move {
                data_key::hold_root(tx.c).await?;
                hold_names(tx.c).await?;
                if let Some(other) = other_named(tx.c, &app.settings.name, app.id).await? {
                    return Ok(Named::Taken(other));
                }
                run(tx.c, sql, values).await?;
                data_key::insert(tx.c, app.id, &app.wrapped_key, app.created_at).await?;
                append(tx.c, audit).await?;
                Ok(Named::Done)
            })
        })
        .await
    }

    async fn get_app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let sql = sql!("SELECT {} FROM apps WHERE id = $1 AND deleted_at IS NULL", Names(App::COLUMNS));
        self.one(sql, values![id.to_string()], App::read).await
    }

    async fn list_apps(&self) -> Result<Vec<App>, StoreError> {
        let sql =
            sql!("SELECT {} FROM apps WHERE deleted_at IS NULL ORDER BY created_at, id", Names(App::COLUMNS));
        self.all(sql, values![], App::read).await
    }

    async fn save_app_settings(
        &self,
        id: AppId,
        settings: AppSettings,
        audit: AuditEntry,
    ) -> Result<Named, StoreError> {
        let (written, name, audit) = (json(&settings)?, &settings.name, &audit);
        self.write(|tx| {
            let values = values![id.to_string(), &*written];
            Box::pin(async move {
                hold_names(tx.c).await?;
                match name_of(tx.c, id).await? {
                    None => return Ok(Named::Absent),
                    Some(before) if before == *name => {}
                    Some(_) => {
                        if let Some(other) = other_named(tx.c, name, id).await? {
                            return Ok(Named::Taken(other));
                        }
                    }
                }
                run(tx.c, "UPDATE apps SET settings = $2 WHERE id = $1", values).await?;
                append(tx.c, audit).await?;
                Ok(Named::Done)
            })
        })
        .await
    }

    async fn count_app(&self, id: AppId) -> Result<Option<AppContents>, StoreError> {
        self.one(CONTENTS, values![id.to_string()], read_contents).await
    }

    async fn delete_app(
        &self,
        id: AppId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Option<AppContents>, StoreError> {
        let audit = &audit;
        self.write(|tx| {
            Box::pin(async move {
                let contents = delete(tx.c, id, at).await?;
                if let Some(contents) = &contents {
                    append(tx.c, &contents.recorded_in(audit.clone())).await?;
                }
                Ok(contents)
            })
        })
        .await
    }
}

/// Deletes an app's belongings and marks its row. Its data keys are wiped: nothing of it that is in a copy of a row can
/// be opened here, and a writer that still holds one is refused.
async fn delete(c: &mut Connection, app: AppId, at: Micros) -> Result<Option<AppContents>, Fault> {
    let id = app.to_string();
    let Some(contents) = one(c, CONTENTS, values![&*id], read_contents).await? else { return Ok(None) };
    // Before anything else: two deletions go one after the other, and nobody seals under these keys any more.
    let mark = r"UPDATE apps SET wrapped_key = '\x', deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    if run(c, mark, values![&*id, at.0]).await? == 0 {
        return Ok(None);
    }
    let keys =
        r"UPDATE data_keys SET wrapped = '\x', retired_at = $2 WHERE app_id = $1 AND retired_at IS NULL";
    run(c, keys, values![&*id, at.0]).await?;
    let (attempts, others) = BELONGINGS.split_at(2);
    for sql in attempts.iter().chain(HELD).chain(others) {
        run(c, sql, values![&*id]).await?;
    }
    Ok(Some(contents))
}

/// Keeps other apps from getting a name until this transaction ends. Reading, and referring to an app, goes on.
async fn hold_names(c: &mut Connection) -> Result<(), Fault> {
    run(c, "LOCK TABLE apps IN SHARE ROW EXCLUSIVE MODE", values![]).await?;
    Ok(())
}

async fn name_of(c: &mut Connection, app: AppId) -> Result<Option<String>, Fault> {
    let sql = "SELECT settings::json ->> 'name' AS name FROM apps WHERE id = $1 AND deleted_at IS NULL";
    one(c, sql, values![app.to_string()], |row| row.get("name")).await
}

/// Another app with this name, compared byte by byte.
async fn other_named(c: &mut Connection, name: &str, app: AppId) -> Result<Option<AppId>, Fault> {
    let sql = r#"SELECT id FROM apps
                 WHERE settings::json ->> 'name' = $1 COLLATE "C" AND id <> $2 AND deleted_at IS NULL
                 ORDER BY created_at, id LIMIT 1"#;
    one(c, sql, values![name, app.to_string()], |row| row.get("id")).await
}
