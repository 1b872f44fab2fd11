//! Cases for the audit.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{
    AppId, AuditEntry, AuditHead, AuditKind, Store, StoreError, SystemRandom,
    audit::{CHAIN_START, chain},
};
use serde_json::json;

use super::sample::{T0, audit, count_true, release, stored_app, stored_grant, unwritable_audit};

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
    assert_eq!(store.list_audit(app, 10).await?, expected);
    assert_eq!(store.list_audit(app, 2).await?, expected[..2]);
    assert_eq!(store.list_audit(other, 10).await?.len(), 3);
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
    assert_eq!((written, store.list_audit(app, 100).await?.len()), (50, 50));
    assert_eq!(verified(&*store, app).await?, 50);
    Ok(())
}

pub async fn t96_entries_form_a_chain_that_ends_in_the_head(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    assert_eq!(store.audit_head(app).await?, None);
    let mut bare = AuditEntry::new(app, T0, AuditKind::GrantRevoked, json!({ "b": "2", "a": ["ü", 1.5] }));
    store.append_audit(bare.clone()).await?;
    store.append_audit(audit(other, AuditKind::TokenReleased)).await?;
    store.append_audit(audit(app, AuditKind::TokenReleased)).await?;
    bare.request_id = Some(String::new());
    store.append_audit(bare).await?;
    // Entries that another command writes are links of the chain too.
    let grant = stored_grant(&*store, app).await?;
    assert!(store.release_credential(release(&grant, None)).await?.is_done());

    assert_eq!((verified(&*store, app).await?, verified(&*store, other).await?), (5, 1));
    let rows = store.read_audit(app, 0, 9).await?;
    assert_eq!(store.read_audit(app, 0, 2).await?, rows[..2]);
    assert_eq!(store.read_audit(app, 2, 2).await?, rows[2..4]);
    assert!(store.read_audit(app, 5, 9).await?.is_empty());
    let first = &rows[0];
    assert_eq!((first.kind.as_str(), first.at, &first.grant_id), ("grant_revoked", T0.0, &None));
    assert_eq!((&rows[0].request_id, rows[2].request_id.as_deref()), (&None, Some("")));
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
    assert!(store.list_audit(app, 9).await?.is_empty());
    Ok(())
}
