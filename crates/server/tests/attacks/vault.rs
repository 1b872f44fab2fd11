//! The database in an attacker's hands: a sealed value opens only in its own cell (T90), and no two sealed values share
//! anything (T89).

use alter_flows::reap;
use std::collections::HashMap;

use alter_core::AppSettings;
use alter_mock_provider::Raw;
use alter_testkit::{TestApp, TestBrowser, TestServer};
use rusqlite::params;
use serde_json::json;

use crate::sql;

/// One sealed cell of the database.
#[derive(Debug, Clone, PartialEq)]
struct Cell {
    table: &'static str,
    column: &'static str,
    key: &'static str,
    row: String,
}

impl Cell {
    fn read(&self, server: &TestServer) -> Option<Vec<u8>> {
        let query = format!("SELECT {} FROM {} WHERE {} = ?1", self.column, self.table, self.key);
        sql::open(server).query_row(&query, [&self.row], |row| row.get(0)).unwrap()
    }

    fn write(&self, server: &TestServer, value: &[u8]) {
        let statement = format!("UPDATE {} SET {} = ?2 WHERE {} = ?1", self.table, self.column, self.key);
        assert_eq!(sql::run(server, &statement, params![self.row, value]), 1);
    }
}

/// Every sealed cell that is not empty, in all rows of all apps.
fn sealed(server: &TestServer) -> Vec<(Cell, Vec<u8>)> {
    let columns = [
        ("grants", "id", "access_token"),
        ("grants", "id", "refresh_token"),
        ("grants", "id", "id_token"),
        ("providers", "config_id", "client_secret"),
        ("attempts", "id", "verifier"),
        ("attempts", "id", "body"),
        ("apps", "id", "wrapped_key"),
        ("key_check", "id", "value"),
    ];
    let (connection, mut cells) = (sql::open(server), Vec::new());
    for (table, key, column) in columns {
        let query = format!("SELECT CAST({key} AS TEXT), {column} FROM {table} WHERE length({column}) > 0");
        let mut statement = connection.prepare(&query).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        for (row, value) in rows.map(Result::unwrap) {
            cells.push((Cell { table, column, key, row }, value));
        }
    }
    cells
}

fn cell(table: &'static str, column: &'static str, key: &'static str, row: &str) -> Cell {
    Cell { table, column, key, row: row.to_owned() }
}

/// Two apps, two users in the first, every kind of sealed value, and an older version of one.
struct Stage {
    server: TestServer,
    other: TestApp,
    grants: [String; 3],
    tokens: Vec<String>,
    foreign: Vec<(Cell, Vec<u8>)>,
}

