//! An app's providers: the operator configures and removes them.

use alter_core::{
    App, AppId, AuditEntry, AuditKind, Changed, ConfigId, Hash, ProviderConfig, Recipe, Saved, StoreError,
    provider::SIGN_IN, recipe::BadScope, text::is_hidden,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    apps::{differences, get_app},
    error::OperateError,
};
use crate::{
    Flows, Operator,
    actor::Actor,
    facts::scope_facts,
    fault::{FlowFault, Unproven},
};

/// One provider as the operator wants it configured.
#[derive(Debug)]
pub struct ProviderSetting {
    /// Validated; parameters of the operator that are still open are refused.
    pub recipe: Recipe,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<SecretString>,
    /// `None` = the recipe's default scopes.
    pub scopes: Option<Vec<String>>,
}

/// Configures a provider on an app. Configuring it again keeps the config id, and so the callback URL.
///
/// # Errors
/// [`OperateError`].
pub async fn set_provider(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    setting: ProviderSetting,
) -> Result<ProviderConfig, OperateError> {
    let app = get_app(flows, app).await?;
    check_setting(&setting.client_id, setting.client_secret.as_ref())?;
    check_scopes(&setting.recipe, setting.scopes.as_ref().unwrap_or(&setting.recipe.default_scopes))?;
    if let Some((name, parameter)) = setting.recipe.open_parameter() {
        return Err(OperateError::Invalid(format!(
            "{} needs the parameter {name}: {}. Pass it with --param {name}={}",
            setting.recipe.id, parameter.description, parameter.example
        )));
    }
    let known = flows.store().find_provider(app.id, &setting.recipe.id).await?;
    let changed = match &known {
        Some(known) => {
            matches!(why_unproven(flows, &app, known).await?, Some(Unproven::Changed { .. }))
        }
        None => false,
    };
    // What somebody else wrote into the row says nothing about where its grants were made.
    let authority = known.as_ref().filter(|_| !changed);
    if let Some(known) = authority.filter(|k| !same_authority(&k.recipe, &setting.recipe)) {
        return Err(OperateError::Invalid(format!(
            "{} is configured with another issuer or token endpoint, and grants made there must not open accounts \
             elsewhere. Use another provider id, or remove this one first.",
            known.recipe.id
        )));
    }
    let config = sealed(flows, &app, known.as_ref(), setting)?;
    let entry = set_entry(&Actor::operator(by, app), known.as_ref(), &config);
    Ok(flows.store().save_provider(config, entry).await?)
}

/// The row to store, with its secret and its seal: a new one, or the next generation of a known one.
pub(super) fn sealed(
    flows: &Flows,
    app: &App,
    known: Option<&ProviderConfig>,
    setting: ProviderSetting,
) -> Result<ProviderConfig, FlowFault> {
    let now = flows.now();
    let (config_id, generation, created_at) = match known {
        Some(config) => (config.config_id.clone(), config.generation + 1, config.created_at),
        None => (ConfigId::new(flows.random()), 1, now),
    };
    let key = flows.sealer().data_key(app)?;
    let place = ProviderConfig::place_of(app.id, &config_id, generation);
    let seal = |secret| flows.sealer().seal_text(&key, &place, secret);
    let client_secret = setting.client_secret.as_ref().map(seal).transpose()?;
    let scopes = setting.scopes.unwrap_or_else(|| setting.recipe.default_scopes.clone());
    let mut config = ProviderConfig {
        config_id,
        app_id: app.id,
        recipe: setting.recipe.into(),
        client_id: setting.client_id,
        client_secret,
        generation,
        scopes,
        created_at,
        updated_at: now,
        seal: None,
    };
    config.seal = Some(flows.sealer().seal_provider(&key, &config)?);
    Ok(config)
}

/// Asks a provider for other scopes from now on. Nothing else of its configuration changes, so no secret is needed.
///
/// # Errors
/// [`OperateError`].
pub async fn set_scopes(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    id: &str,
    scopes: Vec<String>,
) -> Result<ProviderConfig, OperateError> {
    no_sign_in(id, "alter idp set chooses its scopes")?;
    let app = get_app(flows, app).await?;
    let known = flows.store().find_provider(app.id, id).await?;
    let known = known.ok_or_else(|| OperateError::NoSuchProvider(id.to_owned()))?;
    check_scopes(&known.recipe, &scopes)?;
    let config = ProviderConfig { scopes, updated_at: flows.now(), ..known.clone() };
    let entry = set_entry(&Actor::operator(by, app), Some(&known), &config);
    Ok(flows.store().save_provider(config, entry).await?)
}

