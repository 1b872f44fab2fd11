//! Tests of `alter doctor`: each test causes a problem; the doctor names it by its id, and no longer once it is mended.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use alter_mock_provider::{MockProvider, TokenFault};
use alter_testkit::Sent;
use serde_json::Value;

use crate::{
    place::{Place, said},
    server::{APP, Server},
};

/// What one run of the doctor found, with its exit status.
struct Visit {
    code: i32,
    findings: Vec<Value>,
    text: String,
}

impl Visit {
    fn severity(&self, id: &str) -> Option<&str> {
        let found = self.findings.iter().find(|finding| finding["id"] == id);
        found.map(|finding| finding["severity"].as_str().unwrap())
    }

    #[track_caller]
    fn has(&self, id: &str, severity: &str) {
        assert_eq!(self.severity(id), Some(severity), "{id}: {}", self.text);
        let finding = self.findings.iter().find(|finding| finding["id"] == id).unwrap();
        assert!(severity == "ok" || finding["fix"].as_str().unwrap().len() > 10, "{finding} has no remedy");
        assert_eq!(self.code, i32::from(self.text.contains("\"mend\"")), "{}", self.text);
    }

    #[track_caller]
    fn has_not(&self, id: &str) {
        assert_eq!(self.severity(id), None, "{id}: {}", self.text);
    }
}

fn visit_with(place: &Place, args: &[&str]) -> Visit {
    let output = place.command(&[&["doctor", "--json"], args].concat()).output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let findings = value["findings"].as_array().unwrap().clone();
    Visit { code: output.status.code().unwrap(), findings, text: said(&output) }
}

fn offline(place: &Place) -> Visit {
    visit_with(place, &["--offline"])
}

/// A new installation in which nothing is wrong.
fn sound(name: &str) -> Place {
    let place = Place::new(name);
    place.json(&["init"]);
    place.json(&["app", "create", "A", "--website-url", APP]);
    set_provider(&place, "A", "acme", "https://acme.example");
    place
}

fn set_provider(place: &Place, app: &str, id: &str, base: &str) {
    let (authorize, token) = (format!("{base}/authorize"), format!("{base}/token"));
    let set = ["provider", "set", app, id, "--authorize-url", &authorize, "--token-url", &token];
    let more = ["--userinfo-url", "https://acme.example/me", "--client-id", "c", "--client-secret-stdin"];
    place.json_with(&[&set[..], &more[..], &["--api-host", "acme.example"]].concat(), "secret");
}

fn chmod(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn sql(place: &Place, statement: &str) {
    rusqlite::Connection::open(place.data().join("alter.db")).unwrap().execute_batch(statement).unwrap();
}

#[test]
fn a_sound_installation_has_nothing_to_mend_and_text_says_what_json_says() {
    let place = sound("doctor-sound").with("ALTER_PUBLIC_URL", "http://localhost:8700");
    let visit = offline(&place);
    assert_eq!(visit.code, 0, "{}", visit.text);
    for id in ["root-key", "data-dir", "database", "provider"] {
        visit.has(id, "ok");
    }
    visit.has("public-url-local", "warn");
    visit.has_not("reach");
    let text = said(&place.command(&["doctor", "--offline"]).output().unwrap());
    assert!(text.contains("/oauth/callback/pc_") && text.contains("warn  public-url-local"), "{text}");
    let secret = std::fs::read_to_string(place.data().join("root.key")).unwrap();
    assert!(!text.contains(secret.trim()) && !visit.text.contains(secret.trim()));
}

/// `alter provider set` refuses the client by which users sign in.
#[test]
fn a_sign_in_client_that_is_lost_or_changed_is_found_and_mended_by_idp_set() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(MockProvider::start());
    let place = sound("doctor-sign-in");
    let issuer = mock.issuer();
    let set =
        ["idp", "set", "A", "--issuer", &issuer, "--any-audience", "--client-id", "c", "--public-client"];
    place.json(&set);
    offline(&place).has_not("sign-in-lost");
    for change in
        ["client_id = 'other'", "recipe = json_set(recipe, '$.token_url', 'https://evil.example/t')"]
    {
        sql(&place, &format!("UPDATE providers SET {change} WHERE provider = '@sign-in'"));
        let visit = offline(&place);
        visit.has("provider-changed", "mend");
        let changed = visit.findings.iter().find(|finding| finding["id"] == "provider-changed").unwrap();
        let fix = changed["fix"].as_str().unwrap();
        assert!(fix.contains("alter idp set") && !fix.contains("provider set"), "{fix}");
        place.json(&set);
    }
    for statement in [
        "DELETE FROM providers WHERE provider = '@sign-in'",
        "UPDATE apps SET settings = json_set(settings, '$.identity_provider.sign_in.client_id', 'other')",
    ] {
        sql(&place, statement);
        let visit = offline(&place);
        visit.has("sign-in-lost", "mend");
        assert!(visit.text.contains("alter idp set"), "{}", visit.text);
        place.json(&set);
        offline(&place).has_not("sign-in-lost");
    }
}

