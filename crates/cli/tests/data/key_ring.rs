//! Tests of `alter key-ring` beside a server that is at work.

use alter_flows::{operate, ready};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alter_core::{ConfigId, DataKeyId, Hash, Holder, SealedColumn};
use alter_mock_provider::Gate;
use alter_testkit::{Sent, TestAttempt, TestBrowser, TestServer, http, operator};
use alter_vault::{Place as Cell, RootKey, Vault, sealed_under};
use rusqlite::{Connection, params};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::place::{Place, answer, command_on, said};

/// A command on a running server's data.
pub(crate) fn beside(server: &TestServer, args: &[&str]) -> Command {
    let mut command = command_on(server.dir(), args);
    command.env("ALTER_ROOT_KEY", server.root_key().expose_secret());
    command
}

/// Opens every sealed value under the key that it names, in one snapshot of the database. Returns how many there are.
fn readable(server: &TestServer, root: &SecretString) -> usize {
    let vault = Vault::new(RootKey::from_base64(root.expose_secret()).unwrap());
    let sql = Connection::open(server.db_path()).unwrap();
    let snapshot = sql.unchecked_transaction().unwrap();
    let mut opened = 0;
    for column in SealedColumn::ALL {
        let (table, name, row) = (column.table(), column.column(), column.row());
        let query = format!(
            "SELECT app_id, {row}, {}, {name} FROM {table} WHERE length({name}) > 0",
            column.generation()
        );
        let mut statement = snapshot.prepare(&query).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(found) = rows.next().unwrap() {
            let (app, id): (String, String) = (found.get(0).unwrap(), found.get(1).unwrap());
            let sealed: Vec<u8> = found.get(3).unwrap();
            let key = sealed_under(&sealed).unwrap();
            let wrapped: Vec<u8> = snapshot
                .query_row(
                    "SELECT wrapped FROM data_keys WHERE app_id = ?1 AND key_id = ?2",
                    params![app, key],
                    |row| row.get(0),
                )
                .unwrap();
            let generation = found.get::<_, i64>(2).unwrap().unsigned_abs();
            let holder = (table == "grants").then(|| holder(&snapshot, &id));
            let place = Cell {
                app: &app,
                table: column.sealed_table(),
                column: name,
                row: &id,
                generation,
                bound_to: holder.as_ref().map(|digest| digest.as_slice()),
            };
            let key =
                vault.data_key(&app, &wrapped).unwrap_or_else(|e| panic!("{table}.{name} of {id}: {e}"));
            key.open(&place, &sealed).unwrap_or_else(|e| panic!("{table}.{name} of {id}: {e}"));
            opened += 1;
        }
    }
    opened
}

/// What the tokens of a grant are bound to. The grants of these tests are the app's own.
fn holder(sql: &Connection, grant: &str) -> Hash {
    let columns = "provider, config_id, subject, account_identifier, label, account_verified";
    let read = |row: &rusqlite::Row<'_>| {
        let text = |at| row.get::<_, String>(at);
        let (provider, config_id, subject, account) = (text(0)?, text(1)?, text(2)?, text(3)?);
        let label: Option<String> = row.get(4)?;
        let holder = Holder {
            user: None,
            provider: &provider,
            config_id: &ConfigId::parse(&config_id).unwrap(),
            subject: &subject,
            account_identifier: &account,
            account_verified: row.get(5)?,
            label: label.as_deref(),
            filled: &[].into(),
        };
        Ok(holder.digest())
    };
    sql.query_row(&format!("SELECT {columns} FROM grants WHERE id = ?1"), [grant], read).unwrap()
}

/// Counts the test app's data keys that are not wiped.
fn live_keys(server: &TestServer) -> i64 {
    let sql = Connection::open(server.db_path()).unwrap();
    let query = "SELECT COUNT(*) FROM data_keys WHERE app_id = ?1 AND retired_at IS NULL";
    sql.query_row(query, [server.app.id.to_string()], |row| row.get(0)).unwrap()
}

