//! The client by which an app's users sign in on this server's pages (`alter idp set --client-id`).

use alter_core::{
    App, IdentityProvider, ProviderConfig, Recipe,
    provider::SIGN_IN,
    recipe::{ClientAuth, Status},
};
use alter_flows::SignInSetting;
use alter_oauth::Discovered;
use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    commands::provider::{SecretFrom, UNKNOWN_URL, blocked_endpoints, callback_url, discovered},
    config::Config,
    output::{Output, Usage},
};

/// Asked for where the identity provider knows them. The id_token may then say what pages call the user.
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// How the client's secret is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ClientAuthFlag {
    Basic,
    Post,
}

/// The flags of the client.
pub(super) struct Client {
    pub(super) id: Option<String>,
    pub(super) secret: SecretFrom,
    pub(super) auth: Option<ClientAuthFlag>,
}

/// What the flags and the identity provider's metadata say; `None` without `--client-id`.
pub(super) async fn setting(
    idp: &IdentityProvider,
    client: Client,
    config: &Config,
    output: Output,
) -> anyhow::Result<Option<SignInSetting>> {
    let secret = &client.secret;
    let Some(client_id) = client.id.clone() else {
        return match secret.is_given() {
            true => Err(Usage("A client secret, or --public-client, needs --client-id".into()).into()),
            false => Ok(None),
        };
    };
    if !secret.is_given() {
        let ways = "--client-secret-stdin, --client-secret-file FILE or --public-client";
        return Err(Usage(format!("--client-id needs one of {ways}")).into());
    }
    if idp.is_template() {
        let why = "users sign in at one issuer, and --issuer with {tenant} stands for many";
        return Err(Usage(format!("--client-id: {why}. Leave it out, or name one tenant in --issuer")).into());
    }
    let found = discovered(&idp.issuer, config, output).await.with_context(|| {
        format!(
            "--client-id needs the issuer's metadata, which say where users sign in: {}. Leave --client-id out where there \
             are none; user tokens need --jwks-url alone",
            idp.issuer
        )
    })?;
    let mut recipe = recipe(idp, &found)?;
    recipe.client_auth = client_auth(&client, &found)?;
    Ok(Some(SignInSetting { recipe, client_id, client_secret: secret.read()? }))
}

fn recipe(idp: &IdentityProvider, found: &Discovered) -> anyhow::Result<Recipe> {
    let listed = |scope: &str| found.scopes.as_ref().is_none_or(|all| all.iter().any(|known| known == scope));
    let mut recipe: Recipe = serde_json::from_value(json!({
        "id": SIGN_IN, "name": "Sign-in",
        "authorize_url": found.authorization_endpoint, "token_url": found.token_endpoint,
    }))?;
    recipe.status = Status::Operator;
    recipe.issuer = Some(found.issuer.clone());
    recipe.jwks_url = idp.jwks_url.clone().or_else(|| found.jwks_uri.clone());
    recipe.iss_parameter = found.iss_parameter;
    if let Some(algs) = &found.id_token_algs {
        recipe.id_token_algs.clone_from(algs);
    }
    recipe.default_scopes =
        SCOPES.into_iter().filter(|scope| *scope == "openid" || listed(scope)).map(String::from).collect();
    anyhow::ensure!(
        recipe.jwks_url.is_some(),
        "--client-id: the metadata of {} names no jwks_uri, so nobody's id_token can be verified. Pass --jwks-url",
        idp.issuer
    );
    Ok(recipe)
}

fn client_auth(client: &Client, found: &Discovered) -> anyhow::Result<ClientAuth> {
    match client.auth {
        _ if client.secret.is_public() => Ok(ClientAuth::None),
        Some(ClientAuthFlag::Basic) => Ok(ClientAuth::Basic),
        Some(ClientAuthFlag::Post) => Ok(ClientAuth::Post),
        None if found.client_auth == ClientAuth::None => anyhow::bail!(
            "the metadata of {} name no way to send a client secret: pass --public-client, or --client-auth basic or post \
             if you know better",
            found.issuer
        ),
        None => Ok(found.client_auth),
    }
}

/// What the operator is told of the client that the app had, and that the command without `--client-id` has removed.
pub(super) fn removed(app: &App, value: &mut Value) -> String {
    let Some(client) = app.sign_in() else { return String::new() };
    value["removed_client_id"] = json!(client.client_id);
    let links = match app.settings.allow_unverified_links {
        true => "links need no proof now (--allow-unverified-links)",
        false => "links are refused",
    };
    format!(
        "\n\nRemoved the sign-in client {}, because --client-id was not given: users cannot sign in on this server's pages \
         any more, and {links}.",
        client.client_id
    )
}

/// What the operator is told of the client that was stored.
pub(super) async fn told(
    client: &ProviderConfig,
    config: &Config,
    value: &mut Value,
) -> anyhow::Result<String> {
    let url = callback_url(client, config);
    let blocked = blocked_endpoints(&client.recipe, config).await?;
    value["client_id"] = json!(client.client_id);
    value["callback_url"] = json!(url);
    value["blocked"] = json!(blocked);
    let mut text = format!(
        "\n\nUsers sign in as {}. Register this callback URL at the identity provider:\n  {}",
        client.client_id,
        url.as_deref().unwrap_or(UNKNOWN_URL)
    );
    for line in &blocked {
        text.push_str(&format!(
            "\n\nThis server may not ask {line}. Nobody can sign in until that is mended."
        ));
    }
    Ok(text)
}