#[test]
fn addresses_that_are_wrong_or_open_to_anyone_are_found() {
    let mut place = sound("doctor-addresses");
    for url in ["http://connect.example.com", "https://connect.example.com/alter", "https://*.example.com"] {
        place.set("ALTER_PUBLIC_URL", url);
        offline(&place).has("public-url-unusable", "mend");
    }
    place.set("ALTER_PUBLIC_URL", "https://connect.example.com");
    offline(&place).has("public-url", "ok");
    offline(&place).has_not("listen-public");
    place.set("ALTER_LISTEN", "0.0.0.0:8700");
    place.set("ALTER_METRICS_LISTEN", "[::]:9464");
    let visit = offline(&place);
    visit.has("listen-public", "warn");
    visit.has("metrics-public", "warn");
    place.set("ALTER_METRICS_LISTEN", "127.0.0.1:9464");
    offline(&place).has_not("metrics-public");
}

#[test]
fn keys_and_directories_of_others_are_found() {
    let place = sound("doctor-files");
    let (data, key) = (place.data(), place.data().join("root.key"));
    chmod(&key, 0o644);
    offline(&place).has("root-key-readable", "mend");
    chmod(&key, 0o600);
    chmod(&data, 0o755);
    offline(&place).has("data-dir-open", "mend");
    chmod(&data, 0o700);
    // A file that a restore, a backup or an old umask has left is found like the database itself.
    std::fs::write(data.join("old.db"), "x").unwrap();
    chmod(&data.join("old.db"), 0o600);
    for file in ["alter.db", "old.db"] {
        let path = data.join(file);
        chmod(&path, 0o666);
        let visit = offline(&place);
        visit.has("database-open", "mend");
        let named = format!("chmod 600 {}", path.display());
        assert!(visit.text.contains(&named) && visit.text.contains("0666"), "{}", visit.text);
        chmod(&path, 0o600);
        offline(&place).has_not("database-open");
    }
    if std::os::unix::fs::chown(&data, Some(65_534), None).is_ok() {
        offline(&place).has("data-dir-owner", "mend");
        let us = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&key).unwrap());
        std::os::unix::fs::chown(&data, Some(us), None).unwrap();
    }
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    offline(&place).has("root-key-other", "mend");
    std::fs::write(&key, "AAAA\n").unwrap();
    offline(&place).has("root-key-missing", "mend");
    std::fs::remove_file(&key).unwrap();
    let visit = offline(&place);
    visit.has("root-key-missing", "mend");
    visit.has_not("database-unusable");
    std::fs::write(&key, right).unwrap();
    chmod(&key, 0o600);
    offline(&place).has("root-key", "ok");
}

