//! Cases for the audit.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{
    AppId, AppSettings, AuditEntry, AuditHead, AuditKind, ProviderConfig, Store, StoreError, SystemRandom,
    audit::{CHAIN_START, chain},
};
use serde_json::json;

use super::operator::{
    delete_provider, insert_app, insert_key, revoke_key, save_app_settings, save_provider,
};
use super::sample::{
    T0, app, assert_same, audit, config, count_true, found, key, release, stored_app, stored_grant,
    unwritable_audit,
};

pub async fn entries_are_listed_newest_first_and_of_one_app(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let kinds = [AuditKind::SessionClaimed, AuditKind::BrowserMismatch, AuditKind::ConnectFailed];
    for (n, kind) in kinds.into_iter().enumerate() {
        let mut entry = audit(app, kind);
        entry.details = json!({ "n": n.to_string() });
        // Entries of the same microsecond, or of a clock that went back, stay in the order in which they came.
        entry.at = alter_core::Micros(5 - i64::from(n > 1));
        store.append_audit(entry).await?;
        store.append_audit(audit(other, AuditKind::TokenReleased)).await?;
    }
    let mut bare = audit(app, AuditKind::GrantConnected);
    (bare.grant_id, bare.sid, bare.key_id, bare.request_id) = (None, None, None, None);
    (bare.user_id, bare.agent_id) = (None, None);
    bare.details = json!({});
    store.append_audit(bare).await?;

    let expected = [
        ("grant_connected".to_owned(), json!({})),
        ("connect_failed".to_owned(), json!({ "n": "2" })),
        ("browser_mismatch".to_owned(), json!({ "n": "1" })),
        ("session_claimed".to_owned(), json!({ "n": "0" })),
    ];
    let listed = store.list_audit(app, 10).await?;
    assert_eq!(listed[..4], expected);
    assert_eq!((listed.len(), listed[4].0.as_str()), (5, "app_created"));
    assert_eq!(store.list_audit(app, 2).await?, expected[..2]);
    assert_eq!(store.list_audit(other, 10).await?.len(), 4);
    Ok(())
}

pub async fn an_entry_of_no_app_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let unknown = AppId::new(&SystemRandom);
    let refused = store.append_audit(audit(unknown, AuditKind::TokenReleased)).await;
    assert!(matches!(refused, Err(StoreError::Moved)));
    assert!(store.list_audit(unknown, 9).await?.is_empty());
    Ok(())
}

pub async fn concurrent_entries_are_all_kept(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let written = count_true(&store, 50, |store| async move {
        store.append_audit(audit(app, AuditKind::TokenReleased)).await.map(|()| true)
    })
    .await;
    assert_eq!((written, store.list_audit(app, 100).await?.len()), (50, 51));
    assert_eq!(verified(&*store, app).await?, 51);
    Ok(())
}

pub async fn t96_entries_form_a_chain_that_ends_in_the_head(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    assert_eq!(store.audit_head(AppId::new(&SystemRandom)).await?, None);
    assert_eq!(verified(&*store, app).await?, 1);
    let mut bare = AuditEntry::new(app, T0, AuditKind::GrantRevoked, json!({ "b": "2", "a": ["ü", 1.5] }));
    store.append_audit(bare.clone()).await?;
    store.append_audit(audit(other, AuditKind::TokenReleased)).await?;
    store.append_audit(audit(app, AuditKind::TokenReleased)).await?;
    bare.request_id = Some(String::new());
    store.append_audit(bare).await?;
    // Entries that another command writes are part of the chain too.
    let grant = stored_grant(&*store, app).await?;
    assert!(store.release_credential(release(&grant, None)).await?.is_done());

    assert_eq!((verified(&*store, app).await?, verified(&*store, other).await?), (6, 2));
    let rows = store.read_audit(app, 0, 9).await?;
    assert_eq!(store.read_audit(app, 0, 2).await?, rows[..2]);
    assert_eq!(store.read_audit(app, 2, 2).await?, rows[2..4]);
    assert!(store.read_audit(app, 6, 9).await?.is_empty());
    let first = &rows[1];
    assert_eq!((first.kind.as_str(), first.at, &first.grant_id), ("grant_revoked", T0.0, &None));
    assert_eq!((&first.request_id, rows[3].request_id.as_deref()), (&None, Some("")));
    Ok(())
}

