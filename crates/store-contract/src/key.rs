//! Cases for keys.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::operator::{insert_app, insert_key, revoke_key};
use std::sync::Arc;

use alter_core::{ApiKey, AppId, AuditKind, FoundKey, KeyId, Store, StoreError, SystemRandom};

use super::sample::{T0, app, assert_same, audit, found, hash, key, stored_app};

pub async fn a_key_is_found_by_its_hash_with_its_app(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = app();
    insert_app(&*store, app.clone()).await?;
    stored_app(&*store).await?;
    let key = key(app.id);
    insert_key(&*store, key.clone()).await?;
    assert_same(&found(store.find_key(&key.hash).await?), &FoundKey { key, app, agent: None });
    assert!(store.find_key(&hash()).await?.is_none());
    Ok(())
}

pub async fn a_revoked_key_is_found_and_stays_revoked_since_the_first_time(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (revoked, kept) = (key(app), key(app));
    insert_key(&*store, revoked.clone()).await?;
    insert_key(&*store, kept.clone()).await?;
    assert!(revoke_key(&*store, app, revoked.id, T0.plus_seconds(1)).await?.is_done());
    assert!(revoke_key(&*store, app, revoked.id, T0.plus_seconds(2)).await?.is_done());
    let revoked = found(store.find_key(&revoked.hash).await?);
    assert_eq!((revoked.key.revoked_at, revoked.key.seal), (Some(T0.plus_seconds(1)), None));
    let kept = found(store.find_key(&kept.hash).await?);
    assert_eq!((kept.key.revoked_at, kept.key.seal), (None, Some(vec![0, 7])));
    Ok(())
}

pub async fn a_seal_is_put_on_a_key_that_has_none_and_is_not_revoked(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (bare, sealed, revoked) = (ApiKey { seal: None, ..key(app) }, key(app), key(app));
    for key in [&bare, &sealed, &revoked] {
        insert_key(&*store, key.clone()).await?;
    }
    assert!(revoke_key(&*store, app, revoked.id, T0).await?.is_done());
    for (key, done) in [(&bare, true), (&sealed, false), (&revoked, false), (&bare, false)] {
        let with = ApiKey { seal: Some(vec![1, 2]), ..key.clone() };
        assert_eq!(store.seal_key(with, audit(app, AuditKind::KeyCreated)).await?.is_done(), done);
    }
    assert_eq!(found(store.find_key(&bare.hash).await?).key.seal, Some(vec![1, 2]));
    assert_eq!(found(store.find_key(&sealed.hash).await?).key.seal, sealed.seal);
    assert_eq!(found(store.find_key(&revoked.hash).await?).key.seal, None);
    Ok(())
}

pub async fn t72_the_key_of_another_app_cannot_be_revoked(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (owner, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let key = key(owner);
    insert_key(&*store, key.clone()).await?;
    assert!(!revoke_key(&*store, other, key.id, T0).await?.is_done());
    assert!(!revoke_key(&*store, owner, KeyId::new(&SystemRandom), T0).await?.is_done());
    assert_eq!(found(store.find_key(&key.hash).await?).key.revoked_at, None);
    assert!(revoke_key(&*store, owner, key.id, T0).await?.is_done());
    Ok(())
}

pub async fn the_same_hash_or_id_twice_is_a_conflict(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let first = key(app);
    insert_key(&*store, first.clone()).await?;
    let (mut same_hash, mut same_id) = (key(app), key(app));
    same_hash.hash = first.hash;
    same_id.id = first.id;
    assert!(matches!(insert_key(&*store, same_hash).await, Err(StoreError::Exists)));
    assert!(matches!(insert_key(&*store, same_id).await, Err(StoreError::Exists)));
    let keys = store.list_keys(app).await?;
    assert_same(&keys, &vec![first]);
    Ok(())
}

pub async fn keys_are_listed_newest_first_and_of_one_app(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    for (name, second) in [("b", 2), ("c", 3), ("a", 1)] {
        let mut key = key(app);
        key.name = name.into();
        key.created_at = T0.plus_seconds(second);
        insert_key(&*store, key).await?;
    }
    insert_key(&*store, key(other)).await?;
    let names: Vec<_> = store.list_keys(app).await?.into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["c", "b", "a"]);
    Ok(())
}

pub async fn a_key_of_no_app_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let key = key(AppId::new(&SystemRandom));
    assert!(matches!(insert_key(&*store, key.clone()).await, Err(StoreError::Moved)));
    assert!(store.find_key(&key.hash).await?.is_none());
    Ok(())
}

pub async fn nul_in_a_key_name_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let mut key = key(stored_app(&*store).await?);
    key.name = "\0".into();
    assert!(matches!(insert_key(&*store, key.clone()).await, Err(StoreError::Unstorable)));
    assert!(store.find_key(&key.hash).await?.is_none());
    Ok(())
}
