//! An app's own API keys: the operator creates and revokes them.

use alter_core::{
    ApiKey, AppId, AuditKind, Changed, KeyId, KeyType, NewKey, StoreError,
    name::{NAME_MAX, check_name},
};
use serde_json::json;

use super::{apps::get_app, error::OperateError};
use crate::{
    Flows, Operator,
    actor::Actor,
    fault::{FlowFault, Unproven},
};

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
    let new = flows.new_key(KeyType::App, &actor.app, None, name)?;
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

/// Seals a key that has no seal: for keys from before there were seals. The operator knows the key and vouches for it.
///
/// # Errors
/// [`OperateError::NoSuchApp`]; [`OperateError::NoSuchKey`], also for a key that was revoked; [`OperateError::Invalid`]
/// when it has been changed since it was sealed.
pub async fn seal_key(flows: &Flows, by: &Operator, app: AppId, id: KeyId) -> Result<ApiKey, OperateError> {
    let app = get_app(flows, app).await?;
    let keys = flows.store().list_keys(app.id).await?;
    let mut key = keys.into_iter().find(|key| key.id == id).ok_or(OperateError::NoSuchKey(id))?;
    match flows.check_key(&app, &key).await {
        Ok(()) => return Ok(key),
        Err(FlowFault::Unproven(Unproven::Missing { .. })) => {}
        Err(FlowFault::Unproven(changed)) => return Err(OperateError::Invalid(changed.to_string())),
        Err(fault) => return Err(fault.into()),
    }
    if was_revoked(flows, app.id, id).await? {
        return Err(OperateError::Invalid(format!(
            "the audit says that the key {id} was revoked, so somebody undid that in the database: make another (alter \
             key create), and find out who can write there"
        )));
    }
    key.seal = Some(flows.seal_of_key(&app, &key)?);
    let details = json!({ "key": id.to_string(), "prefix": key.prefix, "sealed": true });
    let entry = Actor::operator(by, app).entry(flows.now(), AuditKind::KeyCreated, details);
    match flows.store().seal_key(key.clone(), entry).await? {
        Changed::Done => Ok(key),
        Changed::Absent => Err(OperateError::NoSuchKey(id)),
    }
}

/// Whether the audit knows of the key's revocation. A key whose `revoked_at` was emptied looks like one from before there
/// were seals.
async fn was_revoked(flows: &Flows, app: AppId, id: KeyId) -> Result<bool, OperateError> {
    let (kind, id, mut after) = (AuditKind::KeyRevoked.as_str(), id.to_string(), 0);
    loop {
        let page = flows.store().read_audit(app, after, 1000).await?;
        let Some(last) = page.last() else { return Ok(false) };
        after = last.seq;
        let of_it = |details: &str| {
            let details: serde_json::Value = serde_json::from_str(details).unwrap_or_default();
            details["key"] == id.as_str()
        };
        if page.iter().any(|row| row.kind == kind && of_it(&row.details)) {
            return Ok(true);
        }
    }
}

/// A key that is refused, although nobody revoked it.
#[derive(Debug)]
pub struct UnprovenKey {
    pub app: AppId,
    /// `None`: one of the app's rows cannot be read, so none of them was looked at.
    pub key: Option<KeyId>,
    /// [`FlowFault::Unproven`]; anything else: the row, or its seal, cannot be read.
    pub why: FlowFault,
}

/// Lists the keys of all apps that are refused because of their seal. What cannot be read does not hide the others.
///
/// # Errors
/// Our own failure.
pub async fn unproven_keys(flows: &Flows) -> Result<Vec<UnprovenKey>, OperateError> {
    let mut found = Vec::new();
    for app in flows.store().list_apps().await? {
        let keys = match flows.store().list_keys(app.id).await {
            Err(error @ StoreError::Corrupt(_)) => {
                found.push(UnprovenKey { app: app.id, key: None, why: error.into() });
                continue;
            }
            keys => keys?,
        };
        for key in keys.into_iter().filter(|key| key.revoked_at.is_none()) {
            if let Err(why) = flows.check_key(&app, &key).await {
                found.push(UnprovenKey { app: app.id, key: Some(key.id), why });
            }
        }
    }
    Ok(found)
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
