//! Cases for sessions.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{AuditKind, Micros, SessionId, Store, StoreError, SystemRandom};

use super::sample::{
    T0, audit, call, claim, count_true, found, hash, recorded, sent, session, started, stored_app,
    unwritable_audit,
};

pub async fn a_session_is_found_by_sid_and_by_token_hash(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let session = session(app);
    store.insert_session(None, session.clone()).await?;
    assert_eq!(found(store.get_session(&session.sid).await?), session);
    assert_eq!(found(store.find_session(&session.token_hash).await?), session);
    Ok(())
}

pub async fn an_unknown_session_is_none(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let unknown = session(stored_app(&*store).await?);
    assert!(store.get_session(&SessionId::new(&SystemRandom)).await?.is_none());
    assert!(store.find_session(&hash()).await?.is_none());
    assert!(!store.save_session(&unknown).await?.is_done());
    assert!(store.get_session(&unknown.sid).await?.is_none());
    Ok(())
}

pub async fn the_same_sid_or_token_twice_is_a_conflict(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let first = session(app);
    store.insert_session(None, first.clone()).await?;
    let (mut same_sid, mut same_token) = (session(app), session(app));
    same_sid.sid = first.sid.clone();
    same_token.token_hash = first.token_hash;
    for second in [same_sid, same_token] {
        assert!(matches!(store.insert_session(None, second).await, Err(StoreError::Exists)));
    }
    assert_eq!(found(store.get_session(&first.sid).await?), first);
    assert_eq!(found(store.find_session(&first.token_hash).await?), first);
    Ok(())
}

pub async fn a_user_token_is_stored_with_its_session_and_wiped_with_it(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let mut own = session(stored_app(&*store).await?);
    store.insert_session(None, own.clone()).await?;
    assert_eq!(store.get_user_token(&own.sid).await?, None);
    own.finish(T0);
    assert!(store.save_session_with_token(&own, Some(vec![7; 60]), None).await?.is_done());
    assert!(!store.save_session_with_token(&own, None, None).await?.is_done(), "a stale save wipes nothing");
    assert_eq!(store.get_user_token(&own.sid).await?, Some(vec![7; 60]));
    own.version += 1;
    assert_eq!(found(store.get_session(&own.sid).await?), own);
    assert!(store.save_session(&own).await?.is_done());
    own.version += 1;
    assert_eq!(store.get_user_token(&own.sid).await?, Some(vec![7; 60]), "any other save leaves it");
    assert!(store.save_session_with_token(&own, None, None).await?.is_done());
    assert_eq!(store.get_user_token(&own.sid).await?, None);
    assert_eq!(store.get_user_token(&SessionId::new(&SystemRandom)).await?, None);
    Ok(())
}

pub async fn t97_a_user_token_is_neither_kept_nor_wiped_without_its_audit_entry(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let mut own = session(app);
    store.insert_session(None, own.clone()).await?;
    own.finish(T0);
    for (kind, token) in [(AuditKind::SignedIn, Some(vec![7; 60])), (AuditKind::UserTokenReleased, None)] {
        let before = store.get_user_token(&own.sid).await?;
        let unwritable = unwritable_audit(app, kind);
        let refused = store.save_session_with_token(&own, token.clone(), Some(unwritable)).await;
        assert!(matches!(refused, Err(StoreError::Unstorable)), "{refused:?}");
        assert_eq!(store.get_user_token(&own.sid).await?, before);
        let entries = recorded(&*store, app).await?.len();
        assert!(store.save_session_with_token(&own, token.clone(), Some(audit(app, kind))).await?.is_done());
        let stale = store.save_session_with_token(&own, token.clone(), Some(audit(app, kind))).await?;
        assert!(!stale.is_done());
        assert_eq!(store.get_user_token(&own.sid).await?, token);
        assert_eq!(recorded(&*store, app).await?.len(), entries + 1, "one entry for one save");
        own.version += 1;
    }
    Ok(())
}

pub async fn sessions_with_a_user_token_are_listed_until_it_is_wiped(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (mut early, mut late, without) = (session(app), session(app), session(app));
    late.expires_at = early.expires_at.plus_seconds(1);
    for session in [&late, &early, &without] {
        store.insert_session(None, session.clone()).await?;
    }
    for session in [&mut late, &mut early] {
        assert!(store.save_session_with_token(session, Some(vec![7; 60]), None).await?.is_done());
        session.version += 1;
    }
    assert_eq!(store.list_sessions_with_token(10).await?, [early.clone(), late.clone()]);
    assert_eq!(store.list_sessions_with_token(1).await?, [early.clone()]);
    assert!(store.save_session_with_token(&early, None, None).await?.is_done());
    assert_eq!(store.list_sessions_with_token(10).await?, [late]);
    Ok(())
}

pub async fn a_save_raises_the_version_and_a_stale_one_changes_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let first = session(stored_app(&*store).await?);
    store.insert_session(None, first.clone()).await?;

    let mut claimed = first.clone();
    claimed.claim_by(claim()).expect("a claim at this level is let in");
    assert!(store.save_session(&claimed).await?.is_done());
    claimed.version += 1;
    assert_eq!(found(store.get_session(&first.sid).await?), claimed);

    let mut stale = first.clone();
    stale.finish(T0);
    assert!(!store.save_session(&stale).await?.is_done());
    stale.version = 7;
    assert!(!store.save_session(&stale).await?.is_done());
    assert_eq!(found(store.get_session(&first.sid).await?), claimed);
    Ok(())
}

