//! Auth sessions: an app without a page learns who its user is (wire 3.9, 3.10). Whoever starts one gets the token of whoever
//! signs in, so that everything that can be narrowed is: which apps, which key, how often, and what the page says.

use alter_flows::operate;
use alter_testkit::operator;
use secrecy::SecretString;

use super::*;

const CREATE: &str = "/sdk/auth/session";
const AUTH_POLL: &str = "/sdk/auth/poll";

impl Tool {
    /// A tool whose operator has allowed auth sessions.
    async fn with_auth_sessions() -> Self {
        let tool = Self::new().await;
        tool.allow_auth_sessions(true).await;
        tool
    }

    async fn allow_auth_sessions(&self, allow: bool) {
        let stored = self.server.store.get_app(self.app.id).await.unwrap().unwrap();
        let settings = AppSettings { allow_auth_sessions: allow, ..stored.settings };
        operate::change_app(&self.server.flows, &operator(), self.app.id, settings).await.unwrap();
    }

    async fn ask(&self) -> Value {
        let created = self.server.call_as(&self.app.key, "POST", CREATE, &json!({})).await;
        assert_eq!(created.status, 201, "{}", created.text());
        created.json()
    }

    async fn asks(&self, key: &SecretString, token: &Value) -> Reply {
        self.server.call_as(key, "POST", AUTH_POLL, &json!({ "session_token": token })).await
    }

    /// A browser opens the address; returns the sid.
    async fn open_auth(&self, browser: &mut TestBrowser, asked: &Value) -> String {
        self.open(browser, asked["session_token"].as_str().unwrap()).await
    }
}

#[tokio::test]
async fn the_token_of_whoever_signs_in_is_released_once_and_is_the_apps_user_token() {
    let tool = Tool::with_auth_sessions().await;
    let asked = tool.ask().await;
    let url = asked["auth_url"].as_str().unwrap();
    assert!(url.contains("#session=alter_as_"), "in the fragment, which no log has: {url}");
    assert_eq!(
        tool.asks(&tool.app.key, &asked["session_token"]).await.json(),
        json!({ "status": "pending" })
    );

    let mut browser = TestBrowser::new();
    let sid = tool.open_auth(&mut browser, &asked).await;
    let page = tool.page(&mut browser, &sid).await;
    for said in [asked["user_code"].as_str().unwrap(), "Command Line", "first", "Did you start this yourself"]
    {
        assert!(page.contains(said), "{said}: {page}");
    }
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    assert!(tool.page(&mut browser, &sid).await.contains("You are signed in"));

    let told = tool.asks(&tool.app.key, &asked["session_token"]).await;
    assert!(format!("{:?}", told.headers).contains("no-store"));
    let told = told.json();
    assert_eq!((&told["status"], &told["user_info"]["sub"]), (&json!("completed"), &json!(ANN)), "{told}");
    let again = tool.asks(&tool.app.key, &asked["session_token"]).await.json();
    assert_eq!(
        (&again["status"], &again["error_code"]),
        (&json!("error"), &json!("token_released")),
        "{again}"
    );
    assert_eq!(tool.audit().await[..3], ["user_token_released", "signed_in", "session_claimed"]);

    // It is a user token of the app from now on: a session for that user is minted with it.
    let body = json!({ "user_token": told["user_token"], "allowed_providers": ["mock"] });
    let minted = tool.server.call_as(&tool.app.key, "POST", "/sdk/oauth/connect/session", &body).await;
    assert_eq!(minted.status, 201, "{}", minted.text());
    tool.allow_auth_sessions(false).await;
    let minted = tool.server.call_as(&tool.app.key, "POST", "/sdk/oauth/connect/session", &body).await;
    assert!(is(&minted, 401, "jwt_validation_error"), "only while the operator allows it: {}", minted.text());
}

