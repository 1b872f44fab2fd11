//! Cases for provider configurations.
#![expect(missing_docs, reason = "the name of a case is its sentence")]

use super::operator::{delete_provider, save_provider};
use std::sync::Arc;

use alter_core::{AuditKind, ConfigId, Opener, ProviderConfig, Shown, Store, StoreError, SystemRandom};

use super::sample::{T0, assert_same, audit, config, found, recorded, started, stored_app, stored_grant};

pub async fn a_configuration_is_read_back_as_it_was_stored(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let confidential = config(app, "google");
    let mut public = config(app, "github");
    public.client_secret = None;
    for config in [confidential, public] {
        assert_same(&save_provider(&*store, config.clone()).await?, &config);
        assert_same(&found(store.get_provider(&config.config_id).await?), &config);
    }
    assert!(store.get_provider(&ConfigId::new(&SystemRandom)).await?.is_none());
    Ok(())
}

pub async fn saving_again_keeps_the_config_id_and_the_first_time(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let first = save_provider(&*store, config(app, "google")).await?;
    let elsewhere = save_provider(&*store, config(other, "google")).await?;

    let mut again = config(app, "google");
    Arc::make_mut(&mut again.recipe).name = "Changed".into();
    again.client_id = "changed".into();
    again.client_secret = None;
    again.generation = 2;
    again.scopes = vec![];
    again.created_at = T0.plus_seconds(9);
    again.updated_at = T0.plus_seconds(9);
    let stored = save_provider(&*store, again.clone()).await?;

    again.config_id = first.config_id.clone();
    again.created_at = first.created_at;
    assert_same(&stored, &again);
    assert_same(&found(store.get_provider(&first.config_id).await?), &again);
    assert_same(&store.list_providers(app).await?, &vec![again]);
    assert_same(&found(store.get_provider(&elsewhere.config_id).await?), &elsewhere);
    Ok(())
}

pub async fn a_config_id_belongs_to_one_configuration(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let first = save_provider(&*store, config(app, "google")).await?;
    for mut thief in [config(other, "google"), config(app, "github")] {
        thief.config_id = first.config_id.clone();
        assert!(matches!(save_provider(&*store, thief).await, Err(StoreError::Exists)));
    }
    assert_same(&found(store.get_provider(&first.config_id).await?), &first);
    Ok(())
}

pub async fn providers_are_listed_in_byte_order(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    for id in ["a", "é", "B", "ab", "z", "a-b", "_"] {
        save_provider(&*store, config(app, id)).await?;
    }
    let ids: Vec<_> = store.list_providers(app).await?.into_iter().map(|c| c.recipe.id.clone()).collect();
    assert_eq!(store.list_provider_ids(app).await?, ids);
    assert_eq!(ids, ["B", "_", "a", "a-b", "ab", "z", "é"]);
    Ok(())
}

pub async fn t72_a_configuration_of_another_app_is_neither_listed_nor_deleted(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let mine = save_provider(&*store, config(app, "google")).await?;
    assert!(store.list_providers(other).await?.is_empty());
    assert!(store.list_provider_ids(other).await?.is_empty());
    assert_same(&found(store.find_provider(app, "google").await?), &mine);
    for (app, id) in [(other, "google"), (app, "GOOGLE"), (app, "google\0")] {
        assert!(store.find_provider(app, id).await?.is_none());
    }
    assert!(!delete_provider(&*store, other, "google").await?.is_done());
    assert!(!delete_provider(&*store, app, "GOOGLE").await?.is_done());
    assert!(!delete_provider(&*store, app, "google\0").await?.is_done());
    assert!(store.get_provider(&mine.config_id).await?.is_some());

    assert!(delete_provider(&*store, app, "google").await?.is_done());
    assert!(!delete_provider(&*store, app, "google").await?.is_done());
    assert!(store.get_provider(&mine.config_id).await?.is_none());
    Ok(())
}