/// Counts the values that a rotation of the test app has yet to move: those that are not under its newest key, or all
/// while it has only one key.
fn left(sql: &Connection, app: &str) -> usize {
    let snapshot = sql.unchecked_transaction().unwrap();
    let query =
        "SELECT key_id FROM data_keys WHERE app_id = ?1 AND retired_at IS NULL ORDER BY created_at DESC";
    let mut statement = snapshot.prepare(query).unwrap();
    let live: Vec<DataKeyId> =
        statement.query_map([app], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let newest = (live.len() > 1).then(|| live[0]);
    let mut left = 0;
    for column in SealedColumn::ALL {
        let (table, name) = (column.table(), column.column());
        let query = format!("SELECT {name} FROM {table} WHERE app_id = ?1 AND length({name}) > 0");
        let mut statement = snapshot.prepare(&query).unwrap();
        let mut rows = statement.query([app]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            left += usize::from(
                Some(sealed_under(row.get_ref(0).unwrap().as_blob().unwrap()).unwrap()) != newest,
            );
        }
    }
    left
}

/// Returns the address of a server that was just started. Its log is read to the end, so that the server never blocks
/// on a full pipe.
pub(crate) fn listening(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.by_ref().find_map(|line| {
        let said: Value = serde_json::from_str(&line).ok()?;
        let fields = if said["fields"].is_object() { &said["fields"] } else { &said };
        fields["listen"].as_str().map(str::to_owned)
    });
    std::thread::spawn(move || lines.for_each(drop));
    address.expect("the log names the address")
}

/// A small random number generator: its seed decides when the process is killed.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Releases tokens and reconnects accounts until told to stop. Each must succeed.
pub(crate) async fn load(
    server: Arc<TestServer>,
    providers: Vec<String>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) {
    let grants: Vec<_> = server.grants(server.app.id).await.into_iter().map(|g| g.id.to_string()).collect();
    let mut dice = Dice(7);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..4 {
            let grant = &grants[dice.up_to(grants.len() as u64) as usize];
            let reply = server.token(grant).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let provider = &providers[dice.up_to(providers.len() as u64) as usize];
        TestBrowser::new().attempt(&server, provider).await.connection();
        done.fetch_add(5, Ordering::Relaxed);
    }
}

pub(crate) async fn with_grants(providers: usize) -> (Arc<TestServer>, Vec<String>) {
    let server = TestServer::start().await;
    let providers: Vec<_> = (0..providers).map(|n| format!("p{n}")).collect();
    for provider in &providers {
        server.add_provider(&server.app, provider, |_| ()).await;
        TestBrowser::new().attempt(&server, provider).await.connection();
    }
    (Arc::new(server), providers)
}

async fn finish(server: &TestServer, args: &[&str]) -> Value {
    let args: Vec<_> = [args, &["--json"]].concat();
    let mut command = beside(server, &args);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    answer(output, &args)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t92_a_rotation_killed_at_random_under_load_leaves_every_value_readable_and_is_finished_by_the_next()
{
    let (rounds, seed) = (from_environment("ALTER_T92_ROUNDS", 12), from_environment("ALTER_T92_SEED", 92));
    let (server, providers) = with_grants(12).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let at_work = tokio::spawn(load(server.clone(), providers, stop.clone(), done.clone()));
    let rotate = ["key-ring", "rotate", "--batch", "1"];

    let started = Instant::now();
    let whole = finish(&server, &rotate).await;
    let takes = started.elapsed().as_micros() as u64;
    assert!(whole["apps"][0]["rewrapped"].as_u64().unwrap() > 0, "{whole}");
    let (sql, app) = (Connection::open(server.db_path()).unwrap(), server.app.id.to_string());
    let (mut dice, mut interrupted) = (Dice(seed), 0);
    for round in 0..rounds {
        let before = left(&sql, &app) as u64;
        let mut child: Child = beside(&server, &rotate).spawn().unwrap();
        // A command spends most of its time starting. Kills at random times alone would hardly ever fall between two
        // values.
        if round % 4 == 3 {
            tokio::time::sleep(Duration::from_micros(dice.up_to(takes))).await;
        } else {
            let enough = dice.up_to(before) as usize;
            while left(&sql, &app) > enough && child.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let values = readable(&server, server.root_key());
        assert!(values >= 48, "round {round}: {values}");
        let live = live_keys(&server);
        assert!((1..=2).contains(&live), "round {round}: a resumed rotation makes no further key: {live}");
        interrupted += live - 1;
        if round % 3 == 2 {
            let pending = live == 2;
            let finished = &finish(&server, &rotate).await["apps"][0];
            assert_eq!((&finished["resumed"], &finished["old_keys_left"]), (&json!(pending), &json!(0)));
            assert_eq!(live_keys(&server), 1, "the old key retires when no value is left");
        }
        assert!(!at_work.is_finished(), "round {round}: a release or a reconnect failed");
    }
    finish(&server, &rotate).await;
    stop.store(true, Ordering::Relaxed);
    at_work.await.unwrap();
    let values = readable(&server, server.root_key());
    let kept: i64 = Connection::open(server.db_path())
        .unwrap()
        .query_row(
            "SELECT COUNT(*) FROM data_keys WHERE retired_at IS NOT NULL AND length(wrapped) > 0",
            [],
            |r| r.get(0),
        )
        .unwrap();
    assert_eq!((live_keys(&server), kept), (1, 0));
    for grant in server.grants(server.app.id).await {
        assert_eq!(server.token(&grant.id.to_string()).await.status, 200);
    }
    let (tasks, ms) = (done.load(Ordering::Relaxed), takes / 1000);
    println!(
        "T92: seed {seed}, {rounds} kills, {interrupted} times a key was half moved, a whole rotation of {values} values takes {ms} ms under load, {tasks} releases and reconnects, none failed"
    );
    assert!(interrupted * 4 >= rounds as i64, "too few kills hit a rotation: the test proves little");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t92_a_value_that_does_not_open_keeps_its_key_and_is_named() {
    let (server, _) = with_grants(2).await;
    let id = server.grants(server.app.id).await[0].id.to_string();
    let sql = Connection::open(server.db_path()).unwrap();
    let set = |value: Vec<u8>| {
        sql.execute("UPDATE grants SET access_token = ?2 WHERE id = ?1", params![id, value]).unwrap()
    };
    let right: Vec<u8> =
        sql.query_row("SELECT access_token FROM grants WHERE id = ?1", [&id], |row| row.get(0)).unwrap();
    let mut tampered = right.clone();
    tampered[60] ^= 1;
    set(tampered);
    let refused = beside(&server, &["key-ring", "rotate"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains(&format!("grants.access_token of {id}")), "{}", said(&refused));
    let listed = finish(&server, &["key-ring", "list"]).await;
    let old: Vec<_> = listed["keys"].as_array().unwrap().iter().filter(|key| key["state"] == "old").collect();
    assert_eq!((old.len(), &old[0]["values"]), (1, &json!(1)), "{listed}");

    set(right);
    let finished = finish(&server, &["key-ring", "rotate"]).await;
    assert_eq!(
        (&finished["apps"][0]["resumed"], &finished["apps"][0]["rewrapped"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(server.token(&id).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f57_servers_that_accept_both_root_keys_work_before_during_and_after_the_replacement() {
    let (server, _) = with_grants(1).await;
    let grant = server.grants(server.app.id).await[0].id.to_string();
    let place = Place::new("newroot");
    let file = place.path("new.key");
    let path = file.to_str().unwrap();
    let made = finish(&server, &["key-ring", "rotate", "--new-root-key-file", path]).await;
    assert_eq!((&made["made"], &made["data_keys"]), (&json!(true), &json!(1)));
    let new = SecretString::from(std::fs::read_to_string(&file).unwrap().trim().to_owned());
    assert!(readable(&server, &new) >= 4);

    // A server that was not restarted fails and releases nothing.
    assert_eq!(server.token(&grant).await.status, 500);
    assert!(ready::ready(&server.flows).await.is_err());
    // A server with the new key works; a command with the old key does not (T93).
    let (_, restarted) = server.replica(Some(&new)).await;
    let url = server.mock.url("/api/me");
    let body = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
    let sent = server.signed(&server.app.key, "/sdk/token", &body).header("host", &server.host);
    assert_eq!(http::send(&restarted, sent).await.status, 200);
    let refused = beside(&server, &["app", "list"]).output().unwrap();
    assert!(said(&refused).contains("does not fit this database"), "{}", said(&refused));

    // In the middle of a rolling restart servers accept both keys, whichever one the database is under.
    let (old_file, newest) = (place.path("old.key"), place.path("newest.key"));
    std::fs::write(&old_file, server.root_key().expose_secret()).unwrap();
    let started = |args: &[&str], first: &std::path::Path, old: &std::path::Path| {
        let mut command = command_on(server.dir(), args);
        command.env("ALTER_ROOT_KEY_FILE", first).env("ALTER_ROOT_KEY_FILE_OLD", old);
        command.env("ALTER_LISTEN", "127.0.0.1:0").env("ALTER_PUBLIC_URL", &server.public_url);
        command
    };
    let both = |args: &[&str], first: &_, old: &_| -> Output { started(args, first, old).output().unwrap() };
    let listed = both(&["app", "list"], &file, &old_file);
    assert!(listed.status.success(), "after: {}", said(&listed));
    let (_, text) = RootKey::generate(&|buffer| alter_core::Random::fill(&alter_core::SystemRandom, buffer));
    std::fs::write(&newest, text.expose_secret()).unwrap();
    let listed = both(&["app", "create", "Made before"], &newest, &file);
    assert!(listed.status.success(), "before: {}", said(&listed));
    let mut running = started(&["serve"], &newest, &file).spawn().unwrap();
    let address = listening(&mut running);
    let ready = async || {
        // The server reuses an answer of `/readyz` for a second.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let ready = http::send(&address, Sent::new("GET", "/readyz").header("host", &server.host)).await;
        let sent = server.signed(&server.app.key, "/sdk/token", &body).header("host", &server.host);
        (ready.status, http::send(&address, sent).await.status)
    };
    assert_eq!(ready().await, (200, 200), "before");
    let again = ["key-ring", "rotate", "--new-root-key-file", newest.to_str().unwrap()];
    let replaced = both(&again, &newest, &file);
    assert!(replaced.status.success(), "{}", said(&replaced));
    assert_eq!(ready().await, (200, 200), "ready after the replacement, without a restart");
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(readable(&server, &text) >= 4);
    let same = both(&again, &newest, &file);
    assert!(said(&same).contains("already in use"), "{}", said(&same));
    let neither = both(&["app", "list"], &old_file, &file);
    assert!(said(&neither).contains("does not fit this database"), "{}", said(&neither));
}

/// Brings a user back from `p0`. Returns once the code has been sent.
async fn exchanging(server: &Arc<TestServer>) -> JoinHandle<TestAttempt> {
    let seen = server.mock.seen().token.len();
    let own = server.clone();
    let attempt = tokio::spawn(async move { TestBrowser::new().attempt(&own, "p0").await });
    server.mock.wait_for(|now| now.token.len() > seen).await;
    attempt
}

/// Waits until the attempt has made its connection. The browser does not wait for a slow exchange to its end.
async fn connected(server: &TestServer, attempt: JoinHandle<TestAttempt>) {
    let attempt = attempt.await.unwrap();
    server.flows.drain().await;
    let told = server.status(&attempt.token, &server.app.origin, json!({})).await.json();
    assert_eq!(told["status"], "completed", "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t92_an_exchange_that_outlasts_a_whole_rotation_still_ends_in_a_grant() {
    let (server, _) = with_grants(1).await;
    let gate = Gate::closed();
    server.mock.set(|switches| switches.token_gate = Some(gate.clone()));
    let slow = exchanging(&server).await;
    // The code is spent and the answer has not come yet. Meanwhile the key that the exchange began with is wiped.
    let rotated = &finish(&server, &["key-ring", "rotate"]).await["apps"][0];
    assert_eq!((&rotated["retired"], live_keys(&server)), (&json!(1), 1));
    gate.open();
    connected(&server, slow).await;
    assert!(readable(&server, server.root_key()) >= 4);
    let grant = &server.grants(server.app.id).await[0];
    assert_eq!(grant.credential.generation, 2);
    assert_eq!(server.token(&grant.id.to_string()).await.status, 200);
}

/// The database refuses the answer for longer than four tries; when it accepts the answer, the key is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t92_an_answer_that_waited_for_its_database_through_a_rotation_still_ends_in_a_grant() {
    let (server, _) = with_grants(1).await;
    let sql = Connection::open(server.db_path()).unwrap();
    sql.execute_batch(
        "CREATE TRIGGER refuse BEFORE UPDATE OF body ON attempts
         WHEN OLD.body IS NULL AND NEW.body NOT NULL BEGIN SELECT RAISE(FAIL, 'away'); END",
    )
    .unwrap();
    let slow = exchanging(&server).await;
    tokio::time::sleep(Duration::from_millis(5500)).await;
    // In this process: a command would refuse a database with a trigger.
    let (by, app) = (operator(), server.app.id);
    let rotated = operate::rotate_data_key(&server.flows, &by, app, 200, false, |_, _| ()).await.unwrap();
    assert_eq!((rotated.retired, live_keys(&server)), (1, 1));
    let taken: i64 = sql.query_row("SELECT count(body) FROM attempts", [], |row| row.get(0)).unwrap();
    assert_eq!(taken, 0, "the database has refused the answer all the time");
    sql.execute_batch("DROP TRIGGER refuse").unwrap();
    connected(&server, slow).await;
    assert_eq!(server.grants(server.app.id).await[0].credential.generation, 2);
}
