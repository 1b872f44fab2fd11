//! Cases for the keys of apps and the values under them.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::operator::{insert_app, insert_key, save_provider};
use super::refresh::begun;
use std::sync::Arc;

use alter_core::{
    AddDataKey, ApiKey, App, AppId, AuditKind, Brought, ConfigId, DataKeyId, GrantId, ReplaceRootKey,
    Revocation, RevocationId, RevokeGrant, SealedColumn, SealedValue, StageConnect, Store, StoreError,
    StoredDataKey, SystemRandom, data_key::KEY_ID_AT, time::random_bytes,
};

use super::sample::{
    T0, app, attempt, audit, claim, complete, config, count_true, found, grant, key as sample_key, sent,
    session, stage, store_grant, stored_app, underway, unwritable_audit, wrapped_key,
};

fn id_of(bytes: &[u8]) -> DataKeyId {
    bytes[KEY_ID_AT].try_into().expect("sixteen bytes")
}

/// Bytes as long as a sealed value, which name this key.
fn sealed(key: DataKeyId, mark: u8) -> Vec<u8> {
    [&b"ALTV\x01\x01"[..], &key, &[mark; 140]].concat()
}

fn add(app: &App, wrapped: Vec<u8>) -> AddDataKey {
    AddDataKey {
        app_id: app.id,
        wrapped,
        replaces: app.wrapped_key.clone(),
        at: T0.plus_seconds(1),
        audit: audit(app.id, AuditKind::DataKeyAdded),
    }
}

async fn stored(store: &dyn Store) -> Result<(App, DataKeyId), StoreError> {
    let app = app();
    insert_app(store, app.clone()).await?;
    let key = id_of(&app.wrapped_key);
    Ok((app, key))
}

/// Gives the app another current key. Returns that key's id.
async fn replaced(store: &dyn Store, app: &mut App) -> Result<DataKeyId, StoreError> {
    let wrapped = wrapped_key();
    assert!(store.add_data_key(add(app, wrapped.clone())).await?.is_done());
    app.wrapped_key = wrapped;
    Ok(id_of(&app.wrapped_key))
}

async fn retire(store: &dyn Store, app: AppId, key: DataKeyId) -> Result<bool, StoreError> {
    store
        .retire_data_key(app, key, T0.plus_seconds(9), audit(app, AuditKind::DataKeyRetired))
        .await
        .map(|done| done.is_done())
}

pub async fn a_new_key_is_current_and_the_one_before_it_stays_for_reading(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (mut app, first) = stored(&*store).await?;
    let other = stored_app(&*store).await?;
    let old = app.wrapped_key.clone();
    let second = replaced(&*store, &mut app).await?;
    assert_eq!(found(store.get_app(app.id).await?).wrapped_key, app.wrapped_key);
    let key = |key_id, wrapped: &Vec<u8>, created_at| StoredDataKey {
        app_id: app.id,
        key_id,
        wrapped: Some(wrapped.clone()),
        created_at,
        retired_at: None,
    };
    let expected = [key(first, &old, T0), key(second, &app.wrapped_key, T0.plus_seconds(1))];
    assert_eq!(store.list_data_keys(app.id).await?, expected);
    assert_eq!(store.get_data_key(app.id, first).await?.as_ref(), Some(&expected[0]));
    assert_eq!(store.get_data_key(other, first).await?, None, "T72");
    assert_eq!(store.list_audit(app.id, 9).await?[0].0, "data_key_added");

    let late = AddDataKey { replaces: old, ..add(&app, wrapped_key()) };
    assert!(
        !store.add_data_key(late).await?.is_done(),
        "a key that was made from an older current key does not count"
    );
    let unwritable =
        AddDataKey { audit: unwritable_audit(app.id, AuditKind::DataKeyAdded), ..add(&app, wrapped_key()) };
    assert!(store.add_data_key(unwritable).await.is_err());
    assert_eq!(store.list_data_keys(app.id).await?.len(), 2);
    Ok(())
}

pub async fn of_many_new_keys_at_once_exactly_one_counts(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, _) = stored(&*store).await?;
    let added = count_true(&store, 10, |store| {
        let add = add(&app, wrapped_key());
        async move { store.add_data_key(add).await.map(|done| done.is_done()) }
    })
    .await;
    assert_eq!((added, store.list_data_keys(app.id).await?.len()), (1, 2));
    Ok(())
}

