//! Agents over HTTP: what is delegated to them, what they may do with a delegation, and how it ends (T13, T98, S8).

use std::collections::BTreeSet;

use alter_core::AgentId;
use alter_mock_provider::{Gate, TokenFault};
use alter_testkit::{Reply, TestBrowser, TestServer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";
const USER: &str = "acme-1001";

struct Scene {
    server: TestServer,
    agent: AgentId,
    key: SecretString,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::start().await;
        server.set_idp(&server.app, Some(AUDIENCE)).await;
        let (agent, key) = server.add_agent(&server.app, "mailbot").await;
        Self { server, agent, key }
    }

    fn user(&self) -> String {
        self.server.mock.user_token(USER, AUDIENCE)
    }

    async fn connect(&self, body: Value) -> String {
        let made = TestBrowser::new().connect_for(&self.server, &self.server.app, &body).await;
        made["grant_id"].as_str().expect("a connection has a grant").to_owned()
    }

    async fn delegated(&self) -> String {
        self.connect(json!({ "user_token": self.user(), "agent": "mailbot" })).await
    }

    async fn ask(&self, key: &SecretString, mut which: Value) -> Reply {
        which["request"] = json!({ "method": "GET", "url": self.server.mock.url("/api/me") });
        self.server.call_as(key, "POST", "/sdk/token", &which).await
    }

    async fn patch(&self, target: &str, body: Value) -> Reply {
        self.server.call_as(&self.server.app.key, "PATCH", target, &body).await
    }

    async fn mint(&self, body: Value) -> Reply {
        self.server.call("/sdk/oauth/connect/session", &body).await
    }
}

#[track_caller]
fn is(reply: &Reply, status: u16, code: &str) {
    let got = if reply.status < 400 { String::new() } else { reply.error() };
    assert_eq!((reply.status, got.as_str()), (status, code), "{}", reply.text());
}

#[tokio::test]
async fn s8_a_session_names_an_active_agent_and_a_user_or_is_not_minted() {
    let scene = Scene::new().await;
    is(&scene.mint(json!({ "agent": "mailbot" })).await, 400, "agent_requires_user_token");
    for named in ["mailbot".to_owned(), scene.agent.to_string()] {
        is(&scene.mint(json!({ "agent": named, "user_token": scene.user() })).await, 201, "");
    }
    for unknown in ["nobody", "MAILBOT", "", "11111111-2222-4333-8444-555555555555"] {
        is(
            &scene.mint(json!({ "agent": unknown, "user_token": scene.user() })).await,
            404,
            "agent_not_found",
        );
    }
    is(&scene.patch(&format!("/sdk/agents/{}", scene.agent), json!({ "status": "inactive" })).await, 200, "");
    is(&scene.mint(json!({ "agent": "mailbot", "user_token": scene.user() })).await, 404, "agent_not_found");
}

#[tokio::test]
async fn t13_the_consent_page_names_the_agent_and_the_user() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let display = json!({ "display_name": "The <b>Mail</b> Bot" });
    is(&scene.patch(&format!("/sdk/agents/{}", scene.agent), display).await, 200, "");
    let token = server.mint(&json!({ "user_token": scene.user(), "agent": "mailbot" })).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(server, &server.app, &token).await;
    let page = browser.get(server, &format!("/connect/s/{sid}")).await.text();
    // A long name may break at a `<wbr>`.
    let page = page.replace("<wbr>", "");
    assert!(
        page.contains("The &#60;b&#62;Mail&#60;/b&#62; Bot")
            || page.contains("The &lt;b&gt;Mail&lt;/b&gt; Bot"),
        "{page}"
    );
    assert!(!page.contains("<b>Mail</b>"), "T45: a name is text");
    assert!(page.contains("on your behalf"), "{page}");
    let user = server.store.find_user(server.app.id, &server.mock.issuer(), USER).await.unwrap().unwrap();
    assert!(page.contains(&user.label), "{} is not on {page}", user.label);
    // Control: for a session without an agent, the page mentions none.
    let token = server.mint(&json!({ "user_token": scene.user() })).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(server, &server.app, &token).await;
    let page = browser.get(server, &format!("/connect/s/{sid}")).await.text().replace("<wbr>", "");
    assert!(!page.contains("Agent") && page.contains(&user.label), "{page}");
}

