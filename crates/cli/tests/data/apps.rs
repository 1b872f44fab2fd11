//! Names of apps are unique, and an app is deleted with what belongs to it.

use alter_flows::reap;
use alter_mock_provider::Raw;
use alter_testkit::{TestBrowser, TestServer};
use serde_json::{Value, json};

use crate::{
    key_ring::beside,
    place::{Place, answer, said},
};

#[test]
fn no_new_app_gets_the_name_of_another_and_twins_from_before_are_told_apart_by_id() {
    let (place, id) = Place::with_app("names");
    let taken = |args: &[&str]| {
        let refused = place.refused(args);
        assert!(refused.contains("\"App\" already") && refused.contains(&id), "{refused}");
    };
    taken(&["app", "create", "App"]);
    let other = place.json(&["app", "create", "Other"])["app_id"].as_str().unwrap().to_owned();
    taken(&["app", "rename", "Other", "App"]);
    assert_eq!(place.json(&["app", "rename", "Other", "Third"])["name"], "Third");
    assert_eq!(place.json(&["app", "show", "Third"])["app_id"], *other);
    let hidden = place.refused(&["app", "rename", "Third", "a\u{202e}b"]);
    assert!(hidden.contains("NAME"), "{hidden}");
    let recorded = said(&place.run(&["audit", "list", &other, "--kind", "app_changed"]));
    assert!(recorded.contains(r#"{"after":"Third","before":"Other"}"#), "{recorded}");

    // As a database of an earlier build may have it.
    let twins = "UPDATE apps SET settings = json_set(settings, '$.name', 'App')";
    place.sql().execute(twins, []).unwrap();
    let ambiguous = place.run(&["app", "show", "App"]);
    assert_eq!(ambiguous.status.code(), Some(2));
    let ambiguous = said(&ambiguous);
    assert!(ambiguous.contains(&id) && ambiguous.contains(&other), "{ambiguous}");
    assert_eq!(place.json(&["app", "set", &other, "--session-ttl", "99"])["session_ttl"], 99);
    assert_eq!(place.json(&["app", "rename", &other, "App 2"])["name"], "App 2");
    assert_eq!(place.json(&["app", "show", "App"])["app_id"], *id);
}

#[test]
fn what_dies_with_an_app_is_counted_first_and_nothing_dies_unless_it_is_meant() {
    let (place, id) = Place::with_app("delete");
    place.json(&["agent", "create", "App", "mailbot"]);
    let asked = place.run(&["app", "delete", "App"]);
    assert_eq!(asked.status.code(), Some(2), "{}", said(&asked));
    for line in ["agents                         1", "API keys                       2", "--yes"] {
        assert!(said(&asked).contains(line), "{line}: {}", said(&asked));
    }
    let asked = place.run(&["app", "delete", "App", "--json"]);
    let counted: Value = serde_json::from_slice(&asked.stdout).unwrap();
    assert_eq!((asked.status.code(), &counted["would_delete"]["keys"]), (Some(2), &json!(2)));
    assert_eq!(place.json(&["app", "show", "App"])["app_id"], *id);

    let deleted = place.json(&["app", "delete", "App", "--yes"]);
    assert_eq!((&deleted["app_id"], &deleted["deleted"]["agents"]), (&json!(id), &json!(1)), "{deleted}");
    for args in [["app", "show", &*id], ["app", "delete", &*id], ["key", "list", &*id]] {
        let gone = place.refused(&args);
        assert!(gone.contains("there is no app"), "{gone}");
    }
    // Who deleted it, and what it was, is in its audit.
    let audit = said(&place.run(&["audit", "list", &id, "--limit", "1"]));
    assert!(
        audit.contains("app_deleted") && audit.contains("operator") && audit.contains("\"App\""),
        "{audit}"
    );
    for args in [&["audit", "verify", &*id][..], &["audit", "verify", "--all"]] {
        let verified = place.run(args);
        assert!(verified.status.success() && said(&verified).contains(&format!("good  {id}")), "{args:?}");
    }
    assert!(place.run(&["audit", "export", &id]).status.success());
    assert!(place.run(&["key-ring", "rotate"]).status.success());
    place.json(&["app", "create", "App"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t98_an_app_is_deleted_when_its_providers_have_ended_its_tokens() {
    let server = TestServer::start_sqlite().await;
    let grant = TestBrowser::new().connect_for(&server, &server.app, &json!({})).await;
    let id = server.app.id.to_string();
    let alter = |args: &[&str]| {
        let args = [&["app", "delete", &*id], args, &["--json"]].concat();
        tokio::task::block_in_place(|| beside(&server, &args).output().unwrap())
    };
    server.mock.set(|s| s.revoke = Some(Raw::new(503, "text/plain", "")));
    let stays = alter(&["--revoke", "--yes"]);
    assert_eq!(stays.status.code(), Some(1), "{}", said(&stays));
    assert!(
        said(&stays).contains("1 not answered yet") && said(&stays).contains("--revoke"),
        "{}",
        said(&stays)
    );
    let url = server.mock.url("/api/me");
    let wanted = json!({ "grant_id": grant["grant_id"], "request": { "method": "GET", "url": url } });
    assert_eq!(server.call("/sdk/token", &wanted).await.error(), "grant_revoked", "the app is there");

    server.mock.set(|s| s.revoke = None);
    server.clock.advance_seconds(7200);
    reap::retry_revocations(&server.flows).await.unwrap();
    let deleted = alter(&["--revoke", "--yes"]);
    let deleted = answer(deleted, &["app", "delete"]);
    assert_eq!((&deleted["deleted"]["grants"], &deleted["deleted"]["revocations"]), (&json!(0), &json!(0)));
    assert_eq!(server.call("/sdk/token", &wanted).await.error(), "invalid_key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_can_be_deleted_beside_a_server_and_its_sessions_end() {
    let server = TestServer::start_sqlite().await;
    let mut browser = TestBrowser::new();
    let minted = server.mint(&json!({})).await;
    let (_, callback) = browser.up_to_callback(&server, &server.app, &minted).await;
    let id = server.app.id.to_string();
    let args = ["app", "delete", &id, "--yes", "--json"];
    let deleted = tokio::task::block_in_place(|| answer(beside(&server, &args).output().unwrap(), &args));
    assert_eq!(deleted["deleted"]["sessions"], 1, "{deleted}");
    assert!(deleted.to_string().contains("\"revoked\":{}"), "{deleted}");
    let status = server.status(&minted, "https://app.example", json!({})).await;
    assert!(status.status < 500, "{}", status.text());
    assert_eq!(server.call("/sdk/oauth/connect/session", &json!({})).await.error(), "invalid_key");
    let back = browser.get(&server, &callback).await;
    assert!((300..500).contains(&back.status), "{}", back.text());
    assert!(server.mock.seen().token.is_empty(), "no code was sent");
}
