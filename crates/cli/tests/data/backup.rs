//! Tests of `alter backup` and `alter restore`.

use alter_flows::grants;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use alter_core::{GrantId, secret::hex};
use alter_testkit::{TestBrowser, TestServer, operator};
use rusqlite::Connection;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    key_ring::{beside, load, with_grants},
    place::{Place, answer, said},
};

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn count(database: &Path, what: &str) -> i64 {
    let sql = Connection::open(database).unwrap();
    sql.query_row(&format!("SELECT COUNT(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

/// A second data directory, to restore a running server's backup into.
pub(crate) struct Elsewhere<'a> {
    server: &'a TestServer,
    pub(crate) place: Place,
}

impl<'a> Elsewhere<'a> {
    pub(crate) fn new(server: &'a TestServer, name: &str) -> Self {
        let place = Place::new(name);
        std::fs::create_dir(place.data()).unwrap();
        Self { server, place }
    }

    pub(crate) fn backup(&self, name: &str) -> (PathBuf, Value) {
        let file = self.place.path(name);
        let args = ["backup", text(&file), "--json"];
        let made = answer(beside(self.server, &args).output().unwrap(), &args);
        (file, made)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(args);
        command.env("ALTER_ROOT_KEY", self.server.root_key().expose_secret());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        answer(self.run(&args), &args)
    }

    pub(crate) fn refused(&self, args: &[&str], words: &str) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{args:?}: {}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_is_one_moment_private_and_checked() {
    let (server, providers) = with_grants(4).await;
    let elsewhere = Elsewhere::new(&server, "backup");
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let at_work = tokio::spawn(load(server.clone(), providers, stop.clone(), done.clone()));
    while done.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (file, made) = tokio::task::block_in_place(|| elsewhere.backup("under-load.db"));
    stop.store(true, Ordering::Relaxed);
    at_work.await.unwrap();
    for path in [&file, &elsewhere.place.path("under-load.db.json")] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(made["sha256"], hex(&alter_core::secret::sha256(&std::fs::read(&file).unwrap())));
    let again = beside(&server, &["backup", text(&file)]).output().unwrap();
    assert!(said(&again).contains("exists already"), "{}", said(&again));

    // The backup is whole: restored into an empty directory, its audit ends where the manifest says, and its values
    // open.
    let restored = elsewhere.json(&["restore", text(&file)]);
    assert_eq!(restored["kept"], Value::Null);
    assert!(restored["not_compared"].as_str().unwrap().contains("no database"), "{restored}");
    let app = server.app.id.to_string();
    let head = made["heads"][&app].as_str().unwrap();
    let verified = elsewhere.json(&["audit", "verify", &app, "--head", head]);
    let seq: i64 = head.split(':').next().unwrap().parse().unwrap();
    assert_eq!(verified["apps"][0]["seq"], seq + 1, "one entry more, about the restore");
    assert_eq!(std::fs::metadata(elsewhere.place.database()).unwrap().permissions().mode() & 0o777, 0o600);
    // A rotation opens every value, to put it under a new key.
    let rotated = &elsewhere.json(&["key-ring", "rotate"])["apps"][0];
    assert!(rotated["rewrapped"].as_u64().unwrap() >= 16 && rotated["unreadable"] == json!([]), "{rotated}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_a_restore_revokes_again_what_was_revoked_since_and_names_what_it_takes_back() {
    let (server, _) = with_grants(4).await;
    let app = server.app.id.to_string();
    let elsewhere = Elsewhere::new(&server, "t94");
    let key = tokio::task::block_in_place(|| {
        let args = ["key", "create", &app, "--name", "leaked", "--json"];
        answer(beside(&server, &args).output().unwrap(), &args)
    });
    let (backup, made) = tokio::task::block_in_place(|| elsewhere.backup("monday.db"));

    let id_of = async |provider: &str| {
        let grants = server.grants(server.app.id).await;
        grants.into_iter().find(|g| g.provider == provider).unwrap().id
    };
    let (kept, revoked, reconnected): (GrantId, GrantId, GrantId) =
        (id_of("p0").await, id_of("p1").await, id_of("p2").await);
    let stored = server.store.get_app(server.app.id).await.unwrap().unwrap();
    grants::revoke_grant_as_operator(&server.flows, &operator(), stored, revoked, Some("left"))
        .await
        .unwrap();
    TestBrowser::new().attempt(&server, "p2").await.connection();
    server.add_provider(&server.app, "new", |_| ()).await;
    TestBrowser::new().attempt(&server, "new").await.connection();
    let new = id_of("new").await;
    let (today, later) = tokio::task::block_in_place(|| {
        let args = ["key", "revoke", &app, key["key_id"].as_str().unwrap(), "--json"];
        answer(beside(&server, &args).output().unwrap(), &args);
        elsewhere.backup("tuesday.db")
    });

    let database = elsewhere.place.database();
    std::fs::copy(&today, &database).unwrap();
    elsewhere.refused(&["restore", text(&backup)], "--replace puts the backup");
    let restored = elsewhere.json(&["restore", text(&backup), "--replace"]);
    let report = &restored["apps"][0];
    assert_eq!(report["revoked_again"], json!([revoked.to_string()]), "{restored}");
    assert_eq!((&report["keys_revoked_again"], &report["agents_deleted_again"]), (&json!(1), &json!(0)));
    assert_eq!(report["verify"], json!([reconnected.to_string()]));
    assert_eq!(report["connected_since"], json!([new.to_string()]));
    assert!(report["entries_behind"].as_i64().unwrap() >= 3, "{restored}");

    let of =
        |grant: GrantId, more: &str| count(&database, &format!("grants WHERE id = '{grant}' AND {more}"));
    assert_eq!(of(revoked, "status = 'revoked' AND length(access_token) = 0 AND revoked_reason = 'left'"), 1);
    assert_eq!(of(kept, "status = 'active' AND length(access_token) > 0"), 1);
    assert_eq!(of(new, "1"), 0);
    let leaked =
        format!("api_keys WHERE id = '{}' AND revoked_at IS NOT NULL", key["key_id"].as_str().unwrap());
    assert_eq!(count(&database, &leaked), 1);
    // The chain goes on from the backup. A head that was kept elsewhere shows that entries are missing.
    let head = |made: &Value| made["heads"][&app].as_str().unwrap().to_owned();
    assert!(elsewhere.run(&["audit", "verify", &app, "--head", &head(&made)]).status.success());
    elsewhere.refused(&["audit", "verify", &app, "--head", &head(&later)], "entry");
    let kept = PathBuf::from(restored["kept"].as_str().unwrap());
    assert_eq!(count(&kept, &format!("grants WHERE id = '{new}'")), 1, "the replaced database is kept");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let said = said(&elsewhere.run(&["audit", "list", &app, "--limit", "2"]));
    assert!(said.contains("database_restored") && said.contains("grant_revoked"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_fails_a_check_changes_nothing() {
    let (server, _) = with_grants(1).await;
    let elsewhere = Elsewhere::new(&server, "refusals");
    let (backup, _) = tokio::task::block_in_place(|| elsewhere.backup("good.db"));
    let database = elsewhere.place.database();
    let restore = ["restore", text(&backup), "--replace"];

    // A server has the database open.
    std::fs::copy(&backup, &database).unwrap();
    let mut running = elsewhere.command(&["serve"]).env("ALTER_LISTEN", "127.0.0.1:0").spawn().unwrap();
    crate::key_ring::listening(&mut running);
    elsewhere.refused(&restore, &format!("is in use by process {}, which holds", running.id()));
    running.kill().unwrap();
    running.wait().unwrap();
    let before = std::fs::read(&database).unwrap();

    // T93: another root key.
    let other = elsewhere
        .place
        .command(&restore)
        .env("ALTER_ROOT_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .output()
        .unwrap();
    assert!(said(&other).contains("the root key does not fit this backup"), "{}", said(&other));

    // A backup with a newer schema, a damaged page, a missing manifest, or another backup's manifest.
    let changed = |name: &str, change: &dyn Fn(&Path)| {
        let file = elsewhere.place.path(name);
        std::fs::copy(&backup, &file).unwrap();
        change(&file);
        let mut manifest: Value =
            serde_json::from_slice(&std::fs::read(format!("{}.json", text(&backup))).unwrap()).unwrap();
        manifest["sha256"] = json!(hex(&alter_core::secret::sha256(&std::fs::read(&file).unwrap())));
        std::fs::write(format!("{}.json", text(&file)), manifest.to_string()).unwrap();
        file
    };
    let newer = changed("newer.db", &|file| {
        Connection::open(file).unwrap().pragma_update(None, "user_version", 9999).unwrap();
    });
    elsewhere.refused(&["restore", text(&newer), "--replace"], "use the newer program");
    let damaged = changed("damaged.db", &|file| {
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(file, bytes).unwrap();
    });
    elsewhere.refused(&["restore", text(&damaged), "--replace"], "cannot be restored");
    std::fs::write(&newer, "x").unwrap();
    elsewhere.refused(&["restore", text(&newer), "--replace"], "damaged or changed");
    std::fs::remove_file(format!("{}.json", text(&newer))).unwrap();
    elsewhere.refused(&["restore", text(&newer), "--replace"], "a backup is two files");
    assert_eq!(std::fs::read(&database).unwrap().len(), before.len());
    assert_eq!(count(&database, "grants"), 1);

    // The write-ahead log of a deleted database must not be applied to another one.
    std::fs::remove_file(&database).unwrap();
    let log = elsewhere.place.data().join("alter.db-wal");
    std::fs::write(&log, "left over").unwrap();
    elsewhere.refused(&["restore", text(&backup)], "move it away");
    std::fs::remove_file(&log).unwrap();
    for stray in ["alter.db-shm", "alter.db.restoring"] {
        let _not_there = std::fs::remove_file(elsewhere.place.data().join(stray));
    }
    assert!(elsewhere.run(&["restore", text(&backup)]).status.success(), "positive control");

    // T26: whoever may write the description writes no line of ours and commands no terminal.
    let described = elsewhere.place.path("good.db.json");
    let good = std::fs::read(&described).unwrap();
    let mut manifest: Value = serde_json::from_slice(&good).unwrap();
    manifest["made_at"] = json!("x\u{1b}[2J\u{9b}2J\nThe replaced database is gone");
    manifest.as_object_mut().unwrap().remove("seal");
    std::fs::write(&described, manifest.to_string()).unwrap();
    let unsealed = [&restore[..], &["--accept-unsealed"]].concat();
    let restored = said(&elsewhere.run(&unsealed));
    assert!(restored.contains(r"x\u{1b}[2J\u{9b}2J\u{a}The replaced database is gone."), "{restored:?}");

    std::fs::write(&described, good).unwrap();

    // A database that cannot be opened is kept, and replaced when the operator knows what that may loosen.
    std::fs::write(&database, "no database at all".repeat(1000)).unwrap();
    elsewhere.refused(&restore, "--accept-loosening");
    let restored = elsewhere.json(&[&restore[..], &["--accept-loosening"]].concat());
    assert!(restored["not_compared"].is_string() && restored["kept"].is_string(), "{restored}");
    assert_eq!(count(&database, "grants"), 1);
}

/// A copy of a backup to which somebody who can write it did `sql`; the description has the new file's hash, and `edit`
/// may change more of it.
fn edited(backup: &Path, name: &str, sql: &str, edit: impl Fn(&mut Value)) -> PathBuf {
    let file = backup.with_file_name(name);
    std::fs::copy(backup, &file).unwrap();
    Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let described = |file: &Path| format!("{}.json", text(file));
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(described(backup)).unwrap()).unwrap();
    manifest["sha256"] = json!(hex(&alter_core::secret::sha256(&std::fs::read(&file).unwrap())));
    edit(&mut manifest);
    std::fs::write(described(&file), manifest.to_string()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_a_backup_that_somebody_without_the_root_key_changed_is_refused() {
    let (server, _) = with_grants(1).await;
    let elsewhere = Elsewhere::new(&server, "planted");
    let (backup, made) = tokio::task::block_in_place(|| elsewhere.backup("good.db"));
    assert_eq!(made["sealed"], true);
    let plant = "INSERT INTO api_keys (id, app_id, hash, prefix, name, created_at)
                 SELECT 'abcd' || substr(id, 5), app_id, zeroblob(32), prefix, 'planted', created_at
                 FROM api_keys LIMIT 1";
    let refused = |file: &Path, more: &[&str], words: &str| {
        elsewhere.refused(&[&["restore", text(file)], more].concat(), words);
        assert!(!elsewhere.place.database().exists(), "nothing was put in place");
    };
    let planted = edited(&backup, "planted.db", plant, |_| {});
    refused(&planted, &[], "the backup's seal is wrong");
    refused(&planted, &["--accept-unsealed"], "the backup's seal is wrong");
    let redated =
        edited(&backup, "redated.db", "", |manifest| manifest["made_at"] = json!("2020-01-01T00:00:00Z"));
    refused(&redated, &[], "the backup's seal is wrong");

    // Whoever tears the seal off has what a backup from before seals looks like.
    let torn = edited(&backup, "torn.db", plant, |manifest| {
        manifest.as_object_mut().unwrap().remove("seal");
    });
    refused(&torn, &[], "--accept-unsealed");
    let undo = "CREATE TRIGGER undo AFTER UPDATE OF revoked_at ON api_keys
                BEGIN UPDATE api_keys SET revoked_at = NULL WHERE id = NEW.id; END";
    let triggered = edited(&backup, "triggered.db", undo, |manifest| {
        manifest.as_object_mut().unwrap().remove("seal");
    });
    refused(&triggered, &["--accept-unsealed"], "trigger \"undo\" on api_keys");
    assert!(elsewhere.run(&["restore", text(&backup)]).status.success(), "positive control");

    // A replaced database with a trigger is not compared, and so not replaced.
    Connection::open(elsewhere.place.database()).unwrap().execute_batch(undo).unwrap();
    elsewhere.refused(&["restore", text(&backup), "--replace"], "trigger \"undo\" on api_keys");
    elsewhere.refused(&["app", "list"], "trigger \"undo\" on api_keys");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_without_the_root_key_says_so_and_is_restored_only_when_that_is_accepted() {
    let (server, _) = with_grants(1).await;
    let elsewhere = Elsewhere::new(&server, "unsealed");
    let file = elsewhere.place.path("unsealed.db");
    let without_key = |args: &[&str]| {
        let mut command = beside(&server, args);
        command.env_remove("ALTER_ROOT_KEY").env("ALTER_ROOT_KEY_FILE", "/nowhere/root.key");
        command.output().unwrap()
    };
    let refused = without_key(&["backup", text(&file)]);
    assert!(!refused.status.success() && said(&refused).contains("--unsealed"), "{}", said(&refused));
    assert!(!file.exists(), "and nothing is left behind");
    let made = without_key(&["backup", text(&file), "--unsealed"]);
    assert!(made.status.success() && said(&made).contains("NOT sealed"), "{}", said(&made));
    elsewhere.refused(&["restore", text(&file)], "--accept-unsealed");
    assert!(elsewhere.run(&["restore", text(&file), "--accept-unsealed"]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_from_before_the_root_key_was_replaced_is_restored_with_the_old_one_beside_the_new() {
    let (server, _) = with_grants(1).await;
    let elsewhere = Elsewhere::new(&server, "old-root");
    let (backup, _) = tokio::task::block_in_place(|| elsewhere.backup("old.db"));
    let (old, new) = (elsewhere.place.path("old.key"), elsewhere.place.path("new.key"));
    std::fs::write(&old, server.root_key().expose_secret()).unwrap();
    std::fs::write(&new, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let mut command = elsewhere.place.command(&["restore", text(&backup)]);
    command.env("ALTER_ROOT_KEY_FILE", &new).env("ALTER_ROOT_KEY_FILE_OLD", &old);
    let restored = command.output().unwrap();
    assert!(restored.status.success(), "{}", said(&restored));
}
