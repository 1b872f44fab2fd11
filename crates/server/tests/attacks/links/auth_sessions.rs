//! Auth sessions: an app without a page learns who its user is (wire 3.9, 3.10). Whoever starts one gets the token of whoever
//! signs in, so that everything that can be narrowed is: which apps, which key, how often, and what the page says.

use alter_core::{Clock, SessionId};
use alter_flows::{connect, operate, reap::reap};
use alter_mock_provider::Gate;
use alter_testkit::operator;
use secrecy::SecretString;

use super::*;
use crate::sql;

const CREATE: &str = "/sdk/auth/session";
const AUTH_POLL: &str = "/sdk/auth/poll";

impl Tool {
    /// A tool whose operator has allowed auth sessions.
    async fn with_auth_sessions() -> Self {
        let tool = Self::new().await;
        tool.allow_auth_sessions(true).await;
        tool
    }

    async fn with_auth_sessions_in_sqlite() -> Self {
        let server = TestServer::start_sqlite().await;
        let app = server.add_app(AppSettings::named("Command Line")).await;
        let callback = server.set_sign_in(&app, Some(AUDIENCE)).await;
        let tool = Self { server, app, callback };
        tool.allow_auth_sessions(true).await;
        tool
    }

    async fn allow_auth_sessions(&self, allowed: bool) {
        allow(&self.server, &self.app, allowed).await;
    }

    async fn ask(&self) -> Value {
        let created = self.server.call_as(&self.app.key, "POST", CREATE, &json!({})).await;
        assert_eq!(created.status, 201, "{}", created.text());
        created.json()
    }

    async fn asks(&self, key: &SecretString, token: &Value) -> Reply {
        self.server.call_as(key, "POST", AUTH_POLL, &json!({ "session_token": token })).await
    }

    /// With an address on which a user has signed in; returns what the tool got, and the sid.
    async fn signed_in(&self, browser: &mut TestBrowser, user: &str) -> (Value, SessionId) {
        let asked = self.ask().await;
        let sid = self.open_auth(browser, &asked).await;
        self.signs_in(user);
        browser.sign_in(&self.server, &sid).await;
        (asked, SessionId::parse(&sid).expect("a sid"))
    }

    async fn revoke_key(&self) {
        let key = operate::list_keys(&self.server.flows, self.app.id).await.unwrap().remove(0);
        operate::revoke_key(&self.server.flows, &operator(), self.app.id, key.id).await.unwrap();
    }

    /// A browser opens the address; returns the sid.
    async fn open_auth(&self, browser: &mut TestBrowser, asked: &Value) -> String {
        self.open(browser, asked["session_token"].as_str().unwrap()).await
    }
}

async fn allow(server: &TestServer, app: &TestApp, allow_auth_sessions: bool) {
    let stored = server.store.get_app(app.id).await.unwrap().unwrap();
    let settings = AppSettings { allow_auth_sessions, ..stored.settings };
    operate::change_app(&server.flows, &operator(), app.id, settings).await.unwrap();
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
    let page = tool.page(&mut browser, &sid).await;
    assert!(page.contains("You are signed in"), "{page}");

    let told = tool.asks(&tool.app.key, &asked["session_token"]).await;
    assert!(format!("{:?}", told.headers).contains("no-store"));
    let told = told.json();
    assert_eq!((&told["status"], &told["user_info"]["sub"]), (&json!("completed"), &json!(ANN)), "{told}");
    assert!(page.contains(told["user_info"]["name"].as_str().unwrap()), "as whom: {page}");
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
    allow(&tool.server, &other, true).await;
    let (_, agent) = tool.server.add_agent(&tool.app, "helper").await;
    let refused = tool.asks(&second.secret, &asked["session_token"]).await;
    assert!(is(&refused, 404, "invalid_token"), "another key of the app: {}", refused.text());
    let refused = tool.asks(&agent, &asked["session_token"]).await;
    assert!(is(&refused, 403, "app_key_required"), "an agent: {}", refused.text());
    let refused = tool.asks(&other.key, &asked["session_token"]).await;
    assert!(is(&refused, 404, "invalid_token"), "another app: {}", refused.text());
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
    let tool = Tool::with_auth_sessions_in_sqlite().await;
    let (asked, sid) = tool.signed_in(&mut TestBrowser::new(), ANN).await;
    let sealed = tool.server.store.get_user_token(&sid).await.unwrap().expect("it is there");
    let told = tool.asks(&tool.app.key, &asked["session_token"]).await.json();
    let token = told["user_token"].as_str().expect("a token");
    let part = token.split('.').nth(1).unwrap();
    assert!(!sealed.windows(part.len()).any(|window| window == part.as_bytes()));
    assert_eq!(tool.server.store.get_user_token(&sid).await.unwrap(), None, "wiped");
}

