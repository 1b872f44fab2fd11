//! Cases for attempts that wait for the app's word.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alter_core::{
    Attempt, AttemptStatus as Status, AuditKind, Cause, CompleteConnect, EndKind, Failure, Grant,
    GrantFilter, Session, Store, StoreError,
};

use super::sample::{
    T0, assert_same, audit, complete, count_true, found, grant, picture, recorded, sent, stage, staged,
    started, stored_app, unwritable_audit,
};

fn confirm(session: &Session, t: &Attempt, grant: &Grant) -> CompleteConnect {
    CompleteConnect { from: Status::Staged, ..complete(session, t, grant) }
}

fn not_confirmed() -> Failure {
    Failure { cause: Cause::NotConfirmed, provider: Some("google".into()), request_id: None, said: None }
}

async fn discard(store: &dyn Store, t: &Attempt) -> Result<bool, StoreError> {
    let audit = audit(t.app_id, AuditKind::ConnectionDiscarded);
    store.discard_staged(t.id, not_confirmed(), audit, T0.plus_seconds(9)).await.map(|done| done.is_done())
}

pub async fn staging_keeps_the_answer_and_makes_no_grant(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (before, t) = sent(&*store, app).await?;
    let command = stage(&before, &t);
    assert!(store.stage_connect(command.clone()).await?.is_done());

    let after = found(store.find_attempt(&t.state_hash).await?);
    assert_eq!((after.status, after.status_at), (Status::Staged, command.staged.at));
    assert_eq!((after.verifier.as_slice(), after.body), (&[][..], Some(vec![9; 300])));
    assert_eq!(after.staged.as_ref(), Some(&command.account));
    let mut expected = before.clone();
    expected.staged(command.staged.clone());
    expected.version += 1;
    let session = found(store.get_session(&before.sid).await?);
    assert_eq!(session, expected);
    assert!(session.awaits_the_app() && session.data.connections.is_empty());
    assert!(store.list_grants(app, &GrantFilter::default(), 9, 0).await?.is_empty());
    assert_eq!(recorded(&*store, app).await?[0].0, "connection_staged");
    assert_eq!(store.list_staged_attempts(&before.sid).await?.len(), 1);
    Ok(())
}

pub async fn only_what_was_sent_and_answered_is_staged(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = started(&*store, app).await?;
    assert!(!store.stage_connect(stage(&session, &t)).await?.is_done());
    let (session, t) = staged(&*store, app).await?;
    let before = picture(&*store, &session, &t).await?;
    assert!(!store.stage_connect(stage(&session, &t)).await?.is_done(), "twice");
    let (other, _) = sent(&*store, app).await?;
    assert!(!store.stage_connect(stage(&other, &t)).await?.is_done(), "T72");
    assert_eq!(picture(&*store, &session, &t).await?, before);
    Ok(())
}

pub async fn t01_a_staged_attempt_completes_with_the_apps_word_alone(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = staged(&*store, app).await?;
    let grant = grant(app);
    let before = picture(&*store, &session, &t).await?;
    assert!(!store.complete_connect(complete(&session, &t, &grant)).await?.is_done(), "as if it were sent");
    let failed = audit(app, AuditKind::ConnectFailed);
    assert!(!store.fail_attempt(t.id, Status::Failed, not_confirmed(), failed, T0).await?.is_done());
    assert_eq!(picture(&*store, &session, &t).await?, before);

    let done = confirm(&session, &t, &grant);
    assert!(store.complete_connect(done.clone()).await?.is_done());
    assert_same(&found(store.get_grant(app, grant.id).await?), &grant);
    let after = found(store.find_attempt(&t.state_hash).await?);
    assert_eq!((after.status, after.body, after.staged), (Status::Succeeded, None, None));
    let mut expected = session.clone();
    expected.confirmed(t.id, done.connection);
    expected.version += 1;
    assert_eq!(found(store.get_session(&session.sid).await?), expected);
    assert!(!store.complete_connect(confirm(&session, &t, &grant)).await?.is_done(), "once");
    assert!(!discard(&*store, &t).await?, "and it is not discarded any more");
    Ok(())
}

pub async fn an_attempt_that_was_not_staged_has_no_word_to_wait_for(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = sent(&*store, app).await?;
    assert!(!store.complete_connect(confirm(&session, &t, &grant(app))).await?.is_done());
    assert!(!discard(&*store, &t).await?);
    assert!(store.list_grants(app, &GrantFilter::default(), 9, 0).await?.is_empty());
    Ok(())
}

pub async fn discarding_wipes_and_fails_the_session(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = staged(&*store, app).await?;
    let unwritable = unwritable_audit(app, AuditKind::ConnectionDiscarded);
    assert!(store.discard_staged(t.id, not_confirmed(), unwritable, T0).await.is_err(), "T97");
    assert!(discard(&*store, &t).await?);
    let after = found(store.find_attempt(&t.state_hash).await?);
    assert_eq!((after.status, after.body, after.staged), (Status::Failed, None, None));
    let session = found(store.get_session(&session.sid).await?);
    let end = found(session.end().cloned());
    assert_eq!((end.kind, end.failure), (EndKind::Failed, Some(not_confirmed())));
    assert!(!store.complete_connect(confirm(&session, &t, &grant(app))).await?.is_done());
    assert_eq!(recorded(&*store, app).await?[0].0, "connection_discarded");
    Ok(())
}

pub async fn of_many_words_at_once_exactly_one_counts(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (session, t) = staged(&*store, app).await?;
    let turn = AtomicUsize::new(0);
    let ended = count_true(&store, 20, |store| {
        let (session, t) = (session.clone(), t.clone());
        let confirms = turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        async move {
            if confirms {
                let command = confirm(&session, &t, &grant(app));
                store.complete_connect(command).await.map(|ended| ended.is_done())
            } else {
                discard(&*store, &t).await
            }
        }
    })
    .await;
    assert_eq!(ended, 1);
    assert_eq!(recorded(&*store, app).await?.len(), 2, "staged, and one end");
    Ok(())
}

pub async fn waiting_attempts_are_the_staged_ones_oldest_first(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (_, _sent) = sent(&*store, app).await?;
    let (session, first) = sent(&*store, app).await?;
    let mut command = stage(&session, &first);
    command.staged.at = T0.plus_seconds(1);
    assert!(store.stage_connect(command).await?.is_done());
    let (_, second) = staged(&*store, app).await?;
    let ids = |list: Vec<Attempt>| list.iter().map(|t| t.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_waiting_attempts(T0.plus_seconds(5), 9).await?), [first.id]);
    assert_eq!(ids(store.list_waiting_attempts(T0.plus_seconds(6), 9).await?), [first.id, second.id]);
    assert_eq!(ids(store.list_waiting_attempts(T0.plus_seconds(6), 1).await?), [first.id]);
    assert!(store.list_stuck_attempts(T0.plus_seconds(6), 9).await?.iter().all(|t| t.status == Status::Sent));
    Ok(())
}
