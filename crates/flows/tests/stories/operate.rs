//! What the operator's commands record: who, what, and how it was before.

use alter_core::{AppSettings, AuditRow};
use alter_flows::{OperateError, Operator, ProviderSetting, operate};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{World, recipe};

fn alice() -> Operator {
    Operator::named("alice")
}

/// The newest entry of the world's app.
async fn newest(world: &World) -> (String, Value) {
    world.store.list_audit(world.app, 1).await.unwrap().remove(0)
}

async fn whole_log(world: &World) -> Vec<AuditRow> {
    world.store.read_audit(world.app, 0, 1000).await.unwrap()
}

#[tokio::test]
async fn a_changed_app_is_recorded_with_each_setting_before_and_after() {
    let world = World::new().await;
    let before = world.stored_app().await.settings;
    let after = AppSettings { name: "New".into(), session_ttl: 700, ..before.clone() };
    operate::change_app(&world.flows, &alice(), world.app, after).await.unwrap();

    let changed = json!({
        "name": { "before": before.name, "after": "New" },
        "session_ttl": { "before": before.session_ttl, "after": 700 },
    });
    let details = json!({ "changed": changed, "operator": "alice" });
    assert_eq!(newest(&world).await, ("app_changed".to_owned(), details));
}

#[tokio::test]
async fn settings_that_stay_as_they_are_are_not_recorded() {
    let world = World::new().await;
    let entries = whole_log(&world).await.len();
    let same = world.stored_app().await.settings;
    operate::change_app(&world.flows, &alice(), world.app, same).await.unwrap();
    assert_eq!(whole_log(&world).await.len(), entries);
}

#[tokio::test]
async fn a_key_is_recorded_by_id_and_name_when_it_is_made_and_when_it_is_revoked() {
    let world = World::new().await;
    let made = operate::create_key(&world.flows, &alice(), world.app, "backend").await.unwrap();
    let id = made.key.id.to_string();
    let details = json!({ "key": id, "name": "backend", "prefix": made.key.prefix, "operator": "alice" });
    assert_eq!(newest(&world).await, ("key_created".to_owned(), details));

    operate::revoke_key(&world.flows, &Operator::named("bob"), world.app, made.key.id).await.unwrap();
    assert_eq!(newest(&world).await, ("key_revoked".to_owned(), json!({ "key": id, "operator": "bob" })));
}

#[tokio::test]
async fn a_changed_provider_is_recorded_with_what_differs() {
    let world = World::new().await;
    let mut changed = recipe("mock", &world.mock.issuer());
    changed.revoke_url = Some(format!("{}/other", world.mock.issuer()));
    let setting = ProviderSetting {
        recipe: changed.clone(),
        client_id: "client-mock".into(),
        client_secret: Some(SecretString::from("another-client-secret")),
        scopes: None,
    };
    operate::set_provider(&world.flows, &alice(), world.app, setting).await.unwrap();

    let (kind, details) = newest(&world).await;
    assert_eq!((kind.as_str(), &details["operator"]), ("provider_set", &json!("alice")));
    assert_eq!(details["changed"]["recipe"]["after"]["revoke_url"], json!(changed.revoke_url));
    assert_eq!(details["changed"]["generation"], json!({ "before": 1, "after": 2 }));
    assert_eq!(details["changed"]["client_id"], Value::Null, "what is the same is left out");

    operate::remove_provider(&world.flows, &alice(), world.app, "mock").await.unwrap();
    let details = json!({ "provider": "mock", "operator": "alice" });
    assert_eq!(newest(&world).await, ("provider_removed".to_owned(), details));
}

#[tokio::test]
async fn other_scopes_change_nothing_else_of_a_provider() {
    let world = World::new().await;
    let find = || async { world.store.find_provider(world.app, "mock").await.unwrap().unwrap() };
    let before = find().await;
    let scopes = vec!["openid".to_owned(), "more".to_owned()];
    operate::set_scopes(&world.flows, &alice(), world.app, "mock", scopes.clone()).await.unwrap();
    let after = find().await;
    assert_eq!(after.scopes, scopes);
    assert!(after.is_digested_like(&before) && after.seal == before.seal, "so its seal holds");
    assert_eq!(after.client_secret, before.client_secret);
    assert!(operate::unproven_providers(&world.flows).await.unwrap().is_empty());
    let (kind, details) = newest(&world).await;
    let changed = json!({ "scopes": { "before": before.scopes, "after": scopes } });
    assert_eq!((kind.as_str(), &details["changed"]), ("provider_set", &changed));

    let two = vec!["a b".to_owned()];
    let refused = operate::set_scopes(&world.flows, &alice(), world.app, "mock", two).await.unwrap_err();
    assert!(refused.to_string().contains("scope"), "{refused}");
    let absent = operate::set_scopes(&world.flows, &alice(), world.app, "none", scopes).await;
    assert!(matches!(absent, Err(OperateError::NoSuchProvider(_))));
}

#[tokio::test]
async fn t95_no_entry_of_the_operator_has_a_secret() {
    let world = World::new().await;
    let made = operate::create_key(&world.flows, &alice(), world.app, "backend").await.unwrap();
    let log = format!("{:?}", whole_log(&world).await);
    assert!(log.contains(&made.key.prefix), "the log is the right one");
    assert!(!log.contains(crate::support::CLIENT_SECRET));
    assert!(!log.contains(secrecy::ExposeSecret::expose_secret(&made.secret)));
}

#[tokio::test]
async fn t26_a_name_of_an_operator_is_one_visible_line() {
    assert_eq!(Operator::named("root\n\u{202e}\u{1b}[2Jx").name(), "root [2Jx");
    assert_eq!(Operator::named(&"a".repeat(1000)).name().len(), 80);
}