#[tokio::test]
async fn t13_an_agent_uses_what_was_delegated_to_it_and_nothing_else() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let (_, stranger) = server.add_agent(&server.app, "stranger").await;
    let plain = scene.connect(json!({ "user_token": server.mock.user_token("acme-1002", AUDIENCE) })).await;
    is(&scene.ask(&scene.key, json!({ "grant_id": plain })).await, 404, "no_delegated_grant");
    is(&scene.ask(&scene.key, json!({ "provider_id": "mock" })).await, 404, "no_delegated_grant");
    let grant = scene.delegated().await;
    for which in [
        json!({ "grant_id": grant }),
        json!({ "provider_id": "mock" }),
        json!({ "provider_id": "mock", "user_token": scene.user() }),
    ] {
        let released = scene.ask(&scene.key, which).await;
        is(&released, 200, "");
        assert_eq!(released.json()["grant_id"], json!(grant));
    }
    is(&scene.ask(&stranger, json!({ "grant_id": grant })).await, 404, "no_delegated_grant");
    is(&scene.ask(&scene.key, json!({ "grant_id": plain })).await, 404, "no_delegated_grant");
    let other_user =
        json!({ "grant_id": grant, "user_token": server.mock.user_token("acme-1002", AUDIENCE) });
    is(&scene.ask(&scene.key, other_user).await, 404, "no_delegated_grant");
    is(&scene.ask(&scene.server.app.key, json!({ "grant_id": grant })).await, 200, "");
    let entries = server.store.read_audit(server.app.id, 0, 100).await.unwrap();
    let agent = Some(scene.agent.to_string());
    let by_agent = entries.iter().filter(|e| e.kind == "token_released" && e.agent_id == agent).count();
    assert_eq!(by_agent, 3, "the audit knows which releases were the agent's");
    let connected = entries.iter().rev().find(|e| e.kind == "grant_connected").unwrap();
    assert_eq!((&connected.agent_id, connected.user_id.is_some()), (&agent, true));
}

#[tokio::test]
async fn t13_what_an_agent_gets_is_within_grant_delegation_and_its_own_limit() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let all = ["openid", "email", "profile"];
    let subset =
        |bits: usize| -> Vec<&str> { (0..3).filter(|i| bits >> i & 1 == 1).map(|i| all[i]).collect() };
    let target = format!("/sdk/agents/{}", scene.agent);
    let grant = scene.delegated().await;
    let cases = (0..8).flat_map(|d| (0..9).map(move |a| (d, a)));
    for (version, (delegated, allowed)) in (1..).zip(cases) {
        // The delegation as if the user had approved less, and the agent's own limit (8: scopes of another provider
        // only).
        let texts = serde_json::to_string(&subset(delegated)).unwrap();
        super::sql::run(server, &format!("UPDATE delegations SET scopes = '{texts}'"), []);
        let limit = if allowed == 8 { json!({ "github": all }) } else { json!({ "mock": subset(allowed) }) };
        let changed =
            scene.patch(&format!("{target}?expected_version={version}"), json!({ "scopes": limit })).await;
        is(&changed, 200, "");
        let may: BTreeSet<&str> =
            subset(delegated).into_iter().filter(|s| allowed < 8 && subset(allowed).contains(s)).collect();
        let reply = scene.ask(&scene.key, json!({ "grant_id": grant })).await;
        match may.len() {
            3 => is(&reply, 200, ""),
            _ => is(&reply, 403, "agent_scope_not_allowed"),
        }
        let listed = server.call_as(&scene.key, "POST", "/sdk/grants/list", &json!({})).await.json();
        let shown: BTreeSet<String> = serde_json::from_value(listed["grants"][0]["scopes"].clone()).unwrap();
        assert_eq!(shown.iter().map(String::as_str).collect::<BTreeSet<_>>(), may, "{delegated} {allowed}");
    }
    is(&scene.ask(&server.app.key, json!({ "grant_id": grant })).await, 200, "");
}

/// How the app stops an agent: the call, and what everybody is told of a flow for that agent.
const STOPS: [(&str, &str, &str); 2] = [
    ("DELETE", "agent_revoked", "The agent for this connection is gone"),
    ("PATCH", "agent_inactive", "The agent for this connection is suspended"),
];