/// The page is loaded, and another process saves the session, between the poll's look at the token and its wipe.
#[tokio::test]
async fn a_session_that_moves_while_its_token_is_released_loses_no_token() {
    let tool = Tool::with_auth_sessions().await;
    let exp = tool.server.clock.now().as_seconds() + 7200;
    tool.server.mock.set(|switches| switches.id_token_claims = json!({ "exp": exp }));
    let mut browser = TestBrowser::new();
    let (asked, sid) = tool.signed_in(&mut browser, ANN).await;
    // The keys are too old by then, so that the poll asks for them and can be held there.
    tool.server.clock.advance_seconds(3601);
    let gate = Gate::closed();
    tool.server.mock.forget_seen();
    tool.server.mock.set(|switches| switches.gates = vec![("/jwks".into(), gate.clone())]);
    let meanwhile = async {
        tool.server.mock.wait_for(|seen| !seen.jwks.is_empty()).await;
        tool.page(&mut browser, sid.as_str()).await;
        let session = tool.server.store.get_session(&sid).await.unwrap().unwrap();
        assert!(tool.server.store.save_session(&session).await.unwrap().is_done());
        gate.open();
    };
    let (told, ()) = tokio::join!(tool.asks(&tool.app.key, &asked["session_token"]), meanwhile);
    assert_eq!(told.json()["status"], "completed", "{}", told.text());
    let again = tool.asks(&tool.app.key, &asked["session_token"]).await.json();
    assert_eq!(again["error_code"], "token_released", "{again}");
}

#[tokio::test]
async fn t97_no_user_token_leaves_or_is_kept_while_the_audit_cannot_be_written() {
    let tool = Tool::with_auth_sessions_in_sqlite().await;
    tool.start(ANN).await;
    let asked = tool.ask().await;
    let mut browser = TestBrowser::new();
    let sid = tool.open_auth(&mut browser, &asked).await;
    tool.signs_in(ANN);
    sql::block(&tool.server, "INSERT ON audit");
    browser.sign_in(&tool.server, &sid).await;
    assert!(tool.page(&mut browser, &sid).await.contains("Signing in did not work"));
    sql::unblock(&tool.server);
    browser.sign_in(&tool.server, &sid).await;

    sql::block(&tool.server, "INSERT ON audit");
    for _ in 0..2 {
        let refused = tool.asks(&tool.app.key, &asked["session_token"]).await;
        assert!(is(&refused, 503, "service_unavailable"), "{}", refused.text());
        assert!(!refused.text().contains("user_token"), "{}", refused.text());
    }
    sql::unblock(&tool.server);
    let told = tool.asks(&tool.app.key, &asked["session_token"]).await.json();
    assert_eq!(told["status"], "completed", "{told}");
    for (kind, key) in [("user_token_released", true), ("signed_in", false)] {
        let rows = tool.server.store.read_audit(tool.app.id, 0, 50).await.unwrap();
        let row = rows.into_iter().find(|row| row.kind == kind).expect("an entry");
        let details: Value = serde_json::from_str(&row.details).unwrap();
        assert_eq!(details, json!({ "iss": tool.server.mock.issuer(), "sub": ANN }), "{kind}");
        assert!(row.user_id.is_some() && row.key_id.is_some() == key, "{row:?}");
    }
}