#[test]
fn a_database_that_is_missing_older_newer_or_broken_is_told_apart_and_not_touched() {
    let place = Place::new("doctor-database");
    offline(&place).has("database-missing", "mend");
    drop(place);
    let place = sound("doctor-database");
    let version = |place: &Place| -> i64 {
        let raw = rusqlite::Connection::open(place.data().join("alter.db")).unwrap();
        raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    let now = version(&place);
    sql(&place, "PRAGMA user_version = 9999");
    offline(&place).has("schema-newer", "mend");
    sql(&place, &format!("PRAGMA user_version = {now}"));
    offline(&place).has("database", "ok");

    sql(&place, "CREATE TRIGGER broken BEFORE INSERT ON probes BEGIN SELECT RAISE(ABORT, 'no'); END");
    offline(&place).has("schema-foreign", "mend");
    sql(&place, "DROP TRIGGER broken; CREATE VIEW beside AS SELECT id FROM apps");
    offline(&place).has("schema-beside", "warn");
    sql(&place, "DROP VIEW beside");
    offline(&place).has_not("schema-beside");
    std::fs::remove_file(place.data().join("alter.db")).unwrap();
    for rest in ["alter.db-wal", "alter.db-shm"] {
        let _may_be_gone = std::fs::remove_file(place.data().join(rest));
    }
    std::fs::write(place.data().join("alter.db"), "").unwrap();
    offline(&place).has("schema-older", "warn");
    assert_eq!(version(&place), 0, "looking does not migrate");
    let listed = place.command(&["app", "list"]).output().unwrap();
    assert!(!listed.status.success() && said(&listed).contains("alter migrate"), "{}", said(&listed));
    assert_eq!(version(&place), 0, "nor does any command that is not asked to");
    std::fs::write(place.data().join("alter.db"), "no database at all, but long enough to be read as one")
        .unwrap();
    offline(&place).has("database-unusable", "mend");
}

#[test]
fn few_open_files_are_found() {
    let place = sound("doctor-descriptors");
    offline(&place).has_not("open-files-low");
    let doctor = place.command(&["doctor", "--offline", "--json"]);
    let mut limited = std::process::Command::new("/bin/sh");
    limited
        .args(["-c", "ulimit -n 512; exec \"$0\" \"$@\""])
        .arg(doctor.get_program())
        .args(doctor.get_args());
    limited.envs(doctor.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().unwrap();
    assert!(said(&output).contains("open-files-low"), "{}", said(&output));
}

#[test]
fn apps_that_cannot_work_or_are_looser_than_they_should_be_are_found() {
    let mut place = sound("doctor-apps");
    let visit = offline(&place);
    let problems =
        ["app-no-provider", "app-no-website", "app-unverified-links", "app-name-twice", "app-legacy-clients"];
    for id in problems.into_iter().chain(["app-allow-bearer", "app-website-http"]) {
        visit.has_not(id);
    }
    place.json(&["app", "create", "Twin", "--website-url", "http://localhost:3000", "--allow-bearer"]);
    sql(&place, "UPDATE apps SET settings = json_set(settings, '$.name', 'A')");
    place.json(&["app", "create", "B"]);
    place.json(&["app", "create", "Links", "--allow-unverified-links"]);
    place.json(&["app", "create", "C", "--return-origin", APP, "--legacy-clients"]);
    let visit = offline(&place);
    visit.has("app-no-provider", "mend");
    visit.has("app-unverified-links", "warn");
    visit.has("app-no-website", "warn");
    visit.has("app-name-twice", "warn");
    visit.has("app-legacy-clients", "warn");
    visit.has_not("app-allow-bearer");
    visit.has_not("app-website-http");
    place.set("ALTER_PUBLIC_URL", "https://connect.example.com");
    let visit = offline(&place);
    visit.has("app-allow-bearer", "warn");
    visit.has("app-website-http", "warn");
}

#[test]
fn providers_that_release_nothing_or_have_no_secret_are_found() {
    let place = sound("doctor-providers");
    let id = place.json(&["app", "show", "A"])["app_id"].as_str().unwrap().to_owned();
    let urls = ["--authorize-url", "https://b.example/a", "--token-url", "https://b.example/t"];
    let set = ["provider", "set", "A", "b", "--userinfo-url", "https://b.example/u", "--client-id", "c"];
    place.json_with(&[&set[..], &urls[..], &["--client-secret-stdin"]].concat(), "secret");
    let visit = offline(&place);
    visit.has("provider-no-api-host", "mend");
    assert!(visit.text.contains(&format!("alter provider set {id} b --api-host")), "{}", visit.text);
    place.json(&["provider", "remove", "A", "b"]);
    place.json(&["provider", "set", "A", "github", "--client-id", "c", "--public-client"]);
    offline(&place).has("provider-no-secret", "mend");
    place.json_with(&["provider", "set", "A", "github", "--client-id", "c", "--client-secret-stdin"], "s");
    offline(&place).has_not("provider-no-secret");
}

#[test]
fn a_list_without_a_required_scope_is_warned_of_at_set_and_found() {
    let place = sound("doctor-scopes");
    offline(&place).has_not("provider-scopes");
    let set = ["provider", "set", "A", "microsoft", "--client-id", "c", "--client-secret-stdin", "--scopes"];
    let told = place.json_with(&[&set[..], &["Mail.Read"]].concat(), "s");
    assert_eq!(told["wanting_scopes"], serde_json::json!(["openid"]), "{told}");
    let visit = offline(&place);
    visit.has("provider-scopes", "warn");
    assert!(visit.text.contains("A/microsoft: openid"), "{}", visit.text);
    let finding = visit.findings.iter().find(|finding| finding["id"] == "provider-scopes").unwrap();
    let mend = finding["fix"].as_str().unwrap().to_owned();
    assert!(mend.ends_with(" microsoft 'Mail.Read openid'"), "all that are asked for, too: {mend}");
    assert!(place.shell(&mend).status.success(), "it runs as it is printed: {mend}");
    offline(&place).has_not("provider-scopes");
    // In another spelling, or as part of another scope, it is there.
    place.json_with(&[&set[..], &["OpenID Mail.Read"]].concat(), "s");
    let gitlab =
        ["provider", "set", "A", "gitlab", "--client-id", "c", "--client-secret-stdin", "--scopes", "api"];
    place.json_with(&gitlab, "s");
    offline(&place).has_not("provider-scopes");
}

#[test]
fn several_scopes_in_one_are_refused_at_set_with_the_mend() {
    let place = sound("set-scopes");
    let set = ["provider", "set", "A", "slack", "--client-id", "c", "--public-client", "--scopes"];
    let output = place.command(&[&set[..], &["users:read,chat:write"]].concat()).output().unwrap();
    let told = said(&output);
    assert!(!output.status.success(), "{told}");
    for part in ["--scopes", "`users:read,chat:write`", "separator `,`", "one by one", "spaces between them"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    place.json(&[&set[..], &["users:read chat:write"]].concat());
}

#[test]
fn rows_that_somebody_else_wrote_are_found_and_rows_from_before_are_sealed_by_command() {
    let place = sound("doctor-seals");
    let moved = "json_set(recipe, '$.revoke_url', 'https://evil.example/r')";
    sql(&place, &format!("UPDATE providers SET recipe = {moved}"));
    offline(&place).has("provider-changed", "mend");
    let looked = place.json(&["provider", "seal", "A", "acme"]);
    let digest = looked["digest"].as_str().unwrap();
    let refused = place.command(&["provider", "seal", "A", "acme", "--accept", digest]).output().unwrap();
    assert!(said(&refused).contains("does not match its seal"), "{}", said(&refused));
    set_provider(&place, "A", "acme", "https://acme.example");
    offline(&place).has_not("provider-changed");

    // As an upgrade leaves them.
    sql(&place, "UPDATE providers SET seal = NULL; UPDATE api_keys SET seal = NULL");
    let visit = offline(&place);
    visit.has("provider-unsealed", "mend");
    visit.has("key-refused", "mend");
    let key = place.json(&["key", "list", "A"])["keys"][0]["key_id"].as_str().unwrap().to_owned();
    let shown = place.json(&["provider", "seal", "A", "acme"]);
    assert_eq!(shown["token_url"], "https://acme.example/token", "looking seals nothing");
    place.json(&["key", "seal", "A", &key]);
    offline(&place).has("provider-unsealed", "mend");
    let digest = shown["digest"].as_str().unwrap();
    place.json(&["provider", "seal", "A", "acme", "--accept", digest]);
    place.json(&["key", "seal", "A", &key, "--accept"]);
    let visit = offline(&place);
    visit.has_not("provider-unsealed");
    visit.has_not("key-refused");
}

#[test]
fn a_row_that_cannot_be_read_is_named_and_hides_no_other() {
    let place = sound("doctor-unreadable");
    set_provider(&place, "A", "zeta", "https://zeta.example");
    sql(&place, "UPDATE providers SET recipe = 'no recipe' WHERE provider = 'acme'");
    sql(&place, "UPDATE providers SET seal = NULL WHERE provider = 'zeta'");
    let visit = offline(&place);
    visit.has("database-unusable", "mend");
    assert!(visit.text.contains("the row of provider acme of app"), "{}", visit.text);
    visit.has("provider-unsealed", "mend");
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_that_cannot_be_reached_are_found_by_what_is_in_the_way() {
    let mut place = Place::new("doctor-egress").with("ALTER_PUBLIC_URL", "http://localhost:8700");
    place.json(&["init"]);
    place.json(&["app", "create", "A", "--website-url", APP]);
    let mock = MockProvider::start().await;
    set_provider(&place, "A", "fine", &mock.issuer());
    let visit = visit_with(&place, &[]);
    visit.has("reach", "ok");
    visit.has("public-url-silent", "warn");
    for id in ["clock-skew", "clock-wrong", "provider-private"] {
        visit.has_not(id);
    }
    for (apart, id, severity) in
        [(120, "clock-skew", "warn"), (-120, "clock-skew", "warn"), (600, "clock-wrong", "mend")]
    {
        let date = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(apart)).unwrap();
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        mock.set(|switches| switches.headers = vec![("/token".into(), "date".into(), date)]);
        visit_with(&place, &[]).has(id, severity);
    }
    mock.set(|switches| switches.headers.clear());

    set_provider(&place, "A", "closed", "http://127.0.0.1:1");
    set_provider(&place, "A", "nameless", "https://no-such-name.invalid");
    set_provider(&place, "A", "plain", &mock.issuer().replace("http:", "https:"));
    let visit = visit_with(&place, &[]);
    visit.has("provider-unreachable", "mend");
    visit.has("provider-not-resolved", "mend");
    visit.has("provider-tls", "mend");
    visit.has("reach", "ok");
    place.set("ALTER_EGRESS_ALLOW", "");
    let visit = visit_with(&place, &[]);
    visit.has("provider-private", "mend");
    visit.has_not("reach");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_address_that_leads_elsewhere_or_with_another_host_is_found() {
    let mut server = Server::start("doctor-public").await;
    visit_with(&server.place, &[]).has("reach", "ok");
    let ours = format!("http://{}", server.host);
    let instance = server.send(Sent::new("GET", "/healthz")).await.json()["instance"].clone();
    assert_eq!(instance.as_str().map(str::len), Some(16));

    // To the server, a proxy that rewrites the Host looks like this.
    server.place.set("ALTER_PUBLIC_URL", &ours.replace("localhost", "127.0.0.1"));
    visit_with(&server.place, &[]).has("public-url-host", "mend");
    // An address that is not a Connect server.
    let issuer = server.mock.issuer();
    server.place.set("ALTER_PUBLIC_URL", &issuer);
    visit_with(&server.place, &[]).has("public-url-elsewhere", "mend");
    // A Connect server with another database.
    let other = Server::start("doctor-other").await;
    server.place.set("ALTER_PUBLIC_URL", &format!("http://{}", other.host));
    let visit = visit_with(&server.place, &[]);
    visit.has("public-url-elsewhere", "mend");
    assert!(visit.text.contains("of another database"), "{}", visit.text);
    server.place.set("ALTER_PUBLIC_URL", &ours);
    visit_with(&server.place, &[]).has("reach", "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_need_their_users_refused_clients_and_late_refreshes_are_found() {
    let mut server = Server::start("doctor-grants").await;
    server.mock.set(|switches| switches.access_token_life = Duration::from_secs(2));
    let grant = server.connect().await;
    server.terminate();
    server.ended().await;
    let place = &server.place;
    sql(place, "UPDATE grants SET refresh_at = 1");
    offline(place).has("refresh-late", "warn");
    let refresh = |fault: Option<TokenFault>| {
        server.mock.set(|switches| switches.refresh.fault = fault);
        place.command(&["grant", "refresh", "My App", &grant]).output().unwrap()
    };

    assert_eq!(refresh(Some(TokenFault::InvalidClient)).status.code(), Some(1));
    let visit = offline(place);
    visit.has("client-refused", "mend");
    let fix = format!("alter provider set {} mock --client-id", server.app_id);
    assert!(visit.text.contains(&fix) && visit.text.contains("My App/mock: 1 grant"), "{}", visit.text);
    visit.has_not("refresh-late");

    assert_eq!(refresh(Some(TokenFault::Refuse("invalid_grant".into()))).status.code(), Some(1));
    let visit = offline(place);
    visit.has("grants-reconnect", "warn");
    assert!(visit.text.contains("My App/mock: refresh_refused, 1 grant"), "{}", visit.text);
    visit.has_not("client-refused");

    // It was the provider's mistake: the kept refresh token works again.
    assert_eq!(refresh(None).status.code(), Some(0));
    let visit = offline(place);
    visit.has("grants", "ok");
    visit.has_not("grants-reconnect");

    // Nobody can be asked about grants of a provider that was removed.
    sql(place, "UPDATE grants SET refresh_at = 1");
    offline(place).has("refresh-late", "warn");
    place.json(&["provider", "remove", "My App", "mock"]);
    offline(place).has_not("refresh-late");
}

#[test]
fn a_database_on_a_server_is_looked_at_too() {
    let database = alter_test_postgres::database();
    let mut place = Place::new("doctor-postgres");
    place.set("ALTER_DATABASE_URL", &database.url);
    std::fs::create_dir(place.data()).unwrap();
    chmod(&place.data(), 0o700);
    let key = place.data().join("root.key");
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    chmod(&key, 0o600);
    place.set("ALTER_ROOT_KEY_FILE", key.to_str().unwrap());
    offline(&place).has("database-missing", "mend");
    place.json(&["init"]);
    let visit = offline(&place);
    visit.has("database", "ok");
    visit.has_not("clock-database");
    visit.has_not("disk");
    place.set("ALTER_DATABASE_URL", "postgres://u:canary-password@127.0.0.1:1/nothing");
    let visit = offline(&place);
    visit.has("database-unusable", "mend");
    assert!(!visit.text.contains("canary"), "{}", visit.text);
}
