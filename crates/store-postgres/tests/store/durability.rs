//! What cannot be recorded does not happen. A damaged row is an error, not a missing row.

use alter_core::{AuditKind, StoreError};
use alter_store_contract::sample::{audit, call, release, stored_app, stored_grant};

use crate::contract::make;

#[tokio::test]
async fn t97_no_release_without_an_audit_entry() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let grant = stored_grant(&*store, app).await.unwrap();
    let entries = store.list_audit(app, 9).await.unwrap().len();
    let asked = release(&grant, Some(call()));

    database.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'the audit is full'; END $$;
         CREATE TRIGGER full_audit BEFORE INSERT ON audit EXECUTE FUNCTION refuse()",
    );
    let refused = store.release_credential(asked.clone()).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("full")), "{refused:?}");

    database.sql("DROP TRIGGER full_audit ON audit");
    assert!(
        store.release_credential(asked).await.unwrap().is_done(),
        "nothing is left of the call that was refused"
    );
    assert_eq!(store.list_audit(app, 9).await.unwrap().len(), entries + 1);
}

#[tokio::test]
async fn a_damaged_row_is_told_from_a_missing_one() {
    let (database, store) = make().await;
    let id = stored_app(&*store).await.unwrap();
    assert!(store.get_app(id).await.unwrap().is_some());
    database.sql("UPDATE apps SET settings = '{'");
    let damaged = store.get_app(id).await;
    assert!(matches!(damaged, Err(StoreError::Corrupt("settings"))), "{damaged:?}");
}

#[tokio::test]
async fn numbers_in_the_audit_have_no_gaps_even_after_a_refused_entry() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let grant = stored_grant(&*store, app).await.unwrap();
    let call = call();
    store.record_call(call).await.unwrap();
    assert!(store.release_credential(release(&grant, Some(call))).await.is_err());
    store.append_audit(audit(app, AuditKind::TokenReleased)).await.unwrap();
    let numbers = database.sql("SELECT count(*) = max(seq), min(seq) FROM audit");
    assert_eq!(numbers, "t|1");
}

#[tokio::test]
async fn documents_keep_their_bytes() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let mut entry = audit(app, AuditKind::TokenReleased);
    entry.details = serde_json::from_str(r#"{"z":"1","a":"\\u0000 \u00e9 e\u0301","a b":"2"}"#).unwrap();
    let written = serde_json::to_string(&entry.details).unwrap();
    store.append_audit(entry).await.unwrap();
    assert_eq!(store.read_audit(app, 1, 9).await.unwrap()[0].details, written);
    assert_eq!(
        database.sql("SELECT octet_length(details) FROM audit WHERE seq = 2"),
        written.len().to_string()
    );
}
