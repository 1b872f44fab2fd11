//! T95: no secret in anything that is logged, by us or by a library, at the finest level, in any ending of a flow. This
//! is a binary of its own, because it captures the log of the whole process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use alter_flows::{callers, operate, reap};
use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use alter_core::{AppSettings, time::Random};
use alter_mock_provider::{IdTokenFault, Raw, ResponseParam, TokenFault};
use alter_signing::SignedParts;
use alter_testkit::{
    Sent, TestAttempt, TestBrowser, TestServer,
    canary::{encodings, hits},
    operator,
    server::CLIENT_SECRET,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tracing_subscriber::{filter::LevelFilter, fmt::format::FmtSpan};

/// Everything that was logged so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn listen() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn take(&self) -> Vec<(String, Vec<u8>)> {
        // By line, so that a hit says where.
        let bytes = self.0.lock().unwrap();
        let lines = bytes.split(|b| *b == b'\n');
        lines.map(|line| (String::from_utf8_lossy(line).into_owned(), line.to_vec())).collect()
    }

    fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(text)
    }
}

/// The secrets that the flows used.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, what: &str, secret: impl Into<String>) {
        self.0.push((what.to_owned(), secret.into()));
    }

    fn of(&mut self, attempt: &TestAttempt, browser: &TestBrowser) {
        self.add("session token", &attempt.token);
        self.add("state", attempt.param("state"));
        if attempt.authorize.contains("nonce=") {
            self.add("nonce", attempt.param("nonce"));
        }
        for cookie in browser.cookie().split("; ").filter(|cookie| !cookie.is_empty()) {
            self.add("browser key", cookie.split_once('=').unwrap().1);
        }
        if let Some((_, rest)) = attempt.callback.split_once("code=") {
            self.add("code", rest.split('&').next().unwrap());
        }
    }
}

fn sql(server: &TestServer, statements: &str) {
    rusqlite::Connection::open(server.db_path()).unwrap().execute_batch(statements).unwrap();
}

const BLOCK: &str = "CREATE TRIGGER blocked BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'blocked'); END";
const UNBLOCK: &str = "DROP TRIGGER blocked";

async fn attempt(server: &TestServer, secrets: &mut Secrets, provider: &str) -> TestAttempt {
    let mut browser = TestBrowser::new();
    let attempt = browser.attempt(server, provider).await;
    secrets.of(&attempt, &browser);
    attempt
}

/// Flows that succeed, twice, with tokens that the test knows.
async fn successes(server: &TestServer, secrets: &mut Secrets) -> String {
    let mut browser = TestBrowser::new();
    let mut known = browser.leave_for(server, &server.app, "mock").await;
    let now = server.flows.now().as_seconds();
    let id_token = server.mock.sign(
        Value::Null,
        json!({ "iss": server.mock.issuer(), "sub": "acme-1001", "email": "alex@acme.example", "iat": now,
            "aud": known.param("client_id"), "exp": now + 3600, "nonce": known.param("nonce") }),
    );
    let answer = json!({ "access_token": "canary-access-token-0x5f", "refresh_token": "canary-refresh-token-0x6e",
        "id_token": id_token, "expires_in": 3600, "unknown_member": "canary-unknown-member-0x7d" });
    server.mock.set(|s| s.token_response = Some(Raw::json(200, &answer)));
    browser.come_back(server, &server.app, &mut known).await;
    let grant = known.grant_id().to_owned();
    assert_eq!(server.token(&grant).await.json()["access_token"], "canary-access-token-0x5f");
    secrets.of(&known, &browser);
    for name in ["access_token", "refresh_token", "id_token", "unknown_member"] {
        secrets.add(name, answer[name].as_str().unwrap());
    }
    server.mock.set(|s| s.token_response = None);
    let again = attempt(server, secrets, "mock").await;
    let released = server.token(again.grant_id()).await.json();
    secrets.add("access token", released["access_token"].as_str().unwrap());
    browser.get(server, &format!("/connect/s/{}", known.sid)).await;
    server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": again.token })).await;
    grant
}