pub async fn of_many_saves_of_one_version_exactly_one_counts(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let session = session(stored_app(&*store).await?);
    store.insert_session(None, session.clone()).await?;
    let saved = count_true(&store, 20, |store| {
        let session = session.clone();
        async move { store.save_session(&session).await.map(|done| done.is_done()) }
    })
    .await;
    assert_eq!(saved, 1);
    assert_eq!(found(store.get_session(&session.sid).await?).version, 1);
    Ok(())
}

pub async fn the_versions_of_many_sessions_are_read_at_once_and_unknown_ones_are_left_out(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (saved, fresh, unasked) = (session(app), session(app), session(app));
    for session in [&saved, &fresh, &unasked] {
        store.insert_session(None, session.clone()).await?;
    }
    assert!(store.save_session(&saved).await?.is_done());
    let mut asked = vec![saved.sid.clone(), SessionId::new(&SystemRandom), fresh.sid.clone()];
    let mut versions = store.list_session_versions(&asked).await?;
    let mut expected = vec![(saved.sid.clone(), 1), (fresh.sid.clone(), 0)];
    versions.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    expected.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    assert_eq!(versions, expected);

    assert_eq!(store.list_session_versions(&[]).await?, []);
    // As many as may wait in one process.
    asked.extend((0..4096).map(|_| SessionId::new(&SystemRandom)));
    assert_eq!(store.list_session_versions(&asked).await?.len(), 2);
    Ok(())
}

pub async fn t61_a_replayed_nonce_stores_no_session(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (first, second, call) = (session(app), session(app), call());
    store.insert_session(Some(call), first.clone()).await?;
    let replayed = store.insert_session(Some(call), second.clone()).await;
    assert!(matches!(replayed, Err(StoreError::NonceReplayed)));
    assert!(store.get_session(&first.sid).await?.is_some());
    assert!(store.get_session(&second.sid).await?.is_none());
    assert!(matches!(store.record_call(call).await, Err(StoreError::NonceReplayed)));
    Ok(())
}

pub async fn a_session_that_is_refused_leaves_its_nonce_unused(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (session, call) = (session(stored_app(&*store).await?), call());
    store.insert_session(None, session.clone()).await?;
    assert!(matches!(store.insert_session(Some(call), session).await, Err(StoreError::Exists)));
    store.record_call(call).await
}

pub async fn lapsed_sessions_are_the_open_ones_past_their_time_oldest_first(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let now = T0.plus_seconds(600);
    let put = async |expires_at: Micros, change: fn(&mut alter_core::Session)| {
        let mut session = session(app);
        change(&mut session);
        session.expires_at = expires_at;
        store.insert_session(None, session.clone()).await.map(|()| session.sid)
    };
    let claimed = |s: &mut alter_core::Session| s.claim_by(claim()).expect("a claim at this level is let in");
    let just_now = put(now, |_| {}).await?;
    let _not_yet = put(Micros(now.0 + 1), |_| {}).await?;
    let oldest = put(Micros(now.0 - 50), claimed).await?;
    let older = put(Micros(now.0 - 20), |_| {}).await?;
    let _ended = put(Micros(now.0 - 60), |s| s.finish(T0)).await?;

    let list = store.list_lapsed_sessions(now, 10).await?;
    assert_eq!(list.iter().map(|s| &s.sid).collect::<Vec<_>>(), [&oldest, &older, &just_now]);
    let first = store.list_lapsed_sessions(now, 1).await?;
    assert_eq!(first.iter().map(|s| &s.sid).collect::<Vec<_>>(), [&oldest]);

    let mut over = found(list.into_iter().next());
    assert!(over.expire(now));
    assert!(store.save_session(&over).await?.is_done());
    assert_eq!(store.list_lapsed_sessions(now, 10).await?.len(), 2);
    Ok(())
}

pub async fn old_sessions_are_deleted_with_their_attempts(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (old, old_attempt) = sent(&*store, app).await?;
    let (older, older_attempt) = started(&*store, app).await?;
    let mut young = session(app);
    young.expires_at = Micros(old.expires_at.0 + 1);
    store.insert_session(None, young.clone()).await?;

    assert_eq!(store.delete_old_sessions(old.expires_at, 10).await?, 0);
    assert_eq!(store.delete_old_sessions(young.expires_at, 1).await?, 1);
    assert_eq!(store.delete_old_sessions(young.expires_at, 10).await?, 1);
    assert_eq!(store.delete_old_sessions(young.expires_at, 10).await?, 0);
    for (session, attempt) in [(old, old_attempt), (older, older_attempt)] {
        assert!(store.get_session(&session.sid).await?.is_none());
        assert!(store.find_attempt(&attempt.state_hash).await?.is_none());
    }
    assert!(store.get_session(&young.sid).await?.is_some());
    Ok(())
}

pub async fn a_large_document_with_every_script_is_kept(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let mut session = session(stored_app(&*store).await?);
    session.data.label = Some("é 世界 👩‍👩‍👧 \u{7f} \u{202e} \\ \" ' \u{ffff} \u{10ffff}".repeat(20_000));
    session.created_at = Micros(i64::MIN);
    session.expires_at = Micros(i64::MAX);
    store.insert_session(None, session.clone()).await?;
    assert_eq!(found(store.get_session(&session.sid).await?), session);
    Ok(())
}

pub async fn nul_in_a_session_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let good = session(stored_app(&*store).await?);
    let mut bad = good.clone();
    bad.data.providers = vec!["a\0".into()];
    assert!(matches!(store.insert_session(None, bad.clone()).await, Err(StoreError::Unstorable)));
    store.insert_session(None, good.clone()).await?;
    assert!(matches!(store.save_session(&bad).await, Err(StoreError::Unstorable)));
    assert_eq!(found(store.get_session(&good.sid).await?), good);
    Ok(())
}
