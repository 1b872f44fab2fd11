//! Tests of the commands, run as an operator runs them: the real binary, a fresh data directory, `--json`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use alter_mock_provider::{MockProvider, Raw};
use serde_json::Value;

/// A data directory that is deleted with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("alter-cli-{}-{name}", std::process::id()));
        let _left_over = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alter"));
        command
            .args(args)
            .env_clear()
            .env("ALTER_DATA_DIR", self.data())
            .env("ALTER_EGRESS_ALLOW", "127.0.0.0/8");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn with_stdin(&self, args: &[&str], text: &str) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn init_makes_private_files_and_refuses_to_overwrite() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("init");
    assert!(place.run(&["init"]).status.success());
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.data()), 0o700);
    assert_eq!(mode(place.data().join("root.key")), 0o600);
    assert_eq!(mode(place.data().join("alter.db")), 0o600);
    let key = std::fs::read(place.data().join("root.key")).unwrap();

    let again = place.run(&["init"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("exists already"), "{}", said(&again));
    assert_eq!(std::fs::read(place.data().join("root.key")).unwrap(), key);
}

#[test]
fn an_app_with_a_provider_is_set_up_by_three_commands() {
    let place = Place::new("setup");
    place.json(&["init"]);
    let app = place.json(&["app", "create", "My App", "--website-url", "https://app.example.com"]);
    let key = app["api_key"].as_str().unwrap();
    assert!(key.starts_with("alter_rk_") && key.len() == 38);
    assert_eq!(app["min_binding"], "L2");
    let id = app["app_id"].as_str().unwrap();

    let set = ["provider", "set", id, "github", "--client-id", "Iv1.x", "--client-secret-stdin", "--json"];
    let first = place.with_stdin(&set, "s3cret-canary\n");
    assert!(first.status.success(), "{}", said(&first));
    assert!(!said(&first).contains("s3cret-canary"));
    let first: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert!(first["config_id"].as_str().unwrap().starts_with("pc_"), "{first}");
    let second: Value = serde_json::from_slice(&place.with_stdin(&set, "other\n").stdout).unwrap();
    assert_eq!(second["config_id"], first["config_id"], "configuring again keeps the callback URL");

    assert_eq!(place.json(&["app", "show", "My App"])["app_id"], id);
    assert_eq!(place.json(&["provider", "list", id])["providers"][0]["provider_id"], "github");
    assert_eq!(place.json(&["grant", "list", id])["grants"], serde_json::json!([]));
    assert_eq!(place.json(&["app", "set", id, "--session-ttl", "120"])["session_ttl"], 120);
    assert!(place.run(&["doctor", "--offline"]).status.success());
    assert_eq!(place.json(&["provider", "remove", id, "github"])["removed"], true);
    assert!(!place.run(&["doctor", "--offline"]).status.success(), "an app without provider needs mending");
}