/// Providers that refuse, lie, break down, or echo our own secrets.
async fn provider_failures(server: &TestServer, secrets: &mut Secrets) {
    server
        .mock
        .set(|s| (s.auto_deny, s.deny_description) = (true, Some("canary-deny-description-0x11".into())));
    attempt(server, secrets, "mock").await;
    secrets.add("description of a denial", "canary-deny-description-0x11");
    server.mock.set(|s| (s.auto_deny, s.iss) = (false, ResponseParam::Wrong("https://evil.example".into())));
    attempt(server, secrets, "mock").await;
    server.mock.set(|s| s.iss = ResponseParam::Present);
    use IdTokenFault as F;
    for fault in
        [F::Absent, F::AlgNone, F::BadSignature, F::Expired, F::NonceWrong, F::KidUnknown, F::WrongAud]
    {
        server.mock.set(|s| s.id_token = fault);
        attempt(server, secrets, "mock").await;
    }
    server.mock.set(|s| s.id_token = F::None);
    use TokenFault as T;
    for fault in [
        T::Status(500),
        T::Status(302),
        T::Html200,
        T::Error200,
        T::InvalidClient,
        T::CloseBeforeAnswer,
        T::CloseMidBody,
        T::Huge(4 << 20),
    ] {
        server.mock.set(|s| s.token_fault = Some(fault));
        attempt(server, secrets, "mock").await;
    }
    server.mock.set(|s| s.token_fault = None);

    // Echoes: the code, the client secret and a token in the texts of an error, and in answers that cannot be read.
    let mut browser = TestBrowser::new();
    for status in [200, 400, 401, 500] {
        let mut echoed = browser.leave_for(server, &server.app, "mock").await;
        echoed.callback = browser.at_provider(&echoed.authorize).await;
        let said = format!("{CLIENT_SECRET} {} canary-echoed-token-0x33", echoed.callback);
        let error =
            json!({ "error": "invalid_grant", "error_description": said, "error_uri": said, "hint": said });
        let unreadable = format!("{{\"access_token\": \"{said}\u{1}\"");
        let body = if status == 200 { unreadable } else { error.to_string() };
        server.mock.set(|s| s.token_response = Some(Raw::new(status, "application/json", body)));
        browser.come_back(server, &server.app, &mut echoed).await;
        secrets.of(&echoed, &browser);
    }
    secrets.add("echoed token", "canary-echoed-token-0x33");
    server.mock.set(|s| {
        s.token_response = None;
        s.userinfo = Some(Raw::new(503, "text/plain", "canary-userinfo-body-0x44"));
    });
    attempt(server, secrets, "plain").await;
    secrets.add("userinfo", "canary-userinfo-body-0x44");
    server.mock.set(|s| s.userinfo = None);
    attempt(server, secrets, "gone").await;
}

/// Wrong browsers and invalid requests.
async fn browser_failures(server: &TestServer, secrets: &mut Secrets) {
    let mut browser = TestBrowser::new();
    let mut stolen = browser.leave_for(server, &server.app, "mock").await;
    stolen.callback = browser.at_provider(&stolen.authorize).await;
    secrets.of(&stolen, &browser);
    TestBrowser::new().get(server, &stolen.callback).await;
    browser.get(server, &stolen.callback).await;
    browser.get(server, &format!("{}&code=again", stolen.callback)).await;
    browser
        .get(server, "/oauth/callback/pc_nothing?code=canary-code-0x55555555&state=canary-state-0x6666")
        .await;
    secrets.add("unknown code", "canary-code-0x55555555");
    let form = Sent::new("POST", "/oauth/callback/pc_nothing")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("code=canary-code-0x55555555");
    server.send(form).await;

    let token = server.mint(&json!({})).await;
    secrets.add("session token", &token);
    TestBrowser::new().open(server, &token, Some("https://evil.example")).await;
    TestBrowser::new().open(server, &token, None).await;
    server.status(&token, "https://evil.example", json!({})).await;
    server.get(&format!("/sdk/oauth/connect?session={token}")).await;
    server.get(&format!("/connect/s/{token}")).await;
    server.get(&format!("/nothing/{token}?token={token}")).await;
    let broken = format!("{{\"session_token\": \"{token}\", \"cursor\": \"{token}\"}}");
    for target in ["/connect/status", "/connect/api/peek", "/connect/api/claim", "/connect/open"] {
        let sent = Sent::new("POST", target).header("origin", &server.public_url).body(broken.clone());
        server.send(sent.clone().header("content-type", "text/plain")).await;
        server.send(sent.header("content-type", "application/json")).await;
    }
    let (v, cb) = TestBrowser::flow_id();
    secrets.add("flow verifier", &v);
    let claim = json!({ "token": token, "cb": format!("{}A", &cb[..42]), "v": v, "m": "p" });
    TestBrowser::new().post(server, "/connect/api/claim", &claim).await;
}

