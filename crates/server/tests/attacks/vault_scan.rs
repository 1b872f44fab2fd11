//! What a thief of the disk finds (T91), and what a wrong key finds (T93).

use std::{path::Path, sync::Arc};

use alter_core::{Store, StoreError, SystemRandom, time::Random};
use alter_egress::{Egress, EgressConfig};
use alter_flows::{Flows, FlowsConfig, REFRESH_PAUSE, StartError, ready, reap};
use alter_mock_provider::Raw;
use alter_store_sqlite::{Open, SqliteStore};
use alter_testkit::{
    TestBrowser, TestServer,
    canary::{encodings, hits},
    server::CLIENT_SECRET,
};
use alter_vault::{RootKey, Vault};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::sql;

/// Every file below a folder, as it is at this moment.
fn snapshot(when: &str, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(snapshot(when, &path));
        } else {
            files.push((format!("{} {when}", path.display()), std::fs::read(&path).unwrap()));
        }
    }
    files
}

/// Positive control: a secret that is put into the database in every encoding is found in every encoding.
fn the_scan_sees(server: &TestServer) {
    let planted = "planted-canary-+/?&=%-8f14e45f";
    let connection = sql::open(server);
    connection.execute_batch("CREATE TABLE planted (value BLOB)").unwrap();
    for (encoding, bytes) in encodings(planted) {
        connection.execute("DELETE FROM planted", []).unwrap();
        connection.execute("INSERT INTO planted (value) VALUES (?1)", [bytes]).unwrap();
        let found = hits(&snapshot("planted", server.dir()), planted);
        assert!(found.iter().any(|hit| hit.starts_with(&format!("{encoding} "))), "{encoding}: {found:?}");
    }
    connection.execute_batch("DROP TABLE planted").unwrap();
}

fn query_value(target: &str, name: &str) -> String {
    let url = url::Url::parse(&format!("http://localhost{target}")).unwrap();
    url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
}

#[tokio::test]
async fn t91_no_file_holds_a_secret_at_any_moment_of_a_flow() {
    let mut server = TestServer::start_sqlite().await;
    the_scan_sees(&server);

    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
    let now = server.flows.now().as_seconds();
    let claims = json!({ "iss": server.mock.issuer(), "sub": "acme-1001", "email": "alex@acme.example", "iat": now,
        "aud": attempt.param("client_id"), "exp": now + 3600, "nonce": attempt.param("nonce") });
    let id_token = server.mock.sign(Value::Null, claims);
    let (access, refresh) = ("canary-access-token-+/9a1b", "canary-refresh-token-+/7c2d");
    let answer = json!({ "access_token": access, "refresh_token": refresh, "id_token": id_token,
        "token_type": "Bearer", "expires_in": 3600, "note": "canary-in-the-rest-of-the-answer" });
    server.mock.set(|s| s.token_response = Some(Raw::json(200, &answer)));
    let mut files = snapshot("with the user at the provider", server.dir());

    // The last commit fails: the answer stays in the journal.
    sql::block(&server, "INSERT ON audit");
    browser.come_back(&server, &server.app, &mut attempt).await;
    assert_eq!(sql::count(&server, "attempts WHERE status = 'sent' AND body IS NOT NULL"), 1);
    files.extend(snapshot("with the answer in the journal", server.dir()));
    assert!(files.iter().any(|(name, _)| name.contains("alter.db-wal")), "the log is scanned too");
    sql::unblock(&server);
    server.clock.advance_seconds(61);
    reap::reap(&server.flows).await.unwrap();
    let grant = sql::text(&server, "SELECT id FROM grants");
    assert_eq!(
        server.token(&grant).await.json()["access_token"],
        access,
        "positive control: it is there, sealed"
    );
    files.extend(snapshot("with a grant", server.dir()));

    // A second value replaces the first; then a failed attempt and a wrong browser; then a checkpoint into the file.
    server.mock.set(|s| s.token_response = None);
    let second = TestBrowser::new().attempt(&server, "mock").await;
    let second_access =
        server.token(second.grant_id()).await.json()["access_token"].as_str().unwrap().to_owned();
    let stolen = TestBrowser::new().leave_for(&server, &server.app, "mock").await;
    let callback = browser.at_provider(&stolen.authorize).await;
    assert_eq!(TestBrowser::new().get(&server, &callback).await.status, 400);
    files.extend(snapshot("with a second version", server.dir()));
    sql::open(&server).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    files.extend(snapshot("after the checkpoint", server.dir()));
    server.clock.advance_seconds(2 * 24 * 3600);
    reap::reap(&server.flows).await.unwrap();
    server.restart().await;
    files.extend(snapshot("two days and a restart later", server.dir()));

    let seen = server.mock.seen();
    let verifier = |at: usize| seen.token[at].field("code_verifier").unwrap().to_owned();
    let browser_key = browser.cookie().split_once('=').unwrap().1.to_owned();
    let payload = id_token.split('.').nth(1).unwrap().to_owned();
    for (what, secret) in [
        ("access token", access.to_owned()),
        ("second access token", second_access),
        ("refresh token", refresh.to_owned()),
        ("id_token", id_token.clone()),
        ("id_token payload", payload),
        ("the rest of the answer", "canary-in-the-rest-of-the-answer".to_owned()),
        ("client secret", CLIENT_SECRET.to_owned()),
        ("verifier", verifier(0)),
        ("second verifier", verifier(1)),
        ("session token", attempt.token.clone()),
        ("second session token", second.token.clone()),
        ("API key", server.app.key.expose_secret().to_owned()),
        ("state", attempt.param("state")),
        ("second state", second.param("state")),
        ("browser key", browser_key),
        ("code", query_value(&attempt.callback, "code")),
        ("code in the wrong browser", query_value(&callback, "code")),
    ] {
        assert_eq!(hits(&files, &secret), Vec::<String>::new(), "{what}");
    }
}

fn flows_with(server: &TestServer, store: Arc<dyn Store>, key: RootKey) -> Flows {
    let egress = Egress::new(EgressConfig::default()).unwrap();
    let config = FlowsConfig { public_url: server.public_url.clone(), refresh_pause: REFRESH_PAUSE };
    Flows::new(config, store, Vault::new(key), egress, Arc::new(server.clock.clone()), Arc::new(SystemRandom))
}

#[tokio::test]
async fn t93_with_a_wrong_key_or_without_its_check_the_server_does_not_start_and_nothing_is_written() {
    let server = TestServer::start_sqlite().await;
    let grant = TestBrowser::new().attempt(&server, "mock").await.grant_id().to_owned();
    let (wrong, _) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
    let wrong = flows_with(&server, server.store.clone(), wrong);
    let check = server.store.key_check().await.unwrap();
    assert!(matches!(ready::check_root_key(&wrong).await, Err(StartError::RootKey(_))));
    assert!(ready::ready(&wrong).await.is_err());
    assert!(
        matches!(ready::initialise(&wrong).await, Err(StoreError::Exists)),
        "a key check is never replaced"
    );
    assert_eq!(server.store.key_check().await.unwrap(), check);

    let path = server.dir().join("new.db");
    let empty: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, Open::Create).unwrap());
    let (any, _) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
    let fresh = flows_with(&server, empty.clone(), any);
    assert!(matches!(ready::check_root_key(&fresh).await, Err(StartError::NotInitialised)));
    assert!(ready::ready(&fresh).await.is_err());
    assert_eq!(empty.key_check().await.unwrap(), None, "serving never makes a key check");

    ready::check_root_key(&server.flows).await.unwrap();
    ready::ready(&server.flows).await.unwrap();
    assert_eq!(server.token(&grant).await.status, 200);
}
