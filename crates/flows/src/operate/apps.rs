//! Apps: the operator creates and configures them.

use std::collections::BTreeSet;

use alter_core::{App, AppId, AppSettings, AuditKind, Named, NewKey};
use serde_json::{Value, json};

use super::{error::OperateError, keys::create_key};
use crate::{Flows, Operator, actor::Actor, fault::FlowFault, ready::check_root_key};

/// An app just made, with its first key.
#[derive(Debug)]
pub struct NewApp {
    pub app: App,
    /// Shown only once.
    pub key: NewKey,
}

/// Creates an app and its first key.
///
/// # Errors
/// [`OperateError`].
pub async fn create_app(flows: &Flows, by: &Operator, settings: AppSettings) -> Result<NewApp, OperateError> {
    settings.check_name().and_then(|()| settings.check()).map_err(OperateError::Invalid)?;
    let id = AppId::new(flows.random());
    let wrapped_key = flows
        .sealer()
        .vault()
        .new_data_key(&id.to_string(), &|buffer| flows.random().fill(buffer))
        .map_err(FlowFault::from)?;
    let app = App { id, settings, wrapped_key, created_at: flows.now() };
    let actor = Actor::operator(by, app.clone());
    let entry = actor.entry(app.created_at, AuditKind::AppCreated, json!({ "settings": app.settings }));
    let named = flows.store().insert_app(app.clone(), entry).await?;
    stored(named, id, &app.settings.name)?;
    root_key_stays(flows, &app).await?;
    let key = create_key(flows, by, id, "first").await?;
    Ok(NewApp { app, key })
}

/// If the root key was replaced between wrapping the app's data key and storing it, no server can use the app.
async fn root_key_stays(flows: &Flows, app: &App) -> Result<(), OperateError> {
    let before = flows.sealer().vault().is_under_other();
    let fits = check_root_key(flows).await.is_ok() && flows.sealer().vault().is_under_other() == before;
    if fits {
        return Ok(());
    }
    Err(OperateError::Invalid(format!(
        "The root key was replaced at this moment, so the new app {} cannot be used. Create another app.",
        app.id
    )))
}

/// Changes an app's settings. The audit entry has each setting that differs, before and after; settings that change
/// nothing are not recorded.
///
/// # Errors
/// [`OperateError`].
pub async fn change_app(
    flows: &Flows,
    by: &Operator,
    id: AppId,
    settings: AppSettings,
) -> Result<(), OperateError> {
    settings.check().map_err(OperateError::Invalid)?;
    let app = get_app(flows, id).await?;
    if settings.name != app.settings.name {
        settings.check_name().map_err(OperateError::Invalid)?;
    }
    let changed = differences(&json!(app.settings), &json!(settings));
    if changed.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(());
    }
    let details = json!({ "changed": changed });
    let entry = Actor::operator(by, app).entry(flows.now(), AuditKind::AppChanged, details);
    let name = settings.name.clone();
    stored(flows.store().save_app_settings(id, settings, entry).await?, id, &name)
}

fn stored(named: Named, id: AppId, name: &str) -> Result<(), OperateError> {
    match named {
        Named::Done => Ok(()),
        Named::Taken(by) => Err(OperateError::NameTaken { name: name.to_owned(), by }),
        Named::Absent => Err(OperateError::NoSuchApp(id)),
    }
}

/// Gives an app another name.
///
/// # Errors
/// [`OperateError::NameTaken`] and others.
pub async fn rename_app(flows: &Flows, by: &Operator, id: AppId, name: &str) -> Result<App, OperateError> {
    let mut app = get_app(flows, id).await?;
    name.clone_into(&mut app.settings.name);
    change_app(flows, by, id, app.settings.clone()).await?;
    Ok(app)
}

/// The members of two objects that differ, each as `{"before": .., "after": ..}`.
pub(super) fn differences(before: &Value, after: &Value) -> Value {
    let members = [before, after].into_iter().filter_map(Value::as_object);
    let names: BTreeSet<&String> = members.flat_map(serde_json::Map::keys).collect();
    names
        .into_iter()
        .filter(|name| before[name.as_str()] != after[name.as_str()])
        .map(|name| {
            let pair = json!({ "before": before[name.as_str()], "after": after[name.as_str()] });
            (name.clone(), pair)
        })
        .collect()
}

/// Finds an app by id.
///
/// # Errors
/// [`OperateError::NoSuchApp`].
pub async fn get_app(flows: &Flows, id: AppId) -> Result<App, OperateError> {
    flows.store().get_app(id).await?.ok_or(OperateError::NoSuchApp(id))
}

/// Lists all apps by creation.
///
/// # Errors
/// Our own failure.
pub async fn list_apps(flows: &Flows) -> Result<Vec<App>, OperateError> {
    Ok(flows.store().list_apps().await?)
}