pub async fn what_flows_have_shown_is_counted_for_each_configuration_and_severing_stays(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let (app, other) = (stored_app(&*store).await?, stored_app(&*store).await?);
    let mine = save_provider(&*store, config(app, "google")).await?;
    let theirs = save_provider(&*store, config(other, "google")).await?;
    let seen = async |config: &ProviderConfig| store.get_opener(&config.config_id).await.map(found);
    for kept in [1, 2, 3, 3] {
        store.learn_opener(&mine.config_id, Shown::Keeps).await?;
        assert_eq!(seen(&mine).await?, Opener { kept, severed: false });
    }
    store.learn_opener(&mine.config_id, Shown::Severs).await?;
    assert_eq!(seen(&mine).await?, Opener { kept: 3, severed: true });
    assert_eq!(seen(&theirs).await?, Opener::default());

    // Configured again: it may be elsewhere now. What severed once is not trusted there either.
    let again = save_provider(&*store, config(app, "google")).await?;
    assert_eq!(seen(&again).await?, Opener { kept: 0, severed: true });

    let nobody = ConfigId::new(&SystemRandom);
    store.learn_opener(&nobody, Shown::Keeps).await?;
    assert!(store.get_opener(&nobody).await?.is_none());
    Ok(())
}

pub async fn deleting_a_provider_leaves_its_grants_and_attempts(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    save_provider(&*store, config(app, "google")).await?;
    let grant = stored_grant(&*store, app).await?;
    let (_, attempt) = started(&*store, app).await?;
    assert!(delete_provider(&*store, app, "google").await?.is_done());
    assert!(store.get_grant(app, grant.id).await?.is_some());
    assert!(store.find_attempt(&attempt.state_hash).await?.is_some());
    Ok(())
}

pub async fn nul_in_a_configuration_is_refused(store: Arc<dyn Store>) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let (mut id, mut client, mut deep) = (config(app, "a\0"), config(app, "b"), config(app, "c"));
    Arc::make_mut(&mut id.recipe).name = "a".into();
    client.client_id = "\0".into();
    Arc::make_mut(&mut deep.recipe).authorize_params.insert("\0".into(), "x".into());
    for bad in [id, client, deep] {
        assert!(matches!(save_provider(&*store, bad).await, Err(StoreError::Unstorable)));
    }
    assert!(store.list_providers(app).await?.is_empty());
    Ok(())
}

pub async fn t90_a_seal_is_put_over_the_row_that_was_looked_at_alone(
    store: Arc<dyn Store>,
) -> Result<(), StoreError> {
    let app = stored_app(&*store).await?;
    let seal = async |seen: &ProviderConfig| {
        let sealed = ProviderConfig { seal: Some(vec![9; 9]), ..seen.clone() };
        store.seal_provider(sealed, audit(app, AuditKind::ProviderSet)).await
    };
    let unsealed = ProviderConfig { seal: None, ..config(app, "google") };
    let looked_at = save_provider(&*store, unsealed).await?;
    let mut changed = looked_at.clone();
    Arc::make_mut(&mut changed.recipe).token_url = "https://evil.example/t".into();
    save_provider(&*store, changed.clone()).await?;
    let entries = recorded(&*store, app).await?.len();
    assert!(!seal(&looked_at).await?.is_done(), "somebody changed it since");
    assert!(
        !seal(&ProviderConfig { recipe: config(app, "github").recipe, ..changed.clone() }).await?.is_done()
    );
    assert_eq!(recorded(&*store, app).await?.len(), entries);
    assert!(found(store.find_provider(app, "google").await?).seal.is_none());

    assert!(seal(&changed).await?.is_done());
    let expected = ProviderConfig { seal: Some(vec![9; 9]), ..changed.clone() };
    assert_same(&found(store.find_provider(app, "google").await?), &expected);
    assert_eq!(recorded(&*store, app).await?.len(), entries + 1);
    assert!(!seal(&changed).await?.is_done(), "it has one");
    Ok(())
}
