//! The server undoes a transaction because of others, and the store repeats it.

use alter_core::{AuditKind, StoreError};
use alter_store_contract::operator::save_app_settings;
use alter_store_contract::sample::{
    T0, audit, call, complete, count_true, found, grant, recorded, release, sent, started, stored_app,
    stored_grant,
};
use alter_test_postgres::{Database, database};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{
    contract::{make, open},
    held::until_blocked,
};

/// Makes the first `n` transactions that write to the audit fail with `code`; with `deferred`, only at their COMMIT. A
/// sequence counts the transactions, because no rollback undoes a sequence.
fn inject(database: &Database<'_>, n: u32, code: &str, deferred: bool) {
    let trigger = match deferred {
        true => {
            "CONSTRAINT TRIGGER injected AFTER INSERT ON audit DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        }
        false => "TRIGGER injected BEFORE INSERT ON audit FOR EACH ROW",
    };
    database.sql(&format!(
        "CREATE SEQUENCE tries;
         CREATE FUNCTION inject() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN IF nextval('tries') <= {n} THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;
                RETURN NEW; END $$;
         CREATE {trigger} EXECUTE FUNCTION inject()"
    ));
}

fn tries(database: &Database<'_>) -> String {
    database.sql("SELECT last_value FROM tries")
}

#[tokio::test]
async fn f35_a_transaction_that_is_undone_by_others_is_repeated_and_counts_once() {
    for (code, deferred) in [("40001", false), ("40P01", false), ("40001", true)] {
        let (database, store) = make().await;
        let app = stored_app(&*store).await.unwrap();
        let grant = stored_grant(&*store, app).await.unwrap();
        let entries = store.list_audit(app, 9).await.unwrap().len();
        let call = call();
        inject(&database, 3, code, deferred);
        assert!(store.release_credential(release(&grant, Some(call))).await.unwrap().is_done());
        assert_eq!(tries(&database), "4");
        assert_eq!(store.list_audit(app, 9).await.unwrap().len(), entries + 1);
        assert!(matches!(store.record_call(call).await, Err(StoreError::NonceReplayed)));
    }
}

#[tokio::test]
async fn f35_a_connection_completes_once_however_often_it_is_repeated() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    let (session, attempt) = sent(&*store, app).await.unwrap();
    let grant = grant(app);
    inject(&database, 5, "40001", true);
    let done = complete(&session, &attempt, &grant);
    assert!(store.complete_connect(done.clone()).await.unwrap().is_done());
    assert_eq!(tries(&database), "6");
    let after = found(store.get_session(&session.sid).await.unwrap());
    assert_eq!((after.version, after.data.connections.len()), (session.version + 1, 1));
    assert_eq!(recorded(&*store, app).await.unwrap().len(), 1);
    assert!(!store.complete_connect(done).await.unwrap().is_done());
}

#[tokio::test]
async fn f35_repetition_ends_and_leaves_nothing() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    inject(&database, 1000, "40001", false);
    let given_up = store.append_audit(audit(app, AuditKind::TokenReleased)).await;
    assert!(matches!(given_up, Err(StoreError::Unavailable(_))), "{given_up:?}");
    assert_eq!(tries(&database), "10");
    assert!(recorded(&*store, app).await.unwrap().is_empty());
    assert_eq!(store.audit_head(app).await.unwrap().unwrap().seq, 1, "the making of the app");
}

#[tokio::test]
async fn f35_other_errors_are_not_repeated() {
    let (database, store) = make().await;
    let app = stored_app(&*store).await.unwrap();
    // 40003: whether the statement was completed is unknown, so the store must not repeat it.
    inject(&database, 1, "40003", false);
    let refused = store.append_audit(audit(app, AuditKind::TokenReleased)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(tries(&database), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f35_a_deadlock_ends_with_both_done() {
    let database = database();
    // A transaction that has waited for this long checks for a deadlock, and is undone if it is in one. The store's
    // transaction is to be the one, so the other waits longer.
    database.sql(&format!("ALTER DATABASE {} SET deadlock_timeout = '3s'", database.name()));
    let store = open(&database).await;
    let app = stored_app(&*store).await.unwrap();
    let (session, attempt) = started(&*store, app).await.unwrap();
    let mut other = PgConnection::connect(&database.url).await.unwrap();
    other.execute("SET deadlock_timeout = '60s'").await.unwrap();
    other.execute("BEGIN").await.unwrap();
    // The store's transaction waits for this row before the other one asks for a row that the store's one holds.
    other.execute("SELECT sid FROM sessions FOR UPDATE").await.unwrap();
    let consume = store.consume_attempt(attempt.id, T0);
    let cross = async {
        until_blocked(&database, 1).await;
        other.execute("UPDATE attempts SET nonce = 'other'").await.unwrap();
        other.execute("COMMIT").await.unwrap();
    };
    let (consumed, ()) = tokio::join!(consume, cross);
    assert!(consumed.unwrap().is_first());
    assert_eq!(
        database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"),
        "1"
    );
    let after = found(store.find_attempt(&attempt.state_hash).await.unwrap());
    assert_eq!((after.status.as_str(), &*after.nonce), ("consumed", "other"));
    assert_eq!(found(store.get_session(&session.sid).await.unwrap()).version, session.version + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f35_single_statements_are_repeated_where_the_server_serialises_them() {
    let (database, store) = make().await;
    let statement = "SET default_transaction_isolation = 'serializable'";
    database.sql(&format!("ALTER DATABASE {} {statement}", database.name()));
    let app = stored_app(&*store).await.unwrap();
    // All write the same row; under this isolation level the losers fail with 40001.
    let saved = count_true(&store, 30, |store| async move {
        let settings = alter_core::AppSettings::named("New");
        save_app_settings(&*store, app, settings).await.map(|done| done.is_done())
    });
    assert_eq!(saved.await, 30);
}
