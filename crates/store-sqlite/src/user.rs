//! Users, by app, issuer and subject (T15).

use alter_core::{AppId, StoreError, User, UserId, UserStore};
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use crate::{
    SqliteStore,
    column::{parsed, read_text, read_time, text},
    fault::Fault,
    statement::one,
};

macro_rules! columns {
    () => {
        "id, app_id, issuer, subject, label, created_at, updated_at"
    };
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn find_user(&self, app: AppId, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let sql =
            concat!("SELECT ", columns!(), " FROM users WHERE app_id = ?1 AND issuer = ?2 AND subject = ?3");
        self.read(|c| one(c, sql, params![app.to_string(), issuer, subject], read_user)).await
    }

    async fn get_user(&self, app: AppId, id: UserId) -> Result<Option<User>, StoreError> {
        let sql = concat!("SELECT ", columns!(), " FROM users WHERE id = ?1 AND app_id = ?2");
        self.read(|c| one(c, sql, [id.to_string(), app.to_string()], read_user)).await
    }

    async fn save_user(&self, user: User) -> Result<User, StoreError> {
        self.write(move |c| save(c, &user)).await
    }
}

fn save(c: &Connection, user: &User) -> Result<User, Fault> {
    let sql = concat!(
        "INSERT INTO users (",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (app_id, issuer, subject) DO UPDATE SET label = excluded.label, updated_at = excluded.updated_at
         RETURNING ",
        columns!()
    );
    let values = params![
        user.id.to_string(),
        user.app_id.to_string(),
        text(&user.issuer)?,
        text(&user.subject)?,
        text(&user.label)?,
        user.created_at.0,
        user.updated_at.0,
    ];
    one(c, sql, values, read_user)?.ok_or(Fault::corrupt("id"))
}

fn read_user(row: &Row<'_>) -> Result<User, Fault> {
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
