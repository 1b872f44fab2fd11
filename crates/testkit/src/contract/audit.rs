//! Cases for the audit.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{AppId, AuditKind, Store, StoreError, SystemRandom};
use serde_json::json;

use super::sample::{audit, count_true, stored_app, unwritable_audit};

pub async fn entries_are_listed_newest_first_and_of_one_app(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let kinds = [AuditKind::SessionClaimed, AuditKind::BrowserMismatch, AuditKind::ConnectFailed];
    for (n, kind) in kinds.into_iter().enumerate() {
        let mut entry = audit(app, kind);
        entry.details = json!({ "n": n.to_string() });
        // Entries of the same microsecond, and of a clock that went back, keep the order they came in.
        entry.at = alter_core::Micros(5 - i64::from(n > 1));
        store.append_audit(entry).await?;
        store.append_audit(audit(other, AuditKind::TokenReleased)).await?;
    }
    let mut bare = audit(app, AuditKind::GrantConnected);
    (bare.grant_id, bare.sid, bare.key_id, bare.request_id) = (None, None, None, None);
    bare.details = json!({});
    store.append_audit(bare).await?;

    let expected = [
        ("grant_connected".to_owned(), json!({})),
        ("connect_failed".to_owned(), json!({ "n": "2" })),
        ("browser_mismatch".to_owned(), json!({ "n": "1" })),
        ("session_claimed".to_owned(), json!({ "n": "0" })),
    ];
    assert_eq!(store.list_audit(app, 10).await?, expected);
    assert_eq!(store.list_audit(app, 2).await?, expected[..2]);
    assert_eq!(store.list_audit(other, 10).await?.len(), 3);
    Ok(())
}

pub async fn an_entry_of_no_app_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let unknown = AppId::new(&SystemRandom);
    let refused = store.append_audit(audit(unknown, AuditKind::TokenReleased)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)));
    assert!(store.list_audit(unknown, 9).await?.is_empty());
    Ok(())
}

pub async fn concurrent_entries_are_all_kept(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let written = count_true(&store, 50, |store| async move {
        store.append_audit(audit(app, AuditKind::TokenReleased)).await.map(|()| true)
    })
    .await;
    assert_eq!((written, store.list_audit(app, 100).await?.len()), (50, 50));
    Ok(())
}

pub async fn nul_in_an_entry_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let mut deep = audit(app, AuditKind::TokenReleased);
    deep.details = json!({ "a": { "b": ["\0"] } });
    for bad in [deep, unwritable_audit(app, AuditKind::TokenReleased)] {
        assert!(matches!(store.append_audit(bad).await, Err(StoreError::Unstorable)));
    }
    assert!(store.list_audit(app, 9).await?.is_empty());
    Ok(())
}