/// Stores one value in every column that holds sealed values, all under `key`.
async fn one_in_every_column(store: &dyn Store, app: AppId, key: DataKeyId) -> Result<(), StoreError> {
    let mut config = config(app, "google");
    (config.client_secret, config.generation) = (Some(sealed(key, 1)), 7);
    config.seal = Some(sealed(key, 9));
    save_provider(store, config).await?;
    insert_key(store, ApiKey { seal: Some(sealed(key, 10)), ..sample_key(app) }).await?;

    let mut claimed = session(app);
    claimed.claim_by(claim()).expect("a claim at this level is let in");
    store.insert_session(None, claimed.clone()).await?;
    let mut t = attempt(&claimed);
    t.verifier = sealed(key, 2);
    claimed.start(underway(&t));
    assert!(store.start_attempt(&claimed, t.clone()).await?.is_done());
    assert!(
        store.consume_attempt(t.id, T0).await?.is_first()
            && store.mark_sent(t.id, &Brought::default(), T0).await?.is_done()
    );
    assert!(store.save_body(t.id, sealed(key, 3)).await?.is_done());

    let signed_in = session(app);
    store.insert_session(None, signed_in.clone()).await?;
    assert!(store.save_session_with_token(&signed_in, Some(sealed(key, 12)), None).await?.is_done());

    let (waiting, answered) = sent(store, app).await?;
    let account = sealed(key, 11);
    assert!(store.stage_connect(StageConnect { account, ..stage(&waiting, &answered) }).await?.is_done());

    let mut kept = grant(app);
    kept.credential.access_token = sealed(key, 4);
    kept.credential.refresh_token = Some(sealed(key, 5));
    kept.credential.id_token = Some(sealed(key, 6));
    store_grant(store, &kept).await?;
    let (_, refreshed) = begun(store, &kept, T0.plus_seconds(3500)).await?;
    assert!(store.journal_refresh(&refreshed, sealed(key, 8)).await?.is_done());

    let mut gone = grant(app);
    gone.credential.access_token = sealed(key, 99);
    store_grant(store, &gone).await?;
    assert!(store.revoke_grant(revoke(app, gone.id, sealed(key, 7))).await?.is_done());
    Ok(())
}

fn revoke(app_id: AppId, grant_id: GrantId, token: Vec<u8>) -> RevokeGrant {
    let request = Revocation {
        id: RevocationId::new(&SystemRandom),
        grant_id,
        app_id,
        config_id: ConfigId::new(&SystemRandom),
        is_refresh_token: true,
        token,
        attempts: 0,
        next_at: T0,
        created_at: T0,
    };
    RevokeGrant {
        call: None,
        app_id,
        grant_id,
        generation: 1,
        at: T0,
        reason: None,
        request: Ok(request),
        audit: audit(app_id, AuditKind::GrantRevoked),
    }
}

async fn all_under(store: &dyn Store, app: AppId, key: DataKeyId) -> Result<Vec<SealedValue>, StoreError> {
    let mut values = Vec::new();
    for column in SealedColumn::ALL {
        values.extend(store.list_sealed(app, key, *column, "", 100).await?);
    }
    Ok(values)
}

pub async fn t92_a_value_in_any_column_is_counted_listed_and_put_under_another_key(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (mut app, old) = stored(&*store).await?;
    let other = stored_app(&*store).await?;
    one_in_every_column(&*store, app.id, old).await?;
    one_in_every_column(&*store, other, old).await?;
    let new = replaced(&*store, &mut app).await?;

    let values = all_under(&*store, app.id, old).await?;
    let expected: Vec<_> = SealedColumn::ALL.iter().zip(1..).collect();
    assert_eq!(values.len(), expected.len(), "wiped values are under no key");
    for (value, (column, mark)) in values.iter().zip(expected) {
        assert_eq!((value.column, &value.sealed), (*column, &sealed(old, mark)));
        let generation = match value.column.table() {
            "providers" => 7,
            "grants" => 1,
            _ => 0,
        };
        assert_eq!(value.generation, generation, "{column:?}");
    }
    assert_eq!(store.count_sealed(app.id, old).await?, 12);
    for left in (0..12).rev() {
        assert!(!retire(&*store, app.id, old).await?, "a key with a value under it is not retired");
        let value = values[left].clone();
        let mark = value.sealed[40];
        assert_eq!(store.replace_sealed(app.id, vec![(value, sealed(new, mark))]).await?, 1);
        assert_eq!(store.count_sealed(app.id, old).await?, left as u64);
    }
    assert_eq!(
        (all_under(&*store, app.id, new).await?.len(), store.count_sealed(other, old).await?),
        (12, 12)
    );
    assert!(retire(&*store, app.id, old).await?);
    let retired = found(store.get_data_key(app.id, old).await?);
    assert_eq!((retired.wrapped, retired.retired_at), (None, Some(T0.plus_seconds(9))));
    assert_eq!(store.list_audit(app.id, 1).await?[0].0, "data_key_retired");
    assert!(!retire(&*store, app.id, old).await?, "once");
    assert!(!retire(&*store, app.id, new).await?, "the current key is not retired");
    Ok(())
}

