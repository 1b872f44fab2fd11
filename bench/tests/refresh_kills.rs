//! Fifty kills per database while calls refresh: the small campaign of `bench/crash refresh`, on the binary with
//! failpoints that the workspace's tests build.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{path::Path, process::Command};

const BENCH: &str = env!("CARGO_BIN_EXE_alter-bench");

/// Runs the campaign and checks that it found nothing lost, sent too often or stuck.
fn campaign(name: &str, more: &[&str]) {
    let alter = Path::new(BENCH).with_file_name("alter");
    let built = std::fs::read(&alter).unwrap_or_default();
    assert!(
        built.windows(15).any(|bytes| bytes == b"ALTER_FAILPOINT"),
        "{} has no failpoints: cargo test --workspace builds one that has",
        alter.display()
    );
    let below = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("refresh-kills-{name}"));
    let mut command = Command::new(BENCH);
    command.args(["crash-refresh", "--rounds", "50", "--seed", "50", "--alter"]).arg(&alter);
    command.arg("--data").arg(below.join("data")).arg("--results").arg(below.join("results"));
    let done = command.args(more).output().unwrap();
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(done.status.success(), "{said}");
    assert!(said.contains("refreshes that the provider carried out"), "{said}");
}

#[test]
fn fifty_kills_while_calls_refresh_lose_nothing_on_sqlite() {
    campaign("sqlite", &[]);
}

#[test]
fn fifty_kills_while_calls_refresh_lose_nothing_on_postgres() {
    let database = alter_test_postgres::database();
    campaign("postgres", &["--without-sqlite", "--postgres", &database.url]);
}
