//! Binding level L3: the app's backend has the last word (threats 6.2). The attacks are in `attacks`, what never changes a
//! better credential and what ends by itself in `staged`. `links` has the three attacks on links at every level.

mod attacks;
mod links;
mod staged;

use alter_core::{AppSettings, Level, secret};
use alter_testkit::{Reply, Sent, TestApp, TestBrowser, TestServer, browser::sid_of};
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";
const ANN: &str = "acme-1001";
const BOB: &str = "acme-1002";

/// Somebody who is signed in at the app, in a browser: what the app keeps for that session.
#[derive(Clone)]
struct SignedIn {
    user: &'static str,
    /// Of the flow that was started in this session.
    verifier: Option<String>,
}

impl SignedIn {
    fn new(user: &'static str) -> Self {
        Self { user, verifier: None }
    }
}

/// How an app proves at the end who started.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    UserToken,
    Verifier,
}

const FORMS: [Form; 2] = [Form::UserToken, Form::Verifier];

/// A server-rendered app, as our guide describes it.
struct Backend {
    server: TestServer,
    app: TestApp,
    form: Form,
}

impl Backend {
    async fn new(form: Form) -> Self {
        let server = TestServer::start().await;
        let app = Self::add_app(&server, "Confirming App", "https://confirming.example").await;
        Self { server, app, form }
    }

    async fn add_app(server: &TestServer, name: &str, website: &str) -> TestApp {
        let mut settings = AppSettings::named(name);
        settings.website_url = Some(website.into());
        settings.min_binding = Some(Level::L3);
        let app = server.add_app(settings).await;
        server.set_idp(&app, Some(AUDIENCE)).await;
        app
    }

    /// The app's page "connect an account": mints, and returns the session token. What proves the end stays in the session.
    async fn start(&self, who: &mut SignedIn) -> String {
        self.start_with(who, json!({})).await
    }

    async fn start_with(&self, who: &mut SignedIn, mut body: Value) -> String {
        body["return_url"] = format!("{}/connected?tab=2", self.app.origin).into();
        match self.form {
            Form::UserToken => body["user_token"] = self.server.mock.user_token(who.user, AUDIENCE).into(),
            Form::Verifier => {
                let verifier = TestBrowser::flow_id().0;
                body["code_challenge"] = secret::base64url(&secret::sha256(verifier.as_bytes())).into();
                body["code_challenge_method"] = "S256".into();
                who.verifier = Some(verifier);
            }
        }
        self.server.mint_for(&self.app, &body).await
    }

    /// The app's return page: confirms with what belongs to whoever is signed in there.
    async fn returned(&self, who: &SignedIn, code: &str) -> Reply {
        self.finalize(&self.proof(who, code)).await
    }

    fn proof(&self, who: &SignedIn, code: &str) -> Value {
        let mut body = json!({ "result_code": code });
        match self.form {
            Form::UserToken => body["user_token"] = self.server.mock.user_token(who.user, AUDIENCE).into(),
            // An app that has no verifier in this session has none to send.
            Form::Verifier => {
                body["code_verifier"] = who.verifier.clone().unwrap_or_else(|| "x".repeat(43)).into();
            }
        }
        body
    }

    async fn finalize(&self, body: &Value) -> Reply {
        finalize_as(&self.server, &self.app, body).await
    }

    async fn poll(&self, token: &str) -> Value {
        let body = json!({ "session_token": token });
        let sent = self.server.signed(&self.app.key, "/sdk/oauth/connect/session/poll", &body);
        self.server.send(sent).await.json()
    }

    /// The page of a popup asks for its code.
    async fn result(&self, body: &Value) -> Reply {
        let sent = Sent::new("POST", "/connect/result")
            .header("origin", &self.app.origin)
            .header("content-type", "text/plain");
        self.server.send(sent.body(body.to_string())).await
    }

    async fn code_of_popup(&self, token: &str) -> String {
        let v = TestBrowser::flow_of(token).0;
        let told = self.result(&json!({ "session_token": token, "v": v })).await.json();
        assert_eq!(told["status"], "pending", "{told}");
        told["connections"][0]["metadata"]["result_code"].as_str().expect("a code for the backend").to_owned()
    }

