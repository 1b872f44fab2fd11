//! Cases for how attempts end: completed or failed.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{
    Attempt, AttemptStatus as Status, AuditKind, Brought, EndKind, GrantFilter, Principal, Session, Store,
    StoreError,
};

use super::sample::{
    T0, assert_same, audit, complete, count_true, denied, found, grant, picture, recorded, sent, started,
    stored_app, stored_grant, unwritable_audit,
};

/// Asserts that the attempt has `status` and that none of its sealed values is left.
async fn assert_wiped(store: &dyn Store, t: &Attempt, status: Status) -> Result<(), StoreError> {
    let t = found(store.find_attempt(&t.state_hash).await?);
    assert_eq!((t.status, t.verifier.as_slice(), t.body.as_deref()), (status, &[][..], None));
    Ok(())
}

async fn fail(store: &dyn Store, t: &Attempt, status: Status) -> Result<bool, StoreError> {
    let audit = audit(t.app_id, AuditKind::ConnectFailed);
    store.fail_attempt(t.id, status, denied(), audit, T0.plus_seconds(6)).await.map(|done| done.is_done())
}

pub async fn completing_stores_grant_session_audit_and_wipes(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = sent(&*store, app).await?;
    let grant = grant(app);
    let done = complete(&session, &t, &grant);
    assert!(store.complete_connect(done.clone()).await?.is_done());

    assert_same(&found(store.get_grant(app, grant.id).await?), &grant);
    assert_wiped(&*store, &t, Status::Succeeded).await?;
    assert_eq!(found(store.find_attempt(&t.state_hash).await?).status_at, done.at);
    let mut expected = session.clone();
    expected.connected(t.id, done.connection);
    expected.version += 1;
    let session = found(store.get_session(&session.sid).await?);
    assert_eq!(session, expected);
    assert_eq!(session.state_name(), "done");
    assert_eq!(recorded(&*store, app).await?, [("grant_connected".to_owned(), done.audit.details)]);
    Ok(())
}

pub async fn completing_twice_counts_once(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = sent(&*store, app).await?;
    assert!(store.complete_connect(complete(&session, &t, &grant(app))).await?.is_done());
    let before = picture(&*store, &session, &t).await?;
    assert!(!store.complete_connect(complete(&session, &t, &grant(app))).await?.is_done());
    assert_eq!(picture(&*store, &session, &t).await?, before);
    Ok(())
}

pub async fn of_many_concurrent_ends_exactly_one_counts(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = sent(&*store, app).await?;
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let ended = count_true(&store, 20, |store| {
        let (session, t) = (session.clone(), t.clone());
        let completes = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(2);
        async move {
            if completes {
                let command = complete(&session, &t, &grant(app));
                store.complete_connect(command).await.map(|ended| ended.is_done())
            } else {
                fail(&*store, &t, Status::Failed).await
            }
        }
    })
    .await;
    assert_eq!(ended, 1);
    assert_eq!(recorded(&*store, app).await?.len(), 1);
    assert!(store.list_grants(app, &GrantFilter::default(), 100, 0).await?.len() <= 1);
    assert_eq!(found(store.get_session(&session.sid).await?).version, session.version + 1);
    Ok(())
}

pub async fn connecting_again_replaces_the_credential_and_keeps_the_grant(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let first = stored_grant(&*store, app).await?;
    let mut again = grant(app);
    again.id = first.id;
    again.subject = first.subject.clone();
    again.account_identifier = "new@example.com".into();
    again.account_display_name = None;
    again.missing_scopes = vec![];
    again.created_at = T0.plus_seconds(77);
    again.updated_at = T0.plus_seconds(77);
    again.credential.generation = 2;
    again.credential.access_token = vec![42];
    again.credential.refresh_token = None;

    let (session, t) = sent(&*store, app).await?;
    assert!(store.complete_connect(complete(&session, &t, &again)).await?.is_done());
    again.created_at = first.created_at;
    assert_same(
        &found(store.find_grant(app, Principal::App, &first.provider, &first.subject).await?),
        &again,
    );
    assert_eq!(store.list_grants(app, &GrantFilter::default(), 10, 0).await?.len(), 1);
    Ok(())
}

