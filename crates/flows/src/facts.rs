//! What is known about a provider today. A configuration stores the recipe that it was made from; what the catalog has
//! learnt since then reaches the grants that exist, without `provider set`.
//!
//! What an operator chose stays as it is stored: the client, and every destination that a credential is sent to.
//! So does all of a provider that the operator defined.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use alter_core::{
    AppId, ConfigId, ProviderConfig, Recipe, StoreError,
    recipe::{ApiAuth, Refresh, Revoke, Status},
};
use alter_providers::Catalog;

use crate::{Flows, fault::FlowFault};

impl Flows {
    /// A configuration that a secret may be sent with, with what is known about its provider today.
    ///
    /// # Errors
    /// As [`Flows::proven_provider`].
    pub(crate) async fn provider(
        &self,
        app: AppId,
        id: &ConfigId,
    ) -> Result<Option<ProviderConfig>, FlowFault> {
        Ok(self.proven_provider(app, id).await?.map(today))
    }

    /// The same for what sends nothing: the seal is not looked at.
    pub(crate) async fn unproven_provider(
        &self,
        app: AppId,
        id: &ConfigId,
    ) -> Result<Option<ProviderConfig>, StoreError> {
        Ok(self.stored_provider(app, id).await?.map(today))
    }

    /// An app's configurations, by provider id, with what is known about their providers today. The client by which its
    /// users sign in is none of them.
    pub(crate) async fn providers(&self, app: AppId) -> Result<Vec<ProviderConfig>, StoreError> {
        let configs = self.store().list_providers(app).await?.into_iter();
        Ok(configs.filter(|config| !config.is_sign_in()).map(today).collect())
    }
}

/// What is known about refreshing at this provider: [`today`] for releases, which ask every time and need no more. Nothing
/// is copied unless the operator's own URL has to stay.
pub(crate) fn refresh_facts(recipe: &Recipe) -> Cow<'_, Refresh> {
    let own = &recipe.refresh;
    match known(recipe) {
        Some(known) if own.url == known.refresh.url => Cow::Borrowed(&known.refresh),
        // A URL of the catalog with a placeholder is filled by `provider set` alone.
        Some(known) if own.url.is_none() && known.parameters.is_empty() => Cow::Borrowed(&known.refresh),
        Some(known) => Cow::Owned(Refresh { url: own.url.clone(), ..known.refresh.clone() }),
        None => Cow::Borrowed(own),
    }
}

/// What is known about the provider's scopes: which spellings are one scope, which scope implies which.
pub(crate) fn scope_facts(recipe: &Recipe) -> &Recipe {
    known(recipe).unwrap_or(recipe)
}

/// How the provider's API wants the token, and what other headers it wants.
pub(crate) fn api_auth(recipe: &Recipe) -> (ApiAuth, &BTreeMap<String, String>) {
    let facts = known(recipe).unwrap_or(recipe);
    (facts.api_auth.clone(), &facts.api_headers)
}

/// The configuration with what is known about its provider today.
pub(crate) fn today(config: ProviderConfig) -> ProviderConfig {
    let recipe = Arc::new(learnt(Arc::unwrap_or_clone(config.recipe)));
    ProviderConfig { recipe, ..config }
}

fn learnt(own: Recipe) -> Recipe {
    let Some(known) = known(&own) else { return own };
    let refresh = refresh_facts(&own).into_owned();
    let (revoke_url, revoke) = revocation(&own, known);
    let chosen = |field: &str| own.chosen.contains(field);
    let coop = if chosen("coop") { own.coop } else { known.coop };
    let mut identity = known.identity.clone();
    if chosen("identity.subject") {
        identity.subject.clone_from(&own.identity.subject);
    }
    // A parameter that the operator's flags took out is not learnt again.
    let learnt =
        known.authorize_params.iter().filter(|(name, _)| !chosen(&format!("authorize_params.{name}")));
    let learnt: BTreeMap<_, _> = learnt.map(|(name, value)| (name.clone(), value.clone())).collect();
    let token_params = own.token_params.iter().filter(|(name, _)| chosen(&format!("token_params.{name}")));
    let token_params = known.token_params.iter().chain(token_params);
    let token_params = token_params.map(|(name, value)| (name.clone(), value.clone())).collect();
    Recipe {
        id: own.id,
        name: own.name,
        parameters: own.parameters,
        // What discovery found.
        // A spelling that the catalog learnt is of its own issuer.
        issuer_aliases: if own.issuer == known.issuer {
            known.issuer_aliases.clone()
        } else {
            own.issuer_aliases
        },
        issuer: own.issuer,
        issuer_template: own.issuer_template,
        jwks_url: own.jwks_url,
        id_token_algs: own.id_token_algs,
        trusted_audiences: own.trusted_audiences,
        iss_parameter: own.iss_parameter,
        client_auth: own.client_auth,
        // Switched off by the operator, or by the catalog since.
        pkce: own.pkce && known.pkce,
        // Destinations, and what flags add to them.
        authorize_url: own.authorize_url,
        token_url: own.token_url,
        userinfo_url: userinfo_url(own.userinfo_url, known),
        revoke_url,
        revoke,
        api_hosts: own.api_hosts,
        authorize_params: learnt.into_iter().chain(own.authorize_params).collect(),
        refresh,
        token_params,
        identity,
        coop,
        chosen: own.chosen,
        ..known.clone()
    }
}

/// Where the operator named no other place, revocation is as the catalog has it: a provider may have learnt it since. A
/// URL with a placeholder (`{shop}`) is filled by `provider set` alone.
fn revocation(own: &Recipe, known: &Recipe) -> (Option<String>, Option<Revoke>) {
    let place = |recipe: &Recipe| recipe.revocation().map(|how| how.url);
    let learnt = place(own).is_none() && known.parameters.is_empty();
    let chosen = if learnt || place(own) == place(known) { known } else { own };
    (chosen.revoke_url.clone(), chosen.revoke.clone())
}

