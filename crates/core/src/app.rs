//! An app: a customer of this server whose users connect accounts, and what the operator allows it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    AppId, AuditEntry, IdentityProvider, Micros, Origin, SignInClient, StoreError,
    name::{NAME_MAX, check_name},
};

/// How well a session is bound to the person who started it in the app (threats 6.2). Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// A link opened without proof ([`AppSettings::allow_unverified_links`]).
    L0,
    /// The marks of the published client 0.8.0.
    L1,
    /// Proof that the app's own page started it.
    L2,
    /// The app's backend confirms at the end ([`crate::staged`]).
    L3,
}

impl Level {
    /// `L0` to `L3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }

    /// The reverse of [`Self::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::L0, Self::L1, Self::L2, Self::L3].into_iter().find(|l| l.as_str() == text)
    }
}

/// What an operator decides about an app. Every field is a flag of `alter app create` and `app set`. Rows that older
/// versions wrote must stay readable, so a new field needs `#[serde(default)]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSettings {
    /// Shown to people on every page; see [`crate::name`].
    pub name: String,
    /// Its origin is the default of `allowed_origin`.
    pub website_url: Option<String>,
    /// Origins that a `return_url` may have.
    pub return_origins: Vec<Origin>,
    /// The published browser client 0.8.0 may be used (binding level L1).
    pub legacy_clients: bool,
    /// A link needs no proof (L0): whoever gets it may consent. Otherwise its user must sign in ([`crate::SignIn`]).
    #[serde(default)]
    pub allow_unverified_links: bool,
    /// The app's keys may start auth sessions ([`crate::auth_session`]), and the tokens of the sign-in client are user tokens.
    #[serde(default)]
    pub allow_auth_sessions: bool,
    /// Calls without a signature are accepted (curl, development).
    pub allow_bearer: bool,
    /// A call with the app's own key that names a user's grant by id needs `user_token` (S12). Agents do not need one.
    pub require_user_token: bool,
    /// Lifetime of a session, seconds, 60-3600.
    pub session_ttl: u32,
    /// The operator's choice; `None` = decided by [`App::min_binding`].
    pub min_binding: Option<Level>,
    /// Sessions that one process mints for the app per minute; all of them may come at once. 0 = no limit.
    #[serde(default = "sessions_per_minute")]
    pub sessions_per_minute: u32,
    /// The same limit for each of the app's users.
    #[serde(default = "sessions_per_minute_and_user")]
    pub sessions_per_minute_and_user: u32,
    /// Who vouches for the app's users (`alter idp set`); `None` = nobody, so user tokens are refused.
    #[serde(default)]
    pub identity_provider: Option<IdentityProvider>,
}

fn sessions_per_minute() -> u32 {
    6000
}

fn sessions_per_minute_and_user() -> u32 {
    30
}

impl AppSettings {
    /// The defaults of `alter app create NAME`.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            website_url: None,
            return_origins: Vec::new(),
            legacy_clients: false,
            allow_unverified_links: false,
            allow_auth_sessions: false,
            allow_bearer: false,
            require_user_token: false,
            session_ttl: 600,
            min_binding: None,
            sessions_per_minute: sessions_per_minute(),
            sessions_per_minute_and_user: sessions_per_minute_and_user(),
            identity_provider: None,
        }
    }

    /// Checks the name that an app is to have. An app that got its name before the rule keeps it.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check_name(&self) -> Result<(), String> {
        check_name(&self.name, NAME_MAX).map_err(|bad| format!("NAME {bad}."))
    }

    /// Checks every field whose type does not, except the name.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        if !(60..=3600).contains(&self.session_ttl) {
            return Err(format!("--session-ttl is {} seconds; it must be 60 to 3600.", self.session_ttl));
        }
        if let Some(url) = &self.website_url {
            let parsed = url::Url::parse(url).map_err(|_| format!("--website-url {url} is not a URL."))?;
            Origin::of(&parsed).map_err(|e| format!("--website-url {url}: {e}"))?;
        }
        if let Some(idp) = &self.identity_provider {
            idp.check()?;
        }
        if let Some(level) =
            self.min_binding.filter(|level| self.allow_unverified_links && *level > Level::L0)
        {
            return Err(format!(
                "--allow-unverified-links is on and --min-binding is {0}: a link without proof is L0, so every one would \
                 be refused. Pass --min-binding L0, or --allow-unverified-links false.",
                level.as_str()
            ));
        }
        Ok(())
    }
}

/// An app as stored.
#[derive(Debug, Clone)]
pub struct App {
    /// Random; never given to another app.
    pub id: AppId,
    /// The operator's decisions.
    pub settings: AppSettings,
    /// The app's current data key, wrapped by the root key.
    pub wrapped_key: Vec<u8>,
    /// When the operator created it.
    pub created_at: Micros,
}

