//! Apps.

use alter_core::{App, AppId, AppSettings, AppStore, Changed, StoreError};
use async_trait::async_trait;
use rusqlite::{Row, params};

use crate::{
    SqliteStore,
    column::{json, parsed, read_json, read_time},
    data_key,
    fault::Fault,
    statement::{all, one, run},
};

#[async_trait]
impl AppStore for SqliteStore {
    async fn insert_app(&self, app: App) -> Result<(), StoreError> {
        let settings = json(&app.settings)?;
        self.write(move |c| {
            run(
                c,
                "INSERT INTO apps (id, settings, wrapped_key, created_at) VALUES (?1, ?2, ?3, ?4)",
                params![app.id.to_string(), settings, app.wrapped_key, app.created_at.0],
            )?;
            data_key::insert(c, app.id, &app.wrapped_key, app.created_at)
        })
        .await
    }

    async fn get_app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let sql = "SELECT id, settings, wrapped_key, created_at FROM apps WHERE id = ?1";
        self.read(|c| one(c, sql, [id.to_string()], read_app)).await
    }

    async fn list_apps(&self) -> Result<Vec<App>, StoreError> {
        let sql = "SELECT id, settings, wrapped_key, created_at FROM apps ORDER BY created_at, id";
        self.read(|c| all(c, sql, [], read_app)).await
    }

    async fn save_app_settings(&self, id: AppId, settings: AppSettings) -> Result<Changed, StoreError> {
        let settings = json(&settings)?;
        let sql = "UPDATE apps SET settings = ?2 WHERE id = ?1";
        self.write(move |c| Ok(Changed::when(run(c, sql, params![id.to_string(), settings])? == 1))).await
    }
}

fn read_app(row: &Row<'_>) -> Result<App, Fault> {
    Ok(App {
        id: parsed(row, "id", AppId::parse)?,
        settings: read_json(row, "settings")?,
        wrapped_key: row.get("wrapped_key")?,
        created_at: read_time(row, "created_at")?,
    })
}
