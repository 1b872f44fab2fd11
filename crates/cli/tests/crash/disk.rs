//! F32 and F33: the disk is full, or fails to sync.
//!
//! The full disk is real: a small tmpfs, mounted over the data directory in a namespace of the process's own. Where the
//! machine grants no such namespace (some containers do not), the test prints that and ends. The store's own test of a
//! full database runs everywhere.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::Duration,
};

use alter_mock_provider::Gate;
use alter_testkit::Sent;

use crate::harness::{Alter, Database, End, Visit, check_truth};

/// Mounts a small disk over the data directory, obeys `fill`, `free` and `save` from a pipe beside it, and serves.
const ON_A_SMALL_DISK: &str = r#"
    set -e
    mkdir "$1/small"
    mount -t tmpfs -o size=3m,mode=700 small "$1/small"
    cp -a "$1/data/." "$1/small/"
    mount --bind "$1/small" "$1/data"
    mkfifo "$1/orders"
    timeout 60 sh -c 'exec 3<>"$0/orders"
    while read -r order <&3; do
        case $order in
            fill) cat /dev/zero > "$0/small/filler" || true ;;
            free) rm "$0/small/filler" ;;
            save) cp -a "$0/small" "$0/saved" ;;
        esac 2>/dev/null
        touch "$0/$order.done"
    done' "$1" </dev/null >/dev/null 2>&1 &
    exec "$2" serve
"#;

/// Whether this machine lets a test mount something of its own.
fn may_mount() -> bool {
    let mut tried = Command::new("unshare");
    tried.args(["-Urm", "sh", "-c", "mount -t tmpfs none /tmp"]).stderr(Stdio::null());
    tried.status().is_ok_and(|status| status.success())
}

/// Serves on the small disk. Returns `false` if this machine does not allow one.
async fn serve_on_a_small_disk(alter: &mut Alter, variables: &[(&str, &str)]) -> bool {
    if !may_mount() {
        eprintln!("not run: this machine does not let a test mount a small disk");
        return false;
    }
    let serve = alter.command(&["serve"]);
    let mut command = Command::new("unshare");
    command.env_clear().envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.envs(variables.iter().copied()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.args(["-Urm", "sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(alter.dir()).arg(serve.get_program());
    alter.run(command).await;
    true
}

async fn order(alter: &Alter, what: &str) {
    let orders = std::fs::OpenOptions::new().append(true).open(alter.dir().join("orders"));
    writeln!(orders.unwrap(), "{what}").unwrap();
    let done = alter.dir().join(format!("{what}.done"));
    while !done.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Copies the files from the small disk, which ends with its namespace, and starts the server on them.
async fn start_again_on_a_large_disk(alter: &mut Alter) {
    order(alter, "save").await;
    alter.kill();
    std::fs::remove_dir_all(alter.data()).unwrap();
    std::fs::rename(alter.dir().join("saved"), alter.data()).unwrap();
    alter.serve(&[]).await;
}

async fn ready(alter: &Alter) -> u16 {
    // The server reuses a good answer of `/readyz` for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    alter.send(Sent::new("GET", "/readyz").header("host", &alter.host())).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f32_with_the_disk_full_nothing_is_promised_nothing_is_lost_and_space_heals_it() {
    let mut alter = Alter::new(Database::Sqlite).await;
    if !serve_on_a_small_disk(&mut alter, &[]).await {
        return;
    }
    let mut before = Visit::up_to_callback(&alter, "mock").await;
    assert_eq!(before.reload_callback(&alter).await.status, 303);
    let grant = alter.status(&before.token).await["connections"][0]["grant_id"].as_str().unwrap().to_owned();
    let mut during = Visit::up_to_callback(&alter, "mock").await;
    // The disk is full now: commits succeed until the write-ahead log needs another page.
    order(&alter, "fill").await;
    while alter.call("/sdk/oauth/connect/session", &serde_json::json!({})).await.status == 201 {}

    let minted = alter.call("/sdk/oauth/connect/session", &serde_json::json!({})).await;
    assert_eq!((minted.status, minted.error().as_str()), (503, "service_unavailable"), "{}", minted.text());
    let released = alter.release(&grant).await;
    assert_eq!(released.status, 503, "no release without its audit entry: {}", released.text());
    let page = during.reload_callback(&alter).await;
    assert_eq!(page.status, 500, "{}", page.text());
    assert_eq!(alter.mock.seen().token.len(), 1, "the second code was not sent");
    assert_eq!(ready(&alter).await, 503);

    order(&alter, "free").await;
    assert_eq!(ready(&alter).await, 200, "ready again without a restart: {}", alter.log());
    assert_eq!(alter.release(&grant).await.status, 200);
    assert_eq!(during.reload_callback(&alter).await.status, 303, "after a reload the callback goes on");
    let status = during.wait_for_end(&alter).await;
    assert_eq!(status["status"], "completed", "{status}");

    // The same holds after the next start.
    start_again_on_a_large_disk(&mut alter).await;
    check_truth(&alter, &mut before, End::Connected).await;
    check_truth(&alter, &mut during, End::Connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f32_an_answer_that_finds_the_disk_full_waits_in_memory_for_space() {
    let mut alter = Alter::new(Database::Sqlite).await;
    let gate = Gate::closed();
    alter.mock.set(|s| s.token_gate = Some(gate.clone()));
    if !serve_on_a_small_disk(&mut alter, &[]).await {
        return;
    }
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    let (answer, ()) = tokio::join!(visit.try_callback(&alter), async {
        alter.mock.wait_for(|seen| seen.token.len() == 1).await;
        order(&alter, "fill").await;
        while alter.call("/sdk/oauth/connect/session", &serde_json::json!({})).await.status == 201 {}
        gate.open();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(alter.status(&visit.token).await["status"], "open", "nothing is claimed");
        order(&alter, "free").await;
    });
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    assert!(alter.log().contains("could not be written down"), "the answer had to wait: {}", alter.log());
    start_again_on_a_large_disk(&mut alter).await;
    check_truth(&alter, &mut visit, End::Connected).await;
    assert_eq!(alter.mock.seen().token.len(), 1);
}

/// The failure is injected where SQLite reports it. Whether SQLite reports one is not tested here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f33_after_a_failed_fsync_the_server_is_not_ready_until_it_is_started_again() {
    let mut alter = Alter::new(Database::Sqlite).await;
    alter.serve(&[("ALTER_FAILPOINT", "fsync:fail=30")]).await;
    let mut visit = Visit::up_to_callback(&alter, "mock").await;
    assert_eq!(visit.reload_callback(&alter).await.status, 303);
    let mut promised = Vec::new();
    loop {
        let minted = alter.call("/sdk/oauth/connect/session", &serde_json::json!({})).await;
        if minted.status != 201 {
            assert_eq!((minted.status, minted.error().as_str()), (503, "service_unavailable"));
            break;
        }
        promised.push(minted.json()["session_token"].as_str().unwrap().to_owned());
    }
    assert_eq!(ready(&alter).await, 503);
    let again = alter.call("/sdk/oauth/connect/session", &serde_json::json!({})).await;
    assert_eq!(again.status, 503, "a write that failed once is not tried again");
    assert_eq!(ready(&alter).await, 503, "and the failure is not forgotten");
    assert_eq!(alter.status(&visit.token).await["status"], "completed", "stored data can still be read");

    alter.stop();
    alter.serve(&[]).await;
    for token in promised {
        assert_eq!(alter.poll(&token).await["status"], "pending", "the promised data is there");
    }
    check_truth(&alter, &mut visit, End::Connected).await;
}