impl App {
    /// The lowest level at which a session of this app may be bound: the operator's choice, else L0 with links that need no
    /// proof, else L1 with the published client, else L0 for apps that have no web page at all, else L2 (S9).
    pub fn min_binding(&self) -> Level {
        let s = &self.settings;
        match s.min_binding {
            Some(level) => level,
            None if s.allow_unverified_links => Level::L0,
            None if s.legacy_clients => Level::L1,
            None if s.website_url.is_none() && s.return_origins.is_empty() => Level::L0,
            None => Level::L2,
        }
    }

    /// Whether a session may be for a link alone, so that no page of the app reads its result (S4).
    pub fn is_for_links(&self) -> bool {
        self.settings.allow_unverified_links || self.sign_in().is_some()
    }

    /// The client by which users sign in at the app's identity provider.
    pub fn sign_in(&self) -> Option<&SignInClient> {
        self.settings.identity_provider.as_ref()?.sign_in.as_ref()
    }

    /// The origin of `website_url`.
    pub fn website_origin(&self) -> Option<Origin> {
        let url = url::Url::parse(self.settings.website_url.as_deref()?).ok()?;
        Origin::of(&url).ok()
    }
}

/// The result of giving an app its name. Apps of one name that are there from before the rule stay.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// It is stored.
    Done,
    /// Another app has the name; nothing was stored.
    Taken(AppId),
    /// There is no such app; nothing was stored.
    Absent,
}

impl Named {
    /// Whether it is stored.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// How much of an app is alive, and ends when the app is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AppContents {
    /// Everybody for whom a session was minted.
    pub users: u64,
    /// Active ones.
    pub grants: u64,
    /// Agents that are not deleted.
    pub agents: u64,
    /// Live ones.
    pub delegations: u64,
    /// The app's own and its agents', those that are not revoked.
    pub keys: u64,
    /// Configured ones.
    pub providers: u64,
    /// Sessions under way.
    pub sessions: u64,
    /// Requests to providers that are still to be made. Without the app nobody makes them.
    pub revocations: u64,
}

impl AppContents {
    /// Writes the counts into the entry about a deletion.
    #[must_use]
    pub fn recorded_in(&self, mut audit: AuditEntry) -> AuditEntry {
        audit.details["deleted"] = serde_json::json!(self);
        audit
    }
}

/// What storage must be able to do for apps.
///
/// A deleted app is in no result. Its row stays, without its data keys, because its audit does; everything else of it is
/// gone, and nothing can be sealed for it any more.
#[async_trait]
pub trait AppStore: Send + Sync {
    /// Stores a new app, unless another one has its name.
    async fn insert_app(&self, app: App, audit: AuditEntry) -> Result<Named, StoreError>;
    /// Finds an app by id.
    async fn get_app(&self, id: AppId) -> Result<Option<App>, StoreError>;
    /// Lists all apps by creation.
    async fn list_apps(&self) -> Result<Vec<App>, StoreError>;
    /// Replaces an app's settings, unless they have a new name that is another app's.
    async fn save_app_settings(
        &self,
        id: AppId,
        settings: AppSettings,
        audit: AuditEntry,
    ) -> Result<Named, StoreError>;
    /// Counts what ends with an app; returns `None` when there is no such app.
    async fn count_app(&self, id: AppId) -> Result<Option<AppContents>, StoreError>;
    /// Deletes an app and everything that belongs to it, except its audit, in one commit. The entry gets the counts.
    /// Returns what it has ended; `None` when there is no such app.
    async fn delete_app(
        &self,
        id: AppId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Option<AppContents>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the first schema stored it.
    const OLDER: &str = r#"{
      "name": "Old", "website_url": "https://App.example:443/start?x", "return_origins": ["https://back.example",
      "http://localhost:3000"], "legacy_clients": false, "allow_links": false, "require_code": false,
      "allow_bearer": false, "require_user_token": false, "session_ttl": 600, "min_binding": null
    }"#;

    #[test]
    fn an_app_of_an_older_version_keeps_its_origins() {
        let read: AppSettings = serde_json::from_str(OLDER).expect("it was stored so");
        let origins = ["https://back.example", "http://localhost:3000"];
        assert_eq!(read.return_origins, origins.map(|text| Origin::parse(text).expect("an origin")));
        let again = serde_json::to_value(&read).expect("JSON");
        assert_eq!(
            again["return_origins"],
            serde_json::json!(origins),
            "an older process beside this one reads it too"
        );
    }
}