    /// Goes through a popup (door A) to the end of the exchange.
    async fn popup(&self, browser: &mut TestBrowser, token: &str) {
        let (_, callback) = browser.up_to_callback(&self.server, &self.app, token).await;
        assert_eq!(browser.get(&self.server, &callback).await.status, 303);
    }

    /// Opens the link (door D) as our shell page does, where the browser comes from `referrer`.
    async fn open_link(&self, browser: &mut TestBrowser, token: &str, referrer: &str, more: Value) -> Reply {
        let marks =
            json!({ "opener": false, "name": "", "referrer": referrer, "site": "cross-site", "history": 2 });
        let mut body = json!({ "token": token, "marks": marks });
        for (name, value) in more.as_object().cloned().unwrap_or_default() {
            body[name] = value;
        }
        browser.post(&self.server, "/connect/api/claim", &body).await
    }

    /// Opens the link, consents, and goes back. Returns the address of the app's page.
    async fn through_link(&self, browser: &mut TestBrowser, token: &str, more: Value) -> String {
        let opened = self.open_link(browser, token, "", more).await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        let sid = sid_of(opened.json()["location"].as_str().expect("a claim has a location"));
        let authorize = browser.approve(&self.server, &sid, "mock").await;
        let callback = browser.at_provider(&authorize).await;
        assert_eq!(browser.get(&self.server, &callback).await.status, 303);
        self.back(browser, &sid).await
    }

    async fn back(&self, browser: &mut TestBrowser, sid: &str) -> String {
        let back = browser.get(&self.server, &format!("/connect/s/{sid}/return")).await;
        assert_eq!(back.status, 303, "{}", back.text());
        back.header("location").to_owned()
    }

    async fn grants(&self) -> usize {
        self.server.grants(self.app.id).await.len()
    }

    async fn audit(&self) -> Vec<String> {
        let entries = self.server.store.list_audit(self.app.id, 100).await.unwrap();
        entries.into_iter().map(|(kind, _)| kind).collect()
    }
}

async fn finalize_as(server: &TestServer, app: &TestApp, body: &Value) -> Reply {
    server.send(server.signed(&app.key, "/sdk/oauth/connect/session/finalize", body)).await
}