/// Backends with wrong keys, wrong signatures, wrong bodies.
async fn backend_failures(server: &TestServer, secrets: &mut Secrets, grant: &str) {
    let body = json!({ "grant_id": grant, "user_token": "canary-user-token-0x77", "reason": "canary-reason-0x88888" });
    secrets.add("user token", "canary-user-token-0x77");
    server.call("/sdk/token", &body).await;
    server.call("/sdk/oauth/connect/session", &json!({ "user_token": "canary-user-token-0x77" })).await;
    server.call("/sdk/oauth/connect/session", &json!({ "evil": "canary-user-token-0x77" })).await;
    let elsewhere = json!({ "method": "GET", "url": "https://evil.example/?t=canary-url-query-0x99" });
    server.call("/sdk/token", &json!({ "grant_id": grant, "request": elsewhere })).await;
    secrets.add("query of the wanted URL", "canary-url-query-0x99");
    let good = server.signed(&server.app.key, "/sdk/token", &body);
    for sent in [
        good.clone().set("x-alter-signature", &"0".repeat(64)),
        good.clone().without("x-alter-signature"),
        good.clone().without("x-alter-nonce"),
        good.clone().set("x-alter-timestamp", "1"),
        good.clone().body("{\"grant_id\": canary-user-token-0x77"),
        good.clone().set("x-api-key", "alter_rk_canaryWrongKey0xAAAAAAAAAAAA"),
        good.clone().without("x-api-key"),
        good.set("host", "evil.example"),
    ] {
        server.send(sent).await;
    }
    secrets.add("wrong key", "alter_rk_canaryWrongKey0xAAAAAAAAAAAA");
    let other = server
        .add_app(AppSettings { website_url: Some("https://b.example".into()), ..AppSettings::named("B") });
    let other = other.await;
    secrets.add("other app's key", other.key.expose_secret());
    server.send(server.signed(&other.key, "/sdk/token", &json!({ "grant_id": grant }))).await;
}

/// Users' tokens: sound, forged, and from an identity provider that fails or echoes them.
async fn user_tokens(server: &TestServer, secrets: &mut Secrets) {
    let call =
        async |token: &str| server.call("/sdk/auth/verify-token", &json!({ "token": token })).await.status;
    let sound = server.mock.user_token("acme-1001", "my-app");
    assert_eq!(call(&sound).await, 400, "no identity provider");
    server.set_idp(&server.app, Some("my-app")).await;
    assert_eq!(call(&sound).await, 200, "positive control");
    secrets.add("user token", &sound);
    for header in
        [json!({ "alg": "none" }), json!({ "kid": "canary-kid-0xcccc" }), json!({ "crit": ["exp"] })]
    {
        let forged = server.mock.user_token_with("acme-1001", "canary-audience-0xdd", header, Value::Null);
        assert_eq!(call(&forged).await, 401);
        secrets.add("forged user token", &forged);
    }
    secrets.add("its kid", "canary-kid-0xcccc");
    secrets.add("its audience", "canary-audience-0xdd");
    assert_eq!(call("canary-no-token-0xee").await, 401);
    secrets.add("no token", "canary-no-token-0xee");
    server.mock.set(|s| (s.jwks, s.discovery) = (Some(Raw::new(500, "text/plain", sound.clone())), None));
    server.clock.advance_seconds(25 * 3600);
    let later = server.mock.user_token_with(
        "acme-1001",
        "my-app",
        Value::Null,
        json!({ "exp": server.flows.now().as_seconds() + 60 }),
    );
    assert_eq!(call(&later).await, 503);
    secrets.add("user token", &later);
    server.mock.set(|s| s.jwks = None);
    server.clock.advance_seconds(-25 * 3600);
}