/// The key and the app are looked at when the token would leave, and not when the poll began.
#[tokio::test]
async fn t70_a_poll_that_waits_gets_nothing_once_its_key_or_its_app_may_not_ask_any_more() {
    for (what, status, code) in
        [("the key", 401, "key_revoked"), ("the app", 403, "auth_sessions_not_allowed")]
    {
        let tool = Tool::with_auth_sessions().await;
        // Every audience is the app's, so that the sign-in is sound whatever the app is allowed.
        tool.server.set_sign_in(&tool.app, None).await;
        let asked = tool.ask().await;
        let mut browser = TestBrowser::new();
        let sid = tool.open_auth(&mut browser, &asked).await;
        tool.signs_in(ANN);
        let authorize = browser.leave_to_sign_in(&tool.server, &sid).await;
        let callback = browser.at_provider(&authorize).await;
        let gate = Gate::closed();
        tool.server.mock.set(|switches| switches.token_gate = Some(gate.clone()));
        let body = json!({ "session_token": asked["session_token"], "wait_ms": 25_000 });
        let poll = tool.server.call_as(&tool.app.key, "POST", AUTH_POLL, &body);
        let others = async {
            while connect::waiting(&tool.server.flows) == 0 {
                tokio::task::yield_now().await;
            }
            let stopped = async {
                tool.server.mock.wait_for(|seen| !seen.token.is_empty()).await;
                match what {
                    "the key" => tool.revoke_key().await,
                    _ => tool.allow_auth_sessions(false).await,
                }
                gate.open();
            };
            tokio::join!(browser.get(&tool.server, &callback), stopped).0
        };
        let (told, _) = tokio::join!(poll, others);
        assert!(is(&told, status, code), "{what}: {}", told.text());
    }
}

/// The person sees that nobody waits for them any more, before they sign in for nothing.
#[tokio::test]
async fn t54_an_auth_session_that_nobody_may_fetch_any_more_is_over_for_its_browser() {
    for what in ["the key", "the app"] {
        let tool = Tool::with_auth_sessions().await;
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(tool.ask().await);
        }
        let mut browser = TestBrowser::new();
        let (mut sids, mut callback) = (Vec::new(), String::new());
        tool.signs_in(ANN);
        for asked in &asked[1..] {
            let sid = tool.open_auth(&mut browser, asked).await;
            let authorize = browser.leave_to_sign_in(&tool.server, &sid).await;
            callback = browser.at_provider(&authorize).await;
            sids.push(sid);
        }
        tool.server.mock.forget_seen();
        match what {
            "the key" => tool.revoke_key().await,
            _ => tool.allow_auth_sessions(false).await,
        }
        let token = asked[0]["session_token"].as_str().unwrap();
        let refused = browser.open_link(&tool.server, token, &json!({})).await;
        assert_eq!(refused.status, 410, "{what}: {}", refused.text());
        assert!(tool.page(&mut browser, &sids[0]).await.contains("data-page=\"cancelled\""), "{what}");
        let late =
            browser.post(&tool.server, &format!("/connect/api/s/{}/sign-in", sids[1]), &json!({})).await;
        assert!(is(&late, 409, "step_moved"), "{what}: {}", late.text());
        assert_eq!(browser.get(&tool.server, &callback).await.status, 303);
        assert_eq!(tool.server.mock.seen().token.len(), 0, "{what}: no code is exchanged in vain");
        for sid in &sids {
            assert!(tool.page(&mut browser, sid).await.contains("data-page=\"cancelled\""), "{what}");
        }
    }
}

#[tokio::test]
async fn t54_a_token_that_nobody_fetches_is_wiped_after_ten_minutes() {
    let tool = Tool::with_auth_sessions().await;
    tool.server.clock.freeze();
    let (asked, sid) = tool.signed_in(&mut TestBrowser::new(), ANN).await;
    for (seconds, is_there) in [(599, true), (1, false)] {
        tool.server.clock.advance_seconds(seconds);
        reap(&tool.server.flows).await.unwrap();
        assert_eq!(tool.server.store.get_user_token(&sid).await.unwrap().is_some(), is_there, "{seconds}");
    }
    let told = tool.asks(&tool.app.key, &asked["session_token"]).await.json();
    assert_eq!(told, json!({ "status": "expired" }), "it was not released");
}