#[tokio::test]
async fn t70_nobody_but_the_key_that_asked_gets_the_token() {
    let tool = Tool::with_auth_sessions().await;
    let asked = tool.ask().await;
    let mut browser = TestBrowser::new();
    let sid = tool.open_auth(&mut browser, &asked).await;
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;

    let second = operate::create_key(&tool.server.flows, &operator(), tool.app.id, "second").await.unwrap();
    let other = tool.server.add_app(AppSettings::named("Another App")).await;
    tool.server.set_sign_in(&other, Some(AUDIENCE)).await;
    let (_, agent) = tool.server.add_agent(&tool.app, "helper").await;
    let refused = tool.asks(&second.secret, &asked["session_token"]).await;
    assert!(is(&refused, 404, "invalid_token"), "another key of the app: {}", refused.text());
    let refused = tool.asks(&agent, &asked["session_token"]).await;
    assert!(is(&refused, 403, "app_key_required"), "an agent: {}", refused.text());
    let refused = tool.asks(&other.key, &asked["session_token"]).await;
    assert!(is(&refused, 403, "auth_sessions_not_allowed"), "another app: {}", refused.text());
    // Nor by any other call that takes a session's token.
    let token = asked["session_token"].as_str().unwrap();
    for path in [POLL, "/sdk/oauth/connect/session/finalize"] {
        let body = match path {
            POLL => json!({ "session_token": token }),
            _ => json!({ "result_code": token, "user_token": tool.server.mock.user_token(ANN, AUDIENCE) }),
        };
        let reply = tool.server.call_as(&tool.app.key, "POST", path, &body).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    let status = tool.server.status(token, "https://some.example", json!({})).await;
    assert!(is(&status, 404, "invalid_token"), "{}", status.text());
    // And a session's token is none of an auth session.
    let session = json!(tool.start(ANN).await);
    assert!(is(&tool.asks(&tool.app.key, &session).await, 404, "invalid_token"));
    assert_eq!(tool.asks(&tool.app.key, &asked["session_token"]).await.json()["status"], "completed");
}

#[tokio::test]
async fn of_many_polls_at_once_exactly_one_gets_the_token() {
    let tool = Tool::with_auth_sessions().await;
    let asked = tool.ask().await;
    let mut browser = TestBrowser::new();
    let sid = tool.open_auth(&mut browser, &asked).await;
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    let (mut race, host) = (tokio::task::JoinSet::new(), tool.server.host.clone());
    for _ in 0..20 {
        let body = json!({ "session_token": asked["session_token"] });
        let (sent, host) = (tool.server.signed(&tool.app.key, AUTH_POLL, &body), host.clone());
        race.spawn(async move { alter_testkit::http::send(&host, sent).await.json() });
    }
    let told = race.join_all().await;
    assert_eq!(told.iter().filter(|told| told["status"] == "completed").count(), 1, "{told:?}");
}

#[tokio::test]
async fn an_app_must_be_allowed_and_have_a_sign_in() {
    let tool = Tool::new().await;
    let refused = tool.server.call_as(&tool.app.key, "POST", CREATE, &json!({})).await;
    assert!(is(&refused, 403, "auth_sessions_not_allowed"), "{}", refused.text());
    assert!(refused.text().contains("--allow-auth-sessions"));
    tool.allow_auth_sessions(true).await;
    let (_, agent) = tool.server.add_agent(&tool.app, "helper").await;
    let refused = tool.server.call_as(&agent, "POST", CREATE, &json!({})).await;
    assert!(is(&refused, 403, "app_key_required"), "{}", refused.text());
    tool.server.set_idp(&tool.app, Some(AUDIENCE)).await;
    let refused = tool.server.call_as(&tool.app.key, "POST", CREATE, &json!({})).await;
    assert!(is(&refused, 400, "idp_not_configured"), "{}", refused.text());
    assert!(refused.text().contains("--client-id"));
}

#[tokio::test]
async fn t54_what_nobody_fetches_or_finishes_runs_out() {
    let tool = Tool::with_auth_sessions().await;
    let (left, cancelled, late) = (tool.ask().await, tool.ask().await, tool.ask().await);
    let mut browser = TestBrowser::new();
    let sid = tool.open_auth(&mut browser, &cancelled).await;
    browser.post(&tool.server, &format!("/connect/api/s/{sid}/cancel"), &json!({})).await;
    let told = tool.asks(&tool.app.key, &cancelled["session_token"]).await.json();
    assert_eq!(told["error_code"], "access_denied", "{told}");

    let sid = tool.open_auth(&mut browser, &late).await;
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    tool.server.clock.advance_seconds(600);
    assert_eq!(tool.asks(&tool.app.key, &left["session_token"]).await.json()["status"], "expired");
    tool.server.clock.advance_seconds(3 * 3600);
    let told = tool.asks(&tool.app.key, &late["session_token"]).await.json();
    assert_eq!(
        told["error_code"], "jwt_validation_error",
        "a token that has run out is not released: {told}"
    );
    assert!(told.get("user_token").is_none());
}

#[tokio::test]
async fn t01_an_auth_session_opens_for_no_page_and_connects_nothing() {
    let tool = Tool::with_auth_sessions().await;
    let asked = tool.ask().await;
    let token = asked["session_token"].as_str().unwrap();
    let mut browser = TestBrowser::new();
    assert_eq!(browser.open(&tool.server, token, Some("https://some.example")).await.status, 403);
    let (v, cb) = TestBrowser::flow_id();
    for more in [json!({ "cb": cb, "v": v }), json!({ "cb": cb, "m": "r" })] {
        let refused = browser.open_link(&tool.server, token, &more).await;
        assert!(is(&refused, 403, "binding_failed"), "{}", refused.text());
    }
    let sid = tool.open_auth(&mut browser, &asked).await;
    for step in ["select", "approve"] {
        let body = json!({ "provider": "mock" });
        let reply = browser.post(&tool.server, &format!("/connect/api/s/{sid}/{step}"), &body).await;
        assert!(is(&reply, 409, "step_moved"), "{step}: {}", reply.text());
    }
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    let reply = browser
        .post(&tool.server, &format!("/connect/api/s/{sid}/approve"), &json!({ "provider": "mock" }))
        .await;
    assert!(is(&reply, 409, "step_moved"), "{}", reply.text());
}

/// The database has the token sealed, and only until it is released.
#[tokio::test]
async fn t59_the_token_of_an_auth_session_is_stored_sealed_and_wiped() {
    let server = TestServer::start_sqlite().await;
    let app = server.add_app(AppSettings::named("Command Line")).await;
    let callback = server.set_sign_in(&app, Some(AUDIENCE)).await;
    let tool = Tool { server, app, callback };
    tool.allow_auth_sessions(true).await;
    let asked = tool.ask().await;
    let mut browser = TestBrowser::new();
    let sid = tool.open_auth(&mut browser, &asked).await;
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    let sid = alter_core::SessionId::parse(&sid).unwrap();
    let sealed = tool.server.store.get_user_token(&sid).await.unwrap().expect("it is there");
    let told = tool.asks(&tool.app.key, &asked["session_token"]).await.json();
    let token = told["user_token"].as_str().expect("a token");
    let part = token.split('.').nth(1).unwrap();
    assert!(!sealed.windows(part.len()).any(|window| window == part.as_bytes()));
    assert_eq!(tool.server.store.get_user_token(&sid).await.unwrap(), None, "wiped");
}
