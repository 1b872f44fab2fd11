//! Cases for nonces, the key check and the probe, which belong to no noun.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use std::sync::Arc;

use alter_core::{KeyId, Micros, Store, StoreError, SystemRandom};

use super::sample::{T0, call, count_true};

pub async fn t61_a_nonce_counts_once_per_key_and_signed_second(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let first = call();
    store.record_call(first).await?;
    assert!(matches!(store.record_call(first).await, Err(StoreError::NonceReplayed)));
    let (mut other_key, mut other_nonce, mut signed_later) = (first, first, first);
    signed_later.at = T0.plus_seconds(1);
    store.record_call(signed_later).await?;
    other_key.key_id = KeyId::new(&SystemRandom);
    other_nonce.nonce[15] ^= 1;
    store.record_call(other_key).await?;
    store.record_call(other_nonce).await
}

pub async fn t61_a_call_is_known_once_its_nonce_is_recorded_and_asking_records_nothing(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (first, mut other) = (call(), call());
    other.key_id = KeyId::new(&SystemRandom);
    store.refuse_known_call(first).await?;
    store.record_call(first).await?;
    assert!(matches!(store.refuse_known_call(first).await, Err(StoreError::NonceReplayed)));
    store.refuse_known_call(other).await
}

pub async fn t61_of_fifty_concurrent_replays_exactly_one_counts(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let call = call();
    let recorded =
        count_true(&store, 50, |store| async move { store.record_call(call).await.map(|()| true) }).await;
    assert_eq!(recorded, 1);
    Ok(())
}

pub async fn old_nonces_are_forgotten_and_young_ones_are_not(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let before = T0.plus_seconds(600);
    let at = |at: Micros| alter_core::CallNonce { at, ..call() };
    let old = [at(T0), at(before.plus_seconds(-61))];
    let young = [at(before), at(Micros(before.0 + 1)), at(before.plus_seconds(60))];
    for call in old.into_iter().chain(young) {
        store.record_call(call).await?;
    }
    assert_eq!(store.delete_old_nonces(before).await?, 2);
    assert_eq!(store.delete_old_nonces(before).await?, 0);
    for call in young {
        assert!(matches!(store.record_call(call).await, Err(StoreError::NonceReplayed)));
    }
    for call in old {
        store.record_call(call).await?;
    }
    Ok(())
}

pub async fn the_key_check_is_stored_once(store: Arc<dyn Store>) -> Result<(), StoreError> {
    assert_eq!(store.key_check().await?, None);
    store.insert_key_check(vec![1, 0, 2]).await?;
    assert!(matches!(store.insert_key_check(vec![3]).await, Err(StoreError::Exists)));
    assert_eq!(store.key_check().await?, Some(vec![1, 0, 2]));
    Ok(())
}

pub async fn a_probe_may_be_repeated(store: Arc<dyn Store>) -> Result<(), StoreError> {
    store.probe(T0).await?;
    store.probe(T0).await?;
    store.probe(Micros(0)).await
}