pub async fn values_are_listed_by_row_in_pages(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, key) = stored(&*store).await?;
    for mark in 0..5 {
        let mut grant = grant(app.id);
        grant.credential.access_token = sealed(key, mark);
        store_grant(&*store, &grant).await?;
    }
    let page = async |after: &str, limit| {
        store.list_sealed(app.id, key, SealedColumn::AccessToken, after, limit).await
    };
    let all = page("", 9).await?;
    assert!(all.len() == 5 && all.is_sorted_by(|a, b| a.row < b.row));
    assert_eq!(page("", 2).await?, all[..2]);
    assert_eq!(page(&all[1].row, 2).await?, all[2..4]);
    assert!(page(&all[4].row, 2).await?.is_empty());
    assert!(store.list_sealed(app.id, key, SealedColumn::RefreshToken, "", 9).await?.is_empty());
    Ok(())
}

pub async fn t92_a_value_that_was_written_meanwhile_is_not_replaced(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (mut app, old) = stored(&*store).await?;
    let (session, t) = sent(&*store, app.id).await?;
    let mut grant = grant(app.id);
    grant.credential.access_token = sealed(old, 1);
    grant.credential.refresh_token = Some(sealed(old, 2));
    store_grant(&*store, &grant).await?;
    let values = all_under(&*store, app.id, old).await?;
    let new = replaced(&*store, &mut app).await?;

    // The user connects again: the credential gets another generation.
    grant.credential.generation = 2;
    grant.credential.access_token = sealed(new, 3);
    grant.credential.refresh_token = Some(sealed(old, 2));
    assert!(store.complete_connect(complete(&session, &t, &grant)).await?.is_done());
    let rewrapped = |value: &SealedValue| (value.clone(), sealed(new, 9));
    assert_eq!(store.replace_sealed(app.id, values.iter().map(rewrapped).collect()).await?, 0);
    let now = found(store.get_grant(app.id, grant.id).await?).credential;
    assert_eq!((&now.access_token, &now.refresh_token), (&sealed(new, 3), &Some(sealed(old, 2))));
    assert_eq!(
        store.count_sealed(app.id, old).await?,
        1,
        "a value that the writer left under the old key is found again"
    );

    // A value of another app, or bytes that are not stored, change nothing either.
    let mut value = all_under(&*store, app.id, old).await?.remove(0);
    assert_eq!(store.replace_sealed(stored_app(&*store).await?, vec![rewrapped(&value)]).await?, 0);
    value.sealed = sealed(old, 99);
    assert_eq!(store.replace_sealed(app.id, vec![rewrapped(&value)]).await?, 0);
    Ok(())
}

pub async fn t92_nothing_is_stored_under_a_retired_key(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (mut app, old) = stored(&*store).await?;
    let (first_session, first) = sent(&*store, app.id).await?;
    let mut to_revoke = grant(app.id);
    to_revoke.credential.refresh_token = None;
    store_grant(&*store, &to_revoke).await?;
    let new = replaced(&*store, &mut app).await?;
    assert!(retire(&*store, app.id, old).await?);
    let conflict =
        |error: Option<StoreError>| assert!(matches!(error, Some(StoreError::KeyRetired)), "{error:?}");

    let mut provider = config(app.id, "google");
    provider.client_secret = Some(sealed(old, 1));
    conflict(save_provider(&*store, provider.clone()).await.err());
    (provider.client_secret, provider.seal) = (None, Some(sealed(old, 1)));
    conflict(save_provider(&*store, provider.clone()).await.err());
    let mut bare = ApiKey { seal: None, ..sample_key(app.id) };
    insert_key(&*store, bare.clone()).await?;
    bare.seal = Some(sealed(old, 1));
    conflict(store.seal_key(bare, audit(app.id, AuditKind::KeyCreated)).await.err());
    let new_key = ApiKey { seal: Some(sealed(old, 1)), ..sample_key(app.id) };
    conflict(insert_key(&*store, new_key).await.err());
    conflict(store.save_body(first.id, sealed(old, 1)).await.err());
    conflict(store.revoke_grant(revoke(app.id, to_revoke.id, sealed(old, 1))).await.err());
    for column in 0..3 {
        let mut bad = grant(app.id);
        let credential = &mut bad.credential;
        match column {
            0 => credential.access_token = sealed(old, 1),
            1 => credential.refresh_token = Some(sealed(old, 1)),
            _ => credential.id_token = Some(sealed(old, 1)),
        }
        conflict(store.complete_connect(complete(&first_session, &first, &bad)).await.err());
    }
    let mut session = session(app.id);
    session.claim_by(claim()).expect("a claim at this level is let in");
    store.insert_session(None, session.clone()).await?;
    let mut t = attempt(&session);
    t.verifier = sealed(old, 1);
    session.start(underway(&t));
    conflict(store.start_attempt(&session, t.clone()).await.err());
    assert_eq!(store.count_sealed(app.id, old).await?, 0);

    // Positive control: sealed again under the current key, everything is stored.
    t.verifier = sealed(new, 1);
    assert!(store.start_attempt(&session, t).await?.is_done());
    (provider.client_secret, provider.seal) = (Some(sealed(new, 1)), Some(sealed(new, 1)));
    save_provider(&*store, provider).await?;
    assert!(store.save_body(first.id, sealed(new, 1)).await?.is_done());
    assert!(store.revoke_grant(revoke(app.id, to_revoke.id, sealed(new, 1))).await?.is_done());
    let mut good = grant(app.id);
    good.credential.access_token = sealed(new, 1);
    assert!(store.complete_connect(complete(&first_session, &first, &good)).await?.is_done());
    Ok(())
}

