//! A restore makes nothing loose again that was tightened since its backup (T94): what `alter_core::Tightening` lists is
//! carried over, or named and refused.

use std::{collections::BTreeSet, path::PathBuf};

use alter_core::{
    AgentId, AgentStatus, AppSettings, Clock as _, IdentityProvider, Origin, Recipe, SystemClock, Tightening,
    secret,
};
use alter_flows::{ProviderSetting, callers, operate};
use alter_testkit::{
    Reply, TestBrowser, TestServer, http, operator,
    server::{CLIENT_SECRET, mock_recipe, signed},
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    backup::{Elsewhere, count, text},
    key_ring::{beside, listening},
    place::{answer, said},
};

const AUDIENCE: &str = "my-app";

/// A server with an app as loose as can be, and one grant that is delegated to an agent.
struct Scene {
    server: TestServer,
    agent: AgentId,
    key: SecretString,
    grant: String,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::start_sqlite().await;
        server.set_idp(&server.app, Some(AUDIENCE)).await;
        server.add_provider(&server.app, "gone", |_| ()).await;
        server.add_provider(&server.app, "other", |_| ()).await;
        let (agent, key) = server.add_agent(&server.app, "mailbot").await;
        let scene = Self { server, agent, key, grant: String::new() };
        scene.set_app(loose).await;
        let user = scene.server.mock.user_token("acme-1001", AUDIENCE);
        let body = json!({ "user_token": user, "agent": "mailbot", "allowed_providers": ["mock"] });
        let made = TestBrowser::new().connect_for(&scene.server, &scene.server.app, &body).await;
        let grant = made["grant_id"].as_str().unwrap().to_owned();
        Self { grant, ..scene }
    }

    async fn settings(&self) -> AppSettings {
        self.server.store.get_app(self.server.app.id).await.unwrap().unwrap().settings
    }

    async fn set_app(&self, change: impl FnOnce(&mut AppSettings)) {
        let mut settings = self.settings().await;
        change(&mut settings);
        operate::change_app(&self.server.flows, &operator(), self.server.app.id, settings).await.unwrap();
    }

    async fn set_provider(&self, id: &str, scopes: &[&str], change: impl FnOnce(&mut Recipe)) {
        let mut recipe = mock_recipe(&self.server.mock.issuer());
        (recipe.id, recipe.name) = (id.to_owned(), format!("Provider {id}"));
        change(&mut recipe);
        let setting = ProviderSetting {
            recipe,
            client_id: format!("client-{}-{id}", self.server.app.id),
            client_secret: Some(SecretString::from(CLIENT_SECRET)),
            scopes: Some(scopes.iter().map(|s| (*s).to_owned()).collect()),
        };
        operate::set_provider(&self.server.flows, &operator(), self.server.app.id, setting).await.unwrap();
    }

    async fn suspend(&self, active: bool) {
        let app = self.server.store.get_app(self.server.app.id).await.unwrap().unwrap();
        let flows = &self.server.flows;
        callers::set_agent_active_as_operator(flows, &operator(), app, self.agent, active).await.unwrap();
    }

    async fn limit_agent(&self, scopes: Value) {
        let agent = self.server.store.get_agent(self.server.app.id, self.agent).await.unwrap().unwrap();
        let target = format!("/sdk/agents/{}?expected_version={}", self.agent, agent.version);
        let reply =
            self.server.call_as(&self.server.app.key, "PATCH", &target, &json!({ "scopes": scopes })).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    fn backup(&self, elsewhere: &Elsewhere<'_>, name: &str) -> PathBuf {
        tokio::task::block_in_place(|| elsewhere.backup(name).0)
    }

    /// Puts the server's database of now in the place that is restored into.
    fn today(&self, elsewhere: &Elsewhere<'_>) {
        let today = self.backup(elsewhere, "today.db");
        std::fs::copy(today, elsewhere.place.database()).unwrap();
    }
}

fn loose(s: &mut AppSettings) {
    (s.legacy_clients, s.allow_unverified_links, s.allow_bearer) = (true, true, true);
    s.allow_auth_sessions = true;
    (s.session_ttl, s.sessions_per_minute) = (3600, 0);
    s.return_origins = vec![Origin::parse("https://back.example").unwrap()];
}

