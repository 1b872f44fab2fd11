//! An app's identity provider, with the client by which users sign in on our pages, if the operator gives one.
//!
//! The client is a provider configuration of its own ([`ProviderConfig::is_sign_in`]), so that its secret is sealed, and its
//! endpoints are fixed and proven, like those of any provider.

use alter_core::{
    AppId, AppSettings, AuditKind, Changed, IdentityProvider, ProviderConfig, Recipe, SignInClient,
    provider::SIGN_IN,
};
use secrecy::SecretString;
use serde_json::json;

use super::{
    apps::{change_app, get_app},
    error::OperateError,
    providers::{ProviderSetting, check_setting, same_authority, sealed, set_entry},
};
use crate::{Flows, Operator, actor::Actor};

/// The client by which users sign in.
#[derive(Debug)]
pub struct SignInSetting {
    /// The identity provider's endpoints. Its id is [`SIGN_IN`].
    pub recipe: Recipe,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<SecretString>,
}

/// Sets an app's identity provider; replaces the one it had, and its sign-in client. Returns the new client's configuration.
///
/// # Errors
/// [`OperateError`].
pub async fn set_identity_provider(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    idp: IdentityProvider,
    sign_in: Option<SignInSetting>,
) -> Result<Option<ProviderConfig>, OperateError> {
    idp.check().map_err(OperateError::Invalid)?;
    let Some(setting) = sign_in else {
        store(flows, by, app, Some(IdentityProvider { sign_in: None, ..idp })).await?;
        remove_client(flows, by, app).await?;
        return Ok(None);
    };
    let config = set_client(flows, by, app, setting).await?;
    let client = SignInClient { config_id: config.config_id.clone(), client_id: config.client_id.clone() };
    store(flows, by, app, Some(IdentityProvider { sign_in: Some(client), ..idp })).await?;
    Ok(Some(config))
}

/// Removes an app's identity provider and its sign-in client; returns whether the app had one.
///
/// # Errors
/// [`OperateError`].
pub async fn remove_identity_provider(
    flows: &Flows,
    by: &Operator,
    app: AppId,
) -> Result<bool, OperateError> {
    let had = get_app(flows, app).await?.settings.identity_provider.is_some();
    store(flows, by, app, None).await?;
    remove_client(flows, by, app).await?;
    Ok(had)
}

async fn store(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    identity_provider: Option<IdentityProvider>,
) -> Result<(), OperateError> {
    let settings = get_app(flows, app).await?.settings;
    change_app(flows, by, app, AppSettings { identity_provider, ..settings }).await
}

async fn set_client(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    setting: SignInSetting,
) -> Result<ProviderConfig, OperateError> {
    let SignInSetting { recipe, client_id, client_secret } = setting;
    check_setting(&client_id, client_secret.as_ref())?;
    let mut known = flows.store().find_provider(app, SIGN_IN).await?;
    // A code of another identity provider must not come to this one's callback path (T09).
    if known.as_ref().is_some_and(|known| !same_authority(&known.recipe, &recipe)) {
        remove_client(flows, by, app).await?;
        known = None;
    }
    let app = get_app(flows, app).await?;
    let setting = ProviderSetting { recipe, client_id, client_secret, scopes: None };
    let config = sealed(flows, &app, known.as_ref(), setting)?;
    let entry = set_entry(&Actor::operator(by, app), known.as_ref(), &config);
    Ok(flows.store().save_provider(config, entry).await?)
}

async fn remove_client(flows: &Flows, by: &Operator, app: AppId) -> Result<(), OperateError> {
    if flows.store().find_provider(app, SIGN_IN).await?.is_none() {
        return Ok(());
    }
    let actor = Actor::operator(by, get_app(flows, app).await?);
    let entry = actor.entry(flows.now(), AuditKind::ProviderRemoved, json!({ "provider": SIGN_IN }));
    match flows.store().delete_provider(app, SIGN_IN, entry).await? {
        Changed::Done | Changed::Absent => Ok(()),
    }
}