impl Scene {
    async fn stop(&self, method: &str) {
        let target = format!("/sdk/agents/{}", self.agent);
        let reply = match method {
            "DELETE" => self.server.call_empty(&self.server.app.key, "DELETE", &target).await,
            _ => self.patch(&target, json!({ "status": "inactive" })).await,
        };
        is(&reply, 200, "");
    }

    /// The flow has ended without a grant; status, poll and page say why. The provider did nothing wrong: the app must act.
    async fn nothing_because(&self, token: &str, page: &str, reason: &str, words: &str) {
        let server = &self.server;
        assert!(server.grants(server.app.id).await.is_empty(), "the user approved the two together");
        let polled =
            server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await.json();
        assert_eq!(polled["error"]["error_code"], "connect_config_error", "{polled}");
        let told = server.status(token, &server.app.origin, json!({})).await.json();
        assert_eq!(
            (&told["error"], &told["details"]["reason"]),
            (&json!("session_expired"), &json!(reason)),
            "{told}"
        );
        assert!(told["details"]["provider_error"].is_null(), "{told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("Test App"), "{message}");
        let message = polled["error"]["error_message"].as_str().unwrap();
        assert!(message.contains(" The app "), "{message}");
        assert!(page.contains(words) && !page.contains("Error code from"), "{page}");
    }
}

#[tokio::test]
async fn t13_an_agent_that_is_stopped_while_the_user_is_at_the_provider_gets_nothing_and_nothing_is_kept() {
    for (method, reason, words) in STOPS {
        let scene = Scene::new().await;
        let server = &scene.server;
        let token = server.mint(&json!({ "user_token": scene.user(), "agent": "mailbot" })).await;
        let mut browser = TestBrowser::new();
        let (sid, callback) = browser.up_to_callback(server, &server.app, &token).await;
        scene.stop(method).await;
        browser.get(server, &callback).await;
        let page = browser.get(server, &format!("/connect/s/{sid}")).await.text();
        scene.nothing_because(&token, &page, reason, words).await;
        assert_eq!(server.mock.seen().token.len(), 0, "a code for nobody is not exchanged");
        let audit = server.store.list_audit(server.app.id, 100).await.unwrap();
        let failed = audit.iter().find(|(kind, _)| kind == "connect_failed").expect("it is in the audit");
        assert!(failed.1.to_string().contains(reason), "{failed:?}");
    }
}

#[tokio::test]
async fn t13_an_agent_that_is_stopped_during_the_exchange_gets_nothing_and_nothing_is_kept() {
    for (method, reason, words) in STOPS {
        let scene = Scene::new().await;
        let server = &scene.server;
        let token = server.mint(&json!({ "user_token": scene.user(), "agent": "mailbot" })).await;
        let mut browser = TestBrowser::new();
        let (sid, callback) = browser.up_to_callback(server, &server.app, &token).await;
        let gate = Gate::closed();
        server.mock.set(|s| s.token_fault = Some(TokenFault::HoldAnswer(gate.clone())));
        let stop = async {
            while server.mock.seen().token.is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            scene.stop(method).await;
            gate.open();
        };
        tokio::join!(browser.get(server, &callback), stop);
        let page = browser.get(server, &format!("/connect/s/{sid}")).await.text();
        scene.nothing_because(&token, &page, reason, words).await;
    }
}

#[tokio::test]
async fn t13_for_an_agent_that_is_stopped_while_the_consent_page_is_open_nobody_is_sent_to_the_provider() {
    for (method, reason, words) in STOPS {
        for providers in [json!(["mock"]), json!(["mock", "other"])] {
            let scene = Scene::new().await;
            let server = &scene.server;
            server.add_provider(&server.app, "other", |_| {}).await;
            let body =
                json!({ "user_token": scene.user(), "agent": "mailbot", "allowed_providers": providers });
            let (token, mut browser) = (server.mint(&body).await, TestBrowser::new());
            let sid = browser.claim(server, &server.app, &token).await;
            let step = |name: &str| format!("/connect/api/s/{sid}/{name}");
            browser.post(server, &step("select"), &json!({ "provider": "mock" })).await;
            scene.stop(method).await;
            is(
                &browser.post(server, &step("approve"), &json!({ "provider": "mock" })).await,
                409,
                "step_moved",
            );
            let page = browser.get(server, &format!("/connect/s/{sid}")).await.text();
            scene.nothing_because(&token, &page, reason, words).await;
            assert!(server.mock.seen().authorize.is_empty(), "{providers}");
        }
    }
}

#[tokio::test]
async fn t13_a_consent_page_for_an_agent_that_is_stopped_is_not_shown() {
    for (method, reason, words) in STOPS {
        let scene = Scene::new().await;
        let server = &scene.server;
        let token = server.mint(&json!({ "user_token": scene.user(), "agent": "mailbot" })).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(server, &server.app, &token).await;
        scene.stop(method).await;
        let page = browser.get(server, &format!("/connect/s/{sid}")).await.text();
        scene.nothing_because(&token, &page, reason, words).await;
    }
}

#[tokio::test]
async fn s8_the_poll_and_the_list_tell_of_the_delegation() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let token = server.mint(&json!({ "user_token": scene.user(), "agent": "mailbot" })).await;
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(server, &server.app, &token).await;
    browser.get(server, &callback).await;
    let polled =
        server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await.json();
    let expected = json!({ "agent_id": scene.agent.to_string(), "delegable": false });
    assert_eq!(polled["grants"][0]["delegation"], expected, "{polled}");
    let listed = server.call("/sdk/grants/list", &json!({})).await.json();
    assert_eq!(listed["grants"][0]["delegated_agent_ids"], json!([scene.agent.to_string()]));
    let to_agent = server.call_as(&scene.key, "POST", "/sdk/grants/list", &json!({})).await.json();
    assert_eq!(to_agent["grants"][0]["access_via"], "oauth_delegation");
    assert!(to_agent["grants"][0]["delegated_at"].is_string(), "{to_agent}");
}

