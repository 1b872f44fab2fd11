//! What a provider's own metadata says: its endpoints, and which scopes and words for `prompt` it lists.

use alter_core::{IdentitySource, Recipe};
use alter_oauth::Discovered;
use anyhow::Context;

use crate::{config::Config, output::Output, wiring};

pub(in crate::commands) async fn discovered(
    issuer: &str,
    config: &Config,
    output: Output,
) -> anyhow::Result<Discovered> {
    let found = alter_oauth::discover(&wiring::egress(config)?, issuer)
        .await
        .with_context(|| format!("--issuer: the endpoints of {issuer} could not be discovered"))?;
    for host in found.foreign_hosts() {
        output.note(&format!("Note: {issuer} sends codes or keys to another host, {host}. Is that right?"));
    }
    Ok(found)
}

/// Scopes of OpenID Connect that a server need not know.
const OPTIONAL_SCOPES: [&str; 5] = ["profile", "email", "address", "phone", "offline_access"];

pub(super) fn discover_into(recipe: &mut Recipe, found: &Discovered, output: Output) {
    recipe.issuer = Some(found.issuer.clone());
    recipe.issuer_template = None;
    recipe.authorize_url.clone_from(&found.authorization_endpoint);
    recipe.token_url.clone_from(&found.token_endpoint);
    recipe.userinfo_url.clone_from(&found.userinfo_endpoint);
    recipe.jwks_url.clone_from(&found.jwks_uri);
    recipe.revoke_url.clone_from(&found.revocation_endpoint);
    recipe.revoke = None;
    recipe.iss_parameter = found.iss_parameter;
    recipe.client_auth = found.client_auth;
    if let Some(algs) = &found.id_token_algs {
        recipe.id_token_algs.clone_from(algs);
    }
    let listed = |scope: &str| found.scopes.as_ref().is_none_or(|all| all.iter().any(|known| known == scope));
    if recipe.default_scopes.is_empty() {
        // A server that lists its scopes may refuse others. One of RFC 8414 alone does not know `openid`.
        recipe.default_scopes =
            ["openid", "email"].into_iter().filter(|scope| listed(scope)).map(String::from).collect();
    }
    recipe.default_scopes.retain(|scope| listed(scope) || !OPTIONAL_SCOPES.contains(&scope.as_str()));
    if found.scopes.is_some() && listed("offline_access") && !asks_offline(recipe) {
        let consents = found.prompts.as_ref().is_none_or(|words| words.iter().any(|word| word == "consent"));
        let prompt = if consents { ", and at many providers --param prompt=consent" } else { "" };
        output.note(&format!(
            "Note: this provider lists the scope offline_access: grants that outlive their first token may need it \
             (--scopes{prompt})."
        ));
    }
}

fn asks_offline(recipe: &Recipe) -> bool {
    recipe.default_scopes.iter().any(|scope| scope == "offline_access")
}

/// Without keys no id_token can be verified: the account is read from userinfo, where there is one.
pub(super) fn identity_without_keys(recipe: &mut Recipe) {
    let verified = recipe.identity.from != IdentitySource::IdToken || recipe.jwks_url.is_some();
    if !verified && recipe.userinfo_url.is_some() {
        recipe.identity.from = IdentitySource::Userinfo;
    }
}

/// A word that the provider does not know may end every flow: one of the catalog is not sent. What the operator's flag
/// (`given`) or a --spec file says is.
pub(super) fn unlisted_prompts(recipe: &mut Recipe, supported: &[String], given: bool, output: Output) {
    let Some(asked) = recipe.authorize_params.get("prompt").cloned() else { return };
    let (kept, unlisted): (Vec<&str>, Vec<&str>) =
        asked.split_whitespace().partition(|word| supported.iter().any(|known| known == word));
    if unlisted.is_empty() {
        return;
    }
    let unlisted = unlisted.join(" ");
    if given {
        output.note(&format!(
            "Note: --param prompt={asked} is sent, but the provider's metadata (prompt_values_supported) does not list \
             {unlisted}. It may refuse to connect."
        ));
        return;
    }
    output.note(&format!(
        "Note: prompt={unlisted} is not sent: the provider's metadata (prompt_values_supported) does not list it. \
         --param \"prompt={asked}\" sends it all the same."
    ));
    recipe.chosen.insert("authorize_params.prompt".to_owned());
    if kept.is_empty() {
        recipe.authorize_params.remove("prompt");
    } else {
        recipe.authorize_params.insert("prompt".to_owned(), kept.join(" "));
    }
}

pub(super) fn note_unlisted(found: &Discovered, scopes: &str, output: Output) {
    let Some(listed) = &found.scopes else { return };
    let unlisted: Vec<&str> = scopes
        .split_whitespace()
        .filter(|scope| OPTIONAL_SCOPES.contains(scope) && !listed.iter().any(|known| known == scope))
        .collect();
    if !unlisted.is_empty() {
        output.note(&format!(
            "Note: --scopes: the provider's metadata (scopes_supported) does not list {}. It may refuse to connect.",
            unlisted.join(" ")
        ));
    }
}
