//! Apps.

use alter_core::{App, AppId, AppSettings, AppStore, AuditEntry, Changed, StoreError};
use alter_rows::{
    Noun,
    sql::Piece::{Names, Places},
    storable::json,
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    audit::append,
    data_key,
    row::{bound, sql},
    statement::{run, values},
};

#[async_trait]
impl AppStore for PostgresStore {
    async fn insert_app(&self, app: App, audit: AuditEntry) -> Result<(), StoreError> {
        let sql = sql!("INSERT INTO apps ({}) VALUES ({})", Names(App::WRITTEN), Places(App::WRITTEN));
        let (values, app, audit) = (bound(app.values()?), &app, &audit);
        self.write(|tx| {
            let values = values.clone();
            Box::pin(async move {
                data_key::hold_root(tx.c).await?;
                run(tx.c, sql, values).await?;
                data_key::insert(tx.c, app.id, &app.wrapped_key, app.created_at).await?;
                append(tx.c, audit).await
            })
        })
        .await
    }

    async fn get_app(&self, id: AppId) -> Result<Option<App>, StoreError> {
        let sql = sql!("SELECT {} FROM apps WHERE id = $1", Names(App::COLUMNS));
        self.one(sql, values![id.to_string()], App::read).await
    }

    async fn list_apps(&self) -> Result<Vec<App>, StoreError> {
        let sql = sql!("SELECT {} FROM apps ORDER BY created_at, id", Names(App::COLUMNS));
        self.all(sql, values![], App::read).await
    }

    async fn save_app_settings(
        &self,
        id: AppId,
        settings: AppSettings,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError> {
        let sql = "UPDATE apps SET settings = $2 WHERE id = $1";
        self.change(sql, values![id.to_string(), json(&settings)?], audit).await
    }
}
