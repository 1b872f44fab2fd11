//! Cases for users.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{AppId, Store, StoreError, SystemRandom, User, UserId};

use super::sample::{T0, count_true, found, stored_app, stored_user, user};

pub async fn a_user_is_found_by_what_a_token_says_and_by_id(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let user = stored_user(&*store, app).await?;
    assert_eq!(found(store.find_user(app, &user.issuer, &user.subject).await?), user);
    assert_eq!(found(store.get_user(app, user.id).await?), user);
    assert!(store.get_user(app, UserId::new(&SystemRandom)).await?.is_none());
    Ok(())
}

pub async fn t15_the_same_subject_of_two_issuers_or_two_apps_is_two_users(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let first = stored_user(&*store, app).await?;
    for (app_id, issuer) in
        [(app, "https://idp.example/"), (app, "https://IDP.example"), (other, "https://idp.example")]
    {
        assert!(store.find_user(app_id, issuer, &first.subject).await?.is_none());
        let same_subject = User { issuer: issuer.into(), subject: first.subject.clone(), ..user(app_id) };
        assert_ne!(store.save_user(same_subject.clone()).await?.id, first.id);
        assert_eq!(found(store.find_user(app_id, issuer, &first.subject).await?), same_subject);
    }
    assert_eq!(found(store.find_user(app, &first.issuer, &first.subject).await?), first);
    assert!(store.get_user(other, first.id).await?.is_none());
    Ok(())
}

pub async fn saving_a_user_again_keeps_the_id_and_replaces_the_label(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let first = stored_user(&*store, app).await?;
    let again = User {
        issuer: first.issuer.clone(),
        subject: first.subject.clone(),
        label: "another".into(),
        created_at: T0.plus_seconds(5),
        updated_at: T0.plus_seconds(5),
        ..user(app)
    };
    let expected = User { label: "another".into(), updated_at: T0.plus_seconds(5), ..first };
    assert_eq!(store.save_user(again).await?, expected);
    assert_eq!(found(store.get_user(app, expected.id).await?), expected);
    Ok(())
}

pub async fn of_many_concurrent_saves_of_one_user_all_get_the_same_id(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let done = count_true(&store, 20, |store| async move {
        store.save_user(User { subject: "one".into(), ..user(app) }).await.map(|_| true)
    });
    assert_eq!(done.await, 20);
    let stored = found(store.find_user(app, "https://idp.example", "one").await?);
    let again = store.save_user(User { subject: "one".into(), ..user(app) }).await?;
    assert_eq!(again.id, stored.id);
    Ok(())
}

pub async fn a_user_of_no_app_and_nul_in_a_user_are_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let nobody = store.save_user(user(AppId::new(&SystemRandom))).await;
    assert!(matches!(nobody, Err(StoreError::Moved)));
    let app = stored_app(&*store).await?;
    let nul = store.save_user(User { label: "\0".into(), ..user(app) }).await;
    assert!(matches!(nul, Err(StoreError::Unstorable)));
    Ok(())
}
