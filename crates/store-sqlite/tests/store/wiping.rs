//! Wiped values are gone from the files, not only from what the store returns.

use alter_core::{AttemptStatus, AttemptStore as _, AuditKind, Brought, Store};
use alter_store_contract::sample::{
    T0, attempt, audit, claim, complete, denied, found, grant, session, stored_app, underway,
};
use alter_store_sqlite::{Open, SqliteStore};
use rusqlite::Connection;

use crate::directory::Directory;

const VERIFIER: &[u8] = b"planted-verifier-5b1f";
const BODY: &[u8] = b"planted-body-c09e";

/// How often `needle` occurs in the file and its log.
fn count(directory: &Directory, needle: &[u8]) -> usize {
    let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| std::fs::read(file).unwrap().windows(needle.len()).filter(|w| *w == needle).count())
        .sum()
}

/// Folds the log into the file and empties it.
fn checkpoint(directory: &Directory) {
    let raw = Connection::open(directory.file()).unwrap();
    let busy: i64 = raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0);
}

/// An attempt that is `sent`, with sealed values of these lengths that carry the markers.
async fn planted(
    store: &dyn Store,
    app: alter_core::AppId,
    verifier: usize,
    body: usize,
) -> (alter_core::Session, alter_core::Attempt) {
    let mut session = session(app);
    session.claim_by(claim()).unwrap();
    store.insert_session(None, session.clone()).await.unwrap();
    let mut t = attempt(&session);
    t.verifier = VERIFIER.iter().copied().cycle().take(verifier).collect();
    session.start(underway(&t));
    assert!(store.start_attempt(&session, t.clone()).await.unwrap().is_done());
    assert!(store.consume_attempt(t.id, T0).await.unwrap().is_first());
    assert!(store.mark_sent(t.id, &Brought::default(), T0).await.unwrap().is_done());
    let body = BODY.iter().copied().cycle().take(body).collect();
    assert!(store.save_body(t.id, body).await.unwrap().is_done());
    (found(store.get_session(&session.sid).await.unwrap()), t)
}

#[tokio::test]
async fn t91_sealed_values_of_a_finished_transaction_leave_the_files() {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let app = stored_app(&store).await.unwrap();
    let mut open = Vec::new();
    // Values that fit into a page, fill a page, and spill over several; enough rows to split pages.
    for i in 0..60 {
        open.push(planted(&store, app, 100 + i * 3, [200, 1500, 3900, 20_000][i % 4]).await);
    }
    checkpoint(&directory);
    assert!(
        count(&directory, VERIFIER) >= 60 && count(&directory, BODY) >= 60,
        "the scan finds what is there"
    );

    for (i, (session, t)) in open.into_iter().enumerate() {
        let ended = if i % 2 == 0 {
            store.complete_connect(complete(&session, &t, &grant(app))).await.map(|done| done.is_done())
        } else {
            let audit = audit(app, AuditKind::ConnectFailed);
            store
                .fail_attempt(t.id, AttemptStatus::Failed, denied(), audit, T0)
                .await
                .map(|done| done.is_done())
        };
        assert!(ended.unwrap());
    }
    checkpoint(&directory);
    assert_eq!((count(&directory, VERIFIER), count(&directory, BODY)), (0, 0));
}
