//! Binding level L3: the process is killed while a connection is staged, and while the app confirms it.

use alter_core::secret::{base64url, sha256};
use alter_testkit::{Reply, Sent, TestBrowser};
use serde_json::{Value, json};

use crate::harness::{Alter, Database, HURRY, Visit, no_secret_in, on_every_database, the_audit_verifies};

const VERIFIER: &str = "a-verifier-that-the-app-keeps-in-its-own-users-session";
const FINALIZE: &str = "/sdk/oauth/connect/session/finalize";

on_every_database! {
    f06_killed_with_the_answer_in_the_journal_it_is_staged_once,
    f07_killed_with_the_connection_staged_the_app_confirms_it_all_the_same,
    f10_killed_before_the_confirmation_is_stored_nothing_was_confirmed_and_the_next_call_does_it,
    f08_killed_with_the_confirmation_stored_the_app_asks_again_and_hears_of_it,
}

/// A flow at L3, up to the callback.
async fn visit_of(alter: &Alter) -> Visit {
    let body =
        json!({ "code_challenge": base64url(&sha256(VERIFIER.as_bytes())), "code_challenge_method": "S256" });
    let token = alter.mint_with(&body).await;
    let mut visit = Visit::open_minted(alter, token).await;
    visit.approve(alter, "mock").await;
    visit
}

/// What the backend sends, with the code that the app's page got.
async fn word(alter: &Alter, visit: &Visit) -> Value {
    let body = json!({ "session_token": visit.token, "v": TestBrowser::flow_of(&visit.token).0 });
    let sent = Sent::new("POST", "/connect/result")
        .header("origin", "https://app.example")
        .header("content-type", "text/plain");
    let told = alter.send(sent.body(body.to_string())).await.json();
    assert_eq!(told["status"], "pending", "{told}");
    json!({ "result_code": told["connections"][0]["metadata"]["result_code"], "code_verifier": VERIFIER })
}

/// Asserts that the app confirms, that one grant comes of it, and that it can be used.
async fn confirms(alter: &Alter, visit: &Visit, word: &Value) {
    let reply: Reply = alter.call(FINALIZE, word).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let grant = reply.json()["grants"][0]["grant_id"].as_str().unwrap().to_owned();
    assert_eq!(alter.release(&grant).await.status, 200, "I1");
    assert_eq!(alter.poll(&visit.token).await["grants"][0]["grant_id"], grant);
    let stored = alter.cli(&["grant", "list", &alter.app.to_string()], "");
    assert_eq!(stored["grants"].as_array().map(Vec::len), Some(1), "{stored}");
    assert_eq!(stored["grants"][0]["binding"], "L3", "{stored}");
    assert_eq!(alter.mock.seen().token.len(), 1, "I3");
    the_audit_verifies(alter).await;
    no_secret_in(alter, visit);
}

/// The server dies at `point` when the callback comes, and is started again.
async fn die_at_callback(point: &str, on: Database) -> (Alter, Visit) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[("ALTER_FAILPOINT", point)]).await;
    let visit = visit_of(&alter).await;
    assert_eq!(visit.try_callback(&alter).await, "", "the browser got no answer");
    alter.wait_for_death().await;
    no_secret_in(&alter, &visit);
    alter.serve(HURRY).await;
    (alter, visit)
}

/// The server dies at `point` when the app confirms, and is started again.
async fn die_at_word(point: &str, on: Database) -> (Alter, Visit, Value) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[("ALTER_FAILPOINT", point)]).await;
    let mut visit = visit_of(&alter).await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    let word = word(&alter, &visit).await;
    assert_eq!(alter.try_call(FINALIZE, &word).await, "", "the backend got no answer");
    alter.wait_for_death().await;
    no_secret_in(&alter, &visit);
    alter.serve(HURRY).await;
    (alter, visit, word)
}

async fn f06_killed_with_the_answer_in_the_journal_it_is_staged_once(on: Database) {
    let (alter, visit) = die_at_callback("journalled", on).await;
    assert_eq!(visit.wait_for_end(&alter).await["status"], "pending");
    assert_eq!(alter.poll(&visit.token).await["status"], "pending");
    let word = word(&alter, &visit).await;
    confirms(&alter, &visit, &word).await;
}

async fn f07_killed_with_the_connection_staged_the_app_confirms_it_all_the_same(on: Database) {
    let (alter, visit) = die_at_callback("staged", on).await;
    assert_eq!(alter.status(&visit.token).await["status"], "pending");
    let word = word(&alter, &visit).await;
    confirms(&alter, &visit, &word).await;
}

async fn f10_killed_before_the_confirmation_is_stored_nothing_was_confirmed_and_the_next_call_does_it(
    on: Database,
) {
    let (alter, visit, word) = die_at_word("confirming", on).await;
    assert_eq!(alter.poll(&visit.token).await["status"], "pending");
    let stored = alter.cli(&["grant", "list", &alter.app.to_string()], "");
    assert_eq!(stored["grants"], json!([]));
    confirms(&alter, &visit, &word).await;
}

async fn f08_killed_with_the_confirmation_stored_the_app_asks_again_and_hears_of_it(on: Database) {
    let (alter, visit, word) = die_at_word("committed", on).await;
    assert_eq!(alter.poll(&visit.token).await["status"], "completed");
    confirms(&alter, &visit, &word).await;
}
