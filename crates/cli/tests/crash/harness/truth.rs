//! The invariants I1 and I3 to I7, checked after every fault.

use std::{collections::HashMap, process::Command};

use alter_core::{
    Clock, SystemClock,
    audit::{CHAIN_START, chain},
};
use alter_testkit::{canary, server::CLIENT_SECRET};
use serde_json::{Value, json};

use super::{
    Alter, Visit,
    alter::{ACCESS_TOKEN, REFRESH_TOKEN},
};

/// How a visit must end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// Page, status channel and poll all say connected.
    Connected,
    /// Page, status channel and poll all say that it was interrupted.
    Interrupted,
}

/// Waits for the end of a visit. Checks that it is `end`, and that page, status channel and poll agree.
pub(crate) async fn check_truth(alter: &Alter, visit: &mut Visit, end: End) {
    let status = visit.wait_for_end(alter).await;
    let (poll, page) = (alter.poll(&visit.token).await, visit.page(alter).await);
    match end {
        End::Connected => connected(alter, &status, &poll, &page).await,
        End::Interrupted => interrupted(&status, &poll, &page),
    }
    nothing_is_left(alter).await;
    no_code_was_sent_twice(alter);
    the_audit_verifies(alter).await;
    no_secret_in(alter, visit);

    // Reloading the callback in the browser does not change the end.
    let sent = alter.mock.seen().token.len();
    assert_eq!(visit.reload_callback(alter).await.status, 303);
    assert_eq!(alter.mock.seen().token.len(), sent, "I3: a reload sends no code");
    assert_eq!(alter.poll(&visit.token).await, poll);
}

/// I1 and I7: page, status channel and poll say connected.
async fn connected(alter: &Alter, status: &Value, poll: &Value, page: &str) {
    assert_eq!(status["status"], "completed", "{status}");
    assert_eq!(poll["status"], "completed", "{poll}");
    assert!(page.contains("connected"), "{page}");
    for connection in status["connections"].as_array().unwrap() {
        let grant = connection["grant_id"].as_str().unwrap();
        let released = alter.release(grant).await;
        assert_eq!(released.status, 200, "I1: {}", released.text());
        assert_eq!(released.json()["access_token"], ACCESS_TOKEN);
    }
    let ids = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|c| c["grant_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&status["connections"]), ids(&poll["grants"]));
    let stored = alter.cli(&["grant", "list", &alter.app.to_string()], "");
    assert_eq!(stored["grants"].as_array().map(Vec::len), Some(ids(&poll["grants"]).len()), "{stored}");
}

/// I7: the failure is ours, so nobody may be told that the provider caused it.
fn interrupted(status: &Value, poll: &Value, page: &str) {
    assert_eq!((&status["status"], &status["error"]), (&json!("failed"), &json!("server_error")), "{status}");
    assert_eq!(poll["error"]["error_code"], "service_unavailable", "{poll}");
    assert!(page.contains("The connection was interrupted"), "{page}");
    assert!(!page.contains("Error code from"), "the error code is ours, not the provider's: {page}");
}

/// I6: nothing is stuck.
async fn nothing_is_left(alter: &Alter) {
    let stuck = alter.store().await.list_stuck_attempts(SystemClock.now(), 10).await.unwrap();
    assert!(stuck.is_empty(), "I6: {stuck:?}");
}

/// I3: no code was sent twice.
fn no_code_was_sent_twice(alter: &Alter) {
    let mut uses: HashMap<String, u32> = HashMap::new();
    for request in &alter.mock.seen().token {
        *uses.entry(request.field("code").unwrap().to_owned()).or_default() += 1;
    }
    assert!(uses.values().all(|times| *times == 1), "I3: {:?}", uses.values());
}

/// I5: the audit verifies.
pub(crate) async fn the_audit_verifies(alter: &Alter) {
    let store = alter.store().await;
    let (mut hash, mut seq) = (CHAIN_START, 0);
    for row in store.read_audit(alter.app, 0, 1000).await.unwrap() {
        hash = chain(alter.app, &hash, &row);
        seq += 1;
        assert_eq!((row.seq, row.hash), (seq, Some(hash)), "I5");
    }
    let head = store.audit_head(alter.app).await.unwrap();
    assert_eq!(head.map_or((0, CHAIN_START), |head| (head.seq, head.hash)), (seq, hash), "I5");
}

/// I4: no secret is in any file or log, in any encoding.
pub(crate) fn no_secret_in(alter: &Alter, visit: &Visit) {
    let mut secrets = vec![ACCESS_TOKEN.to_owned(), REFRESH_TOKEN.to_owned(), CLIENT_SECRET.to_owned()];
    secrets.extend([visit.param("code"), visit.param("state"), visit.token.clone()]);
    let seen = alter.mock.seen().token;
    secrets.extend(seen.iter().filter_map(|request| request.field("code_verifier").map(str::to_owned)));
    secrets.extend(
        alter.mock.grants().into_iter().flat_map(|grant| [grant.live_access, grant.live_refresh].concat()),
    );
    // Positive controls: a planted value is found, and what the database holds in the clear is found in its files.
    let sid = files_with(alter, std::slice::from_ref(&visit.sid));
    assert!(sid.iter().any(|file| *file != alter.log_file().display().to_string()), "{sid:?}");
    let planted = alter.data().join("planted");
    std::fs::write(&planted, format!("..{ACCESS_TOKEN}..")).unwrap();
    let found = files_with(alter, &secrets);
    std::fs::remove_file(&planted).unwrap();
    assert_eq!(found, [planted.display().to_string()], "I4");
}

/// Returns the files of the test and of its database that hold one of these secrets in any encoding. Uses `grep`, which
/// reads a server's whole write-ahead log in a moment.
fn files_with(alter: &Alter, secrets: &[String]) -> Vec<String> {
    let needles = alter.dir().join("needles");
    let encodings = secrets.iter().flat_map(|secret| canary::encodings(secret));
    let lines: Vec<u8> = encodings.flat_map(|(_, bytes)| [bytes, b"\n".to_vec()].concat()).collect();
    std::fs::write(&needles, lines).unwrap();
    let mut grep = Command::new("grep");
    grep.env("LC_ALL", "C").args(["-r", "-l", "-a", "-F", "-s", "-f"]).arg(&needles);
    let output = grep.arg(alter.data()).arg(alter.log_file()).args(alter.database.places()).output().unwrap();
    std::fs::remove_file(&needles).unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
