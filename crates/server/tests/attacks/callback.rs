//! The provider sends the browser back: whose browser it is, and in which order the checks run (protocol 4). Tests of
//! the response's content are in `provider_text`, `state` and `context`; tests of what dies meanwhile, in `faults`.

pub(crate) mod context;
mod faults;
mod our_words;
mod provider_text;
mod state;

use alter_testkit::{TestApp, TestBrowser, TestServer};
use serde_json::{Value, json};

/// A user on the way back from the provider.
struct Away {
    browser: TestBrowser,
    token: String,
    sid: String,
    /// Path and query of the callback.
    callback: String,
}

impl Away {
    async fn start(server: &TestServer) -> Self {
        Self::start_on(server, &server.app).await
    }

    async fn start_on(server: &TestServer, app: &TestApp) -> Self {
        let token = server.mint_for(app, &json!({})).await;
        let mut browser = TestBrowser::new();
        let (sid, callback) = browser.up_to_callback(server, app, &token).await;
        Self { browser, token, sid, callback }
    }

    /// A parameter of the callback, decoded.
    fn param(&self, name: &str) -> String {
        param(&self.callback, name)
    }

    fn path(&self) -> &str {
        self.callback.split('?').next().unwrap_or_default()
    }

    async fn status(&self, server: &TestServer) -> Value {
        server.status(&self.token, &server.app.origin, json!({})).await.json()
    }

    /// Asserts that the flow completes as if nothing had happened.
    async fn completes(mut self, server: &TestServer) {
        let reply = self.browser.get(server, &self.callback).await;
        assert_eq!((reply.status, reply.header("location")), (303, page_of(&self.sid).as_str()));
        let status = self.status(server).await;
        assert_eq!(status["status"], "completed", "{status}");
        assert_eq!(token_requests(server), 1);
    }

    /// Asserts that nothing was exchanged and nothing ever will be, not even for the browser that started.
    async fn stays_burned(mut self, server: &TestServer) {
        self.browser.get(server, &self.callback).await;
        assert_eq!(token_requests(server), 0, "the code was exchanged");
        assert_eq!(grants(server, &server.app).await, 0);
        let status = self.status(server).await;
        assert_eq!((&status["status"], &status["error"]), (&json!("failed"), &json!("binding_failed")));
    }
}

