//! The operator's commands, each with a sample audit entry: most cases need the change and not the entry.

use alter_core::{
    ApiKey, App, AppContents, AppId, AppSettings, AuditKind, Changed, KeyId, Micros, Named, ProviderConfig,
    Store, StoreError,
};

use crate::sample::audit;

/// Stores an app.
pub async fn insert_app(store: &dyn Store, app: App) -> Result<(), StoreError> {
    let entry = audit(app.id, AuditKind::AppCreated);
    assert_eq!(store.insert_app(app, entry).await?, Named::Done);
    Ok(())
}

/// Replaces an app's settings.
pub async fn save_app_settings(
    store: &dyn Store,
    app: AppId,
    settings: AppSettings,
) -> Result<Named, StoreError> {
    store.save_app_settings(app, settings, audit(app, AuditKind::AppChanged)).await
}

/// Deletes an app.
pub async fn delete_app(
    store: &dyn Store,
    app: AppId,
    at: Micros,
) -> Result<Option<AppContents>, StoreError> {
    store.delete_app(app, at, audit(app, AuditKind::AppDeleted)).await
}

/// Stores a key.
pub async fn insert_key(store: &dyn Store, key: ApiKey) -> Result<(), StoreError> {
    let entry = audit(key.app_id, AuditKind::KeyCreated);
    store.insert_key(key, entry).await
}

/// Revokes a key.
pub async fn revoke_key(
    store: &dyn Store,
    app: AppId,
    key: KeyId,
    at: Micros,
) -> Result<Changed, StoreError> {
    store.revoke_key(app, key, at, audit(app, AuditKind::KeyRevoked)).await
}

/// Stores a provider's configuration.
pub async fn save_provider(store: &dyn Store, config: ProviderConfig) -> Result<ProviderConfig, StoreError> {
    let entry = audit(config.app_id, AuditKind::ProviderSet);
    store.save_provider(config, entry).await
}

/// Removes a provider's configuration.
pub async fn delete_provider(store: &dyn Store, app: AppId, id: &str) -> Result<Changed, StoreError> {
    store.delete_provider(app, id, audit(app, AuditKind::ProviderRemoved)).await
}