#[test]
fn keys_are_shown_once_listed_without_the_secret_and_revoked() {
    let place = Place::new("keys");
    place.json(&["init"]);
    let app = place.json(&["app", "create", "K", "--website-url", "https://k.example"]);
    let id = app["app_id"].as_str().unwrap();
    let made = place.json(&["key", "create", id, "--name", "second"]);
    let secret = made["api_key"].as_str().unwrap();
    let list = place.json(&["key", "list", id]).to_string();
    assert!(list.contains("second") && !list.contains(secret));
    place.json(&["key", "revoke", id, made["key_id"].as_str().unwrap()]);
    let list = place.json(&["key", "list", id]);
    let states: Vec<_> =
        list["keys"].as_array().unwrap().iter().map(|k| k["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"revoked") && states.contains(&"active"), "{states:?}");
}

/// Runs a mock provider for as long as the test needs it.
fn mock() -> (tokio::runtime::Runtime, MockProvider) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mock = runtime.block_on(MockProvider::start());
    (runtime, mock)
}

#[test]
fn an_identity_provider_is_set_shown_asked_and_removed() {
    let place = Place::new("idp");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    let app = place.json(&["app", "create", "I", "--website-url", "https://i.example"]);
    let (id, issuer) = (app["app_id"].as_str().unwrap(), mock.issuer());
    let none = place.run(&["idp", "show", id]);
    assert_eq!(none.status.code(), Some(1));
    assert!(said(&none).contains("alter idp set"), "{}", said(&none));

    let made = place.json(&["idp", "set", "I", "--issuer", &issuer, "--audience", "my-app"]);
    assert_eq!((made["keys"].as_u64(), &made["warning"]), (Some(1), &Value::Null), "{made}");
    assert_eq!(made["keys_url"], mock.url("/jwks"));
    let shown = place.json(&["idp", "show", id]);
    assert_eq!((&shown["issuer"], &shown["audience"]), (&issuer.clone().into(), &"my-app".into()));
    assert!(said(&place.run(&["doctor"])).contains("ok    idp                      I: 1 keys at"));

    let any = place.json(&[
        "idp",
        "set",
        id,
        "--issuer",
        &issuer,
        "--any-audience",
        "--jwks-url",
        &mock.url("/jwks"),
    ]);
    assert_eq!((&any["audience"], &any["any_audience"]), (&Value::Null, &true.into()));
    assert_eq!(place.json(&["app", "show", id])["identity_provider"]["issuer"], issuer.as_str());
    assert_eq!(place.json(&["idp", "remove", id])["removed"], true);
    assert_eq!(place.json(&["idp", "remove", id])["removed"], false);
    assert!(!said(&place.run(&["doctor"])).contains("  idp  "));
}

#[test]
fn a_client_lets_an_apps_users_sign_in_and_goes_with_the_identity_provider() {
    let (_runtime, mock) = mock();
    let place = Place::new("sign-in");
    place.json(&["init"]);
    place.json(&["app", "create", "S"]);
    let json_with = |args: &[&str], secret: &str| -> Value {
        let output = place.with_stdin(&[args, &["--json"]].concat(), secret);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let issuer = mock.issuer();
    let public = ["--public-url", "https://connect.example.com"];
    let set = [&public[..], &["idp", "set", "S", "--issuer", &issuer, "--audience", "my-app"]].concat();
    let with = |more: &[&'static str]| -> Vec<&str> { [&set[..], more].concat() };
    for (more, why) in
        [(&["--client-id", "c"][..], "--client-id needs one of"), (&["--public-client"], "needs --client-id")]
    {
        let refused = place.run(&with(more));
        assert!(!refused.status.success() && said(&refused).contains(why), "{}", said(&refused));
    }
    let made = json_with(&with(&["--client-id", "c", "--client-secret-stdin"]), "the-secret");
    let callback = made["callback_url"].as_str().unwrap().to_owned();
    assert!(callback.contains("/oauth/callback/pc_"), "{made}");
    assert_eq!(place.json(&["idp", "show", "S"])["client_id"], "c");
    assert!(
        place.json(&["provider", "list", "S"])["providers"].as_array().unwrap().is_empty(),
        "no provider"
    );
    assert!(!place.json(&["audit", "list", "S"]).to_string().contains("the-secret"));

    let again = json_with(&with(&["--client-id", "d", "--client-secret-stdin"]), "another");
    assert_eq!(again["callback_url"], callback, "what is registered stays");
    assert!(!place.run(&["provider", "remove", "S", "@sign-in"]).status.success());
    let refused = place.run(&["provider", "scopes", "S", "@sign-in", "openid"]);
    assert!(!refused.status.success() && said(&refused).contains("alter idp set"), "{}", said(&refused));
    let removed = place.run(&with(&[]));
    assert!(said(&removed).contains("Removed the sign-in client d"), "{}", said(&removed));
    assert!(said(&removed).contains("links are refused"), "{}", said(&removed));
    assert_eq!(place.json(&with(&[]))["removed_client_id"], Value::Null, "there is none any more");
    assert_eq!(place.json(&["idp", "show", "S"])["client_id"], Value::Null, "without --client-id it is gone");
    let made = json_with(&with(&["--client-id", "c", "--client-secret-stdin"]), "the-secret");
    assert_ne!(made["callback_url"], callback);
    place.json(&["app", "set", "S", "--allow-unverified-links"]);
    let removed = place.run(&with(&[]));
    assert!(said(&removed).contains("links need no proof now"), "{}", said(&removed));
    place.json(&["idp", "remove", "S"]);
    mock.set(|s| s.discovery_fields = serde_json::json!({ "jwks_uri": null }));
    let refused = place.run(&with(&["--client-id", "c", "--public-client"]));
    assert!(!refused.status.success());
    mock.set(|s| s.discovery = Some(Raw::new(404, "text/plain", "")));
    let refused = place.run(&with(&["--client-id", "c", "--public-client"]));
    let why = said(&refused);
    assert!(!refused.status.success() && why.contains("--client-id needs the issuer's metadata"), "{why}");
}

#[test]
fn a_sign_in_client_authenticates_as_the_operator_says_or_as_the_metadata_do() {
    let (_runtime, mock) = mock();
    let place = Place::new("sign-in-auth");
    place.json(&["init"]);
    place.json(&["app", "create", "S"]);
    let issuer = mock.issuer();
    let set = ["idp", "set", "S", "--issuer", &issuer, "--audience", "my-app", "--client-id", "c"];
    let run = |more: &[&str]| place.with_stdin(&[&set[..], more].concat(), "the-secret");
    let stored = || {
        let sql = "SELECT recipe ->> '$.client_auth' FROM providers WHERE provider = '@sign-in'";
        let c = rusqlite::Connection::open(place.data().join("alter.db")).unwrap();
        c.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
    };
    for (more, auth) in [
        (&["--client-secret-stdin"][..], "basic"),
        (&["--client-secret-stdin", "--client-auth", "post"], "post"),
        (&["--public-client"], "none"),
    ] {
        let set = run(more);
        assert!(set.status.success(), "{}", said(&set));
        assert_eq!(stored(), auth, "{more:?}");
        // A public client has no secret that could be missing.
        assert!(!said(&place.run(&["doctor"])).contains("provider-no-secret"), "{more:?}");
    }
    let none = serde_json::json!({ "token_endpoint_auth_methods_supported": ["none"] });
    mock.set(|s| s.discovery_fields = none);
    let refused = run(&["--client-secret-stdin"]);
    let why = said(&refused);
    assert!(!refused.status.success(), "{why}");
    assert!(why.contains("--public-client") && why.contains("--client-auth"), "{why}");
    assert!(run(&["--client-secret-stdin", "--client-auth", "basic"]).status.success());
    assert!(run(&["--public-client"]).status.success());
}

#[test]
fn an_app_without_a_page_is_told_what_its_sessions_need() {
    let place = Place::new("no-page");
    place.json(&["init"]);
    for flags in [&[][..], &["--return-origin", "https://back.example"]] {
        let name = format!("A{}", flags.len());
        let made = said(&place.run(&[&["app", "create", &name], flags].concat()));
        for way in ["allowed_origin", "--website-url", "alter idp set", "--client-id"] {
            assert!(made.contains(way), "{way}: {made}");
        }
        assert!(!made.contains("not built"), "{made}");
    }
    for (name, flag) in
        [("B", &["--website-url", "https://b.example"][..]), ("C", &["--allow-unverified-links"])]
    {
        let made = said(&place.run(&[&["app", "create", name], flag].concat()));
        assert!(made.contains("api_key") && !made.contains("allowed_origin"), "{made}");
    }
}

#[test]
fn an_identity_provider_that_cannot_be_asked_is_a_warning_and_one_of_another_name_is_refused() {
    let place = Place::new("idp-bad");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    let app = place.json(&["app", "create", "I", "--website-url", "https://i.example"]);
    let (id, issuer) = (app["app_id"].as_str().unwrap(), mock.issuer());
    let set = ["idp", "set", id, "--issuer", &issuer, "--audience", "my-app"];

    mock.set(|s| s.discovery_fields = serde_json::json!({ "issuer": format!("{issuer}/") }));
    let refused = place.run(&set);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("equal to the last character"), "{}", said(&refused));
    assert_eq!(place.run(&["idp", "show", id]).status.code(), Some(1), "nothing was changed");
    mock.set(|s| s.discovery_fields = Value::Null);
    assert_eq!(place.json(&set)["warning"], Value::Null, "control");

    for broken in [Raw::new(500, "text/plain", ""), Raw::new(200, "application/json", r#"{"keys":[]}"#)] {
        mock.set(|s| s.jwks = Some(broken));
        let warned = place.json(&set);
        assert!(warned["warning"].as_str().is_some_and(|text| text.contains("key")), "{warned}");
        assert_eq!(warned["issuer"], issuer.as_str());
        let doctor = place.run(&["doctor"]);
        assert!(said(&doctor).contains("MEND  idp"), "{}", said(&doctor));
    }
    mock.set(|s| s.discovery_fields = serde_json::json!({ "issuer": "https://other.example" }));
    let doctor = place.run(&["doctor"]);
    assert!(said(&doctor).contains("https://other.example"), "{}", said(&doctor));
    drop(mock);
    assert!(place.json(&set)["warning"].is_string());
}

#[test]
fn what_metadata_leave_out_has_its_default_and_what_cannot_work_is_named() {
    let place = Place::new("odd-metadata");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    place.json(&["app", "create", "P", "--website-url", "https://p.example"]);
    let issuer = mock.issuer();
    let set = |more: &[&str]| {
        let args =
            ["provider", "set", "P", "mock", "--issuer", &issuer, "--client-id", "c", "--public-client"];
        place.run(&[&args[..], more].concat())
    };
    let fields = |fields: Value| mock.set(|s| s.discovery_fields = fields);
    fields(serde_json::json!({ "id_token_signing_alg_values_supported": null }));
    assert!(set(&[]).status.success(), "{}", said(&set(&[])));
    fields(serde_json::json!({ "jwks_uri": null, "scopes_supported": ["notes.read"] }));
    assert!(set(&["--scopes", "notes.read"]).status.success(), "an RFC 8414 document: {}", said(&set(&[])));
    for (odd, named) in [
        (
            serde_json::json!({ "id_token_signing_alg_values_supported": ["HS256"] }),
            "signs with HS256: not supported",
        ),
        (
            serde_json::json!({ "require_pushed_authorization_requests": true }),
            "pushed authorization requests",
        ),
    ] {
        fields(odd);
        let refused = set(&[]);
        assert!(!refused.status.success() && said(&refused).contains(named), "{}", said(&refused));
    }
    fields(serde_json::json!({ "revocation_endpoint": null }));
    assert!(said(&set(&[])).contains("--revoke-url URL"), "{}", said(&set(&[])));
    let revoke = format!("{issuer}/revoke");
    assert!(!said(&set(&["--revoke-url", &revoke])).contains("--revoke-url URL"));
    fields(Value::Null);
    assert!(!said(&set(&[])).contains("--revoke-url URL"), "{}", said(&set(&[])));
    let suffixed = format!("{issuer}/.well-known/openid-configuration");
    let refused = place.run(&[
        "provider",
        "set",
        "P",
        "x",
        "--issuer",
        &suffixed,
        "--client-id",
        "c",
        "--public-client",
    ]);
    assert!(said(&refused).contains(&format!("the issuer is \"{issuer}\"")), "{}", said(&refused));

    let flags = [
        "--pkce",
        "off",
        "--trusted-audience",
        "https://api.example",
        "--jwks-url",
        "https://keys.example/jwks",
    ];
    assert!(set(&flags).status.success(), "{}", said(&set(&flags)));
    let row = place.json(&["provider", "seal", "P", "mock"]);
    assert_eq!(
        (&row["recipe"]["pkce"], &row["jwks_url"]),
        (&false.into(), &"https://keys.example/jwks".into())
    );
    assert_eq!(row["recipe"]["trusted_audiences"], serde_json::json!(["https://api.example"]));
}

#[test]
fn what_the_operator_says_of_a_provider_is_kept_and_marked_as_the_operators() {
    let place = Place::new("operators-facts");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    place.json(&["app", "create", "P", "--website-url", "https://p.example"]);
    let issuer = mock.issuer();
    let set = |more: &[&str]| {
        let args =
            ["provider", "set", "P", "mock", "--issuer", &issuer, "--client-id", "c", "--public-client"];
        place.run(&[&args[..], more].concat())
    };
    let flags =
        ["--subject", "/id", "--coop", "keeps", "--token-param", "audience=api", "--token-param", "f[x]=1"];
    assert!(set(&flags).status.success(), "{}", said(&set(&flags)));
    let row = place.json(&["provider", "seal", "P", "mock"])["recipe"].clone();
    assert_eq!((&row["identity"]["subject"], &row["coop"]), (&"/id".into(), &"keeps".into()));
    assert_eq!(row["token_params"], serde_json::json!({ "audience": "api", "f[x]": "1" }));
    let marks = ["coop", "identity.subject", "token_params.audience", "token_params.f[x]"];
    assert_eq!(row["chosen"], serde_json::json!(marks));
    for (flags, named) in [
        (["--subject", "id"], "--subject: `id` is not a JSON pointer"),
        (["--token-param", "code=x"], "--token-param code: is set by the flow itself"),
        (["--token-param", "x"], "--token-param is x; it must be K=V"),
        (["--token-param", "=x"], "--token-param is =x; it must be K=V"),
        (["--token-param", "audience="], "--token-param audience has no value"),
        (["--token-param", "a b=x"], "--token-param a b: "),
        (["--token-param", "a=x\u{1}"], "--token-param a: must not contain control"),
        (["--param", "=x"], "--param is =x; it must be K=V"),
    ] {
        let refused = set(&flags);
        assert!(!refused.status.success() && said(&refused).contains(named), "{}", said(&refused));
    }
    for flag in ["--token-param", "--param"] {
        let twice = set(&[flag, "a=1", flag, "a=2"]);
        assert!(!twice.status.success() && said(&twice).contains(&format!("{flag} a is there twice")));
    }
}

#[test]
fn where_the_identity_comes_from_is_decided_when_file_and_flags_are_read() {
    let place = Place::new("identity-from");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    place.json(&["app", "create", "P", "--website-url", "https://p.example"]);
    let (issuer, file) = (mock.issuer(), place.0.join("p.toml"));
    let from = |id: &str, more: &[&str]| {
        let args = ["provider", "set", "P", id, "--issuer", &issuer, "--client-id", "c", "--public-client"];
        let output = place.run(&[&args[..], more].concat());
        if !output.status.success() {
            return said(&output);
        }
        let row = place.json(&["provider", "seal", "P", id])["recipe"].clone();
        row["identity"]["from"].as_str().unwrap_or("id_token").to_owned()
    };
    let by = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        from("mock", &[&["--spec", file.to_str().unwrap()], more].concat())
    };
    let keys = ["--jwks-url", "https://keys.example/jwks"];
    mock.set(|s| s.discovery_fields = serde_json::json!({ "jwks_uri": null }));
    assert_eq!((from("mock", &[]).as_str(), from("mock", &keys).as_str()), ("userinfo", "id_token"));
    assert_eq!((by("", &[]).as_str(), by("", &keys).as_str()), ("userinfo", "id_token"), "the flag counts");
    let file_has_keys = "jwks_url = \"https://keys.example/jwks\"\n";
    assert_eq!(by(file_has_keys, &[]), "id_token");
    assert!(by("[identity]\nfrom = \"id_token\"\n", &[]).contains("identity.from"), "the file's word wins");
    assert_eq!(by("[identity]\nfrom = \"token_response\"\n", &[]), "token_response");

    mock.set(|s| s.discovery_fields = serde_json::json!({ "jwks_uri": null, "userinfo_endpoint": null }));
    assert!(by("", &[]).contains("identity.from"), "neither is there");
    assert_eq!(by("", &["--userinfo-url", "https://api.example/me"]), "userinfo");
}

#[test]
fn a_file_beside_the_issuer_wins_and_what_it_leaves_out_is_discovered() {
    let place = Place::new("file-and-issuer");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    place.json(&["app", "create", "P", "--website-url", "https://p.example"]);
    let file = place.0.join("mock.toml");
    let set = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let (issuer, file) = (mock.issuer(), file.to_str().unwrap());
        place.run(&[
            "provider",
            "set",
            "P",
            "mock",
            "--issuer",
            &issuer,
            "--spec",
            file,
            "--client-id",
            "c",
            "--public-client",
        ])
    };
    let text = "name = \"Ours\"\nuserinfo_url = \"https://api.example/me\"\ndefault_scopes = [\"read\"]\n\
                [identity]\nfrom = \"userinfo\"\nsubject = \"/id\"\n";
    assert!(set(text).status.success(), "{}", said(&set(text)));
    let row = place.json(&["provider", "seal", "P", "mock"])["recipe"].clone();
    assert_eq!(row["token_url"], mock.url("/token"), "discovered");
    assert_eq!((&row["name"], &row["userinfo_url"]), (&"Ours".into(), &"https://api.example/me".into()));
    assert_eq!((&row["identity"]["from"], &row["identity"]["subject"]), (&"userinfo".into(), &"/id".into()));
    assert_eq!(row["default_scopes"], serde_json::json!(["read"]));
    let refused = set("name = \"Ours\"\npkec = false\n");
    assert!(said(&refused).contains("mock.toml") && said(&refused).contains("line 2"), "{}", said(&refused));
}

#[test]
fn prompts_and_scopes_that_the_metadata_do_not_list_are_not_sent_by_themselves() {
    let place = Place::new("prompts");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    place.json(&["app", "create", "P", "--website-url", "https://p.example"]);
    let issuer = mock.issuer();
    let set = |more: &[&str]| {
        let args =
            ["provider", "set", "P", "mock", "--issuer", &issuer, "--client-id", "c", "--public-client"];
        place.run(&[&args[..], more].concat())
    };
    let row = || place.json(&["provider", "seal", "P", "mock"])["recipe"].clone();
    // Like Google's entry of the catalog, which asks for consent.
    let listed = |words: Value| mock.set(|s| s.discovery_fields = words);
    let google = |more: &[&str]| {
        let args = ["provider", "set", "P", "google", "--issuer", &issuer, "--client-id", "c"];
        place.run(&[&args[..], &["--public-client", "--api-host", "api.example"], more].concat())
    };
    let of_google = || place.json(&["provider", "seal", "P", "google"])["recipe"].clone();
    listed(serde_json::json!({ "prompt_values_supported": ["none", "login"] }));
    let told = said(&google(&[]));
    assert!(
        told.contains("prompt=consent is not sent") && told.contains("--param \"prompt=consent\""),
        "{told}"
    );
    let (params, marks) = (of_google()["authorize_params"].clone(), of_google()["chosen"].clone());
    assert_eq!((&params["prompt"], marks), (&Value::Null, serde_json::json!(["authorize_params.prompt"])));

    let told = said(&google(&["--param", "prompt=login consent"]));
    assert!(told.contains("--param prompt=login consent is sent, but"), "{told}");
    assert!(told.contains("does not list consent"), "{told}");
    assert_eq!(of_google()["authorize_params"]["prompt"], "login consent", "the operator's word wins");
    assert!(!said(&google(&["--param", "prompt=login"])).contains("Note: --param"), "control: it is listed");

    listed(Value::Null);
    assert!(!said(&google(&[])).contains("is not sent"), "metadata that list nothing say nothing");
    assert_eq!(of_google()["authorize_params"]["prompt"], "consent");

    mock.set(|s| s.discovery_fields = serde_json::json!({ "scopes_supported": ["openid"] }));
    assert!(said(&set(&["--scopes", "openid offline_access"])).contains("does not list offline_access"));
    assert!(set(&[]).status.success());
    assert_eq!(row()["default_scopes"], serde_json::json!(["openid"]));
}

#[test]
fn the_doctor_asks_a_provider_for_its_keys_and_its_metadata() {
    let place = Place::new("keys-of-a-provider");
    let (_runtime, mock) = mock();
    place.json(&["init"]);
    place.json(&["app", "create", "P", "--website-url", "https://p.example"]);
    let set = ["provider", "set", "P", "mock", "--issuer", &mock.issuer(), "--client-id", "c"];
    place.json(&[&set[..], &["--public-client", "--api-host", "api.example"]].concat());
    let sound = said(&place.run(&["doctor"]));
    assert!(sound.contains("keys at") && !sound.contains("provider-keys"), "control: {sound}");
    assert!(!sound.contains("provider-metadata"), "control: {sound}");

    for broken in [Raw::new(404, "text/plain", ""), Raw::new(200, "application/json", r#"{"keys":[]}"#)] {
        mock.set(|s| s.jwks = Some(broken));
        let doctor = said(&place.run(&["doctor"]));
        assert!(doctor.contains("MEND  provider-keys") && doctor.contains("/jwks"), "{doctor}");
    }
    mock.set(|s| s.discovery_fields = serde_json::json!({ "token_endpoint": "https://moved.example/token" }));
    let doctor = said(&place.run(&["doctor"]));
    assert!(doctor.contains("warn  provider-metadata") && doctor.contains("token_endpoint"), "{doctor}");
}

#[test]
fn wrong_usage_is_exit_status_2_and_names_what_to_do() {
    let place = Place::new("usage");
    place.json(&["init"]);
    let app = place.json(&["app", "create", "U", "--website-url", "https://u.example"]);
    let id = app["app_id"].as_str().unwrap();
    let cases: [(&[&str], &str); 12] = [
        (&["nonsense"], "unrecognized"),
        (&["app", "create", "X", "--session-ttl", "5"], "60 to 3600"),
        (&["app", "create", "X", "--min-binding", "L9"], "L0, L1, L2 or L3"),
        (
            &["app", "create", "X", "--website-url", "http://x.example"],
            "http is allowed on a loopback host only",
        ),
        (&["app", "set", id, "--return-origin", "https://x.example/"], "https://x.example"),
        (
            &["provider", "set", id, "unknown", "--client-id", "x", "--public-client"],
            "alter provider list --catalog",
        ),
        (&["provider", "set", id, "github", "--client-id", "x"], "--client-secret-stdin"),
        (&["idp", "set", id, "--issuer", "https://id.example"], "--any-audience"),
        (
            &["idp", "set", id, "--issuer", "https://id.example", "--audience", "a", "--any-audience"],
            "--audience",
        ),
        (&["idp", "set", id, "--issuer", "http://id.example", "--audience", "a"], "must be https"),
        (&["idp", "set", id, "--issuer", "https://id.example?x=1", "--audience", "a"], "has a query"),
        (&["idp", "set", id, "--issuer", "https://id.example", "--audience", ""], "--audience is empty"),
    ];
    for (args, words) in cases {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{args:?}: {}", said(&output));
    }
    let missing = place.run(&["app", "show", "Nobody"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("alter app list"));
}

#[test]
fn what_came_from_a_flag_is_refused_by_the_flags_name_and_what_came_from_a_file_by_the_files() {
    let place = Place::new("flags");
    place.json(&["init"]);
    place.json(&["app", "create", "F", "--website-url", "https://f.example"]);
    let (file, empty) = (place.0.join("crm.toml"), place.0.join("empty"));
    std::fs::write(&empty, "\n").unwrap();
    let spec = "id = \"crm\"\nname = \"CRM\"\nauthorize_url = \"http://crm.example/a\"\ntoken_url = \"x\"\n";
    std::fs::write(&file, spec).unwrap();
    let (file, empty) = (file.to_str().unwrap(), empty.to_str().unwrap());
    let urls = ["--authorize-url", "https://c.example/a", "--token-url", "https://c.example/t"];
    let me = ["--userinfo-url", "https://c.example/me"];
    let cases: [(&str, &[&str], &str); 11] = [
        (
            "crm",
            &["--authorize-url", "http://c.example/a", urls[2], urls[3], me[0], me[1]],
            "--authorize-url: `http",
        ),
        ("crm", &[urls[0], urls[1], "--token-url", "t", me[0], me[1]], "--token-url: `t` is not a URL"),
        ("crm", &[&urls[..], &["--userinfo-url", "ftp://c.example/me"]].concat(), "--userinfo-url: "),
        ("crm", &urls, "--userinfo-url is missing"),
        ("crm", &[&urls[..], &me, &["--revoke-url", "x"]].concat(), "--revoke-url: "),
        (
            "crm",
            &[&urls[..], &me, &["--api-host", "https://c.example"]].concat(),
            "--api-host: `https://c.example`",
        ),
        ("crm", &[&urls[..], &me, &["--param", "state=x"]].concat(), "--param state: "),
        ("crm", &[&urls[..], &me, &["--name", "a\u{202e}b"]].concat(), "--name: "),
        ("My_Crm", &[&urls[..], &me].concat(), "ID: must be 1 to 50"),
        ("shopify", &["--param", "shop=https://x"], "--param shop: "),
        ("crm", &["--spec", file], &format!("--spec {file}: authorize_url: ")),
    ];
    for (id, args, words) in cases {
        let set = ["provider", "set", "F", id, "--client-id", "x", "--public-client"];
        let refused = place.run(&[&set[..], args].concat());
        assert_eq!(refused.status.code(), Some(2), "{id} {args:?}: {}", said(&refused));
        assert!(said(&refused).contains(&format!("alter: {words}")), "{id} {args:?}: {}", said(&refused));
    }
    let set = ["provider", "set", "F", "github", "--client-id", "x"];
    for (from, words) in [
        (&["--client-secret-stdin"][..], "--client-secret-stdin: it is empty"),
        (&["--client-secret-file", empty], "--client-secret-file: it is empty"),
        (&["--client-secret-file", "/nowhere"], "--client-secret-file /nowhere cannot be read"),
        (&["--public-client", "--scopes", "a \"b"], "--scopes"),
    ] {
        let refused = place.run(&[&set[..], from].concat());
        assert!(!refused.status.success() && said(&refused).contains(words), "{words}: {}", said(&refused));
    }
    for (args, words) in [
        (&["agent", "create", "F", "a\u{202e}b"][..], "NAME"),
        (&["agent", "create", "F", "a", "--display-name", "\u{202e}"], "--display-name"),
        (&["key", "create", "F", "--name", "\u{202e}"], "--name"),
        (&["app", "create", "\u{202e}"], "NAME"),
        (&["app", "rename", "F", "\u{202e}"], "NAME"),
    ] {
        let refused = place.run(args);
        let said = said(&refused);
        assert!(
            !refused.status.success() && said.starts_with(&format!("alter: {words} ")),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn t93_serve_refuses_a_missing_truncated_or_wrong_root_key() {
    let place = Place::new("rootkey");
    place.json(&["init"]);
    let path = place.data().join("root.key");
    let right = std::fs::read_to_string(&path).unwrap();
    let refused = |what: &str, words: &str| {
        let output = place.run(&["serve"]);
        assert_eq!(output.status.code(), Some(1), "{what}");
        assert!(said(&output).contains(words), "{what}: {}", said(&output));
        assert!(!said(&output).contains(right.trim()), "{what}: the key is printed");
    };
    std::fs::write(&path, &right[..20]).unwrap();
    refused("truncated", "is not a root key");
    std::fs::write(&path, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    refused("another key", "does not fit this database");
    // With the previous version's schema: a wrong key is refused before anything is migrated.
    let database = rusqlite::Connection::open(place.data().join("alter.db")).unwrap();
    let version = || -> i64 { database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap() };
    let newest = version();
    let back = "ALTER TABLE sessions DROP COLUMN user_token; ALTER TABLE grants DROP COLUMN signed_in; DROP INDEX attempts_staged; ALTER TABLE attempts DROP COLUMN staged; ALTER TABLE attempts DROP COLUMN filled; ALTER TABLE attempts DROP COLUMN brought;
                ALTER TABLE grants DROP COLUMN filled; ALTER TABLE grants DROP COLUMN metadata;";
    database.execute_batch(&format!("{back} PRAGMA user_version = {};", newest - 1)).unwrap();
    refused("another key, older schema", "does not fit this database");
    assert_eq!(version(), newest - 1, "a wrong key migrates nothing");
    std::fs::remove_file(&path).unwrap();
    refused("missing", "cannot be read");
    assert!(!path.exists(), "no new key was made");

    // Positive control: with the right key the server serves.
    std::fs::write(&path, &right).unwrap();
    let mut child =
        place.command(&["serve"]).env("ALTER_LISTEN", "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let serving = lines.by_ref().map_while(Result::ok).any(|line| line.contains("\"serving\""));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(serving);
    assert_eq!(version(), newest, "and it migrates");
}

#[test]
fn settings_that_cannot_be_understood_are_named() {
    let place = Place::new("settings");
    let refused = place.command(&["init"]).env("ALTER_DATABASE_URL", "mysql://u@h/d").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("ALTER_DATABASE_URL must be"), "{}", said(&refused));
    let file = place.0.join("alter.toml");
    std::fs::write(&file, "public_ulr = \"https://x\"\n").unwrap();
    let refused = place.command(&["init"]).env("ALTER_CONFIG", &file).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("public_ulr"), "{}", said(&refused));
    assert!(said(&place.run(&["config"])).contains("ALTER_EGRESS_ALLOW"));
}

#[test]
fn a_database_of_another_root_key_is_not_written_to_by_commands() {
    let place = Place::new("otherkey");
    place.json(&["init"]);
    let output = place
        .command(&["app", "create", "X", "--website-url", "https://x.example"])
        .env("ALTER_ROOT_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(place.json(&["app", "list"])["apps"], serde_json::json!([]));
}

#[test]
fn the_demo_walks_its_own_flow() {
    let place = Place::new("demo");
    let output = place.run(&["demo", "--check"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("The whole flow works."));
    for way in ["the popup proved its origin", "a phone's page left", "without a script, and kept a verifier"]
    {
        assert!(said(&output).contains(way), "{way}: {}", said(&output));
    }
}