/// A parameter of an address.
fn param(address: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(address).expect("an address");
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

fn code_in(address: &str) -> String {
    param(address, "alter_result_code").unwrap_or_else(|| panic!("no code in {address}"))
}

fn is(reply: &Reply, status: u16, code: &str) -> bool {
    (reply.status, reply.error().as_str()) == (status, code)
}

#[tokio::test]
async fn a_popup_flow_is_pending_until_the_app_confirms_and_then_its_grant_is_at_l3() {
    for form in FORMS {
        let app = Backend::new(form).await;
        let mut ann = SignedIn::new(ANN);
        let token = app.start(&mut ann).await;
        let mut browser = TestBrowser::new();
        app.popup(&mut browser, &token).await;

        let status = app.server.status(&token, &app.app.origin, json!({})).await.json();
        assert_eq!(
            (&status["status"], &status["connections"]),
            (&json!("pending"), &Value::Null),
            "{status}"
        );
        assert_eq!(app.poll(&token).await["status"], "pending");
        assert_eq!(app.grants().await, 0, "nothing to list, to use or to delegate");
        assert_eq!(app.audit().await[0], "connection_staged");

        let code = app.code_of_popup(&token).await;
        assert_eq!(app.code_of_popup(&token).await, code, "a lost answer can be fetched again");
        let done = app.returned(&ann, &code).await;
        assert_eq!(done.status, 200, "{}", done.text());
        let grants = app.server.grants(app.app.id).await;
        assert_eq!((grants.len(), grants[0].level), (1, Level::L3));
        assert_eq!(done.json()["grants"][0]["grant_id"], grants[0].id.to_string());
        assert_eq!(done.json()["grants"][0], app.poll(&token).await["grants"][0]);
        assert_eq!(app.audit().await[0], "grant_connected");

        let again = app.returned(&ann, &code).await;
        assert_eq!(again.json(), done.json(), "a lost answer can be asked for again");
        let status = app.server.status(&token, &app.app.origin, json!({})).await.json();
        assert_eq!(status["connections"][0]["grant_id"], grants[0].id.to_string(), "{status}");
        let body = json!({ "grant_id": grants[0].id.to_string(), "request": { "method": "GET", "url": app.server.mock.url("/api/me") } });
        let released = app.server.send(app.server.signed(&app.app.key, "/sdk/token", &body)).await;
        assert_eq!(released.status, 200, "{}", released.text());
    }
}

/// An app without our SDK: it redirects to `connect_url`, and its return page confirms.
#[tokio::test]
async fn a_server_rendered_app_needs_no_script_of_ours() {
    for form in FORMS {
        let app = Backend::new(form).await;
        let mut ann = SignedIn::new(ANN);
        let token = app.start(&mut ann).await;
        let mut browser = TestBrowser::new();
        let referrer = format!("{}/settings", app.app.origin);
        let opened = app.open_link(&mut browser, &token, &referrer, json!({})).await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        let sid = sid_of(opened.json()["location"].as_str().unwrap());
        let page = browser.get(&app.server, &format!("/connect/s/{sid}")).await.text();
        assert!(page.contains("Did you start this yourself?"), "our own consent click, with the question");
        let authorize = browser.approve(&app.server, &sid, "mock").await;
        let callback = browser.at_provider(&authorize).await;
        assert_eq!(browser.get(&app.server, &callback).await.status, 303);

        let address = app.back(&mut browser, &sid).await;
        assert!(address.starts_with("https://confirming.example/connected?tab=2&alter_result_code="));
        assert_eq!(param(&address, "status").as_deref(), Some("pending"), "{address}");
        assert_eq!(param(&address, "grant_id"), None, "there is no grant yet");
        assert_eq!(app.back(&mut browser, &sid).await, address, "a reload brings the same code");
        assert_eq!(app.poll(&token).await["status"], "pending");
        let done = app.returned(&ann, &code_in(&address)).await;
        assert_eq!(done.status, 200, "{}", done.text());
        assert_eq!(app.server.grants(app.app.id).await[0].level, Level::L3);
        assert_eq!(app.poll(&token).await["status"], "completed");
    }
}

#[tokio::test]
async fn a_link_from_another_site_is_refused_and_one_without_a_way_back_too() {
    let app = Backend::new(Form::UserToken).await;
    let token = app.start(&mut SignedIn::new(ANN)).await;
    for referrer in ["https://evil.example/", "https://confirming.example.evil.example/", "nonsense"] {
        let refused = app.open_link(&mut TestBrowser::new(), &token, referrer, json!({})).await;
        assert!(is(&refused, 403, "binding_failed"), "{referrer}: {}", refused.text());
    }
    let user = app.server.mock.user_token(ANN, AUDIENCE);
    let nowhere = app.server.mint_for(&app.app, &json!({ "user_token": user })).await;
    let refused = app.open_link(&mut TestBrowser::new(), &nowhere, "", json!({})).await;
    assert!(is(&refused, 400, "return_url_required"), "{}", refused.text());
    // A page that says nothing of how it was opened is none of ours.
    let silent = json!({ "token": token });
    let refused = TestBrowser::new().post(&app.server, "/connect/api/claim", &silent).await;
    assert!(is(&refused, 403, "binding_failed"), "{}", refused.text());
    // Control: the same session is still open.
    assert_eq!(app.open_link(&mut TestBrowser::new(), &token, "", json!({})).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_a_proof_changes_nothing_and_says_what_is_wrong() {
    let app = Backend::new(Form::Verifier).await;
    let mut ann = SignedIn::new(ANN);
    let token = app.start(&mut ann).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    let expired = app.server.mock.user_token_with(ANN, AUDIENCE, Value::Null, json!({ "exp": 1 }));
    for (body, status, error) in [
        (json!({ "result_code": code }), 400, "invalid_request"),
        (json!({ "result_code": code, "code_verifier": "short" }), 400, "invalid_request"),
        (json!({ "result_code": code, "code_verifier": "x".repeat(129) }), 400, "invalid_request"),
        (json!({ "result_code": code, "user_token": expired }), 400, "invalid_request"),
        (json!({ "result_code": code[1..], "code_verifier": ann.verifier }), 404, "invalid_result_code"),
        (
            json!({ "result_code": format!("{}x", &code[..code.len() - 1]), "code_verifier": ann.verifier }),
            404,
            "invalid_result_code",
        ),
        (json!({ "result_code": token, "code_verifier": ann.verifier }), 404, "invalid_result_code"),
        (json!({ "code_verifier": ann.verifier }), 400, "invalid_request"),
        (json!({ "result_code": code, "code_verifier": ann.verifier, "extra": 1 }), 400, "invalid_request"),
    ] {
        let refused = app.finalize(&body).await;
        assert!(is(&refused, status, error), "{body}: {}", refused.text());
        assert!(!refused.text().contains(&code), "{}", refused.text());
    }
    assert_eq!(app.returned(&ann, &code).await.status, 200);
}

#[tokio::test]
async fn t08_a_session_that_nobody_could_confirm_is_not_minted() {
    let app = Backend::new(Form::UserToken).await;
    let mint = async |body: Value| {
        app.server.send(app.server.signed(&app.app.key, "/sdk/oauth/connect/session", &body)).await
    };
    assert!(is(&mint(json!({})).await, 400, "proof_required"));
    let challenge = secret::base64url(&secret::sha256(b"verifier"));
    for body in [
        json!({ "code_challenge": challenge }),
        json!({ "code_challenge": challenge, "code_challenge_method": "plain" }),
        json!({ "code_challenge": "verifier", "code_challenge_method": "S256" }),
        json!({ "code_challenge_method": "S256" }),
    ] {
        let refused = mint(body.clone()).await;
        assert!(is(&refused, 400, "invalid_request"), "{body}: {}", refused.text());
    }
    // A challenge asks for L3 on an app of another level, too: it is never ignored.
    let body = json!({ "code_challenge": challenge, "code_challenge_method": "S256" });
    let token = app.server.mint_for(&app.server.app, &body).await;
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&app.server, &app.server.app, &token).await;
    browser.get(&app.server, &callback).await;
    let status = app.server.status(&token, &app.server.app.origin, json!({})).await.json();
    assert_eq!(status["status"], "pending", "{status}");
}

#[tokio::test]
async fn where_one_account_waits_and_another_does_not_the_page_is_told_of_both() {
    let server = TestServer::start().await;
    server.set_idp(&server.app, Some(AUDIENCE)).await;
    server.add_provider(&server.app, "other", |_| {}).await;
    let app = Backend { app: server.app.clone(), server, form: Form::Verifier };
    let of_ann = |more: Value| {
        let mut body = json!({ "user_token": app.server.mock.user_token(ANN, AUDIENCE) });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    // Her account at `mock` has a grant at L3: no flow of a lower level replaces it without the app's word.
    let verifier = TestBrowser::flow_id().0;
    let challenge = secret::base64url(&secret::sha256(verifier.as_bytes()));
    let strict = of_ann(json!({
        "allowed_providers": ["mock"], "code_challenge": challenge, "code_challenge_method": "S256",
    }));
    let token = app.server.mint(&strict).await;
    app.popup(&mut TestBrowser::new(), &token).await;
    let code = app.code_of_popup(&token).await;
    let done = app.finalize(&json!({ "result_code": code, "code_verifier": verifier })).await;
    assert_eq!(done.status, 200, "{}", done.text());

    let (token, mut browser) = (app.server.mint(&of_ann(json!({}))).await, TestBrowser::new());
    let sid = browser.claim(&app.server, &app.app, &token).await;
    let step = |verb: &str| format!("/connect/api/s/{sid}/{verb}");
    for provider in ["mock", "other"] {
        let chosen = browser.post(&app.server, &step("select"), &json!({ "provider": provider })).await;
        assert_eq!(chosen.status, 200, "{}", chosen.text());
        let authorize = browser.approve(&app.server, &sid, provider).await;
        let callback = browser.at_provider(&authorize).await;
        assert_eq!(browser.get(&app.server, &callback).await.status, 303);
    }
    assert_eq!(browser.post(&app.server, &step("finish"), &json!({})).await.status, 200);
    let v = TestBrowser::flow_of(&token).0;
    let told = app.result(&json!({ "session_token": token, "v": v })).await.json();
    let connections = told["connections"].as_array().expect("a list");
    let seen: Vec<_> = connections.iter().map(|c| (c["provider"].as_str(), c["status"].as_str())).collect();
    assert_eq!(seen, [(Some("mock"), Some("pending")), (Some("other"), Some("active"))], "{told}");
    assert!(connections[1]["metadata"]["result_code"].is_null(), "{told}");
}