/// Where the account is asked for. A provider whose account was found elsewhere when the configuration was made may have
/// such a place by now. A URL with a placeholder is filled by `provider set` alone.
fn userinfo_url(own: Option<String>, known: &Recipe) -> Option<String> {
    own.or_else(|| known.userinfo_url.clone().filter(|_| known.parameters.is_empty()))
}

/// The catalog's recipe for the provider of a stored one: that of its id, or of its token endpoint where the operator
/// gave it another id (`--from`). One of the catalog's name whose tokens come from elsewhere is another provider.
fn known(own: &Recipe) -> Option<&'static Recipe> {
    if own.status == Status::Operator {
        return None;
    }
    let catalog = Catalog::builtin();
    let same = |known: &&Recipe| !known.parameters.is_empty() || known.token_url == own.token_url;
    match catalog.get(&own.id) {
        Some(known) => Some(known).filter(same),
        None => catalog.iter().find(|known| known.token_url == own.token_url),
    }
}

#[cfg(test)]
mod tests {
    use alter_core::recipe::{Coop, IdentitySource};

    use super::*;

    fn catalog(id: &str) -> Recipe {
        Catalog::builtin().get(id).expect("in the catalog").clone()
    }

    /// Google's recipe as an earlier version stored it: without what the catalog knows about refreshing, revoking,
    /// scopes and COOP.
    fn stored() -> Recipe {
        let known = catalog("google");
        let (revoke, revoke_url) = (None, None);
        Recipe {
            refresh: Refresh::default(),
            revoke,
            revoke_url,
            scopes: [].into(),
            coop: Coop::Unknown,
            ..known
        }
    }

    #[test]
    fn what_the_catalog_has_learnt_reaches_a_configuration_that_exists() {
        assert_ne!(stored(), catalog("google"));
        assert_eq!(learnt(stored()), catalog("google"), "all of it");
        let renamed = |recipe| Recipe { id: "second-google".into(), ..recipe };
        assert_eq!(learnt(renamed(stored())), renamed(catalog("google")), "under another id too");
    }

    #[test]
    fn where_credentials_go_stays_as_the_operator_chose() {
        let ours = |path: &str| Some(format!("https://gateway.example/{path}"));
        let mut old = Recipe { revoke_url: ours("revoke"), userinfo_url: ours("me"), ..stored() };
        old.refresh.url = ours("refresh");
        old.api_hosts = vec!["gateway.example".into()];
        old.authorize_params = [("hd".to_owned(), "example.com".to_owned())].into();
        let now = learnt(old.clone());
        assert_eq!(now.revocation(), Some(Revoke::rfc7009("https://gateway.example/revoke")));
        assert_eq!((&now.refresh.url, now.refresh.supported), (&old.refresh.url, Some(true)));
        assert_eq!((&now.userinfo_url, &now.api_hosts), (&old.userinfo_url, &old.api_hosts));
        assert_eq!(now.authorize_params["hd"], "example.com");
        assert!(now.authorize_params.contains_key("access_type"), "and what the catalog adds");
    }

    #[test]
    fn a_provider_that_tells_the_account_elsewhere_by_now_is_asked_there() {
        let known = catalog("hubspot");
        let mut old = Recipe { userinfo_url: None, userinfo: Default::default(), ..known.clone() };
        old.identity.from = IdentitySource::TokenResponse;
        assert_eq!(learnt(old), known);
    }

    #[test]
    fn what_the_operator_said_by_a_flag_stays_and_what_the_flag_took_out_does_not_come_back() {
        let mut old = stored();
        old.coop = Coop::Keeps;
        old.identity.subject = "/email".into();
        old.token_params = [("audience", "api"), ("stale", "1")].map(|(k, v)| (k.into(), v.into())).into();
        old.authorize_params = [].into();
        assert_eq!(learnt(old.clone()), catalog("google"), "without a mark all of it is the catalog's");
        let marks = ["coop", "identity.subject", "token_params.audience", "authorize_params.access_type"];
        old.chosen = marks.map(String::from).into();
        let now = learnt(old.clone());
        assert_eq!((now.coop, now.identity.subject.as_str()), (Coop::Keeps, "/email"));
        assert_eq!(now.token_params, [("audience".to_owned(), "api".to_owned())].into());
        assert!(!now.authorize_params.contains_key("access_type"));
        assert_eq!(now.chosen, old.chosen);
    }

    #[test]
    fn a_place_with_a_placeholder_is_learnt_by_provider_set_alone() {
        for known in Catalog::builtin().iter().filter(|known| !known.parameters.is_empty()) {
            let mut old = Recipe { parameters: [].into(), refresh: Refresh::default(), ..known.clone() };
            old.token_url = old.token_url.replace(['{', '}'], "");
            (old.revoke, old.revoke_url, old.userinfo_url) = (None, None, None);
            let now = learnt(old);
            assert_eq!(
                (now.revocation(), &now.refresh.url, &now.userinfo_url),
                (None, &None, &None),
                "{}",
                known.id
            );
            assert_eq!(now.refresh.supported, known.refresh.supported, "{}", known.id);
        }
    }

    #[test]
    fn a_provider_that_the_operator_defined_or_moved_is_left_alone() {
        let own = Recipe { status: Status::Operator, ..stored() };
        assert_eq!(learnt(own.clone()), own);
        let moved = Recipe { token_url: "https://gateway.example/token".into(), ..stored() };
        assert_eq!(learnt(moved.clone()), moved);
    }
}
