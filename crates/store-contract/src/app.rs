//! Cases for apps.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::operator::{delete_app, insert_app, insert_key, save_app_settings, save_provider};
use std::sync::Arc;

use alter_core::{
    App, AppContents, AppId, AppSettings, AuditKind, GrantFilter, Named, Saved, Store, StoreError,
    SystemRandom,
};

use super::revocation::revoke;
use super::sample::{
    T0, agent_key, app, assert_same, audit, complete, config, count_true, delegated_grant, found, key,
    release, sent, session, started, stored_agent, stored_app, stored_grant, stored_user, unwritable_audit,
};

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

fn named(name: &str) -> App {
    let mut app = app();
    app.settings.name = name.into();
    app
}

pub async fn a_name_is_one_apps_and_another_spelling_is_another_name(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let store = &*store;
    let (first, mut other) = (named("My \"App\""), named("my \"app\""));
    insert_app(store, first.clone()).await?;
    insert_app(store, other.clone()).await?;
    let twin = named("My \"App\"");
    let made = audit(twin.id, AuditKind::AppCreated);
    assert_eq!(store.insert_app(twin.clone(), made).await?, Named::Taken(first.id));
    assert!(store.get_app(twin.id).await?.is_none());

    let renamed = AppSettings { name: first.settings.name.clone(), ..other.settings.clone() };
    assert_eq!(save_app_settings(store, other.id, renamed).await?, Named::Taken(first.id));
    assert_same(&found(store.get_app(other.id).await?), &other);
    other.settings.name = "Other".into();
    assert_eq!(save_app_settings(store, other.id, other.settings.clone()).await?, Named::Done);
    assert_eq!(
        save_app_settings(store, other.id, other.settings.clone()).await?,
        Named::Done,
        "its own name"
    );
    // The name that it had is free again.
    insert_app(store, named("my \"app\"")).await
}

pub async fn of_many_apps_made_at_once_with_one_name_exactly_one_is_stored(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let made = count_true(&store, 20, |store| async move {
        let app = named("One");
        let entry = audit(app.id, AuditKind::AppCreated);
        store.insert_app(app, entry).await.map(Named::is_done)
    });
    assert_eq!(made.await, 1);
    assert_eq!(store.list_apps().await?.len(), 1);
    Ok(())
}

/// An app with one of everything, and some that are over.
async fn full(store: &dyn Store) -> Result<(AppId, AppContents), StoreError> {
    let app = stored_app(store).await?;
    let (agent, _) = stored_agent(store, app).await?;
    stored_user(store, app).await?;
    delegated_grant(store, app, agent.id).await?;
    let revoked = stored_grant(store, app).await?;
    assert!(store.revoke_grant(revoke(&revoked)).await?.is_done());
    insert_key(store, key(app)).await?;
    save_provider(store, config(app, "google")).await?;
    store.insert_session(None, session(app)).await?;
    started(store, app).await?;
    let contents = AppContents {
        users: 1,
        grants: 1,
        agents: 1,
        delegations: 1,
        keys: 2,
        providers: 1,
        sessions: 2,
        revocations: 1,
    };
    Ok((app, contents))
}

pub async fn t98_a_deleted_app_is_gone_with_all_that_belonged_to_it_and_others_stay(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let store = &*store;
    let ((app, contents), (other, _)) = (full(store).await?, full(store).await?);
    let before = found(store.get_app(other).await?);
    let hash = store.list_keys(app).await?[0].hash;
    assert_eq!(store.count_app(app).await?, Some(contents));
    assert_eq!(delete_app(store, app, T0).await?, Some(contents));

    assert!(store.get_app(app).await?.is_none() && store.find_key(&hash).await?.is_none());
    assert_eq!(store.list_apps().await?.iter().map(|app| app.id).collect::<Vec<_>>(), [other]);
    assert!(store.list_keys(app).await?.is_empty() && store.list_providers(app).await?.is_empty());
    assert!(store.list_grants(app, &GrantFilter::default(), 10, 0).await?.is_empty());
    let due = store.list_due_revocations(T0.plus_seconds(1000), 10).await?;
    assert_eq!(due.iter().map(|request| request.app_id).collect::<Vec<_>>(), [other]);
    let keys = store.list_data_keys(app).await?;
    assert!(!keys.is_empty() && keys.iter().all(|key| key.wrapped.is_none() && key.retired_at == Some(T0)));

    assert_same(&found(store.get_app(other).await?), &before);
    assert_eq!(store.count_app(other).await?, Some(contents));
    assert_eq!(delete_app(store, app, T0).await?, None, "again");
    assert_eq!(store.count_app(app).await?, None);
    assert_eq!(save_app_settings(store, app, AppSettings::named("Back")).await?, Named::Absent);
    Ok(())
}

pub async fn t97_the_audit_of_a_deleted_app_stays_and_says_what_went_with_it(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let store = &*store;
    let (app, contents) = full(store).await?;
    let entries = store.read_audit(app, 0, 100).await?.len();
    let unwritable = unwritable_audit(app, AuditKind::AppDeleted);
    assert!(matches!(store.delete_app(app, T0, unwritable).await, Err(StoreError::Unstorable)));
    assert_eq!(store.count_app(app).await?, Some(contents), "nothing was deleted");

    assert!(delete_app(store, app, T0).await?.is_some());
    assert_eq!(store.read_audit(app, 0, 100).await?.len(), entries + 1);
    assert_eq!(store.list_audited_apps().await?, [app]);
    let (kind, details) = store.list_audit(app, 1).await?.remove(0);
    assert_eq!((kind.as_str(), &details["deleted"]["grants"]), ("app_deleted", &serde_json::json!(1)));
    assert_eq!(details["deleted"], serde_json::json!(contents));
    Ok(())
}

pub async fn t98_what_was_under_way_when_its_app_was_deleted_stores_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let store = &*store;
    let app = app();
    insert_app(store, app.clone()).await?;
    let kept = stored_grant(store, app.id).await?;
    let (session, attempt) = sent(store, app.id).await?;
    let mut made = super::sample::grant(app.id);
    assert!(delete_app(store, app.id, T0).await?.is_some());

    assert_eq!(store.release_credential(release(&kept, None)).await?, Saved::Moved);
    // As the vault seals: the key's id stands in the value.
    let sealed = [&[0; 6][..], &app.wrapped_key[6..22], &[9; 30]].concat();
    made.credential.access_token.clone_from(&sealed);
    let completed = store.complete_connect(complete(&session, &attempt, &made)).await;
    assert!(!completed.is_ok_and(|ended| ended.is_done()));
    let sealed_key = |mut key: alter_core::ApiKey| {
        key.seal = Some(sealed.clone());
        key
    };
    assert!(matches!(insert_key(store, sealed_key(key(app.id))).await, Err(StoreError::KeyRetired)));
    let mut provider = config(app.id, "google");
    provider.seal = Some(sealed.clone());
    assert!(matches!(save_provider(store, provider).await, Err(StoreError::KeyRetired)));
    let agent = super::sample::agent(app.id);
    let key = sealed_key(agent_key(&agent));
    let made = store.create_agent(None, agent, key, None, audit(app.id, AuditKind::AgentCreated)).await;
    assert!(made.is_err());
    assert_eq!(store.count_app(app.id).await?, None);
    Ok(())
}

pub async fn the_name_of_a_deleted_app_is_free(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let store = &*store;
    let first = named("One");
    insert_app(store, first.clone()).await?;
    assert!(delete_app(store, first.id, T0).await?.is_some());
    insert_app(store, named("One")).await
}