/// The entry has what differs from the configuration before; of a new one, all of it.
pub(super) fn set_entry(
    actor: &Actor,
    before: Option<&ProviderConfig>,
    after: &ProviderConfig,
) -> AuditEntry {
    let changed = differences(&before.map_or(Value::Null, described), &described(after));
    let details =
        json!({ "provider": after.recipe.id, "config_id": after.config_id.as_str(), "changed": changed });
    actor.entry(after.updated_at, AuditKind::ProviderSet, details)
}

/// A configuration without its secret. `generation` rises each time that the operator configures the provider anew.
fn described(config: &ProviderConfig) -> Value {
    json!({
        "recipe": *config.recipe,
        "client_id": config.client_id,
        "public_client": config.client_secret.is_none(),
        "generation": config.generation,
        "scopes": config.scopes,
    })
}

/// The scopes that the provider's recipe requires, as it is known today, and the configuration does not ask for.
pub fn wanting_scopes(config: &ProviderConfig) -> Vec<String> {
    scope_facts(&config.recipe).wanting_scopes(&config.scopes)
}

/// The scopes that the configuration asks for, and after them all that are wanting: also what one of those requires.
pub fn whole_scopes(config: &ProviderConfig) -> Vec<String> {
    let facts = scope_facts(&config.recipe);
    let mut scopes = config.scopes.clone();
    loop {
        let wanting = facts.wanting_scopes(&scopes);
        if wanting.is_empty() {
            return scopes;
        }
        scopes.extend(wanting);
    }
}

/// Lists the providers that are configured on an app, by id. The client by which users sign in is none of them.
///
/// # Errors
/// Our own failure.
pub async fn list_providers(flows: &Flows, app: AppId) -> Result<Vec<ProviderConfig>, OperateError> {
    let mut configs = flows.store().list_providers(app).await?;
    configs.retain(|config| !config.is_sign_in());
    Ok(configs)
}

/// Like [`list_providers`], without the rows that cannot be read: [`unproven_providers`] names them.
///
/// # Errors
/// Our own failure.
pub async fn list_readable_providers(flows: &Flows, app: AppId) -> Result<Vec<ProviderConfig>, OperateError> {
    let mut readable = Vec::new();
    for provider in flows.store().list_provider_ids(app).await? {
        match flows.store().find_provider(app, &provider).await {
            Err(StoreError::Corrupt(_)) => {}
            found => readable.extend(found?),
        }
    }
    Ok(readable)
}

/// Seals a configuration that has no seal, as it is stored: for rows from before there were seals. The operator has looked
/// at the row with the digest `looked_at` and vouches for it.
///
/// # Errors
/// [`OperateError::NoSuchApp`], [`OperateError::NoSuchProvider`]; [`OperateError::Invalid`] when it has been changed since
/// it was sealed, or since the operator looked.
pub async fn seal_provider(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    id: &str,
    looked_at: &Hash,
) -> Result<ProviderConfig, OperateError> {
    let app = get_app(flows, app).await?;
    let known = flows.store().find_provider(app.id, id).await?;
    let mut config = known.ok_or_else(|| OperateError::NoSuchProvider(id.to_owned()))?;
    if config.digest() != *looked_at {
        return Err(not_looked_at(id));
    }
    match why_unproven(flows, &app, &config).await? {
        None => return Ok(config),
        Some(Unproven::Missing { .. }) => {}
        Some(changed) => return Err(OperateError::Invalid(changed.to_string())),
    }
    let key = flows.sealer().data_key(&app).map_err(FlowFault::from)?;
    config.seal = Some(flows.sealer().seal_provider(&key, &config).map_err(FlowFault::from)?);
    let details =
        json!({ "provider": id, "config_id": config.config_id.as_str(), "sealed": described(&config) });
    let entry = Actor::operator(by, app).entry(flows.now(), AuditKind::ProviderSet, details);
    match flows.store().seal_provider(config.clone(), entry).await? {
        Saved::Done => Ok(config),
        Saved::Moved => Err(not_looked_at(id)),
    }
}

fn not_looked_at(id: &str) -> OperateError {
    OperateError::Invalid(format!(
        "the row of {id} is not the one that you looked at: look again (alter provider seal APP {id})"
    ))
}

