//! A provider as one app has it configured: its recipe, client and scopes, and its own callback path.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;

use crate::{
    AppId, AuditEntry, BadParameter, Changed, ConfigId, Filled, Hash, Micros, Opener, Recipe, Saved, Shown,
    StoreError, secret::sha256,
};

/// One provider as one app uses it, with its own callback path `/oauth/callback/{config_id}` (T09).
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Globally unique, `pc_` and 26 characters; kept when the operator configures the provider again.
    pub config_id: ConfigId,
    /// The app that uses it.
    pub app_id: AppId,
    /// The facts about the provider, fixed when it was configured: a later change of a discovery document changes nothing
    /// (T20).
    pub recipe: Arc<Recipe>,
    /// The public id of our client at the provider.
    pub client_id: String,
    /// Sealed; `None` for a public client.
    pub client_secret: Option<Vec<u8>>,
    /// Counts the secrets that this row has held, from 1; part of the sealed value's place.
    pub generation: u64,
    /// The scopes asked for in every flow.
    pub scopes: Vec<String>,
    /// When the operator first configured it.
    pub created_at: Micros,
    /// When the operator last configured it.
    pub updated_at: Micros,
    /// Sealed: the row's digest, which proves that the row is as somebody with the root key wrote it. `None` in a row from
    /// before there were seals.
    pub seal: Option<Vec<u8>>,
}

/// The provider id of the client by which an app's users sign in. No provider can have it: `@` is in no id.
pub const SIGN_IN: &str = "@sign-in";

impl ProviderConfig {
    /// Whether it is the client by which users sign in ([`crate::SignInClient`]), and nothing is connected with it.
    pub fn is_sign_in(&self) -> bool {
        self.recipe.id == SIGN_IN
    }

    /// The configuration for one customer: with every placeholder of the recipe filled.
    ///
    /// # Errors
    /// [`BadParameter`].
    pub fn for_customer(mut self, filled: &Filled) -> Result<Self, BadParameter> {
        if let Cow::Owned(recipe) = self.recipe.for_customer(filled)? {
            self.recipe = Arc::new(recipe);
        }
        Ok(self)
    }

    /// The digest of what decides where secrets go: the recipe and the client. Not part of it: the sealed client secret,
    /// which changes with the data key and has its own place; the scopes, which a restore may narrow; the two times.
    ///
    /// A digest outlives versions: a new field of [`Recipe`] must not be written where it has its default value
    /// (`skip_serializing_if`), or every row that exists loses its seal.
    pub fn digest(&self) -> Hash {
        let (app, config, generation, client_id, public, recipe) = self.digested();
        let parts = (app.to_string(), config.as_str(), generation, client_id, public, recipe);
        sha256(&serde_json::to_vec(&parts).expect("texts, numbers and lists are always JSON"))
    }

    /// Whether everything that is digested is equal. Much quicker than two digests.
    pub fn is_digested_like(&self, other: &Self) -> bool {
        self.digested() == other.digested()
    }

    fn digested(&self) -> (AppId, &ConfigId, u64, &str, bool, &Recipe) {
        let Self { app_id, config_id, recipe, client_id, client_secret, generation, .. } = self;
        (*app_id, config_id, *generation, client_id, client_secret.is_none(), recipe)
    }
}

/// What storage must be able to do for provider configurations.
#[async_trait]
pub trait ProviderStore: Send + Sync {
    /// Inserts the configuration, or replaces everything but `config_id` and `created_at` in the row with the same app and
    /// provider id. Returns the row as stored.
    async fn save_provider(
        &self,
        config: ProviderConfig,
        audit: AuditEntry,
    ) -> Result<ProviderConfig, StoreError>;
    /// Finds a configuration of any app by its id: the callback knows nothing else.
    async fn get_provider(&self, config_id: &ConfigId) -> Result<Option<ProviderConfig>, StoreError>;
    /// Puts the seal over a row that has none, if it still has the digest of `config`.
    async fn seal_provider(&self, config: ProviderConfig, audit: AuditEntry) -> Result<Saved, StoreError>;
    /// Finds an app's configuration by its provider id.
    async fn find_provider(&self, app: AppId, provider: &str) -> Result<Option<ProviderConfig>, StoreError>;
    /// Lists an app's provider ids, in order. Minting needs no more, and loading all recipes made it about two thirds
    /// slower (17 providers).
    async fn list_provider_ids(&self, app: AppId) -> Result<Vec<String>, StoreError>;
    /// Lists an app's configurations by provider id.
    async fn list_providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError>;
    /// What the flows of a configuration have shown of its provider's pages.
    async fn get_opener(&self, config_id: &ConfigId) -> Result<Option<Opener>, StoreError>;
    /// Counts what one more flow has shown. Configuring the provider again forgets how many have kept the opener, since the
    /// operator may have moved it, and never that one has severed it.
    async fn learn_opener(&self, config_id: &ConfigId, shown: Shown) -> Result<(), StoreError>;
    /// Removes a configuration.
    async fn delete_provider(
        &self,
        app: AppId,
        provider: &str,
        audit: AuditEntry,
    ) -> Result<Changed, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ProviderConfig {
        let recipe = serde_json::json!({
            "id": "p", "name": "P", "authorize_url": "https://p.example/a", "token_url": "https://p.example/t",
            "revoke_url": "https://p.example/r", "api_hosts": ["api.p.example"],
        });
        ProviderConfig {
            config_id: ConfigId::parse("pc_aaaaaaaaaaaaaaaaaaaaaaaaaa").expect("the right form"),
            app_id: AppId::parse("a1000000-0000-4000-8000-000000000000").expect("the right form"),
            recipe: Arc::new(serde_json::from_value(recipe).expect("enough for a recipe")),
            client_id: "client".into(),
            client_secret: Some(vec![1]),
            generation: 1,
            scopes: vec!["read".into()],
            created_at: Micros(1),
            updated_at: Micros(1),
            seal: None,
        }
    }

    #[test]
    fn a_digest_stays_the_same_from_version_to_version() {
        // If a field of the recipe is new: `skip_serializing_if`, so that rows which exist keep their seals.
        assert_eq!(
            crate::secret::hex(&config().digest()),
            "e1fccbed14242f99032c4c5bc05ed019056989aa0c56dd527cfca611d35ea494"
        );
    }

    #[test]
    fn what_steers_a_secret_changes_the_digest_and_a_new_data_key_does_not() {
        let digest = config().digest();
        let changed = |change: &dyn Fn(&mut ProviderConfig)| {
            let mut config = config();
            change(&mut config);
            config.digest() != digest
        };
        assert!(
            changed(&|c| Arc::make_mut(&mut c.recipe).revoke_url = Some("https://evil.example/r".into()))
        );
        assert!(changed(
            &|c| Arc::make_mut(&mut c.recipe).refresh.url = Some("https://evil.example/t".into())
        ));
        assert!(changed(&|c| Arc::make_mut(&mut c.recipe).api_hosts.push("evil.example".into())));
        assert!(changed(&|c| Arc::make_mut(&mut c.recipe).pkce = false));
        assert!(changed(&|c| c.client_id = "other".into()));
        assert!(changed(&|c| c.client_secret = None));
        assert!(changed(&|c| c.generation = 2));
        assert!(!changed(&|c| c.client_secret = Some(vec![2])));
        assert!(!changed(&|c| c.scopes.clear()));
    }
}
