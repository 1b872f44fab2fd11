//! Users, by app, issuer and subject (T15).

use alter_core::{AppId, StoreError, User, UserId, UserStore, stored::storable};
use alter_rows::{
    Noun,
    sql::Piece::{Names, Places},
};
use async_trait::async_trait;

use crate::{
    PostgresStore,
    row::{bound, sql},
    statement::values,
};

#[async_trait]
impl UserStore for PostgresStore {
    async fn find_user(&self, app: AppId, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        if !storable(issuer) || !storable(subject) {
            return Ok(None);
        }
        let sql = sql!(
            "SELECT {} FROM users WHERE app_id = $1 AND issuer = $2 AND subject = $3",
            Names(User::COLUMNS)
        );
        self.one(sql, values![app.to_string(), issuer, subject], User::read).await
    }

    async fn get_user(&self, app: AppId, id: UserId) -> Result<Option<User>, StoreError> {
        let sql = sql!("SELECT {} FROM users WHERE id = $1 AND app_id = $2", Names(User::COLUMNS));
        self.one(sql, values![id.to_string(), app.to_string()], User::read).await
    }

    async fn save_user(&self, user: User) -> Result<User, StoreError> {
        let sql = sql!(
            "INSERT INTO users ({}) VALUES ({})
             ON CONFLICT (app_id, issuer, subject)
                 DO UPDATE SET label = excluded.label, updated_at = excluded.updated_at
             RETURNING {}",
            Names(User::WRITTEN),
            Places(User::WRITTEN),
            Names(User::COLUMNS),
        );
        self.one(sql, bound(user.values()?), User::read).await?.ok_or(StoreError::Corrupt("id"))
    }
}