pub async fn t92_a_writer_that_races_the_retiring_is_never_left_under_a_retired_key(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    for _ in 0..10 {
        let (mut app, old) = stored(&*store).await?;
        let (_, t) = sent(&*store, app.id).await?;
        replaced(&*store, &mut app).await?;
        let (stored, retired) =
            tokio::join!(store.save_body(t.id, sealed(old, 1)), retire(&*store, app.id, old));
        let left = store.count_sealed(app.id, old).await?;
        match (stored, retired?) {
            (Ok(alter_core::Saved::Done), false) => assert_eq!(left, 1),
            (Err(StoreError::KeyRetired), true) => assert_eq!(left, 0),
            other => panic!("{other:?} with {left} values under the key"),
        }
    }
    Ok(())
}

pub async fn f57_the_root_key_is_replaced_whole_or_not_at_all(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (mut app, first) = stored(&*store).await?;
    let (other, _) = stored(&*store).await?;
    replaced(&*store, &mut app).await?;
    let retired = replaced(&*store, &mut app).await?;
    let second = replaced(&*store, &mut app).await?;
    assert!(retire(&*store, app.id, retired).await?);
    store.insert_key_check(vec![1]).await?;
    let mut keys = store.list_data_keys(app.id).await?;
    keys.extend(store.list_data_keys(other.id).await?);
    keys.retain(|key| key.wrapped.is_some());
    assert_eq!(keys.len(), 4);
    let again = |key: &StoredDataKey| {
        let wrapped = [&b"ALTK\x01\x01"[..], &key.key_id, &random_bytes::<80>(&SystemRandom)].concat();
        (key.clone(), wrapped)
    };
    let whole = ReplaceRootKey {
        old_check: vec![1],
        new_check: vec![2],
        keys: keys.iter().map(again).collect(),
        audit: vec![audit(app.id, AuditKind::RootKeyReplaced), audit(other.id, AuditKind::RootKeyReplaced)],
    };
    let (mut another_check, mut one_missing, mut one_changed) = (whole.clone(), whole.clone(), whole.clone());
    another_check.old_check = vec![3];
    one_missing.keys.remove(0);
    one_changed.keys[0].0.wrapped = Some(wrapped_key());
    for part in [another_check, one_missing, one_changed] {
        assert!(!store.replace_root_key(part).await?.is_done());
        assert_eq!(store.key_check().await?, Some(vec![1]));
        assert_eq!(found(store.get_data_key(app.id, first).await?).wrapped, keys[0].wrapped);
        assert_eq!(found(store.get_app(app.id).await?).wrapped_key, app.wrapped_key);
    }
    assert!(store.replace_root_key(whole.clone()).await?.is_done());
    assert_eq!(store.key_check().await?, Some(vec![2]));
    for (key, wrapped) in &whole.keys {
        let now = found(store.get_data_key(key.app_id, key.key_id).await?);
        assert_eq!(now.wrapped.as_ref(), Some(wrapped));
    }
    let current = found(store.get_app(app.id).await?).wrapped_key;
    assert_eq!(id_of(&current), second);
    assert_eq!(found(store.get_data_key(app.id, second).await?).wrapped, Some(current));
    assert_eq!(found(store.get_data_key(app.id, retired).await?).wrapped, None);
    assert_eq!(store.list_audit(other.id, 9).await?[0].0, "root_key_replaced");
    assert!(!store.replace_root_key(whole).await?.is_done(), "once");
    Ok(())
}