#[tokio::test]
async fn t98_a_delegation_ends_by_the_app_by_the_agent_and_with_the_grant() {
    let scene = Scene::new().await;
    let server = &scene.server;
    for round in 0..3 {
        let grant = scene.delegated().await;
        is(&scene.ask(&scene.key, json!({ "grant_id": grant })).await, 200, "");
        let by_app = format!("/sdk/grants/{grant}/delegations/{}", scene.agent);
        let by_agent = format!("/sdk/grants/{grant}/delegations/me");
        match round {
            0 => {
                for _ in 0..2 {
                    is(&server.call_empty(&server.app.key, "DELETE", &by_app).await, 204, "");
                }
            }
            1 => {
                for _ in 0..2 {
                    is(&server.call_empty(&scene.key, "DELETE", &by_agent).await, 204, "");
                }
            }
            _ => is(&server.call(&format!("/sdk/oauth/grants/{grant}/revoke"), &json!({})).await, 200, ""),
        }
        is(&scene.ask(&scene.key, json!({ "grant_id": grant })).await, 404, "no_delegated_grant");
        let listed = server.call_as(&scene.key, "POST", "/sdk/grants/list", &json!({})).await.json();
        assert_eq!(listed["total"], 0);
    }
    let kinds = server.store.list_audit(server.app.id, 100).await.unwrap();
    assert_eq!(kinds.iter().filter(|(kind, _)| kind == "delegation_revoked").count(), 2, "once each");
}

#[tokio::test]
async fn an_agent_is_suspended_resumed_and_deleted() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let grant = scene.delegated().await;
    let target = format!("/sdk/agents/{}", scene.agent);
    let me = async || server.call_empty(&scene.key, "GET", "/sdk/agents/me").await;
    let suspended = scene.patch(&target, json!({ "status": "inactive" })).await;
    assert_eq!((&suspended.json()["status"], &suspended.json()["version"]), (&json!("inactive"), &json!(2)));
    is(&scene.ask(&scene.key, json!({ "grant_id": grant })).await, 401, "agent_inactive");
    assert_eq!(me().await.json()["status"], "inactive", "it may look at itself");
    is(&scene.patch(&target, json!({ "status": "active" })).await, 200, "");
    is(&scene.ask(&scene.key, json!({ "grant_id": grant })).await, 200, "");
    for _ in 0..2 {
        let deleted = server.call_empty(&server.app.key, "DELETE", &target).await;
        assert_eq!((deleted.status, &deleted.json()["status"]), (200, &json!("revoked")));
    }
    let refused = scene.ask(&scene.key, json!({ "grant_id": grant })).await;
    is(&refused, 401, "agent_revoked");
    assert!(refused.text().contains("A deleted agent does not come back."), "{}", refused.text());
    is(&me().await, 401, "agent_revoked");
    is(&scene.patch(&target, json!({ "status": "active" })).await, 409, "agent_revoked");
    is(
        &server.call_as(&server.app.key, "POST", &format!("{target}/keys"), &json!({})).await,
        409,
        "agent_revoked",
    );
    let listed = async |query: &str| {
        server.call_empty(&server.app.key, "GET", &format!("/sdk/agents?{query}")).await.json()["total"]
            .clone()
    };
    assert_eq!((listed("").await, listed("include_revoked=true").await), (json!(0), json!(1)));
    is(&scene.ask(&server.app.key, json!({ "grant_id": grant })).await, 200, "");
}