/// Asserts that completing with this grant is a conflict and changes nothing, and that completing with another grant
/// then works.
async fn assert_conflict(store: &dyn Store, grant_in_the_way: &alter_core::Grant) -> Result<(), StoreError> {
    let app = grant_in_the_way.app_id;
    let (session, t) = sent(store, app).await?;
    let before = picture(store, &session, &t).await?;
    let refused = store.complete_connect(complete(&session, &t, grant_in_the_way)).await;
    assert!(refused.as_ref().is_err_and(StoreError::is_overtaken), "{refused:?}");
    assert_eq!(picture(store, &session, &t).await?, before);
    assert!(store.complete_connect(complete(&session, &t, &grant(app))).await?.is_done());
    Ok(())
}

pub async fn a_moved_generation_is_a_conflict_and_stores_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let stored = stored_grant(&*store, app).await?;
    for generation in [0, 1, 3, 4] {
        let mut moved = stored.clone();
        moved.credential.generation = generation;
        assert_conflict(&*store, &moved).await?;
    }
    let mut unknown = grant(app);
    unknown.credential.generation = 2;
    assert_conflict(&*store, &unknown).await?;
    assert_same(&found(store.get_grant(app, stored.id).await?), &stored);
    Ok(())
}

pub async fn another_grant_of_the_same_account_is_a_conflict_and_stores_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let stored = stored_grant(&*store, app).await?;
    let mut same_account = grant(app);
    same_account.subject = stored.subject.clone();
    assert_conflict(&*store, &same_account).await?;

    // The same grant id with another account, or in another app, is not a renewal either.
    let mut other_account = stored.clone();
    other_account.subject = "somebody else".into();
    other_account.credential.generation = 2;
    assert_conflict(&*store, &other_account).await?;
    let mut other_app = stored.clone();
    other_app.app_id = stored_app(&*store).await?;
    other_app.credential.generation = 2;
    assert_conflict(&*store, &other_app).await?;
    assert_same(&found(store.get_grant(app, stored.id).await?), &stored);
    Ok(())
}

pub async fn t97_a_connection_without_its_audit_entry_is_not_stored(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = sent(&*store, app).await?;
    let before = picture(&*store, &session, &t).await?;
    let mut done = complete(&session, &t, &grant(app));
    let writable = std::mem::replace(&mut done.audit, unwritable_audit(app, AuditKind::GrantConnected));
    assert!(store.complete_connect(done.clone()).await.is_err());
    assert_eq!(picture(&*store, &session, &t).await?, before);
    done.audit = writable;
    assert!(store.complete_connect(done).await?.is_done());
    Ok(())
}

pub async fn t72_a_transaction_completes_for_its_own_session_and_app_alone(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other_app) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let (session, t) = sent(&*store, app).await?;
    let (other_session, _) = sent(&*store, app).await?;
    let before = picture(&*store, &session, &t).await?;
    assert!(!store.complete_connect(complete(&other_session, &t, &grant(app))).await?.is_done());
    assert!(!store.complete_connect(complete(&session, &t, &grant(other_app))).await?.is_done());
    assert_eq!(picture(&*store, &session, &t).await?, before);
    assert!(store.list_grants(other_app, &GrantFilter::default(), 9, 0).await?.is_empty());
    assert!(store.complete_connect(complete(&session, &t, &grant(app))).await?.is_done());
    Ok(())
}

pub async fn what_was_not_sent_does_not_complete(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = started(&*store, app).await?;
    let unsent = async |session: &Session| -> Result<(), StoreError> {
        let before = picture(&*store, session, &t).await?;
        assert!(!store.complete_connect(complete(session, &t, &grant(app))).await?.is_done());
        assert_eq!(picture(&*store, session, &t).await?, before);
        Ok(())
    };
    unsent(&session).await?;
    assert!(store.consume_attempt(t.id, T0).await?.is_first());
    unsent(&session).await?;
    assert!(store.mark_sent(t.id, &Brought::default(), T0).await?.is_done());
    assert!(store.complete_connect(complete(&session, &t, &grant(app))).await?.is_done());
    Ok(())
}

pub async fn a_session_that_ended_meanwhile_keeps_its_end_and_gets_the_connection(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (mut session, t) = sent(&*store, app).await?;
    session.finish(T0);
    assert!(store.save_session(&session).await?.is_done());
    assert!(store.complete_connect(complete(&session, &t, &grant(app))).await?.is_done());
    let after = found(store.get_session(&session.sid).await?);
    assert_eq!(after.end().map(|end| end.kind), Some(EndKind::Cancelled));
    assert_eq!(after.data.connections.len(), 1);
    assert_eq!(after.version, session.version + 2);
    Ok(())
}