async fn token_of(server: &TestServer, app: &TestApp, grant: &str) -> alter_testkit::Reply {
    let body =
        json!({ "grant_id": grant, "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    server.send(server.signed(&app.key, "/sdk/token", &body)).await
}

async fn stage() -> Stage {
    let server = TestServer::start_sqlite().await;
    let mut settings = AppSettings::named("Other App");
    settings.website_url = Some("https://other.example".into());
    let other = server.add_app(settings).await;
    let mut foreign = Vec::new();
    let mut grants = Vec::new();
    for (app, user) in [(&server.app, "acme-1001"), (&server.app, "acme-1002"), (&other, "acme-1001")] {
        server.mock.set(|s| s.auto_user = Some(user.into()));
        let mut browser = TestBrowser::new();
        let mut attempt = browser.leave_for(&server, app, "mock").await;
        browser.come_back(&server, app, &mut attempt).await;
        grants.push(attempt.grant_id().to_owned());
    }
    // The first user connects again; the values of the first connection become the older version.
    let old = cell("grants", "access_token", "id", &grants[0]);
    foreign.push((Cell { row: "an older version".into(), ..old.clone() }, old.read(&server).unwrap()));
    server.mock.set(|s| s.auto_user = Some("acme-1001".into()));
    TestBrowser::new().attempt(&server, "mock").await.connection();
    // Flows under way: a verifier in each app, and in the first app also a journalled answer.
    for app in [&server.app, &other] {
        TestBrowser::new().leave_for(&server, app, "mock").await;
    }
    let mut browser = TestBrowser::new();
    let mut stuck = browser.leave_for(&server, &server.app, "mock").await;
    sql::block(&server, "INSERT ON audit");
    browser.come_back(&server, &server.app, &mut stuck).await;
    sql::unblock(&server);
    foreign.extend(sealed(&server));
    foreign.push((cell("grants", "access_token", "id", "garbage"), vec![0x41; 400]));
    foreign.push((cell("grants", "access_token", "id", "nothing"), Vec::new()));

    let grants: [String; 3] = grants.try_into().unwrap();
    let mut tokens = Vec::new();
    for (app, grant) in [(&server.app, &grants[0]), (&server.app, &grants[1]), (&other, &grants[2])] {
        let reply = token_of(&server, app, grant).await;
        assert_eq!(reply.status, 200, "positive control: {}", reply.text());
        tokens.push(reply.json()["access_token"].as_str().unwrap().to_owned());
    }
    Stage { server, other, grants, tokens, foreign }
}

impl Stage {
    /// Every value that does not belong in this cell.
    fn others<'a>(&'a self, own: &'a Cell) -> impl Iterator<Item = &'a (Cell, Vec<u8>)> {
        self.foreign.iter().filter(move |(cell, _)| cell != own)
    }

    fn no_secret(&self, text: &str, what: &str) {
        for token in &self.tokens {
            assert!(!text.contains(token.as_str()), "{what}: {text}");
        }
    }

    /// Asserts that the token is not released: 500, no secret, no audit entry of a release.
    async fn closed(&self, app: &TestApp, grant: &str, what: &str) {
        let released = || sql::count(&self.server, "audit WHERE kind = 'token_released'");
        let before = released();
        let reply = token_of(&self.server, app, grant).await;
        assert_eq!((reply.status, reply.error().as_str()), (500, "server_error"), "{what}: {}", reply.text());
        self.no_secret(&reply.text(), what);
        assert_eq!(released(), before, "{what}");
    }
}

#[tokio::test]
async fn t90_an_access_token_opens_in_its_own_cell_alone() {
    let stage = stage().await;
    let server = &stage.server;
    assert!(stage.foreign.len() >= 20, "every kind of value is there: {}", stage.foreign.len());
    for (app, grant) in
        [(&server.app, &stage.grants[0]), (&server.app, &stage.grants[1]), (&stage.other, &stage.grants[2])]
    {
        let target = cell("grants", "access_token", "id", grant);
        let own = target.read(server).unwrap();
        for (source, value) in stage.others(&target) {
            target.write(server, value);
            stage.closed(app, grant, &format!("{source:?} in {target:?}")).await;
        }
        target.write(server, &own);
        assert_eq!(token_of(server, app, grant).await.status, 200, "positive control");
    }
}

#[tokio::test]
async fn t90_a_row_that_is_moved_renamed_or_renumbered_does_not_open() {
    let stage = stage().await;
    let (server, grant) = (&stage.server, &stage.grants[1]);
    let (own, other) = (server.app.id.to_string(), stage.other.id.to_string());
    let set = |statement: &str, value: &str, id: &str| sql::run(server, statement, params![value, id]);

    // With a configuration of that tenant: another one's is not found.
    let moved = "UPDATE grants SET app_id = ?1, config_id = (SELECT config_id FROM providers
                 WHERE app_id = ?1 AND provider = 'mock') WHERE id = ?2";
    assert_eq!(set(moved, &other, grant), 1);
    stage.closed(&stage.other, grant, "another tenant").await;
    set(moved, &own, grant);

    let renamed = "00000000-0000-4000-8000-000000000000";
    assert_eq!(set("UPDATE grants SET id = ?1 WHERE id = ?2", renamed, grant), 1);
    stage.closed(&server.app, renamed, "another id").await;
    set("UPDATE grants SET id = ?1 WHERE id = ?2", grant, renamed);

    assert_eq!(set("UPDATE grants SET generation = generation + ?1 WHERE id = ?2", "1", grant), 1);
    stage.closed(&server.app, grant, "another generation").await;
    set("UPDATE grants SET generation = generation - ?1 WHERE id = ?2", "1", grant);

    for (source, value) in stage.foreign.iter().filter(|(cell, _)| cell.row != own) {
        let target = cell("apps", "wrapped_key", "id", &own);
        let right = target.read(server).unwrap();
        target.write(server, value);
        stage.closed(&server.app, grant, &format!("{source:?} as the app's key")).await;
        target.write(server, &right);
    }
    let reply = token_of(server, &server.app, grant).await;
    assert_eq!(reply.json()["access_token"], stage.tokens[1].as_str(), "positive control");
}

#[tokio::test]
async fn t90_a_foreign_verifier_or_client_secret_is_never_sent_to_a_provider() {
    let stage = stage().await;
    let server = &stage.server;
    let config = server.app.callback.rsplit('/').next().unwrap();
    let secret = cell("providers", "client_secret", "config_id", config);
    let right = secret.read(server).unwrap();
    server.mock.forget_seen();
    for (source, value) in &stage.foreign {
        for is_verifier in [true, false] {
            if !is_verifier && *source == secret {
                continue;
            }
            let mut browser = TestBrowser::new();
            let mut attempt = browser.leave_for(server, &server.app, "mock").await;
            let id = sql::text(server, &format!("SELECT id FROM attempts WHERE sid = '{}'", attempt.sid));
            let target = if is_verifier { cell("attempts", "verifier", "id", &id) } else { secret.clone() };
            target.write(server, value);
            browser.come_back(server, &server.app, &mut attempt).await;
            secret.write(server, &right);
            let what = format!("{source:?} in {target:?}");
            assert_eq!(attempt.status["error"], "server_error", "{what}: {}", attempt.status);
            stage.no_secret(&attempt.status.to_string(), &what);
        }
    }
    assert_eq!(server.mock.seen().token.len(), 0, "nothing left");
    TestBrowser::new().attempt(server, "mock").await.connection();
}

#[tokio::test]
async fn t90_a_foreign_refresh_token_is_not_carried_into_the_next_version() {
    let stage = stage().await;
    let (server, grant) = (&stage.server, &stage.grants[0]);
    let target = cell("grants", "refresh_token", "id", grant);
    let right = target.read(server).unwrap();
    let generation = format!("SELECT generation FROM grants WHERE id = '{grant}'");
    let before = sql::number(server, &generation);
    server.mock.set(|s| s.omit_refresh_token = true);
    for (source, value) in stage.others(&target) {
        target.write(server, value);
        let attempt = TestBrowser::new().attempt(server, "mock").await;
        assert_ne!(attempt.status["status"], "completed", "{source:?}: {}", attempt.status);
        assert_eq!(sql::number(server, &generation), before, "{source:?}");
        target.write(server, &right);
    }
    TestBrowser::new().attempt(server, "mock").await.connection();
    assert_eq!(sql::number(server, &generation), before + 1, "positive control");
}

#[tokio::test]
async fn t90_a_foreign_answer_in_the_journal_is_not_replayed() {
    let stage = stage().await;
    let server = &stage.server;
    let id = sql::text(server, "SELECT id FROM attempts WHERE status = 'sent'");
    let target = cell("attempts", "body", "id", &id);
    let right = target.read(server).unwrap();
    let connected = || sql::count(server, "audit WHERE kind = 'grant_connected'");
    let before = connected();
    server.clock.advance_seconds(61);
    for (source, value) in stage.others(&target) {
        target.write(server, value);
        reap::reap(&server.flows).await.unwrap();
        assert_eq!(connected(), before, "{source:?}");
    }
    target.write(server, &right);
    reap::reap(&server.flows).await.unwrap();
    assert_eq!(connected(), before + 1, "positive control");
}

#[tokio::test]
async fn t89_two_connections_with_the_same_answer_share_no_key_no_nonce_and_no_ciphertext() {
    let server = TestServer::start_sqlite().await;
    let answer = json!({ "access_token": "the-same-access-token-every-time", "token_type": "Bearer",
        "refresh_token": "the-same-refresh-token-every-time", "id_token": "{{id_token}}", "expires_in": 3600 });
    server.mock.set(|s| s.token_response = Some(Raw::json(200, &answer)));
    let mut values: Vec<(String, Vec<u8>)> = Vec::new();
    for round in 0..4 {
        let mut browser = TestBrowser::new();
        let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
        sql::block(&server, "INSERT ON audit");
        browser.come_back(&server, &server.app, &mut attempt).await;
        sql::unblock(&server);
        let under_way = sealed(&server).into_iter().filter(|(cell, _)| cell.table == "attempts");
        values.extend(under_way.map(|(cell, value)| (format!("{round} {cell:?}"), value)));
        server.clock.advance_seconds(61);
        reap::reap(&server.flows).await.unwrap();
        // The operator sets the same client secret again.
        server.add_provider(&server.app, "mock", |_| ()).await;
        let at_rest =
            sealed(&server).into_iter().filter(|(cell, _)| ["grants", "providers"].contains(&cell.table));
        values.extend(at_rest.map(|(cell, value)| (format!("{round} {cell:?}"), value)));
    }
    assert_eq!(values.len(), 4 * (2 + 3 + 1), "verifier, body, three tokens, client secret");
    // Magic, version, algorithms and the id of the app's key are equal by design; nothing after them may be equal.
    let mut windows: HashMap<Vec<u8>, &str> = HashMap::new();
    for (name, value) in &values {
        for window in value[22..].windows(12) {
            if let Some(first) = windows.insert(window.to_vec(), name) {
                assert_eq!(first, name, "share twelve bytes: {name}");
            }
        }
    }
    let (_, first) = &values[0];
    assert!(windows.contains_key(&first[30..42]), "positive control: a shared window would be found");
}