#[tokio::test]
async fn an_agent_is_made_once_per_idempotency_key_and_its_key_is_shown_once() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let create = async |body: Value, same: &str| {
        let sent = server.signed(&server.app.key, "/sdk/agents", &body).header("idempotency-key", same);
        server.send(sent).await
    };
    let body = json!({ "name": "calbot", "type": "service", "scopes": { "mock": ["email"] }, "metadata": { "team": "a" } });
    let made = create(body.clone(), "once").await;
    is(&made, 201, "");
    let made = made.json();
    let key = SecretString::from(made["api_key"].as_str().expect("shown once").to_owned());
    assert!(alter_core::key::parse_key(key.expose_secret()) == Some(alter_core::KeyType::Agent));
    assert_eq!(
        (&made["type"], &made["scopes"], &made["metadata"]),
        (&json!("service"), &body["scopes"], &body["metadata"])
    );
    let again = create(body.clone(), "once").await;
    is(&again, 201, "");
    let again = again.json();
    assert_eq!(
        (&again["id"], &again["api_key"], &again["key_id"]),
        (&made["id"], &Value::Null, &made["key_id"])
    );
    is(&create(json!({ "name": "other" }), "once").await, 409, "idempotency_key_body_mismatch");
    is(&create(body.clone(), "twice").await, 409, "agent_name_exists");
    let target = format!("/sdk/agents/{}", made["id"].as_str().unwrap());
    assert_eq!(server.call_empty(&key, "GET", "/sdk/agents/me").await.json()["id"], made["id"]);
    is(&scene.patch(&target, json!({ "status": "inactive" })).await, 200, "");
    is(&create(body.clone(), "once").await, 409, "idempotency_key_agent_inactive");
    is(&server.call_empty(&server.app.key, "DELETE", &target).await, 200, "");
    is(&create(body.clone(), "once").await, 409, "idempotency_key_agent_revoked");
    is(&create(body, "third").await, 201, "");
    for bad in [
        json!({ "name": "" }),
        json!({ "name": " a" }),
        json!({ "name": "a\nb" }),
        json!({ "name": "x".repeat(81) }),
        json!({ "name": "11111111-2222-4333-8444-555555555555" }),
        json!({ "name": "a", "scopes": { "mock": [""] } }),
        json!({ "name": "a", "metadata": { "a": "x".repeat(9000) } }),
    ] {
        is(&create(bad, "bad").await, 400, "invalid_request");
    }
    is(&create(json!({ "name": "a", "policy": { "x": 1 } }), "p").await, 400, "unsupported_field");
}

