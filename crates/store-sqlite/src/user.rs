//! Users, by app, issuer and subject (T15).

use alter_core::{AppId, StoreError, User, UserId, UserStore};
use alter_rows::{
    Noun,
    sql::Piece::{Names, Places},
};
use async_trait::async_trait;
use rusqlite::{Connection, params};

use crate::{
    SqliteStore,
    fault::Fault,
    row::{bound, sql},
    statement::one,
};

#[async_trait]
impl UserStore for SqliteStore {
    async fn find_user(&self, app: AppId, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let sql = sql!(
            "SELECT {} FROM users WHERE app_id = ?1 AND issuer = ?2 AND subject = ?3",
            Names(User::COLUMNS)
        );
        self.read(|c| one(c, sql, params![app.to_string(), issuer, subject], User::read)).await
    }

    async fn get_user(&self, app: AppId, id: UserId) -> Result<Option<User>, StoreError> {
        let sql = sql!("SELECT {} FROM users WHERE id = ?1 AND app_id = ?2", Names(User::COLUMNS));
        self.read(|c| one(c, sql, [id.to_string(), app.to_string()], User::read)).await
    }

    async fn save_user(&self, user: User) -> Result<User, StoreError> {
        self.write(move |c| save(c, &user)).await
    }
}

fn save(c: &Connection, user: &User) -> Result<User, Fault> {
    let sql = sql!(
        "INSERT INTO users ({}) VALUES ({})
         ON CONFLICT (app_id, issuer, subject) DO UPDATE SET label = excluded.label, updated_at = excluded.updated_at
         RETURNING {}",
        Names(User::WRITTEN),
        Places(User::WRITTEN),
        Names(User::COLUMNS),
    );
    one(c, sql, bound(user.values()?), User::read)?.ok_or(Fault::corrupt("id"))
}