/// Our own failures: storage, vault, crash and replay.
async fn own_failures(server: &mut TestServer, secrets: &mut Secrets, grant: &str) {
    let mut browser = TestBrowser::new();
    let mut replayed = browser.leave_for(server, &server.app, "mock").await;
    let interrupted = browser.leave_for(server, &server.app, "mock").await;
    sql(server, BLOCK);
    assert_eq!(server.token(grant).await.status, 503);
    let app = server.app.clone();
    browser.come_back(server, &app, &mut replayed).await;
    sql(server, UNBLOCK);
    secrets.of(&replayed, &browser);
    secrets.of(&interrupted, &browser);
    let state = alter_core::secret::sha256(interrupted.param("state").as_bytes());
    let stuck = server.store.find_attempt(&state).await.unwrap().unwrap();
    assert!(server.store.consume_attempt(stuck.id, server.flows.now()).await.unwrap().is_first());
    server.clock.advance_seconds(61);
    reap::reap(&server.flows).await.unwrap();

    sql(server, "CREATE TABLE kept AS SELECT access_token AS sealed FROM grants");
    sql(server, "UPDATE grants SET access_token = refresh_token");
    assert_eq!(server.token(grant).await.status, 500);
    sql(server, "UPDATE grants SET access_token = (SELECT sealed FROM kept); DROP TABLE kept");
    sql(server, "UPDATE providers SET client_secret = X'414C5456'");
    attempt(server, secrets, "mock").await;
    server.restart().await;
    assert_eq!(server.token(grant).await.status, 200, "positive control");
}

#[tokio::test]
async fn t95_no_secret_is_logged_at_any_level_in_any_ending_of_a_flow() {
    let log = Log::listen();
    let planted = "planted-canary-+/?&=%-45c48cce2e2d";
    for (encoding, bytes) in encodings(planted) {
        tracing::trace!(value = %String::from_utf8(bytes).unwrap(), "planted");
        let found = hits(&log.take(), planted);
        assert!(found.iter().any(|hit| hit.starts_with(&format!("{encoding} "))), "{encoding}: {found:?}");
    }

    let (mut server, mut secrets) = (TestServer::start().await, Secrets::default());
    server.add_provider(&server.app, "gone", |r| r.token_url = "http://127.0.0.1:1/token".into()).await;
    server
        .add_provider(&server.app, "plain", |recipe| {
            recipe.jwks_url = None;
            recipe.default_scopes = vec!["notes.read".into()];
            recipe.identity.from = alter_core::IdentitySource::Userinfo;
        })
        .await;
    secrets.add("client secret", CLIENT_SECRET);
    secrets.add("API key", server.app.key.expose_secret());
    let grant = successes(&server, &mut secrets).await;
    provider_failures(&server, &mut secrets).await;
    browser_failures(&server, &mut secrets).await;
    backend_failures(&server, &mut secrets, &grant).await;
    user_tokens(&server, &mut secrets).await;
    own_failures(&mut server, &mut secrets, &grant).await;
    let seen = server.mock.seen();
    for request in &seen.token {
        secrets.add("verifier", request.field("code_verifier").unwrap());
        secrets.add("code", request.field("code").unwrap());
    }
    for request in &seen.userinfo {
        secrets.add("access token", request.authorization().unwrap().trim_start_matches("Bearer "));
    }

    for said in [
        "connected",
        "exchange refused",
        "exchange failed",
        "storage failed",
        "a flow failed",
        "an identity provider cannot be asked",
    ] {
        assert!(log.says(said), "positive control: {said:?} was logged");
    }
    for prefix in ["mock_at_", "mock_rt_", "mock_code_", "alter_cs_", "eyJ", "code_verifier", "Bearer "] {
        assert!(!log.says(prefix), "{prefix}: {:?}", hits_of(&log, prefix));
    }
    let lines = log.take();
    assert!(secrets.0.len() > 100, "{}", secrets.0.len());
    for (what, secret) in &secrets.0 {
        assert_eq!(hits(&lines, secret), Vec::<String>::new(), "{what}");
    }
}

fn hits_of(log: &Log, text: &str) -> Vec<String> {
    log.take().into_iter().map(|(line, _)| line).filter(|line| line.contains(text)).collect()
}