#[tokio::test]
async fn keys_of_an_agent_are_minted_deprecated_and_revoked() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let keys = format!("/sdk/agents/{}/keys", scene.agent);
    let app = &server.app.key;
    let second = server.call_as(app, "POST", &keys, &json!({})).await;
    is(&second, 201, "");
    let second = second.json();
    let second_key = SecretString::from(second["api_key"].as_str().unwrap().to_owned());
    let me = async |key: &SecretString| server.call_empty(key, "GET", "/sdk/agents/me").await;
    is(&me(&second_key).await, 200, "");
    let one = format!("{keys}/{}", second["key_id"].as_str().unwrap());
    let marked = server.call_as(app, "PATCH", &format!("{one}/deprecate"), &json!({})).await;
    assert!(marked.json()["deprecated_at"].is_string());
    assert_eq!(me(&second_key).await.header("x-alter-key-deprecated"), "true");
    assert!(!format!("{:?}", me(&scene.key).await.headers).contains("x-alter-key-deprecated"));
    is(&server.call_as(app, "PATCH", &format!("{one}/undeprecate"), &json!({})).await, 200, "");
    assert!(!format!("{:?}", me(&second_key).await.headers).contains("x-alter-key-deprecated"));
    is(&server.call_empty(app, "DELETE", &one).await, 200, "");
    is(&server.call_empty(app, "DELETE", &one).await, 409, "key_revoked");
    is(&me(&second_key).await, 401, "key_revoked");
    let items = server.call_empty(app, "GET", &keys).await.json()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 2);
    assert!(!items.to_string().contains("api_key"), "never again");
    let first = items.as_array().unwrap().iter().find(|k| k["revoked_at"].is_null()).unwrap();
    let last = format!("{keys}/{}", first["key_id"].as_str().unwrap());
    is(&server.call_empty(app, "DELETE", &last).await, 409, "last_active_key");
    is(&server.call_empty(app, "DELETE", &format!("{last}?forced=true")).await, 400, "invalid_request");
    is(&server.call_empty(app, "DELETE", &format!("{last}?force=true")).await, 200, "");
    is(&me(&scene.key).await, 401, "key_revoked");
    for _ in 0..10 {
        is(&server.call_as(app, "POST", &keys, &json!({})).await, 201, "");
    }
    is(&server.call_as(app, "POST", &keys, &json!({})).await, 409, "agent_key_limit_reached");
}

#[tokio::test]
async fn a_change_that_expects_another_version_changes_nothing() {
    let scene = Scene::new().await;
    let target = format!("/sdk/agents/{}", scene.agent);
    is(&scene.patch(&target, json!({ "scopes": {} })).await, 400, "invalid_request");
    is(
        &scene.patch(&format!("{target}?expected_version=2"), json!({ "scopes": {} })).await,
        409,
        "agent_concurrent_update",
    );
    let changed =
        scene.patch(&format!("{target}?expected_version=1&grace_seconds=0"), json!({ "scopes": {} })).await;
    is(&changed, 200, "");
    assert_eq!(changed.json()["scopes"], json!({}));
    is(&scene.patch(&format!("{target}?grace_seconds=5"), json!({})).await, 400, "unsupported_field");
    is(&scene.patch(&format!("{target}?x=1"), json!({})).await, 400, "invalid_request");
    is(&scene.patch(&target, json!({ "status": "revoked" })).await, 400, "invalid_request");
}

#[tokio::test]
async fn t98_scopes_taken_from_an_agent_are_not_released_after_the_answer() {
    let mut scene = Scene::new().await;
    let grant = scene.delegated().await;
    // No key set in memory: the user's token is verified when the mock lets the keys through.
    scene.server.restart().await;
    let gate = Gate::closed();
    scene.server.mock.set(|s| s.gates.push(("/jwks".into(), gate.clone())));
    scene.server.mock.forget_seen();
    let target = format!("/sdk/agents/{}?expected_version=1", scene.agent);
    let asked = scene.ask(&scene.key, json!({ "grant_id": grant, "user_token": scene.user() }));
    let narrowed = async {
        scene.server.mock.wait_for(|seen| !seen.jwks.is_empty()).await;
        let narrowed = scene.patch(&target, json!({ "scopes": {} })).await;
        gate.open();
        narrowed
    };
    let (asked, narrowed) = tokio::join!(asked, narrowed);
    is(&narrowed, 200, "");
    is(&asked, 403, "agent_scope_not_allowed");
}

#[tokio::test]
async fn t61_a_call_that_was_refused_to_a_suspended_agent_is_spent() {
    let scene = Scene::new().await;
    let grant = scene.delegated().await;
    let url = scene.server.mock.url("/api/me");
    let body = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
    let call = scene.server.signed(&scene.key, "/sdk/token", &body);
    let target = format!("/sdk/agents/{}", scene.agent);
    is(&scene.patch(&target, json!({ "status": "inactive" })).await, 200, "");
    let refused = scene.server.send(call.clone()).await;
    is(&refused, 401, "agent_inactive");
    assert!(refused.text().contains("The app resumes the agent: PATCH"), "{}", refused.text());
    is(&scene.patch(&target, json!({ "status": "active" })).await, 200, "");
    is(&scene.server.send(call).await, 401, "invalid_signature");
    is(&scene.ask(&scene.key, json!({ "grant_id": grant })).await, 200, "");
}

