//! Checks apps and their providers as they are configured; asks nobody over the network.

use std::collections::BTreeMap;

use alter_core::recipe::ClientAuth;
use alter_core::{App, ProviderConfig};
use alter_flows::{FlowFault, OperateError, Unproven, grants, operate};
use alter_providers::Catalog;

use super::{
    database::Seen,
    problem::{
        APP_ALLOW_BEARER, APP_LEGACY_CLIENTS, APP_NAME_TWICE, APP_NO_PROVIDER, APP_NO_WEBSITE,
        APP_UNVERIFIED_LINKS, APP_WEBSITE_HTTP, DATABASE_UNUSABLE, Finding, GRANT_CHANGED, KEY_REFUSED,
        PROVIDER_CHANGED, PROVIDER_NO_API_HOST, PROVIDER_NO_SECRET, PROVIDER_SCOPES, PROVIDER_UNSEALED,
        SIGN_IN_LOST,
    },
};
use crate::config::Config;

pub(super) fn look(seen: &Seen, config: &Config) -> Vec<Finding> {
    if seen.apps.is_empty() {
        return vec![Finding::ok("app", "none yet: alter app create NAME")];
    }
    let mut findings = same_names(seen);
    for (app, providers) in &seen.apps {
        findings.extend(of_app(app, providers, config));
        findings.extend(providers.iter().map(|provider| of_provider(app, provider, config)));
        findings.extend(providers.iter().filter_map(|provider| scopes_of(app, provider)));
    }
    findings
}

/// Looks for rows that nothing is sent with, because somebody without the root key wrote them.
pub(super) async fn seals(seen: &Seen) -> Vec<Finding> {
    let found = async {
        let providers = operate::unproven_providers(&seen.flows).await?;
        let keys = operate::unproven_keys(&seen.flows).await?;
        let grants = grants::unproven_grants(&seen.flows).await?;
        let found = providers.iter().map(of_provider_row).chain(keys.iter().map(of_key_row));
        Ok::<_, OperateError>(found.chain(grants.iter().map(of_grant_row)).collect())
    };
    found.await.unwrap_or_else(|error| vec![DATABASE_UNUSABLE.found(error.to_string())])
}

fn of_provider_row(row: &operate::UnprovenProvider) -> Finding {
    let (app, id, text) = (row.app.to_string(), &row.provider, row.why.to_string());
    match row.why {
        FlowFault::Unproven(Unproven::Missing { .. }) => PROVIDER_UNSEALED.on_provider(&app, id, text),
        FlowFault::Unproven(_) => PROVIDER_CHANGED.on_provider(&app, id, text),
        _ => DATABASE_UNUSABLE.found(format!("the row of provider {id} of app {app}: {text}")),
    }
}

fn of_key_row(row: &operate::UnprovenKey) -> Finding {
    let (app, text) = (row.app.to_string(), row.why.to_string());
    match (&row.why, row.key) {
        (FlowFault::Unproven(_), _) => KEY_REFUSED.on_app(&app, text),
        (_, Some(key)) => DATABASE_UNUSABLE.found(format!("the row of key {key} of app {app}: {text}")),
        (_, None) => DATABASE_UNUSABLE.found(format!("the API keys of app {app}: {text}")),
    }
}

fn of_grant_row(row: &grants::UnprovenGrant) -> Finding {
    let (app, grant) = (row.app.to_string(), row.grant.to_string());
    let text = match &row.why {
        FlowFault::Unproven(why) => why.to_string(),
        why => format!("grant {grant} of app {app}: {why}"),
    };
    GRANT_CHANGED.on_grant(&app, &grant, text)
}

fn same_names(seen: &Seen) -> Vec<Finding> {
    let mut ids = BTreeMap::<&str, Vec<String>>::new();
    for (app, _) in &seen.apps {
        ids.entry(&app.settings.name).or_default().push(app.id.to_string());
    }
    let twice = ids.into_iter().filter(|(_, ids)| ids.len() > 1);
    twice.map(|(name, ids)| APP_NAME_TWICE.found(format!("{name}: {}", ids.join(", ")))).collect()
}

fn of_app(app: &App, providers: &[ProviderConfig], config: &Config) -> Vec<Finding> {
    let (settings, id, public) = (&app.settings, app.id.to_string(), config.public_url.starts_with("https:"));
    let website = settings.website_url.as_deref();
    let problems = [
        (website.is_none() && !app.is_for_links(), APP_NO_WEBSITE),
        (public && website.is_some_and(|url| url.starts_with("http:")), APP_WEBSITE_HTTP),
        (providers.iter().all(ProviderConfig::is_sign_in), APP_NO_PROVIDER),
        (is_sign_in_lost(app, providers), SIGN_IN_LOST),
        (settings.legacy_clients, APP_LEGACY_CLIENTS),
        (settings.allow_unverified_links, APP_UNVERIFIED_LINKS),
        (public && settings.allow_bearer, APP_ALLOW_BEARER),
    ];
    let found = problems.into_iter().filter(|(is_so, _)| *is_so);
    found.map(|(_, problem)| problem.on_app(&id, format!("{}: {}", settings.name, problem.what))).collect()
}

/// The setting and the row of the client are two writes: a crash, or somebody with the database, may have left one of them.
fn is_sign_in_lost(app: &App, providers: &[ProviderConfig]) -> bool {
    let is_it = |row: &&ProviderConfig| row.is_sign_in();
    let row = providers.iter().find(is_it).map(|row| (&row.config_id, &row.client_id));
    app.sign_in().is_some_and(|client| row != Some((&client.config_id, &client.client_id)))
}

fn scopes_of(app: &App, provider: &ProviderConfig) -> Option<Finding> {
    let (id, wanting) = (&provider.recipe.id, operate::wanting_scopes(provider));
    let text = format!("{}/{id}: {}", app.settings.name, wanting.join(" "));
    (!wanting.is_empty()).then(|| PROVIDER_SCOPES.on_scopes(provider, text))
}

fn of_provider(app: &App, provider: &ProviderConfig, config: &Config) -> Finding {
    let (recipe, id) = (&provider.recipe, app.id.to_string());
    let name = format!("{}/{}", app.settings.name, recipe.id);
    if recipe.api_hosts.is_empty() && !provider.is_sign_in() {
        return PROVIDER_NO_API_HOST.on_provider(&id, &recipe.id, name);
    }
    // An operator may have called a client public that, by the provider's documentation (the catalog), has a secret.
    let wants_secret = |auth| auth != ClientAuth::None;
    let secret_in_catalog =
        Catalog::builtin().get(&recipe.id).is_some_and(|known| wants_secret(known.client_auth));
    if provider.client_secret.is_none() && (secret_in_catalog || wants_secret(recipe.client_auth)) {
        return PROVIDER_NO_SECRET.on_provider(&id, &recipe.id, name);
    }
    let text = match config.known_public_url() {
        Some(url) => format!("register this callback there: {url}/oauth/callback/{}", provider.config_id),
        None => "its callback URL is not known yet".to_owned(),
    };
    Finding::ok("provider", format!("{name}: {text}"))
}
