//! Cases for grants.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{AuditKind, GrantId, Store, StoreError, SystemRandom};

use super::sample::{
    T0, assert_same, audit, call, found, grant, store_grant, stored_app, stored_grant, unwritable_audit,
};

pub async fn t72_a_grant_of_another_app_is_none(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let grant = stored_grant(&*store, app).await?;
    assert_same(&found(store.get_grant(app, grant.id).await?), &grant);
    assert_same(&found(store.find_grant(app, &grant.provider, &grant.subject).await?), &grant);
    assert!(store.get_grant(other, grant.id).await?.is_none());
    assert!(store.find_grant(other, &grant.provider, &grant.subject).await?.is_none());
    assert!(store.list_grants(other, 9, 0).await?.is_empty());
    assert!(store.get_grant(app, GrantId::new(&SystemRandom)).await?.is_none());
    assert!(store.find_grant(app, "other", &grant.subject).await?.is_none());
    Ok(())
}

pub async fn grants_are_listed_newest_first_in_pages(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    stored_grant(&*store, other).await?;
    let mut newest_first = Vec::new();
    for second in [3, 1, 4, 2, 5] {
        let mut grant = grant(app);
        grant.created_at = T0.plus_seconds(second);
        store_grant(&*store, &grant).await?;
        newest_first.push((grant.created_at, grant.id));
    }
    newest_first.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let expected: Vec<_> = newest_first.into_iter().map(|(_, id)| id).collect();
    let page = async |limit, offset| -> Result<Vec<GrantId>, StoreError> {
        Ok(store.list_grants(app, limit, offset).await?.into_iter().map(|grant| grant.id).collect())
    };
    assert_eq!(page(10, 0).await?, expected);
    assert_eq!(page(2, 0).await?, expected[..2]);
    assert_eq!(page(2, 2).await?, expected[2..4]);
    assert_eq!(page(2, 4).await?, expected[4..]);
    assert!(page(2, 5).await?.is_empty());
    assert!(page(0, 0).await?.is_empty());
    Ok(())
}

pub async fn accounts_are_told_apart_byte_by_byte(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    // Composed and decomposed, upper and lower case, with and without a space: six accounts.
    for subject in ["caf\u{e9}", "cafe\u{301}", "A", "a", "a ", ""] {
        let mut grant = grant(app);
        grant.subject = subject.into();
        store_grant(&*store, &grant).await?;
        assert_eq!(found(store.find_grant(app, "google", subject).await?).id, grant.id, "{subject}");
    }
    assert_eq!(store.list_grants(app, 10, 0).await?.len(), 6);
    assert!(store.find_grant(app, "Google", "a").await?.is_none());
    assert!(store.find_grant(app, "google", "a\0").await?.is_none());
    Ok(())
}

pub async fn absent_values_stay_absent(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let mut bare = grant(stored_app(&*store).await?);
    bare.account_display_name = None;
    bare.scopes = vec![];
    bare.missing_scopes = vec![];
    bare.credential.expires_at = None;
    bare.credential.refresh_token = None;
    bare.credential.id_token = None;
    store_grant(&*store, &bare).await?;
    assert_same(&found(store.get_grant(bare.app_id, bare.id).await?), &bare);
    Ok(())
}

pub async fn a_release_leaves_an_audit_entry_and_uses_the_nonce(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (call, entry) = (call(), audit(app, AuditKind::TokenReleased));
    assert!(store.release_credential(Some(call), grant.id, 1, entry.clone()).await?);
    assert_eq!(store.list_audit(app, 1).await?, [("token_released".to_owned(), entry.details.clone())]);
    assert!(matches!(store.record_call(call).await, Err(StoreError::NonceReplayed)));

    assert!(store.release_credential(None, grant.id, 1, entry).await?);
    assert_eq!(store.list_audit(app, 9).await?.len(), 3);
    assert_same(&found(store.get_grant(app, grant.id).await?), &grant);
    Ok(())
}

pub async fn t97_a_moved_generation_releases_nothing_and_records_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (call, entry) = (call(), audit(app, AuditKind::TokenReleased));
    for generation in [0, 2] {
        assert!(!store.release_credential(Some(call), grant.id, generation, entry.clone()).await?);
    }
    let unknown = GrantId::new(&SystemRandom);
    assert!(!store.release_credential(Some(call), unknown, 1, entry.clone()).await?);
    assert_eq!(store.list_audit(app, 9).await?.len(), 1);
    // The caller reads again and asks again: the same call still counts.
    assert!(store.release_credential(Some(call), grant.id, 1, entry).await?);
    Ok(())
}

pub async fn t72_the_grant_of_another_app_is_not_released(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let grant = stored_grant(&*store, app).await?;
    let of = |app| audit(app, AuditKind::TokenReleased);
    assert!(!store.release_credential(None, grant.id, 1, of(other)).await?);
    assert!(store.list_audit(other, 9).await?.is_empty());
    assert!(store.release_credential(None, grant.id, 1, of(app)).await?);
    Ok(())
}

pub async fn t61_a_replayed_call_releases_nothing(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let (call, entry) = (call(), audit(app, AuditKind::TokenReleased));
    assert!(store.release_credential(Some(call), grant.id, 1, entry.clone()).await?);
    for generation in [1, 2] {
        let replayed = store.release_credential(Some(call), grant.id, generation, entry.clone()).await;
        assert!(matches!(replayed, Err(StoreError::NonceReplayed)));
    }
    assert_eq!(store.list_audit(app, 9).await?.len(), 2);
    Ok(())
}

pub async fn t97_a_release_whose_audit_entry_cannot_be_written_fails(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let grant = stored_grant(&*store, app).await?;
    let call = call();
    let unwritable = unwritable_audit(app, AuditKind::TokenReleased);
    let refused = store.release_credential(Some(call), grant.id, 1, unwritable).await;
    assert!(matches!(refused, Err(StoreError::Unstorable)));
    assert_eq!(store.list_audit(app, 9).await?.len(), 1);
    let writable = audit(app, AuditKind::TokenReleased);
    assert!(store.release_credential(Some(call), grant.id, 1, writable).await?);
    Ok(())
}