#[tokio::test]
async fn t13_the_list_shows_an_agent_no_scope_that_the_grant_has_lost() {
    let scene = Scene::new().await;
    let grant = scene.delegated().await;
    scene.server.mock.set(|s| s.granted_scopes = Some("openid email".into()));
    assert_eq!(scene.connect(json!({ "user_token": scene.user() })).await, grant);
    let listed = scene.server.call_as(&scene.key, "POST", "/sdk/grants/list", &json!({})).await.json();
    assert_eq!(listed["grants"][0]["scopes"], json!(["openid", "email"]), "{listed}");
}

#[tokio::test]
async fn t13_a_name_that_people_would_not_see_is_no_name() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let alone =
        ["\u{200d}", "\u{fe0f}", "\u{34f}", "\u{17b4}", "\u{1d173}", "\u{301}", "\u{200b}", "\u{2800}"];
    let inside =
        ["mail\u{200b}bot", "mail\u{200d}bot", "bot\u{fe0f}", "\u{202e}tobliam", "a\u{9b}2J", "a\u{e0041}"];
    for name in alone.into_iter().chain(inside) {
        for body in [json!({ "name": name }), json!({ "name": "fine", "display_name": name })] {
            let refused = server.call("/sdk/agents", &body).await;
            is(&refused, 400, "invalid_request");
            let message = refused.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains("a name that people would not see"), "{name:?}: {message}");
        }
    }
    for name in
        ["👩\u{200d}💻", "शक्\u{200d}ति", "نیم\u{200c}فاصله", "🇩🇪", "1\u{fe0f}\u{20e3}", "e\u{301}te\u{301}"]
    {
        is(&server.call("/sdk/agents", &json!({ "name": name, "display_name": name })).await, 201, "");
    }
    for name in [" a", "a  b", "a\u{a0}b"] {
        for body in [json!({ "name": name }), json!({ "name": "fine", "display_name": name })] {
            is(&server.call("/sdk/agents", &body).await, 400, "invalid_request");
        }
    }
    is(&server.call("/sdk/agents", &json!({ "name": "fine", "display_name": "Grüße 世界" })).await, 201, "");
    let secrets = json!({ "name": "s", "scopes": { "managed_secret_slugs": ["x"] } });
    is(&server.call("/sdk/agents", &secrets).await, 400, "invalid_request");
}

#[tokio::test]
async fn an_agent_cannot_say_that_it_is_another_and_no_caller_fills_the_audit() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let grant = scene.delegated().await;
    let (other, _) = server.add_agent(&server.app, "other").await;
    let ask = async |key: &SecretString, name: &str| {
        let body =
            json!({ "grant_id": grant, "request": { "method": "GET", "url": server.mock.url("/api/me") } });
        server.send(server.signed_by(key, "/sdk/token", &body, name)).await
    };
    is(&ask(&scene.key, &scene.agent.to_string()).await, 200, "");
    is(&ask(&scene.key, "mailbot").await, 200, "");
    is(&ask(&scene.key, &other.to_string()).await, 400, "caller_agent_mismatch");
    is(&ask(&server.app.key, &other.to_string()).await, 200, "");
    is(&ask(&server.app.key, &"x".repeat(255)).await, 200, "");
    is(&ask(&server.app.key, &"x".repeat(256)).await, 400, "invalid_request");
}

#[tokio::test]
async fn t13_what_the_page_did_not_show_is_not_delegated() {
    let scene = Scene::new().await;
    let server = &scene.server;
    server.mock.set(|s| s.granted_scopes = Some("openid email profile admin".into()));
    let token = server.mint(&json!({ "user_token": scene.user(), "agent": "mailbot" })).await;
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(server, &server.app, &token).await;
    browser.get(server, &callback).await;
    let grant = server.grants(server.app.id).await[0].id.to_string();
    is(&scene.ask(&scene.key, json!({ "grant_id": grant })).await, 403, "agent_scope_not_allowed");
    is(&scene.ask(&scene.server.app.key, json!({ "grant_id": grant })).await, 200, "");
}
