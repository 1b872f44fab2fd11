//! A user of an app: a person whom the app's identity provider names. The key is (app, issuer, subject) (T15); e-mail
//! addresses and names are labels and decide nothing.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AppId, Micros, StoreError, UserId};

/// A user as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Our id for the user.
    pub id: UserId,
    /// The app the user belongs to.
    pub app_id: AppId,
    /// `iss` of the user's tokens.
    pub issuer: String,
    /// `sub` of the user's tokens.
    pub subject: String,
    /// The name that pages show.
    pub label: String,
    /// When the first session was minted for the user.
    pub created_at: Micros,
    /// When the label was last written.
    pub updated_at: Micros,
}

/// The owner of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Principal {
    /// The app itself: the grant was connected without a user token.
    App,
    /// One of the app's users.
    User(UserId),
}

/// [`Principal::App`] in storage; no UUID looks like it.
const APP: &str = "app";

impl Principal {
    /// As stored: `app`, or the user's id.
    pub fn to_text(self) -> String {
        match self {
            Self::App => APP.to_owned(),
            Self::User(id) => id.to_string(),
        }
    }

    /// The reverse of [`Self::to_text`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            APP => Some(Self::App),
            id => UserId::parse(id).map(Self::User),
        }
    }

    /// The user, if it is one.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::App => None,
            Self::User(id) => Some(id),
        }
    }
}

/// What storage must be able to do for users.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// Finds a user by a token's issuer and subject.
    async fn find_user(&self, app: AppId, issuer: &str, subject: &str) -> Result<Option<User>, StoreError>;
    /// Finds one of this app's users by id.
    async fn get_user(&self, app: AppId, id: UserId) -> Result<Option<User>, StoreError>;
    /// Stores a user. If the user exists already, replaces only the label and `updated_at`. Returns the user as stored, with
    /// the id from the first time.
    async fn save_user(&self, user: User) -> Result<User, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_reads_back_from_its_text_and_nothing_else_is_one() {
        let id = UserId::new(&crate::SystemRandom);
        let user = Principal::User(id);
        assert_eq!((user.user(), Principal::App.user()), (Some(id), None));
        for principal in [Principal::App, user] {
            assert_eq!(Principal::parse(&principal.to_text()), Some(principal));
        }
        for odd in ["", "App", "user", "APP", &user.to_text().to_uppercase()] {
            assert_eq!(Principal::parse(odd), None, "{odd}");
        }
    }
}
