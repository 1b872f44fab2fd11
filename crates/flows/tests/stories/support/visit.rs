//! A user's browser inside a session, and at the provider.

use alter_core::SessionId;
use secrecy::SecretString;

use super::world::get;

/// What the browser and the app's page know about a session.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) token: SecretString,
    pub(crate) sid: SessionId,
    /// The value of the browser's cookie.
    pub(crate) browser_key: SecretString,
    /// The flow id of the app's page.
    pub(crate) cb: String,
}

/// The response with which the provider sends the browser back.
pub(crate) struct Back {
    pub(crate) config_id: String,
    pub(crate) query: String,
}

impl Back {
    /// Goes to the provider, which approves or denies by its switches.
    pub(crate) async fn from(authorize: &url::Url) -> Self {
        let answer = get(authorize, "").await;
        let location = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: ").or_else(|| line.strip_prefix("Location: ")))
            .unwrap_or_else(|| panic!("no redirect: {answer}"));
        let location: url::Url = location.trim().parse().unwrap();
        let config_id = location.path_segments().unwrap().next_back().unwrap().to_owned();
        Self { config_id, query: location.query().unwrap_or_default().to_owned() }
    }
}