fn param(target: &str, name: &str) -> String {
    let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(n, _)| n == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn page_of(sid: &str) -> String {
    format!("/connect/s/{sid}")
}

fn token_requests(server: &TestServer) -> usize {
    server.mock.seen().token.len()
}

async fn grants(server: &TestServer, app: &TestApp) -> usize {
    server.grants(app.id).await.len()
}

/// Names of the app's audit entries, newest first.
async fn audit(server: &TestServer) -> Vec<String> {
    let entries = server.store.list_audit(server.app.id, 1000).await.unwrap();
    entries.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn t02_an_authorization_url_replayed_in_another_browser_is_refused_before_the_exchange() {
    for foreign_session in [false, true] {
        let server = TestServer::start().await;
        let token = server.mint(&json!({})).await;
        let mut attacker = TestBrowser::new();
        let sid = attacker.claim(&server, &server.app, &token).await;
        let authorize = attacker.approve(&server, &sid, "mock").await;

        // The victim, with a live session of his own or without, completes what the attacker started.
        let mut victim = TestBrowser::new();
        if foreign_session {
            let own = server.mint(&json!({})).await;
            victim.claim(&server, &server.app, &own).await;
        }
        let callback = victim.at_provider(&authorize).await;
        let reply = victim.get(&server, &callback).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        assert!(reply.cookies().is_empty());
        assert_eq!(token_requests(&server), 0);
        assert_eq!(audit(&server).await[0], "browser_mismatch");
        Away { browser: attacker, token, sid, callback }.stays_burned(&server).await;

        // Positive control: the legitimate flow.
        assert_eq!(TestBrowser::new().connect(&server).await["status"], "active");
    }
}

#[tokio::test]
async fn t02_a_cookie_that_is_wrong_empty_doubled_or_of_another_session_is_no_cookie() {
    let server = TestServer::start().await;
    let own = Away::start(&server).await;
    let (name, key) = {
        let cookie = own.browser.cookie();
        let (name, key) = cookie.split_once('=').expect("one cookie");
        (name.to_owned(), key.to_owned())
    };
    let mut flipped = key.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let cookies = |name: &str, key: &str| {
        [
            format!("{name}={flipped}"),
            format!("{name}="),
            format!("{name}={}", &key[..42]),
            format!("{name}={key}A"),
            format!("{name}={key}; {name}={flipped}"),
            format!("{name}={flipped}; {name}={key}"),
            format!("cs_aaaaaaaaaaaaaaaaaaaaaaaaaa={key}"),
            format!("{}={key}", name.to_uppercase()),
            format!("__Secure-{name}={key}"),
        ]
    };
    for index in 0..cookies(&name, &key).len() {
        let away = Away::start(&server).await;
        let cookie = away.browser.cookie();
        let (name, key) = cookie.split_once('=').expect("one cookie");
        let cookie = cookies(name, key)[index].clone();
        let sent = alter_testkit::Sent::new("GET", &away.callback).header("cookie", &cookie);
        let reply = server.send(sent).await;
        assert_eq!(reply.status, 400, "{cookie}: {}", reply.text());
        away.stays_burned(&server).await;
    }
    own.completes(&server).await;
}

#[tokio::test]
async fn t03_an_attackers_code_under_the_victims_state_makes_no_grant() {
    // With a provider that checks the verifier, and with one that does not: then the id_token's nonce tells.
    for ignore_pkce in [false, true] {
        let server = TestServer::start().await;
        server.mock.set(|switches| {
            switches.ignore_pkce = ignore_pkce;
            switches.auto_user = Some("acme-1002".into());
        });
        let attacker = Away::start(&server).await;
        server.mock.set(|switches| switches.auto_user = None);
        let mut victim = Away::start(&server).await;

        let pairs = [
            ("code", attacker.param("code")),
            ("state", victim.param("state")),
            ("iss", victim.param("iss")),
        ];
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let forged = format!("{}?{}", victim.path(), query(&pairs));
        let reply = victim.browser.get(&server, &forged).await;
        assert_eq!(reply.header("location"), page_of(&victim.sid));
        assert_eq!(grants(&server, &server.app).await, 0);
        let status = victim.status(&server).await;
        assert_eq!(status["error"], "oauth_provider_error", "{status}");
        let reason = if ignore_pkce { "id_token_invalid" } else { "code_refused" };
        assert_eq!(status["details"]["reason"], reason);

        assert_eq!(TestBrowser::new().connect(&server).await["status"], "active");
    }
}

#[tokio::test]
async fn t04_a_callback_url_handed_over_is_refused_in_both_directions() {
    // The attacker stops before his callback and sends its URL to the victim.
    let server = TestServer::start().await;
    let attacker = Away::start(&server).await;
    let mut victim = Away::start(&server).await;
    let reply = victim.browser.get(&server, &attacker.callback).await;
    assert_eq!(reply.status, 400);
    attacker.stays_burned(&server).await;
    victim.completes(&server).await;

    // The attacker got hold of the victim's callback URL and opens it in his own browser.
    let server = TestServer::start().await;
    let victim = Away::start(&server).await;
    let mut attacker = Away::start(&server).await;
    let reply = attacker.browser.get(&server, &victim.callback).await;
    assert_eq!(reply.status, 400);
    victim.stays_burned(&server).await;
    attacker.completes(&server).await;
}

#[tokio::test]
async fn t25_an_error_without_the_cookie_is_ignored_and_the_flow_completes() {
    let server = TestServer::start().await;
    let away = Away::start(&server).await;
    let mut stranger = Away::start(&server).await;
    let before = away.status(&server).await;
    let entries = audit(&server).await.len();
    let (state, iss) = (away.param("state"), away.param("iss"));
    for error in ["access_denied", "server_error", "user_cancelled_login", "anything"] {
        for iss in [Some(iss.as_str()), None, Some("https://evil.example")] {
            let mut pairs = vec![("error", error), ("state", state.as_str())];
            pairs.extend(iss.map(|iss| ("iss", iss)));
            let forged = format!("{}?{}", away.path(), query(&pairs));
            assert_eq!(TestBrowser::new().get(&server, &forged).await.status, 400);
            assert_eq!(stranger.browser.get(&server, &forged).await.status, 400);
        }
    }
    assert_eq!(away.status(&server).await, before);
    assert_eq!(audit(&server).await.len(), entries);
    away.completes(&server).await;
}

#[tokio::test]
async fn t25_an_error_with_the_cookie_ends_the_flow() {
    let server = TestServer::start().await;
    let mut away = Away::start(&server).await;
    let pairs = [("error", "access_denied"), ("state", &away.param("state")), ("iss", &away.param("iss"))];
    let denied = format!("{}?{}", away.path(), query(&pairs));
    assert_eq!(away.browser.get(&server, &denied).await.header("location"), page_of(&away.sid));
    assert_eq!(away.status(&server).await["error"], "oauth_denied");
    assert_eq!(token_requests(&server), 0);
}

#[tokio::test]
async fn the_path_is_checked_before_the_cookie_and_the_cookie_before_the_issuer() {
    let server = TestServer::start().await;
    let other_path = {
        let url = server.add_provider(&server.app, "other", |_| {}).await;
        url.trim_start_matches(&server.public_url).to_owned()
    };
    let body = json!({ "allowed_providers": ["mock"] });
    let start = async || {
        let token = server.mint(&body).await;
        let mut browser = TestBrowser::new();
        let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
        Away { browser, token, sid, callback }
    };

    // Wrong path and no cookie: not a callback of ours, and it burns nothing.
    let away = start().await;
    let moved = away.callback.replace(away.path(), &other_path);
    let entries = audit(&server).await.len();
    assert_eq!(TestBrowser::new().get(&server, &moved).await.status, 400);
    assert_eq!(away.status(&server).await["status"], "open");
    assert_eq!(audit(&server).await.len(), entries);
    away.completes(&server).await;
    server.mock.forget_seen();

    // No cookie and a wrong issuer: treated as another browser, whatever issuer is named.
    let away = start().await;
    let pairs = [("code", "c"), ("state", &away.param("state")), ("iss", "https://evil.example")];
    let forged = format!("{}?{}", away.path(), query(&pairs));
    assert_eq!(TestBrowser::new().get(&server, &forged).await.status, 400);
    assert_eq!(audit(&server).await[0], "browser_mismatch");
    let status = away.status(&server).await;
    assert_eq!(status["error"], "binding_failed", "{status}");

    // The right cookie and a wrong or missing issuer: the code is not spent, and a denial is not believed either.
    let issuers = [None, Some("https://evil.example"), Some(""), Some("HTTP://127.0.0.1")];
    for (what, iss) in ["code", "error"].into_iter().flat_map(|what| issuers.map(|iss| (what, iss))) {
        let mut away = start().await;
        let (value, state) = match what {
            "code" => (away.param("code"), away.param("state")),
            _ => ("access_denied".to_owned(), away.param("state")),
        };
        let mut pairs = vec![(what, value.as_str()), ("state", state.as_str())];
        pairs.extend(iss.map(|iss| ("iss", iss)));
        let forged = format!("{}?{}", away.path(), query(&pairs));
        assert_eq!(away.browser.get(&server, &forged).await.header("location"), page_of(&away.sid));
        let status = away.status(&server).await;
        assert_eq!(status["details"]["reason"], "iss_mismatch", "{what} {iss:?}: {status}");
    }
    assert_eq!(token_requests(&server), 0);
}

#[tokio::test]
async fn t02_burning_an_attempt_that_was_replaced_does_not_end_the_one_under_way() {
    let server = TestServer::start().await;
    let mut away = Away::start(&server).await;
    // The user goes back with the browser's button and approves again.
    let authorize = away.browser.approve(&server, &away.sid, "mock").await;
    let newer = away.browser.at_provider(&authorize).await;
    assert_ne!(param(&newer, "state"), away.param("state"));

    assert_eq!(TestBrowser::new().get(&server, &away.callback).await.status, 400);
    assert_eq!(away.status(&server).await["status"], "open");
    away.callback = newer;
    away.completes(&server).await;
}

/// The check and the burning are two steps, and the right browser may come between them. Either this browser wins or
/// the burning does; a flow whose code was sent never fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t02_a_foreign_callback_racing_the_right_one_never_loses_a_code_that_was_sent() {
    let server = TestServer::start().await;
    let (mut won, mut burned) = (0, 0);
    for round in 0..24 {
        server.mock.forget_seen();
        let away = Away::start(&server).await;
        let mut race = tokio::task::JoinSet::new();
        for number in 0..8 {
            let mut sent = alter_testkit::Sent::new("GET", &away.callback);
            if number == round % 8 {
                sent = sent.header("cookie", &away.browser.cookie());
            }
            let host = server.host.clone();
            race.spawn(async move { alter_testkit::http::send(&host, sent).await.status });
        }
        race.join_all().await;
        let status = away.status(&server).await;
        match (token_requests(&server), status["status"].as_str()) {
            (1, Some("completed")) => won += 1,
            (0, Some("failed")) => burned += 1,
            other => panic!("{other:?}: {status}"),
        }
    }
    assert_eq!(won + burned, 24);
}
