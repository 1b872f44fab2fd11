//! F01 to F10: the process is killed at each numbered point of the callback.

use alter_mock_provider::Gate;
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener};

use crate::harness::{Alter, Database, End, HURRY, Visit, check_truth, no_secret_in, on_every_database};

on_every_database! {
    f01_killed_with_the_request_read_a_reload_connects,
    f02_killed_before_the_code_was_sent_it_is_never_sent,
    f03_killed_with_the_request_announced_the_code_is_not_sent_after_all,
    f03_killed_with_half_of_the_request_read_it_is_not_sent_again,
    f04_killed_while_the_provider_holds_its_answer_the_code_is_not_used_twice,
    f05_killed_with_the_answer_in_memory_alone_it_is_interrupted,
    f06_killed_with_the_answer_in_the_journal_it_becomes_one_grant,
    f07_killed_with_the_grant_stored_the_reload_says_connected,
    f08_killed_after_the_browser_was_answered_the_app_still_learns_of_it,
    f09_killed_between_two_providers_the_first_is_kept,
    f09_killed_in_the_second_exchange_the_first_is_kept,
    f10_killed_while_the_audit_is_written_it_and_the_grant_come_together,
}

/// The server dies at `point` when the callback comes, and is started again.
async fn die_at(point: &str, on: Database) -> (Alter, Visit) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[("ALTER_FAILPOINT", point)]).await;
    let visit = Visit::up_to_callback(&alter, "mock").await;
    let answer = visit.try_callback(&alter).await;
    assert_eq!(answer, "", "the browser got no answer");
    alter.wait_for_death().await;
    no_secret_in(&alter, &visit);
    alter.serve(HURRY).await;
    (alter, visit)
}

/// Asserts that a new session connects after the failed one.
async fn starting_again_works(alter: &Alter) {
    let mut visit = Visit::up_to_callback(alter, "mock").await;
    assert_eq!(visit.reload_callback(alter).await.status, 303);
    check_truth(alter, &mut visit, End::Connected).await;
}

async fn f01_killed_with_the_request_read_a_reload_connects(on: Database) {
    let (alter, mut visit) = die_at("read", on).await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
}

async fn f02_killed_before_the_code_was_sent_it_is_never_sent(on: Database) {
    let (alter, mut visit) = die_at("consumed", on).await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    check_truth(&alter, &mut visit, End::Interrupted).await;
    assert_eq!(alter.mock.seen().token.len(), 0);
    starting_again_works(&alter).await;
}

async fn f03_killed_with_the_request_announced_the_code_is_not_sent_after_all(on: Database) {
    let (alter, mut visit) = die_at("sent", on).await;
    check_truth(&alter, &mut visit, End::Interrupted).await;
    assert_eq!(alter.mock.seen().token.len(), 0);
    starting_again_works(&alter).await;
}

async fn f03_killed_with_half_of_the_request_read_it_is_not_sent_again(on: Database) {
    let mut alter = Alter::new(on).await;
    // A token endpoint that reads only the beginning of a request, and counts connections.
    let half = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", half.local_addr().unwrap());
    alter.add_provider("half", &["--token-url", &url]);
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "half").await;
    let (_, ()) = tokio::join!(visit.try_callback(&alter), async {
        let (mut stream, _) = half.accept().await.unwrap();
        let mut begun = [0; 40];
        stream.read_exact(&mut begun).await.unwrap();
        assert!(begun.starts_with(b"POST /token"));
        kill(&alter);
    });
    alter.wait_for_death().await;
    no_secret_in(&alter, &visit);
    alter.serve(HURRY).await;
    check_truth(&alter, &mut visit, End::Interrupted).await;
    let again = tokio::time::timeout(std::time::Duration::from_millis(200), half.accept()).await;
    assert!(again.is_err(), "I3: a second connection came");
}

async fn f04_killed_while_the_provider_holds_its_answer_the_code_is_not_used_twice(on: Database) {
    let mut alter = Alter::new(on).await;
    let gate = Gate::closed();
    alter.mock.set(|s| s.token_gate = Some(gate.clone()));
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    tokio::join!(visit.try_callback(&alter), async {
        alter.mock.wait_for(|seen| seen.token.len() == 1).await;
        kill(&alter);
    });
    alter.wait_for_death().await;
    gate.open();
    no_secret_in(&alter, &visit);
    alter.serve(HURRY).await;
    check_truth(&alter, &mut visit, End::Interrupted).await;
    assert_eq!(alter.mock.seen().token.len(), 1, "once before the crash, never again");
    starting_again_works(&alter).await;
}

