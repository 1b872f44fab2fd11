//! Whether this server may ask a provider, as the provider and `ALTER_EGRESS_ALLOW` are configured. It is looked at before the
//! user is sent away: after the consent at the provider, the user would come back for nothing.

use alter_core::{ProviderConfig, recipe::IdentitySource};
use alter_egress::EgressError;
use alter_oauth::Need;
use url::Url;

use crate::Flows;

/// Returns which endpoint of an exchange cannot be asked until somebody changes a setting, and why; `None` if all can.
/// Nothing is sent. A name that has no address now is no reason: it may have one when the user is back.
pub(super) async fn why_not_askable(
    flows: &Flows,
    config: &ProviderConfig,
) -> Option<(&'static str, EgressError)> {
    let recipe = &config.recipe;
    let by_id_token = recipe.jwks_url.is_some() && recipe.asks_for_openid(&config.scopes);
    let by_userinfo = match recipe.identity.from {
        IdentitySource::Userinfo => true,
        _ => !by_id_token && alter_oauth::needs_userinfo(recipe, None) == Need::Account,
    };
    for (endpoint, url) in [
        ("token_url", Some(&recipe.token_url)),
        ("jwks_url", recipe.jwks_url.as_ref().filter(|_| by_id_token)),
        ("userinfo_url", recipe.userinfo_url.as_ref().filter(|_| by_userinfo)),
    ] {
        // What is no URL at all is told when it is asked.
        let Some(url) = url.and_then(|url| Url::parse(url).ok()) else { continue };
        match flows.inner.egress.may_ask(&url).await {
            Err(error) if error.is_configuration() => return Some((endpoint, error)),
            _ => {}
        }
    }
    None
}
