//! Apps.

use alter_core::{App, AppId, AppSettings, AppStore, AuditEntry, Changed, StoreError};
use alter_rows::{
    Noun,
    sql::Piece::{Names, Places},
    storable::json,
};
use async_trait::async_trait;
use rusqlite::params;

use crate::{
    SqliteStore,
    audit::{append, append_if},
    data_key,
    row::{bound, owned, sql},
    statement::{all, one, run},
};

#[async_trait]
impl AppStore for SqliteStore {
    async fn insert_app(&self, app: App, audit: AuditEntry) -> Result<(), StoreError> {
        let sql = sql!("INSERT INTO apps ({}) VALUES ({})", Names(App::WRITTEN), Places(App::WRITTEN));
        let values = owned(app.values()?);
        self.write(move |c| {
            run(c, sql, bound(values))?;
            data_key::insert(c, app.id, &app.wrapped_key, app.created_at)?;
            append(c, &audit)
        })
        .await
    }

    async fn get_app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let sql = sql!("SELECT {} FROM apps WHERE id = ?1", Names(App::COLUMNS));
        self.read(|c| one(c, sql, [id.to_string()], App::read)).await
    }

    async fn list_apps(&self) -> Result<Vec<App>, StoreError> {
        let sql = sql!("SELECT {} FROM apps ORDER BY created_at, id", Names(App::COLUMNS));
        self.read(|c| all(c, sql, [], App::read)).await
    }

    async fn save_app_settings(
        &self,
        id: AppId,
        settings: AppSettings,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError> {
        let settings = json(&settings)?;
        let sql = "UPDATE apps SET settings = ?2 WHERE id = ?1";
        self.write(move |c| {
            let changed = Changed::when(run(c, sql, params![id.to_string(), settings])? == 1);
            append_if(changed.is_done(), c, &audit)?;
            Ok(changed)
        })
        .await
    }
}