/// Types that carry a secret and implement `Debug`. The others (minting and polling on the wire, callbacks,
/// authorization requests) have no `Debug`, so they cannot be printed by mistake.
#[tokio::test]
async fn t95_no_type_prints_the_secret_that_it_carries() {
    let server = TestServer::start().await;
    let canary = "canary-debug-0xbbbbbbbb";
    let secret = SecretString::from(canary);
    let mut shown: Vec<(&str, String, String)> = Vec::new();
    let mut show = |what, text: String, secret: &str| shown.push((what, text, secret.to_owned()));

    let made = operate::create_app(&server.flows, &operator(), AppSettings::named("A")).await.unwrap();
    show("NewApp", format!("{made:?}"), made.key.secret.expose_secret());
    let (root, text) = alter_vault::RootKey::generate(&|buffer| alter_core::SystemRandom.fill(buffer));
    show("RootKey", format!("{root:?}"), text.expose_secret());
    let vault = alter_vault::Vault::new(root);
    show("Vault", format!("{vault:?}"), text.expose_secret());
    show("Flows", format!("{:?}", server.flows), canary);
    let body = canary.as_bytes();
    let parts = SignedParts { method: "POST", target: "/x", body, ..SignedParts::default() };
    show("SignedParts", format!("{parts:?}"), canary);
    let call =
        alter_flows::PresentedCall { api_key: Some(secret.clone()), parts, signature: None, request_id: "" };
    show("PresentedCall", format!("{call:?}"), canary);
    let call = alter_flows::PresentedCall { api_key: Some(server.app.key.clone()), ..call };
    let refused = callers::recognize(&server.flows, &call).await;
    show("AuthError", format!("{refused:?}"), server.app.key.expose_secret());
    let pkce = alter_oauth::Pkce::new(&alter_core::SystemRandom);
    show("Pkce", format!("{pkce:?}"), pkce.verifier.expose_secret());
    let client = alter_oauth::Client { id: "c", secret: Some(&secret) };
    show("Client", format!("{client:?}"), canary);
    let code = alter_oauth::parse_callback(&format!("state={}&code={canary}", "s".repeat(43))).unwrap();
    show("Callback", format!("{code:?}"), canary);
    show("Callback's state", format!("{code:?}"), &"s".repeat(43));
    let answer = json!({ "access_token": canary, "refresh_token": canary, "id_token": canary, "x": canary });
    let bytes = raw_answer(&answer.to_string());
    let raw = alter_oauth::RawAnswer::from_bytes(&bytes).unwrap();
    show("RawAnswer", format!("{raw:?}"), canary);
    let tokens =
        alter_oauth::parse_token_answer(&alter_testkit::server::mock_recipe("http://127.0.0.1:1"), &raw);
    let tokens = tokens.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), canary, "positive control: it carries the secret");
    show("TokenSet", format!("{tokens:?}"), canary);
    let released = alter_api::token::RetrievedToken {
        access_token: canary.to_owned().into(),
        token_type: "Bearer".into(),
        expires_in: None,
        expires_at: None,
        grant_id: "g".into(),
        token_generation: String::new(),
        provider_id: "p".into(),
        scopes: Vec::new(),
        scope_mismatch: false,
        injection_header: "Authorization".into(),
        injection_format: "Bearer {token}".into(),
        additional_credentials: None,
        additional_injections: Vec::new(),
        provider_metadata: [].into(),
    };
    show("RetrievedToken", format!("{released:?}"), canary);
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("authorization", canary.parse().unwrap());
    let request = alter_egress::Request {
        method: axum::http::Method::GET,
        url: format!("https://a.example/{canary}?t={canary}").parse().unwrap(),
        headers,
        body: canary.into(),
        limits: alter_egress::Limits::default(),
    };
    show("Request", format!("{request:?}"), canary);

    assert!(shown.len() >= 15);
    for (what, text, secret) in shown {
        let places = [(text.clone(), text.clone().into_bytes())];
        assert_eq!(hits(&places, &secret), Vec::<String>::new(), "{what}");
    }
    let planted = format!("{:?}", Some(canary));
    assert!(!hits(&[(planted.clone(), planted.into_bytes())], canary).is_empty(), "positive control");
}

/// A journalled answer: version, status, content type, body.
fn raw_answer(body: &str) -> Vec<u8> {
    let kind = b"application/json";
    let mut bytes = vec![1, 0, 200, 0, u8::try_from(kind.len()).unwrap()];
    bytes.extend_from_slice(kind);
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(body.as_bytes());
    bytes
}
