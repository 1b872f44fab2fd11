//! An app's own API keys: the operator creates and revokes them.

use alter_core::{
    ApiKey, AppId, AuditKind, Changed, KeyId, KeyType, NewKey,
    name::{NAME_MAX, check_name},
};
use serde_json::json;

use super::{apps::get_app, error::OperateError};
use crate::{Flows, Operator, actor::Actor};

/// Creates a key for an app.
///
/// # Errors
/// [`OperateError`].
pub async fn create_key(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    name: &str,
) -> Result<NewKey, OperateError> {
    check_name(name, NAME_MAX).map_err(|bad| OperateError::Invalid(format!("--name {bad}.")))?;
    let actor = Actor::operator(by, get_app(flows, app).await?);
    let new = NewKey::mint(KeyType::App, (app, None), name, flows.now(), flows.random());
    let details = json!({ "key": new.key.id.to_string(), "prefix": new.key.prefix, "name": name });
    let entry = actor.entry(new.key.created_at, AuditKind::KeyCreated, details);
    flows.store().insert_key(new.key.clone(), entry).await?;
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
/// [`OperateError::NoSuchApp`], [`OperateError::NoSuchKey`].
pub async fn revoke_key(flows: &Flows, by: &Operator, app: AppId, key: KeyId) -> Result<(), OperateError> {
    let now = flows.now();
    let actor = Actor::operator(by, get_app(flows, app).await?);
    let entry = actor.entry(now, AuditKind::KeyRevoked, json!({ "key": key.to_string() }));
    match flows.store().revoke_key(app, key, now, entry).await? {
        Changed::Done => Ok(()),
        Changed::Absent => Err(OperateError::NoSuchKey(key)),
    }
}