fn tight(s: &mut AppSettings) {
    (s.legacy_clients, s.allow_unverified_links, s.allow_bearer) = (false, false, false);
    (s.allow_auth_sessions, s.require_user_token) = (false, true);
    (s.session_ttl, s.sessions_per_minute) = (60, 5);
    s.return_origins.clear();
    s.website_url = Some("https://new.example".into());
    s.identity_provider = None;
}

/// The words of `carried_over` or `loosened` in the command's answer.
fn words(restored: &Value, list: &str) -> BTreeSet<String> {
    let list = restored["apps"][0][list].as_array().unwrap();
    list.iter().map(|one| one["what"].as_str().unwrap().to_owned()).collect()
}

/// What the test below cannot do in one restore, with the test that does it.
fn elsewhere_tested(what: Tightening) -> bool {
    use Tightening as T;
    match what {
        // `backup::t94_...`: these have lists of their own in the answer.
        T::GrantRevoked | T::DelegationRevoked | T::KeyRevoked => true,
        // `t94_what_cannot_be_carried_over_...`.
        T::GrantScopes => true,
        // `t94_an_app_that_was_deleted_...`: nothing else of it is left to compare.
        T::AppDeleted => true,
        // `t94_another_identity_provider_and_a_deleted_agent_...`.
        T::IdentityProviderChanged | T::AgentDeleted => true,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_everything_that_was_tightened_since_the_backup_stays_tight_and_is_named() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "tightened");
    let before = scene.backup(&elsewhere, "before.db");
    scene.set_app(tight).await;
    scene.suspend(false).await;
    scene.limit_agent(json!({ "mock": ["email"] })).await;
    operate::remove_provider(&scene.server.flows, &operator(), scene.server.app.id, "gone").await.unwrap();
    scene.set_provider("mock", &["openid", "email"], |recipe| recipe.name = "Mock Provider".into()).await;
    scene.set_provider("other", &["openid"], |recipe| recipe.api_hosts = vec!["one.example".into()]).await;
    scene.today(&elsewhere);
    let database = elsewhere.place.database();
    {
        // No command does these two by themselves.
        let sql = rusqlite::Connection::open(&database).unwrap();
        let changes = "UPDATE delegations SET scopes = '[\"email\"]'; UPDATE grants SET ends_at = 5";
        sql.execute_batch(changes).unwrap();
    }

    let restored = elsewhere.json(&["restore", text(&before), "--replace"]);
    let expected: BTreeSet<_> = Tightening::ALL
        .iter()
        .filter(|what| !elsewhere_tested(**what))
        .map(|what| what.as_str().to_owned())
        .collect();
    assert_eq!(words(&restored, "carried_over"), expected, "{restored}");
    assert_eq!(words(&restored, "loosened"), BTreeSet::new());

    let stored = |sql: &str| -> String {
        let c = rusqlite::Connection::open(&database).unwrap();
        c.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let now: AppSettings = serde_json::from_str(&stored("SELECT settings FROM apps")).unwrap();
    assert_eq!(now, scene.settings().await);
    assert_eq!(stored("SELECT status FROM agents"), AgentStatus::Inactive.as_str());
    assert_eq!(stored("SELECT data ->> '$.scopes.mock' FROM agents"), r#"["email"]"#);
    assert_eq!(count(&database, "providers"), 2);
    assert_eq!(stored("SELECT scopes FROM providers WHERE provider = 'mock'"), r#"["openid","email"]"#);
    let hosts = "SELECT recipe ->> '$.api_hosts' FROM providers WHERE provider = 'other'";
    assert_eq!(stored(hosts), r#"["one.example"]"#);
    assert_eq!(stored("SELECT scopes FROM delegations"), r#"["email"]"#);
    assert_eq!(count(&database, "grants WHERE ends_at = 5"), 1);
    // The audit has it too, and the values that were carried over open.
    let audit = said(&elsewhere.run(&["audit", "list", &scene.server.app.id.to_string(), "--limit", "1"]));
    assert!(audit.contains("agent_suspended") && audit.contains("mailbot"), "{audit}");
    every_seal_holds(&elsewhere);
    let rotated = &elsewhere.json(&["key-ring", "rotate"])["apps"][0];
    assert_eq!(rotated["unreadable"], json!([]), "{rotated}");
    every_seal_holds(&elsewhere);
}

/// What a restore carries over, it takes with its seal.
fn every_seal_holds(elsewhere: &Elsewhere<'_>) {
    let found = said(&elsewhere.run(&["doctor", "--offline"]));
    assert!(found.contains("root-key"), "it ran: {found}");
    for id in ["provider-changed", "provider-unsealed", "key-refused", "grant-changed"] {
        assert!(!found.contains(id), "{found}");
    }
}

/// A call to a server that runs on the restored database.
async fn call(address: &str, key: &SecretString, method: &str, target: &str, body: &Value) -> Reply {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let sent = signed(key, method, target, &body, SystemClock.now()).header("host", "localhost:7999");
    http::send(address, sent).await
}

/// Asks a server on the restored database for the scene's token.
async fn token_of(scene: &Scene, elsewhere: &Elsewhere<'_>, key: &SecretString) -> Reply {
    let mut serve = elsewhere.command(&["serve"]);
    serve.env("ALTER_LISTEN", "127.0.0.1:0").env("ALTER_PUBLIC_URL", "http://localhost:7999");
    let mut running = serve.spawn().unwrap();
    let address = listening(&mut running);
    let url = scene.server.mock.url("/api/me");
    let body = json!({ "grant_id": scene.grant, "request": { "method": "GET", "url": url } });
    let reply = call(&address, key, "POST", "/sdk/token", &body).await;
    running.kill().unwrap();
    running.wait().unwrap();
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_an_agent_that_was_suspended_since_the_backup_is_refused_after_its_restore() {
    for (suspended, status, error) in [(false, 200, ""), (true, 401, "agent_inactive")] {
        let scene = Scene::new().await;
        let elsewhere = Elsewhere::new(&scene.server, &format!("suspended-{suspended}"));
        let before = scene.backup(&elsewhere, "before.db");
        scene.suspend(!suspended).await;
        scene.today(&elsewhere);
        elsewhere.json(&["restore", text(&before), "--replace"]);

        let reply = token_of(&scene, &elsewhere, &scene.key).await;
        let got = if reply.status < 400 { String::new() } else { reply.error() };
        assert_eq!((reply.status, got.as_str()), (status, error), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_another_identity_provider_and_a_deleted_agent_are_carried_over() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "idp");
    let before = scene.backup(&elsewhere, "before.db");
    let idp = IdentityProvider { issuer: "https://new.example".into(), ..Default::default() };
    scene.set_app(|s| s.identity_provider = Some(idp.clone())).await;
    let target = format!("/sdk/agents/{}", scene.agent);
    assert_eq!(scene.server.call_empty(&scene.server.app.key, "DELETE", &target).await.status, 200);
    scene.today(&elsewhere);
    let restored = elsewhere.json(&["restore", text(&before), "--replace"]);
    let named = words(&restored, "carried_over");
    assert_eq!(named, ["agent_deleted", "identity_provider_changed"].map(str::to_owned).into());
    assert_eq!(restored["apps"][0]["agents_deleted_again"], 1);
    let settings = elsewhere.json(&["app", "show", &scene.server.app.id.to_string()]);
    assert!(settings.to_string().contains("https://new.example"), "{settings}");
    assert_eq!(
        count(&elsewhere.place.database(), "api_keys WHERE agent_id IS NOT NULL AND revoked_at IS NULL"),
        0
    );
}

/// The settings name the sign-in client, and its row is another table's: a restore leaves no name without its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_client_that_the_backup_does_not_have_is_gone_and_named_after_its_restore() {
    let scene = Scene::new().await;
    let app = scene.server.app.id.to_string();
    let [older, newer] = ["older", "newer"].map(|name| Elsewhere::new(&scene.server, name));
    let without = scene.backup(&older, "before.db");
    scene.server.set_sign_in(&scene.server.app, Some(AUDIENCE)).await;
    let with = scene.backup(&newer, "before.db");
    for (elsewhere, backup, lost) in [(&older, without, true), (&newer, with, false)] {
        scene.today(elsewhere);
        let restored = elsewhere.json(&["restore", text(&backup), "--replace"]);
        assert_eq!(restored["apps"][0]["sign_in_lost"], lost, "{restored}");
        assert_eq!(elsewhere.json(&["idp", "show", &app])["client_id"].is_null(), lost);
        assert!(!said(&elsewhere.run(&["doctor", "--offline"])).contains("sign-in-lost"));
    }
}

/// The secret of today's client is under a key that the backup does not have, so the backup's client stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_client_that_a_restore_keeps_is_the_one_that_the_settings_name() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "sign-in-kept");
    let callback = scene.server.set_sign_in(&scene.server.app, Some(AUDIENCE)).await;
    let before = scene.backup(&elsewhere, "before.db");
    let (flows, app) = (&scene.server.flows, scene.server.app.id);
    operate::remove_identity_provider(flows, &operator(), app).await.unwrap();
    tokio::task::block_in_place(|| {
        let args = ["key-ring", "rotate", "--json"];
        answer(beside(&scene.server, &args).output().unwrap(), &args);
    });
    assert_ne!(scene.server.set_sign_in(&scene.server.app, Some(AUDIENCE)).await, callback);
    scene.today(&elsewhere);
    let restored = elsewhere.json(&["restore", text(&before), "--replace", "--accept-loosening"]);
    assert_eq!(restored["apps"][0]["sign_in_lost"], false, "{restored}");
    let database = elsewhere.place.database();
    let same = "apps JOIN providers ON app_id = id WHERE provider = '@sign-in'
                AND settings ->> '$.identity_provider.sign_in.config_id' = config_id";
    assert_eq!(count(&database, same), 1);
    assert!(!said(&elsewhere.run(&["doctor", "--offline"])).contains("sign-in-lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_an_app_that_was_deleted_since_the_backup_is_deleted_in_it() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "deleted");
    let before = scene.backup(&elsewhere, "before.db");
    let app = scene.server.app.id.to_string();
    operate::delete_app(&scene.server.flows, &operator(), scene.server.app.id).await.unwrap();
    scene.today(&elsewhere);
    let restored = elsewhere.json(&["restore", text(&before), "--replace"]);
    assert_eq!(words(&restored, "carried_over"), ["app_deleted".to_owned()].into(), "{restored}");
    assert_eq!(elsewhere.json(&["app", "list"])["apps"], json!([]));
    for table in ["grants", "api_keys", "providers", "users", "agents", "delegations"] {
        assert_eq!(count(&elsewhere.place.database(), table), 0, "{table}");
    }
    let audit = said(&elsewhere.run(&["audit", "list", &app, "--limit", "1"]));
    assert!(audit.contains("database_restored") && audit.contains("app_deleted"), "{audit}");
    assert!(said(&elsewhere.run(&["audit", "verify", "--all"])).contains(&format!("good  {app}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_what_cannot_be_carried_over_is_named_and_refused_until_it_is_accepted() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "loosened");
    let before = scene.backup(&elsewhere, "before.db");
    // The user allows less, and the provider gets a client whose secret is under a key that the backup does not have.
    scene.server.mock.set(|s| s.granted_scopes = Some("openid email".into()));
    let user = scene.server.mock.user_token("acme-1001", AUDIENCE);
    let body = json!({ "user_token": user, "agent": "mailbot", "allowed_providers": ["mock"] });
    TestBrowser::new().connect_for(&scene.server, &scene.server.app, &body).await;
    tokio::task::block_in_place(|| {
        let args = ["key-ring", "rotate", "--json"];
        answer(beside(&scene.server, &args).output().unwrap(), &args);
    });
    scene.set_provider("other", &["openid"], |recipe| recipe.api_hosts = vec!["one.example".into()]).await;
    scene.today(&elsewhere);
    let database = elsewhere.place.database();
    let kept = std::fs::read(&database).unwrap();

    let refused = said(&elsewhere.run(&["restore", text(&before), "--replace"]));
    for words in [
        &format!("{}: {}", scene.grant, Tightening::GrantScopes.sentence()),
        &format!("other: {}", Tightening::ProviderChanged.sentence()),
        "--accept-loosening",
        "the database was not changed",
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    elsewhere.refused(&["restore", text(&before), "--replace"], "make loose again");
    assert_eq!(std::fs::read(&database).unwrap().len(), kept.len());
    assert_eq!(count(&database, "grants WHERE generation = 2"), 1, "it is still the database of today");

    let restored = elsewhere.json(&["restore", text(&before), "--replace", "--accept-loosening"]);
    let loosened = words(&restored, "loosened");
    assert_eq!(loosened, ["grant_scopes", "provider_changed"].map(str::to_owned).into(), "{restored}");
    assert_eq!(
        words(&restored, "carried_over"),
        ["delegation_scopes", "provider_scopes"].map(str::to_owned).into()
    );
    assert_eq!(count(&database, "grants WHERE generation = 1"), 1);
    every_seal_holds(&elsewhere);
    let audit = said(&elsewhere.run(&["audit", "list", &scene.server.app.id.to_string(), "--limit", "1"]));
    assert!(audit.contains("loosened") && audit.contains("grant_scopes"), "{audit}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_a_restore_that_is_refused_leaves_an_older_database_to_the_program_it_belongs_to() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "older-schema");
    let before = scene.backup(&elsewhere, "before.db");
    scene.set_provider("other", &["openid"], |recipe| recipe.api_hosts = vec!["one.example".into()]).await;
    scene.server.mock.set(|s| s.granted_scopes = Some("openid email".into()));
    let user = scene.server.mock.user_token("acme-1001", AUDIENCE);
    let body = json!({ "user_token": user, "agent": "mailbot", "allowed_providers": ["mock"] });
    TestBrowser::new().connect_for(&scene.server, &scene.server.app, &body).await;
    scene.today(&elsewhere);
    let database = elsewhere.place.database();
    let older =
        "ALTER TABLE sessions DROP COLUMN user_token; ALTER TABLE grants DROP COLUMN signed_in; DROP INDEX attempts_staged; ALTER TABLE attempts DROP COLUMN staged; ALTER TABLE attempts DROP COLUMN filled; ALTER TABLE attempts DROP COLUMN brought;
                 ALTER TABLE grants DROP COLUMN filled; ALTER TABLE grants DROP COLUMN metadata;
                 ALTER TABLE providers DROP COLUMN opener_kept; ALTER TABLE providers DROP COLUMN opener_severed;
                 DROP INDEX grants_unbound; ALTER TABLE apps DROP COLUMN deleted_at; DROP INDEX grants_by_subject;
                 ALTER TABLE grants DROP COLUMN account_verified; PRAGMA user_version = 8";
    rusqlite::Connection::open(&database).unwrap().execute_batch(older).unwrap();
    let schema = || {
        let c = rusqlite::Connection::open(&database).unwrap();
        c.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    elsewhere.refused(&["restore", text(&before), "--replace"], "make loose again");
    assert_eq!(schema(), 8, "nothing was migrated");
    let restored = elsewhere.json(&["restore", text(&before), "--replace", "--accept-loosening"]);
    assert!(words(&restored, "loosened").contains("grant_scopes"), "it was compared: {restored}");
    let beside = std::fs::read_dir(elsewhere.place.data()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = beside.filter(|name| name.to_string_lossy().contains("compared")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t90_a_grant_that_somebody_edited_in_a_backup_is_refused_after_its_restore() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "edited-grant");
    let before = scene.backup(&elsewhere, "before.db");
    rusqlite::Connection::open(&before).unwrap().execute("UPDATE grants SET principal = 'app'", []).unwrap();
    // A backup whose seal was torn off, and which an operator restores all the same.
    let path = PathBuf::from(format!("{}.json", text(&before)));
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("seal");
    let digest = alter_core::secret::sha256(&std::fs::read(&before).unwrap());
    manifest["sha256"] = json!(alter_core::secret::hex(&digest));
    std::fs::write(&path, manifest.to_string()).unwrap();
    elsewhere.json(&["restore", text(&before), "--accept-unsealed"]);
    let found = said(&elsewhere.run(&["doctor", "--offline"]));
    assert!(found.contains("grant-changed") && found.contains(&scene.grant), "{found}");
    let reply = token_of(&scene, &elsewhere, &scene.server.app.key).await;
    assert_eq!((reply.status, reply.error().as_str()), (503, "provider_configuration_unavailable"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_loosened_since_the_backup_is_as_tight_as_before_and_nothing_is_said() {
    let scene = Scene::new().await;
    let elsewhere = Elsewhere::new(&scene.server, "tighter");
    scene.set_app(|s| (s.require_user_token, s.allow_bearer) = (true, false)).await;
    scene.suspend(false).await;
    let before = scene.backup(&elsewhere, "before.db");
    scene.set_app(|s| (s.require_user_token, s.allow_bearer) = (false, true)).await;
    scene.suspend(true).await;
    // An older database is there too: what it never had is not taken for removed.
    scene.today(&elsewhere);
    rusqlite::Connection::open(elsewhere.place.database())
        .unwrap()
        .execute("DELETE FROM providers WHERE provider = 'other'", [])
        .unwrap();
    let restored = elsewhere.json(&["restore", text(&before), "--replace"]);
    assert_eq!(words(&restored, "carried_over"), BTreeSet::new(), "{restored}");
    let database = elsewhere.place.database();
    assert_eq!(count(&database, "apps WHERE settings ->> '$.require_user_token'"), 1);
    assert_eq!(count(&database, "agents WHERE status = 'inactive'"), 1);
    assert_eq!(count(&database, "providers"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t94_no_session_code_or_call_from_before_the_backup_is_good_once_more_after_its_restore() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let elsewhere = Elsewhere::new(server, "sessions");
    let mut browser = TestBrowser::new();
    let minted = server.mint(&json!({})).await;
    let mut away = browser.leave_for(server, &server.app, "mock").await;
    // A connection that waits for the app's word: the word may have been given, or refused, since.
    let challenge = secret::base64url(&secret::sha256(b"verifier"));
    let waiting = json!({ "allowed_providers": ["mock"], "code_challenge": challenge, "code_challenge_method": "S256" });
    let waiting = server.mint(&waiting).await;
    let mut other = TestBrowser::new();
    let (_, callback) = other.up_to_callback(server, &server.app, &waiting).await;
    assert_eq!(other.get(server, &callback).await.status, 303);
    server.set_sign_in(&server.app, Some(AUDIENCE)).await;
    let asked = server.call_as(&server.app.key, "POST", "/sdk/auth/session", &json!({})).await.json();
    let mut third = TestBrowser::new();
    let opened = third.open_link(server, asked["session_token"].as_str().unwrap(), &json!({})).await;
    let sid = alter_testkit::browser::sid_of(opened.json()["location"].as_str().unwrap());
    server.mock.set(|switches| switches.auto_user = Some("acme-1001".to_owned()));
    third.sign_in(server, &sid).await;
    let before = scene.backup(&elsewhere, "before.db");
    assert_eq!(count(&before, "sessions WHERE user_token IS NOT NULL"), 1, "nobody has fetched it");
    browser.come_back(server, &server.app, &mut away).await;
    browser.claim(server, &server.app, &minted).await;
    assert_eq!(server.token(away.grant_id()).await.status, 200);
    scene.today(&elsewhere);
    let database = elsewhere.place.database();
    let nonces = count(&database, "call_nonces");

    let restored = elsewhere.json(&["restore", text(&before), "--replace"]);
    assert_eq!(restored["sessions_ended"], 3, "{restored}");
    assert_eq!(count(&database, "sessions WHERE state IN ('minted', 'claimed')"), 0);
    assert_eq!(count(&database, "sessions WHERE data LIKE '%not_confirmed%'"), 1);
    assert_eq!(count(&database, "attempts WHERE status IN ('started', 'consumed', 'sent', 'staged')"), 0);
    assert_eq!(count(&database, "attempts WHERE body IS NOT NULL OR staged IS NOT NULL"), 0);
    assert_eq!(
        count(&database, "sessions WHERE user_token IS NOT NULL"),
        0,
        "no user token is released twice"
    );
    assert_eq!(count(&database, "call_nonces"), nonces, "a call that was made is not made again");
}