/// Walks the chain to the head. Returns the chain's length.
async fn verified(store: &dyn Store, app: AppId) -> Result<usize, StoreError> {
    let mut before = CHAIN_START;
    let rows = store.read_audit(app, 0, 1000).await?;
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row.seq, number);
        before = chain(app, &before, row);
        assert_eq!(row.hash, Some(before), "entry {number}");
    }
    let head = AuditHead { seq: rows.len() as i64, hash: before, chained_after: 0 };
    assert_eq!(store.audit_head(app).await?, Some(head));
    Ok(rows.len())
}

pub async fn nul_in_an_entry_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let mut deep = audit(app, AuditKind::TokenReleased);
    deep.details = json!({ "a": { "b": ["\0"] } });
    for bad in [deep, unwritable_audit(app, AuditKind::TokenReleased)] {
        assert!(matches!(store.append_audit(bad).await, Err(StoreError::Unstorable)));
    }
    assert_eq!(kinds(&*store, app).await?, ["app_created"]);
    Ok(())
}

/// The kinds of an app's entries, oldest first.
async fn kinds(store: &dyn Store, app: AppId) -> Result<Vec<String>, StoreError> {
    Ok(store.read_audit(app, 0, 1000).await?.into_iter().map(|row| row.kind).collect())
}

pub async fn each_change_by_the_operator_has_its_entry(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let store = &*store;
    let app = stored_app(store).await?;
    let key = key(app);
    insert_key(store, key.clone()).await?;
    save_provider(store, config(app, "google")).await?;
    assert!(save_app_settings(store, app, AppSettings::named("Changed")).await?.is_done());
    assert!(delete_provider(store, app, &config(app, "google").recipe.id).await?.is_done());
    assert!(revoke_key(store, app, key.id, T0).await?.is_done());
    let recorded =
        ["app_created", "key_created", "provider_set", "app_changed", "provider_removed", "key_revoked"];
    assert_eq!(kinds(store, app).await?, recorded);
    assert_eq!(verified(store, app).await?, recorded.len());
    Ok(())
}

pub async fn a_change_of_nothing_has_no_entry(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let store = &*store;
    let (app, other) = (stored_app(store).await?, stored_app(store).await?);
    let theirs = key(other);
    insert_key(store, theirs.clone()).await?;
    assert!(!revoke_key(store, app, theirs.id, T0).await?.is_done());
    assert!(!delete_provider(store, app, "google").await?.is_done());
    assert!(insert_key(store, theirs).await.is_err());
    assert_eq!(kinds(store, app).await?, ["app_created"]);
    assert_eq!(kinds(store, other).await?, ["app_created", "key_created"]);
    Ok(())
}

pub async fn a_change_whose_entry_cannot_be_written_does_not_happen(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let bad = |app| unwritable_audit(app, AuditKind::AppChanged);
    let unstorable = |result: Option<StoreError>| assert!(matches!(result, Some(StoreError::Unstorable)));
    let (unborn, stored) = (app(), app());
    unstorable(store.insert_app(unborn.clone(), bad(unborn.id)).await.err());
    assert!(store.get_app(unborn.id).await?.is_none());

    insert_app(&*store, stored.clone()).await?;
    let (id, kept, refused) = (stored.id, key(stored.id), key(stored.id));
    insert_key(&*store, kept.clone()).await?;
    save_provider(&*store, config(id, "google")).await?;
    unstorable(store.save_app_settings(id, AppSettings::named("Changed"), bad(id)).await.err());
    unstorable(store.insert_key(refused, bad(id)).await.err());
    unstorable(store.revoke_key(id, kept.id, T0, bad(id)).await.err());
    unstorable(
        store
            .save_provider(ProviderConfig { client_id: "new".into(), ..config(id, "google") }, bad(id))
            .await
            .err(),
    );
    unstorable(store.delete_provider(id, &config(id, "google").recipe.id, bad(id)).await.err());

    assert_same(&found(store.get_app(id).await?), &stored);
    assert_same(&store.list_keys(id).await?, &vec![kept]);
    let configured = store.list_providers(id).await?;
    assert_eq!(
        (configured.len(), configured[0].client_id.as_str()),
        (1, config(id, "google").client_id.as_str())
    );
    Ok(())
}
