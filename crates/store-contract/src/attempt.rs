//! Cases for attempts until they end.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{AttemptId, AttemptStatus as Status, Brought, Micros, Store, StoreError, SystemRandom};

use super::sample::{
    T0, assert_same, attempt, claim, count_true, found, hash, picture, sent, session, started, stored_app,
    underway,
};

pub async fn starting_saves_the_session_and_the_attempt(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (session, attempt) = started(&*store, stored_app(&*store).await?).await?;
    assert_eq!(found(store.get_session(&session.sid).await?), session);
    assert_same(&found(store.find_attempt(&attempt.state_hash).await?), &attempt);
    assert!(store.find_attempt(&hash()).await?.is_none());
    Ok(())
}

pub async fn starting_from_a_session_that_has_moved_stores_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let mut stale = session(stored_app(&*store).await?);
    stale.claim_by(claim()).expect("a claim at this level is let in");
    store.insert_session(None, stale.clone()).await?;
    assert!(store.save_session(&stale).await?.is_done());

    let t = attempt(&stale);
    let before = picture(&*store, &stale, &t).await?;
    stale.start(underway(&t));
    assert!(!store.start_attempt(&stale, t.clone()).await?.is_done());
    assert_eq!(picture(&*store, &stale, &t).await?, before);
    Ok(())
}

pub async fn a_state_that_exists_is_a_conflict_and_stores_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (mut session, first) = started(&*store, stored_app(&*store).await?).await?;
    let mut second = attempt(&session);
    second.state_hash = first.state_hash;
    let before = picture(&*store, &session, &first).await?;
    session.start(underway(&second));
    assert!(matches!(store.start_attempt(&session, second).await, Err(StoreError::Exists)));
    assert_eq!(picture(&*store, &session, &first).await?, before);
    Ok(())
}

pub async fn t17_of_fifty_concurrent_callbacks_exactly_one_consumes(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (before, t) = started(&*store, stored_app(&*store).await?).await?;
    let id = t.id;
    let at = T0.plus_seconds(3);
    let consumed = count_true(&store, 50, |store| async move {
        store.consume_attempt(id, at).await.map(|done| done.is_first())
    })
    .await;
    assert_eq!(consumed, 1);

    let t = found(store.find_attempt(&t.state_hash).await?);
    assert_eq!((t.status, t.status_at), (Status::Consumed, at));
    let mut expected = before.clone();
    expected.exchanging(id, T0);
    expected.version += 1;
    assert_eq!(found(store.get_session(&before.sid).await?), expected);
    assert!(found(expected.data.underway).exchanging);
    Ok(())
}

pub async fn an_attempt_is_consumed_until_the_microsecond_it_expires(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (session, t) = started(&*store, stored_app(&*store).await?).await?;
    let before = picture(&*store, &session, &t).await?;
    assert!(!store.consume_attempt(t.id, t.expires_at).await?.is_first());
    assert_eq!(picture(&*store, &session, &t).await?, before);
    assert!(store.consume_attempt(t.id, Micros(t.expires_at.0 - 1)).await?.is_first());
    Ok(())
}

pub async fn what_is_unknown_moves_nowhere(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let unknown = AttemptId::new(&SystemRandom);
    assert!(!store.consume_attempt(unknown, T0).await?.is_first());
    assert!(!store.mark_sent(unknown, &Brought::default(), T0).await?.is_done());
    assert!(!store.save_body(unknown, vec![1]).await?.is_done());
    Ok(())
}

pub async fn sent_comes_after_consumed_alone(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (_, t) = started(&*store, stored_app(&*store).await?).await?;
    assert!(!store.mark_sent(t.id, &Brought::default(), T0).await?.is_done());
    assert!(store.consume_attempt(t.id, T0).await?.is_first());
    let brought =
        Brought { scopes: Some(vec!["mail".into()]), facts: [("realm".into(), "zoë".into())].into() };
    assert!(store.mark_sent(t.id, &brought, T0.plus_seconds(4)).await?.is_done());
    assert!(!store.mark_sent(t.id, &Brought::default(), T0.plus_seconds(5)).await?.is_done());
    assert!(!store.consume_attempt(t.id, T0).await?.is_first());
    let t = found(store.find_attempt(&t.state_hash).await?);
    assert_eq!((t.status, t.status_at), (Status::Sent, T0.plus_seconds(4)));
    assert_eq!((t.verifier, t.brought), (vec![7; 64], brought), "a replay has what the browser brought");
    Ok(())
}

pub async fn a_body_is_kept_while_sent_alone(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (_, t) = started(&*store, stored_app(&*store).await?).await?;
    assert!(!store.save_body(t.id, vec![1]).await?.is_done());
    assert!(store.consume_attempt(t.id, T0).await?.is_first());
    assert!(!store.save_body(t.id, vec![1]).await?.is_done());
    assert_eq!(found(store.find_attempt(&t.state_hash).await?).body, None);
    assert!(store.mark_sent(t.id, &Brought::default(), T0).await?.is_done());
    let large = vec![0xA5; 1 << 20];
    assert!(store.save_body(t.id, large.clone()).await?.is_done());
    let t = found(store.find_attempt(&t.state_hash).await?);
    assert!(t.body == Some(large), "the body is kept byte by byte");
    assert_eq!((t.status, t.status_at), (Status::Sent, T0));
    Ok(())
}

pub async fn stuck_attempts_are_consumed_or_sent_oldest_first(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (_, _started) = started(&*store, app).await?;
    let (_, second) = started(&*store, app).await?;
    assert!(store.consume_attempt(second.id, T0.plus_seconds(1)).await?.is_first());
    let (_, first) = sent(&*store, app).await?;
    let (_, edge) = started(&*store, app).await?;
    assert!(store.consume_attempt(edge.id, T0.plus_seconds(2)).await?.is_first());

    let ids = |list: Vec<alter_core::Attempt>| list.iter().map(|t| t.id).collect::<Vec<_>>();
    let before = T0.plus_seconds(2);
    assert_eq!(ids(store.list_stuck_attempts(before, 10).await?), [first.id, second.id]);
    assert_eq!(ids(store.list_stuck_attempts(before, 1).await?), [first.id]);
    let later = store.list_stuck_attempts(Micros(before.0 + 1), 10).await?;
    assert_eq!(ids(later), [first.id, second.id, edge.id]);
    Ok(())
}
