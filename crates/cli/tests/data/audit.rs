//! Tests of `alter audit` on a database that somebody has edited.

use alter_core::{AppId, AuditEntry, AuditKind, AuditStore, GrantId, Micros, SystemRandom};
use alter_store_sqlite::{Open, SqliteStore};
use serde_json::{Value, json};

use crate::place::{Place, said};

/// Makes an app with this many audit entries, which the store writes like any others.
fn with_entries(name: &str, entries: i64) -> (Place, String, GrantId) {
    let (place, app) = Place::with_app(name);
    let store = SqliteStore::open(&place.database(), Open::Existing).unwrap();
    let (id, grant) = (AppId::parse(&app).unwrap(), GrantId::new(&SystemRandom));
    let append = async {
        let first = store.audit_head(id).await.unwrap().map_or(0, |head| head.seq) + 1;
        let entry = |n: i64| {
            let kind = if n % 10 == 0 { AuditKind::GrantConnected } else { AuditKind::TokenReleased };
            let grant_id = (n % 2 == 0).then_some(grant);
            let details = json!({ "n": n.to_string() });
            AuditEntry { grant_id, ..AuditEntry::new(id, Micros(n), kind, details) }
        };
        let all = (first..=entries).map(|n| store.append_audit(entry(n)));
        for append in all {
            append.await.unwrap();
        }
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(append);
    (place, app, grant)
}

#[test]
fn t96_an_entry_edited_deleted_moved_or_inserted_in_the_database_is_named_by_the_command() {
    let (place, app, _) = with_entries("t96", 1200);
    let verify = ["audit", "verify", &app];
    let good = place.json(&verify);
    let head = good["apps"][0]["head"].as_str().unwrap().to_owned();
    assert!(head.starts_with("1200:"), "{good}");

    let all = "seq, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id, details, hash, app_id";
    let insert = format!(
        "INSERT INTO audit ({all}) SELECT 1201, at, kind, grant_id, sid, key_id, user_id, agent_id, request_id,
         details, hash, app_id FROM audit WHERE seq = 1200"
    );
    let swap = "UPDATE audit SET seq = -1 WHERE seq = 700; UPDATE audit SET seq = 700 WHERE seq = 701;
                UPDATE audit SET seq = 701 WHERE seq = -1";
    let cases = [
        ("UPDATE audit SET details = '{}' WHERE seq = 1", "entry 1 was changed"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 999", "entry 999 was changed"),
        ("UPDATE audit SET kind = 'token_release' WHERE seq = 1000", "entry 1000 was changed"),
        ("UPDATE audit SET grant_id = NULL WHERE seq = 1002", "entry 1002 was changed"),
        ("UPDATE audit SET user_id = '' WHERE seq = 1001", "entry 1001 was changed"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 5", "entry 5 was changed"),
        ("UPDATE audit SET hash = NULL WHERE seq = 6", "entry 6 carries no chain value"),
        ("DELETE FROM audit WHERE seq = 500", "entry 500 is missing"),
        ("DELETE FROM audit WHERE seq = 1200", "entry 1200 was cut off"),
        ("DELETE FROM audit WHERE seq > 1000", "entry 1001 was cut off"),
        (swap, "entry 700 was changed"),
        (&insert, "entry 1201 stands after the head"),
        ("UPDATE audit_heads SET hash = zeroblob(32)", "entry 1200 does not have the value of the head"),
        ("UPDATE audit_heads SET chained_after = 3", "entry 1 carries a chain value"),
        ("DELETE FROM audit_heads", "entry 1 stands after the head"),
    ];
    let sql = place.sql();
    sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    for (edit, words) in cases {
        std::fs::copy(place.database(), place.path("kept.db")).unwrap();
        sql.execute_batch(edit).unwrap();
        sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let refused = place.refused(&verify);
        assert!(refused.contains(words), "{edit}: {refused}");
        sql.execute_batch(&format!(
            "ATTACH '{}' AS kept; DELETE FROM audit; DELETE FROM audit_heads;
             INSERT INTO audit SELECT * FROM kept.audit; INSERT INTO audit_heads SELECT * FROM kept.audit_heads;
             DETACH kept",
            place.path("kept.db").display()
        ))
        .unwrap();
        sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
    assert!(place.run(&verify).status.success(), "positive control: the original entries verify again");

    // Entries are cut off and the head is rewritten: only a head that was kept elsewhere shows it.
    sql.execute_batch(
        "DELETE FROM audit WHERE seq > 1100;
         UPDATE audit_heads SET seq = 1100, hash = (SELECT hash FROM audit WHERE seq = 1100)",
    )
    .unwrap();
    assert!(place.run(&verify).status.success());
    let refused = place.refused(&["audit", "verify", &app, "--head", &head]);
    assert!(refused.contains("entry 1101 was cut off"), "{refused}");
    let every = place.json(&["audit", "verify", "--all"]);
    assert_eq!(every["apps"][0]["seq"], 1100);
}

#[test]
fn t96_an_exported_log_is_verified_without_a_database() {
    let (place, app, _) = with_entries("export", 1500);
    let (whole, rest) = (place.path("whole.jsonl"), place.path("rest.jsonl"));
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let made = place.json(&["audit", "export", &app, "--out", &text(&whole)]);
    assert_eq!((&made["entries"], &made["seq"]), (&json!(1500), &json!(1500)));
    let again = place.refused(&["audit", "export", &app, "--out", &text(&whole)]);
    assert!(again.contains("exists already"), "{again}");
    place.json(&["audit", "export", &app, "--after", "1100", "--out", &text(&rest)]);
    let printed = place.run(&["audit", "export", &app, "--after", "1100"]);
    assert_eq!(printed.stdout, std::fs::read(&rest).unwrap());

    let elsewhere = Place::new("elsewhere");
    let verify = |path: &std::path::Path| ["audit".into(), "verify".into(), "--file".to_owned(), text(path)];
    let run = |args: &[String]| elsewhere.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    for file in [&whole, &rest] {
        let good = run(&verify(file));
        assert!(good.status.success() && said(&good).contains("Good"), "{}", said(&good));
    }
    let head = made["head"].as_str().unwrap().to_owned();
    let with_head = |path| [&verify(path)[..], &["--head".into(), head.clone()]].concat();
    assert!(run(&with_head(&rest)).status.success());

    let lines: Vec<_> = std::fs::read_to_string(&whole).unwrap().lines().map(str::to_owned).collect();
    let edited = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        let path = place.path("edited.jsonl");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        said(&run(&verify(&path)))
    };
    let one_edited = edited(&|l| l[41] = l[41].replace("token_released", "token_refused"));
    assert!(one_edited.contains("entry 42 was changed"), "{one_edited}");
    assert!(edited(&|l| drop(l.remove(1000))).contains("entry 1001 is missing"));
    assert!(edited(&|l| l.swap(3, 4)).contains("entry 4 is missing"));
    assert!(edited(&|l| drop(l.remove(1499))).contains("entry 1500 was cut off"));
    assert!(edited(&|l| drop(l.pop())).contains("cut off"));
}

#[test]
fn entries_are_listed_newest_first_by_kind_and_by_grant() {
    let (place, app, grant) = with_entries("list", 2500);
    let grant = grant.to_string();
    let seqs = |args: &[&str]| -> Vec<i64> {
        let args = [&["audit", "list", &app], args].concat();
        let answer = place.json(&args);
        answer["entries"].as_array().unwrap().iter().map(|e| e["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(seqs(&["--limit", "3"]), [2500, 2499, 2498]);
    assert_eq!(seqs(&["--kind", "grant_connected", "--limit", "2"]), [2500, 2490]);
    assert_eq!(seqs(&["--grant", &grant, "--limit", "2"]), [2500, 2498]);
    assert_eq!(seqs(&["--kind", "grant_connected", "--limit", "9999"]).len(), 250);
    assert!(seqs(&["--kind", "grant_revoked"]).is_empty());
    let unknown = place.run(&["audit", "list", &app, "--kind", "nonsense"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(said(&unknown).contains("token_released"), "{}", said(&unknown));
}

#[test]
fn t96_an_export_without_chain_values_was_not_checked_and_has_a_status_of_its_own() {
    let (place, app, _) = with_entries("stripped", 20);
    let file = place.path("log.jsonl");
    let path = file.to_str().unwrap();
    place.json(&["audit", "export", &app, "--out", path]);
    let lines: Vec<Value> = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let verified = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        let output = place.run(&["audit", "verify", "--file", path]);
        (output.status.code(), said(&output))
    };
    let strip = |lines: &mut Vec<Value>, removed: bool| {
        lines[4]["kind"] = json!("grant_revoked");
        for line in &mut lines[..20] {
            let line = line.as_object_mut().unwrap();
            if removed { drop(line.remove("hash")) } else { line["hash"] = Value::Null }
        }
        lines[20]["end"]["head"] = json!(format!("20:{}", "0".repeat(64)));
        lines[20]["end"]["chained_after"] = json!(20);
    };
    for removed in [false, true] {
        let (status, said) = verified(&|lines| strip(lines, removed));
        assert_eq!(status, Some(3), "{said}");
        assert!(said.contains("nothing was checked: none of the 20 entries"), "{said}");
        assert!(!said.contains("Good:"), "{said}");
    }
    let (status, said) = verified(&|lines| drop(lines.drain(..20)));
    assert_eq!(status, Some(1), "the head is known to have existed: {said}");
    let (status, said) = verified(&|lines| {
        lines.drain(..20);
        lines[0]["end"]["head"] = json!(format!("0:{}", "0".repeat(64)));
    });
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("nothing was checked: there are no entries"), "{said}");
    for (at, member) in [(4, "approved_by"), (20, "note")] {
        let (status, said) = verified(&|lines| lines[at][member] = json!("me"));
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("unknown field") && said.contains(member), "{said}");
    }
    let (status, said) = verified(&|_| {});
    assert_eq!(status, Some(0), "positive control: {said}");
}

#[test]
fn t96_a_database_without_chain_values_was_not_checked_and_has_a_status_of_its_own() {
    let (place, app, _) = with_entries("stripped-db", 20);
    let sql = place.sql();
    let status = |words: &str| {
        let output = place.run(&["audit", "verify", &app]);
        assert!(said(&output).contains(words), "{}", said(&output));
        output.status.code()
    };
    assert_eq!(status("20 entries"), Some(0), "positive control");
    sql.execute_batch(
        "UPDATE audit SET hash = NULL; UPDATE audit SET details = '{}' WHERE seq = 5;
         UPDATE audit_heads SET hash = zeroblob(32), chained_after = 20",
    )
    .unwrap();
    assert_eq!(status("nothing was checked: none of the 20 entries"), Some(3));
    let every = place.command(&["audit", "verify", "--all", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&every.stdout).unwrap();
    let found = &report["apps"][0];
    assert_eq!(
        (&found["ok"], &found["checked"], &found["unchained"]),
        (&json!(false), &json!(0), &json!(20))
    );
    assert_eq!(every.status.code(), Some(3));

    // From now on entries are chained again, from a value that says where the chain begins.
    place.json(&["key", "create", &app]);
    assert_eq!(status("the first 20 of 21 entries were not checked"), Some(3));
    sql.execute_batch("UPDATE audit_heads SET chained_after = 19").unwrap();
    assert_eq!(status("entry 20 carries no chain value"), Some(1));
    sql.execute_batch("DELETE FROM audit; DELETE FROM audit_heads").unwrap();
    assert_eq!(status("nothing was checked: there are no entries"), Some(3));
}

#[test]
fn t26_what_strangers_wrote_into_the_audit_commands_no_terminal() {
    let (place, app, _) = with_entries("terminal", 1);
    let store = SqliteStore::open(&place.database(), Open::Existing).unwrap();
    let details = json!({ "reason": "x\u{9b}2J\u{1b}[2J\u{202e}" });
    let entry = AuditEntry::new(AppId::parse(&app).unwrap(), Micros(1), AuditKind::GrantRevoked, details);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.append_audit(entry)).unwrap();
    drop(store);
    let raw = |text: &str| text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}');
    let listed = said(&place.run(&["audit", "list", &app]));
    assert!(listed.contains(r"x\u{9b}2J\u001b[2J\u{202e}") && !raw(&listed), "{listed:?}");
    let exported = said(&place.run(&["audit", "export", &app]));
    assert!(exported.contains(r"\u009b") && !raw(&exported), "{exported:?}");
    let file = place.path("log.jsonl");
    std::fs::write(&file, exported).unwrap();
    assert!(place.run(&["audit", "verify", "--file", file.to_str().unwrap()]).status.success());
}