async fn f05_killed_with_the_answer_in_memory_alone_it_is_interrupted(on: Database) {
    let (alter, mut visit) = die_at("answered", on).await;
    check_truth(&alter, &mut visit, End::Interrupted).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
    starting_again_works(&alter).await;
}

async fn f06_killed_with_the_answer_in_the_journal_it_becomes_one_grant(on: Database) {
    let (alter, mut visit) = die_at("journalled", on).await;
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
}

async fn f07_killed_with_the_grant_stored_the_reload_says_connected(on: Database) {
    let (alter, mut visit) = die_at("committed", on).await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
}

async fn f08_killed_after_the_browser_was_answered_the_app_still_learns_of_it(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.serve(&[]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let answer = visit.try_callback(&alter).await;
    alter.kill();
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    no_secret_in(&alter, &visit);
    alter.serve(HURRY).await;
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
}

/// Opens a session for two providers and connects the first of them.
async fn one_of_two(alter: &Alter) -> Visit {
    let mut visit = Visit::open(alter, &["mock", "second"]).await;
    connect_one(alter, &mut visit, "mock").await;
    visit
}

async fn connect_one(alter: &Alter, visit: &mut Visit, provider: &str) {
    leave_for(alter, visit, provider).await;
    assert_eq!(visit.reload_callback(alter).await.status, 303);
}

async fn leave_for(alter: &Alter, visit: &mut Visit, provider: &str) {
    let chosen = visit.act(alter, "select", &json!({ "provider": provider })).await;
    assert!(chosen.status < 300, "{}", chosen.text());
    visit.approve(alter, provider).await;
}

async fn finish(alter: &Alter, visit: &mut Visit, connections: usize) {
    let finished = visit.act(alter, "finish", &json!({})).await;
    assert!(finished.status < 300, "{}", finished.text());
    check_truth(alter, visit, End::Connected).await;
    assert_eq!(alter.poll(&visit.token).await["grants"].as_array().map(Vec::len), Some(connections));
}

async fn f09_killed_between_two_providers_the_first_is_kept(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.add_provider("second", &["--name", "Second"]);
    alter.serve(&[]).await;
    let mut visit = one_of_two(&alter).await;
    alter.kill();
    alter.serve(HURRY).await;
    let page = visit.page(&alter).await;
    assert!(page.contains("Second") && page.contains("alex@acme.example"), "{page}");
    connect_one(&alter, &mut visit, "second").await;
    finish(&alter, &mut visit, 2).await;
}

async fn f09_killed_in_the_second_exchange_the_first_is_kept(on: Database) {
    let mut alter = Alter::new(on).await;
    alter.add_provider("second", &["--name", "Second"]);
    alter.serve(&[("ALTER_FAILPOINT", "answered:2")]).await;
    let mut visit = one_of_two(&alter).await;
    leave_for(&alter, &mut visit, "second").await;
    visit.try_callback(&alter).await;
    alter.wait_for_death().await;
    alter.serve(HURRY).await;
    while visit.page(&alter).await.contains("Finishing with") {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let page = visit.page(&alter).await;
    assert!(page.contains("The connection was interrupted") && page.contains("Try again"), "{page}");
    assert!(!page.contains("Nothing has been connected"), "the first one has: {page}");
    finish(&alter, &mut visit, 1).await;
}

async fn f10_killed_while_the_audit_is_written_it_and_the_grant_come_together(on: Database) {
    let (alter, mut visit) = die_at("grant_connected", on).await;
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
    let audit = alter.store().await.list_audit(alter.app, 100).await.unwrap();
    let told = audit.iter().filter(|(kind, _)| kind == "grant_connected").count();
    assert_eq!(told, 1, "{audit:?}");
}

/// Kills the process (`kill -9`) while other code waits for its death.
fn kill(alter: &Alter) {
    let killed = std::process::Command::new("kill").args(["-KILL", &alter.pid().to_string()]).status();
    assert!(killed.unwrap().success());
}