/// A configuration that nothing is sent with.
#[derive(Debug)]
pub struct UnprovenProvider {
    pub app: AppId,
    /// Provider id.
    pub provider: String,
    /// [`FlowFault::Unproven`]; anything else: the row, or its seal, cannot be read.
    pub why: FlowFault,
}

/// Lists the configurations of all apps that nothing is sent with. One that cannot be read does not hide the others.
///
/// # Errors
/// Our own failure.
pub async fn unproven_providers(flows: &Flows) -> Result<Vec<UnprovenProvider>, OperateError> {
    let mut found = Vec::new();
    for app in flows.store().list_apps().await? {
        for provider in flows.store().list_provider_ids(app.id).await? {
            if let Err(why) = look_at(flows, &app, &provider).await {
                found.push(UnprovenProvider { app: app.id, provider, why });
            }
        }
    }
    Ok(found)
}

async fn look_at(flows: &Flows, app: &App, provider: &str) -> Result<(), FlowFault> {
    match flows.store().find_provider(app.id, provider).await? {
        Some(config) => flows.check_provider(app, &config).await,
        None => Ok(()),
    }
}

async fn why_unproven(
    flows: &Flows,
    app: &App,
    config: &ProviderConfig,
) -> Result<Option<Unproven>, FlowFault> {
    match flows.check_provider(app, config).await {
        Ok(()) => Ok(None),
        Err(FlowFault::Unproven(why)) => Ok(Some(why)),
        Err(fault) => Err(fault),
    }
}

/// Removes a provider's configuration. Grants made with it stay.
///
/// # Errors
/// [`OperateError::NoSuchApp`], [`OperateError::NoSuchProvider`].
pub async fn remove_provider(flows: &Flows, by: &Operator, app: AppId, id: &str) -> Result<(), OperateError> {
    no_sign_in(id, "alter idp set without --client-id removes it")?;
    let actor = Actor::operator(by, get_app(flows, app).await?);
    let entry = actor.entry(flows.now(), AuditKind::ProviderRemoved, json!({ "provider": id }));
    match flows.store().delete_provider(app, id, entry).await? {
        Changed::Done => Ok(()),
        Changed::Absent => Err(OperateError::NoSuchProvider(id.to_owned())),
    }
}

/// `instead` is the command for the client by which the app's users sign in.
fn no_sign_in(id: &str, instead: &str) -> Result<(), OperateError> {
    if id != SIGN_IN {
        return Ok(());
    }
    Err(OperateError::Invalid(format!("This is the client by which the app's users sign in: {instead}.")))
}

/// Whether both recipes mean the same provider. Account ids of two providers could be equal by chance.
pub(crate) fn same_authority(before: &Recipe, after: &Recipe) -> bool {
    // A placeholder is part of the host: one customer's is another authority than every customer's.
    let plain = |url: &str| url.replace(['{', '}'], "_");
    let host = |url: &str| url::Url::parse(&plain(url)).ok().and_then(|u| u.host_str().map(str::to_owned));
    before.issuer == after.issuer && host(&before.token_url) == host(&after.token_url)
}

pub(super) fn check_setting(client_id: &str, secret: Option<&SecretString>) -> Result<(), OperateError> {
    let invalid = |text: &str| Err(OperateError::Invalid(text.to_owned()));
    if client_id.is_empty() || client_id.len() > 512 || client_id.chars().any(is_hidden) {
        return invalid("--client-id must have 1 to 512 characters, and none that people do not see.");
    }
    if secret.is_some_and(|s| s.expose_secret().is_empty()) {
        return invalid("The client secret is empty. A client without a secret is a --public-client.");
    }
    Ok(())
}

fn check_scopes(recipe: &Recipe, scopes: &[String]) -> Result<(), OperateError> {
    let Some(bad) = scopes.iter().find_map(|scope| recipe.check_scope(scope).err()) else { return Ok(()) };
    Err(OperateError::Invalid(match bad {
        BadScope::Characters(_) => format!("--scopes: {bad} (RFC 6749 section 3.3)."),
        BadScope::Several { .. } => format!(
            "--scopes: {bad}, with spaces between them: {} is sent them as it wants them. If it is one scope: set \
             scope_separator and granted_scope_delimiters in a --spec file.",
            recipe.name
        ),
    }))
}
