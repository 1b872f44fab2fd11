//! Apps.

use alter_core::{App, AppId, AppSettings, AppStore, Changed, StoreError};
use async_trait::async_trait;
use sqlx::postgres::PgRow;

use crate::{
    PostgresStore,
    column::{json, parsed, read, read_json, read_time},
    data_key,
    fault::Fault,
    statement::{run, values},
};

#[async_trait]
impl AppStore for PostgresStore {
    async fn insert_app(&self, app: App) -> Result<(), StoreError> {
        let sql = "INSERT INTO apps (id, settings, wrapped_key, created_at) VALUES ($1, $2, $3, $4)";
        let (settings, app) = (json(&app.settings)?, &app);
        self.write(|tx| {
            let values = values![app.id.to_string(), &*settings, &*app.wrapped_key, app.created_at.0];
            Box::pin(async move {
                data_key::hold_root(tx.c).await?;
                run(tx.c, sql, values).await?;
                data_key::insert(tx.c, app.id, &app.wrapped_key, app.created_at).await
            })
        })
        .await
    }

    async fn get_app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let sql = "SELECT id, settings, wrapped_key, created_at FROM apps WHERE id = $1";
        self.one(sql, values![id.to_string()], read_app).await
    }

    async fn list_apps(&self) -> Result<Vec<App>, StoreError> {
        let sql = "SELECT id, settings, wrapped_key, created_at FROM apps ORDER BY created_at, id";
        self.all(sql, values![], read_app).await
    }

    async fn save_app_settings(&self, id: AppId, settings: AppSettings) -> Result<Changed, StoreError> {
        let sql = "UPDATE apps SET settings = $2 WHERE id = $1";
        Ok(Changed::when(self.run(sql, values![id.to_string(), json(&settings)?]).await? == 1))
    }
}

fn read_app(row: &PgRow) -> Result<App, Fault> {
    Ok(App {
        id: parsed(row, "id", AppId::parse)?,
        settings: read_json(row, "settings")?,
        wrapped_key: read(row, "wrapped_key")?,
        created_at: read_time(row, "created_at")?,
    })
}
