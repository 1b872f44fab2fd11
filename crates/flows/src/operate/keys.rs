//! An app's own API keys: the operator creates and revokes them.

use alter_core::{ApiKey, AppId, Changed, KeyId, KeyType, NewKey};

use super::error::OperateError;
use crate::Flows;

/// Creates a key for an app.
///
/// # Errors
/// [`OperateError`].
pub async fn create_key(flows: &Flows, app: AppId, name: &str) -> Result<NewKey, OperateError> {
    if flows.store().get_app(app).await?.is_none() {
        return Err(OperateError::NoSuchApp(app));
    }
    let new = NewKey::mint(KeyType::App, (app, None), name, flows.now(), flows.random());
    flows.store().insert_key(new.key.clone()).await?;
    Ok(new)
}

/// Lists all keys of an app and of its agents, newest first.
///
/// # Errors
/// Our own failure.
pub async fn list_keys(flows: &Flows, app: AppId) -> Result<Vec<ApiKey>, OperateError> {
    Ok(flows.store().list_keys(app).await?)
}

/// Revokes a key: from now on its calls are refused. Revoking it again changes nothing.
///
/// # Errors
/// [`OperateError::NoSuchKey`].
pub async fn revoke_key(flows: &Flows, app: AppId, key: KeyId) -> Result<(), OperateError> {
    match flows.store().revoke_key(app, key, flows.now()).await? {
        Changed::Done => Ok(()),
        Changed::Absent => Err(OperateError::NoSuchKey(key)),
    }
}
