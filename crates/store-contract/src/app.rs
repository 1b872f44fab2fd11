//! Cases for apps.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::operator::{insert_app, save_app_settings};
use std::sync::Arc;

use alter_core::{AppId, AppSettings, Store, StoreError, SystemRandom};

use super::sample::{T0, app, assert_same, found};

pub async fn an_app_is_read_back_as_it_was_stored(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = app();
    insert_app(&*store, app.clone()).await?;
    assert_same(&found(store.get_app(app.id).await?), &app);
    Ok(())
}

pub async fn an_unknown_app_is_none(store: Arc<dyn Store>) -> Result<(), StoreError> {
    insert_app(&*store, app()).await?;
    assert!(store.get_app(AppId::new(&SystemRandom)).await?.is_none());
    Ok(())
}

pub async fn the_same_app_twice_is_a_conflict(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let first = app();
    insert_app(&*store, first.clone()).await?;
    let mut second = first.clone();
    second.settings.name = "Second".into();
    assert!(matches!(insert_app(&*store, second).await, Err(StoreError::Exists)));
    assert_same(&found(store.get_app(first.id).await?), &first);
    Ok(())
}

pub async fn apps_are_listed_by_creation(store: Arc<dyn Store>) -> Result<(), StoreError> {
    assert!(store.list_apps().await?.is_empty());
    for (name, second) in [("B", 2), ("C", 3), ("A", 1)] {
        let mut app = app();
        app.settings.name = name.into();
        app.created_at = T0.plus_seconds(second);
        insert_app(&*store, app).await?;
    }
    let names: Vec<_> = store.list_apps().await?.into_iter().map(|app| app.settings.name).collect();
    assert_eq!(names, ["A", "B", "C"]);
    Ok(())
}

pub async fn settings_are_replaced_and_nothing_else(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (mut changed, other) = (app(), app());
    insert_app(&*store, changed.clone()).await?;
    insert_app(&*store, other.clone()).await?;
    changed.settings = AppSettings::named("Changed");
    assert!(save_app_settings(&*store, changed.id, changed.settings.clone()).await?.is_done());
    assert_same(&found(store.get_app(changed.id).await?), &changed);
    assert_same(&found(store.get_app(other.id).await?), &other);
    let unknown = AppId::new(&SystemRandom);
    assert!(!save_app_settings(&*store, unknown, AppSettings::named("Nobody")).await?.is_done());
    assert!(store.get_app(unknown).await?.is_none());
    Ok(())
}

pub async fn nul_in_settings_is_refused_and_nothing_is_stored(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let mut bad = app();
    bad.settings.name = "a\0b".into();
    assert!(matches!(insert_app(&*store, bad.clone()).await, Err(StoreError::Unstorable)));
    assert!(store.get_app(bad.id).await?.is_none());

    let good = app();
    insert_app(&*store, good.clone()).await?;
    assert!(matches!(save_app_settings(&*store, good.id, bad.settings).await, Err(StoreError::Unstorable)));
    assert_same(&found(store.get_app(good.id).await?), &good);
    Ok(())
}