pub async fn failing_ends_whatever_is_open_and_wipes(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    for (reached, status) in
        [(0, Status::Denied), (1, Status::Failed), (2, Status::Interrupted), (3, Status::Failed)]
    {
        let (session, t) = started(&*store, app).await?;
        assert!(reached < 1 || store.consume_attempt(t.id, T0).await?.is_first());
        assert!(reached < 2 || store.mark_sent(t.id, &Brought::default(), T0).await?.is_done());
        assert!(reached < 3 || store.save_body(t.id, vec![9; 300]).await?.is_done());
        let mut session = found(store.get_session(&session.sid).await?);
        assert!(fail(&*store, &t, status).await?);
        assert_wiped(&*store, &t, status).await?;
        session.attempt_ended(t.id, denied(), T0.plus_seconds(6));
        session.version += 1;
        assert_eq!(found(store.get_session(&session.sid).await?), session);
        assert_eq!(session.state_name(), "failed");
    }
    let kinds: Vec<_> = recorded(&*store, app).await?.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["connect_failed"; 4]);
    Ok(())
}

/// The reaper may have read the attempt before its answer came.
pub async fn f28_an_attempt_whose_answer_is_in_the_journal_is_not_interrupted(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = sent(&*store, app).await?;
    let answer = found(store.find_attempt(&t.state_hash).await?).body;
    let before = picture(&*store, &session, &t).await?;
    assert!(!fail(&*store, &t, Status::Interrupted).await?);
    assert_eq!(picture(&*store, &session, &t).await?, before);
    assert_eq!(found(store.find_attempt(&t.state_hash).await?).body, answer);
    assert!(
        store.complete_connect(complete(&session, &t, &grant(app))).await?.is_done(),
        "the attempt goes on and completes"
    );

    let (_, refused) = sent(&*store, app).await?;
    assert!(fail(&*store, &refused, Status::Failed).await?, "an unusable answer ends the attempt");
    assert_wiped(&*store, &refused, Status::Failed).await
}

pub async fn what_has_failed_does_not_complete_and_what_completed_does_not_fail(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (done_session, done) = sent(&*store, app).await?;
    assert!(store.complete_connect(complete(&done_session, &done, &grant(app))).await?.is_done());
    let (failed_session, failed) = sent(&*store, app).await?;
    assert!(fail(&*store, &failed, Status::Failed).await?);

    let before =
        (picture(&*store, &done_session, &done).await?, picture(&*store, &failed_session, &failed).await?);
    assert!(!fail(&*store, &done, Status::Failed).await?);
    assert!(!fail(&*store, &failed, Status::Denied).await?);
    assert!(!store.complete_connect(complete(&failed_session, &failed, &grant(app))).await?.is_done());
    assert!(!store.save_body(failed.id, vec![1]).await?.is_done());
    assert!(!store.consume_attempt(failed.id, T0).await?.is_first());
    assert!(!fail(&*store, &super::sample::attempt(&done_session), Status::Failed).await?);
    let after =
        (picture(&*store, &done_session, &done).await?, picture(&*store, &failed_session, &failed).await?);
    assert_eq!(after, before);
    Ok(())
}

pub async fn an_open_status_is_no_way_to_fail(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (session, t) = sent(&*store, stored_app(&*store).await?).await?;
    let before = picture(&*store, &session, &t).await?;
    for status in [Status::Started, Status::Consumed, Status::Sent, Status::Succeeded] {
        assert!(fail(&*store, &t, status).await.is_err());
    }
    assert_eq!(picture(&*store, &session, &t).await?, before);
    Ok(())
}

pub async fn t97_a_failure_without_its_audit_entry_is_not_stored(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (session, t) = sent(&*store, stored_app(&*store).await?).await?;
    let before = picture(&*store, &session, &t).await?;
    let audit = unwritable_audit(t.app_id, AuditKind::ConnectFailed);
    let refused = store.fail_attempt(t.id, Status::Failed, denied(), audit, T0).await;
    assert!(matches!(refused, Err(StoreError::Unstorable)));
    assert_eq!(picture(&*store, &session, &t).await?, before);
    assert!(fail(&*store, &t, Status::Failed).await?);
    Ok(())
}
