//! Users, by app, issuer and subject (T15).

use alter_core::{AppId, StoreError, User, UserId, UserStore, store::storable};
use async_trait::async_trait;
use sqlx::postgres::PgRow;

use crate::{
    PostgresStore,
    column::{parsed, read_text, read_time, text},
    fault::Fault,
    statement::values,
};

macro_rules! columns {
    () => {
        "id, app_id, issuer, subject, label, created_at, updated_at"
    };
}

#[async_trait]
impl UserStore for PostgresStore {
    async fn find_user(&self, app: AppId, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        if !storable(issuer) || !storable(subject) {
            return Ok(None);
        }
        let sql =
            concat!("SELECT ", columns!(), " FROM users WHERE app_id = $1 AND issuer = $2 AND subject = $3");
        self.one(sql, values![app.to_string(), issuer, subject], read_user).await
    }

    async fn get_user(&self, app: AppId, id: UserId) -> Result<Option<User>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM users WHERE id = $1 AND app_id = $2");
        self.one(sql, values![id.to_string(), app.to_string()], read_user).await
    }

    async fn save_user(&self, user: User) -> Result<User, StoreError> {
        let sql = concat!(
            "INSERT INTO users (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (app_id, issuer, subject)
                 DO UPDATE SET label = excluded.label, updated_at = excluded.updated_at
             RETURNING ",
            columns!()
        );
        let values = values![
            user.id.to_string(),
            user.app_id.to_string(),
            text(&user.issuer)?,
            text(&user.subject)?,
            text(&user.label)?,
            user.created_at.0,
            user.updated_at.0,
        ];
        self.one(sql, values, read_user).await?.ok_or(StoreError::Corrupt("id"))
    }
}

fn read_user(row: &PgRow) -> Result<User, Fault> {
    Ok(User {
        id: parsed(row, "id", UserId::parse)?,
        app_id: parsed(row, "app_id", AppId::parse)?,
        issuer: read_text(row, "issuer")?,
        subject: read_text(row, "subject")?,
        label: read_text(row, "label")?,
        created_at: read_time(row, "created_at")?,
        updated_at: read_time(row, "updated_at")?,
    })
}
