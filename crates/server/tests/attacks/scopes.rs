//! Scopes over HTTP as the provider means them: other spellings, what one scope implies, several scopes in one text, and
//! those that nobody asked for (T13, T27).

use alter_core::{AgentId, Recipe, Scope};
use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use secrecy::SecretString;
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";
const USER: &str = "acme-1001";

/// A session's walk up to the page after the provider.
struct Walk {
    browser: TestBrowser,
    sid: String,
    token: String,
}

struct Scene {
    server: TestServer,
    agent: AgentId,
    key: SecretString,
}

impl Scene {
    /// A provider `graph` that is asked for `scopes` and has this recipe.
    async fn new(scopes: &[&str], change: impl FnOnce(&mut Recipe)) -> Self {
        let server = TestServer::start().await;
        server.set_idp(&server.app, Some(AUDIENCE)).await;
        let asked = scopes.iter().map(|s| (*s).to_owned()).collect();
        let with_scopes = |recipe: &mut Recipe| {
            recipe.default_scopes = asked;
            change(recipe);
        };
        server.add_provider(&server.app, "graph", with_scopes).await;
        let (agent, key) = server.add_agent(&server.app, "mailbot").await;
        Self { server, agent, key }
    }

    /// Connects at a provider that answers with these scopes.
    async fn granted(&self, scopes: &str) -> Walk {
        let server = &self.server;
        server.mock.set(|s| s.granted_scopes = Some(scopes.to_owned()));
        let user = server.mock.user_token(USER, AUDIENCE);
        let body = json!({ "user_token": user, "agent": "mailbot", "allowed_providers": ["graph"] });
        let (token, mut browser) = (server.mint(&body).await, TestBrowser::new());
        let sid = browser.claim(server, &server.app, &token).await;
        let authorize = browser.approve(server, &sid, "graph").await;
        let callback = browser.at_provider(&authorize).await;
        assert_eq!(browser.get(server, &callback).await.status, 303);
        Walk { browser, sid, token }
    }

    async fn connection(&self, walk: &Walk) -> Value {
        let told = self.server.status(&walk.token, &self.server.app.origin, json!({})).await.json();
        assert_eq!(told["status"], "completed", "{told}");
        told["connections"][0].clone()
    }

    async fn page(&self, walk: &mut Walk) -> Reply {
        walk.browser.get(&self.server, &format!("/connect/s/{}", walk.sid)).await
    }

    /// What the question's page carries.
    async fn question(&self, walk: &mut Walk) -> String {
        let page = self.page(walk).await.text();
        let shown =
            page.split_once("name=\"shown\" value=\"").unwrap_or_else(|| panic!("no question: {page}")).1;
        shown.split('"').next().unwrap_or_default().to_owned()
    }

    /// Presses a button of the question, as a browser without JavaScript does.
    async fn answer(&self, walk: &mut Walk, shown: &str, answer: &str) -> Reply {
        let sent = self.form(walk, shown, answer).header("origin", &self.server.public_url);
        walk.browser.send(&self.server, sent.header("sec-fetch-site", "same-origin")).await
    }

    fn form(&self, walk: &Walk, shown: &str, answer: &str) -> Sent {
        Sent::new("POST", &format!("/connect/s/{}", walk.sid))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("shown={shown}&answer={answer}"))
    }

    /// What the app is told meanwhile.
    async fn told(&self, walk: &Walk) -> (Value, Value) {
        let told = self.server.status(&walk.token, &self.server.app.origin, json!({})).await.json();
        let body = json!({ "session_token": walk.token });
        let polled = self.server.call("/sdk/oauth/connect/session/poll", &body).await.json();
        (told["status"].clone(), polled["status"].clone())
    }

    async fn widened(&self) -> Vec<Value> {
        let audit = self.server.store.list_audit(self.server.app.id, 100).await.unwrap();
        audit
            .into_iter()
            .filter(|(kind, _)| kind == "delegation_widened")
            .map(|(_, details)| details)
            .collect()
    }

    /// What the agent gets.
    async fn ask(&self) -> Reply {
        let request = json!({ "method": "GET", "url": self.server.mock.url("/api/me") });
        let body = json!({ "provider_id": "graph", "request": request });
        self.server.call_as(&self.key, "POST", "/sdk/token", &body).await
    }

    async fn limit(&self, version: u64, scopes: Value) -> Reply {
        let target = format!("/sdk/agents/{}?expected_version={version}", self.agent);
        self.server.call_as(&self.server.app.key, "PATCH", &target, &json!({ "scopes": scopes })).await
    }
}

#[track_caller]
fn is(reply: &Reply, status: u16, code: &str) {
    let got = if reply.status < 400 { String::new() } else { reply.error() };
    assert_eq!((reply.status, got.as_str()), (status, code), "{}", reply.text());
}

fn like_microsoft(recipe: &mut Recipe) {
    recipe.scope_names.prefix = Some("https://graph.example/".into());
    recipe.scope_names.ignore_case = true;
    recipe.scopes = [("https://graph.example/User.Read".to_owned(), Scope::from("Read your profile"))].into();
}

#[tokio::test]
async fn t27_a_scope_that_comes_back_in_another_spelling_is_the_one_that_was_asked_for() {
    let scene = Scene::new(&["openid", "https://graph.example/User.Read"], like_microsoft).await;
    let walk = scene.granted("openid user.read").await;
    let connection = scene.connection(&walk).await;
    assert_eq!(connection["status"], "active", "{connection}");
    assert!(connection.get("metadata").is_none(), "neither missing nor extra: {connection}");
    let released = scene.ask().await;
    is(&released, 200, "");
    assert_eq!(released.json()["scope_mismatch"], false);
    assert_eq!(released.json()["scopes"], json!(["openid", "user.read"]), "as the provider wrote them");
    let listed = scene.server.call_as(&scene.key, "POST", "/sdk/grants/list", &json!({})).await.json();
    assert_eq!(listed["grants"][0]["scopes"], json!(["openid", "user.read"]), "{listed}");
}

#[tokio::test]
async fn t13_an_agents_own_limit_counts_in_every_spelling() {
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    scene.granted("openid https://graph.example/USER.READ").await;
    is(&scene.limit(1, json!({ "graph": ["OpenID", "https://graph.example/user.read"] })).await, 200, "");
    is(&scene.ask().await, 200, "");
    is(&scene.limit(2, json!({ "graph": ["openid", "User.Read.All"] })).await, 200, "");
    is(&scene.ask().await, 403, "agent_scope_not_allowed");
}

#[tokio::test]
async fn t13_a_scope_that_implies_what_was_approved_satisfies_the_app_and_is_not_carried_by_an_agent() {
    let implies = |recipe: &mut Recipe| {
        let repo = Scope { implies: vec!["public_repo".into()], ..Scope::from("All repositories") };
        recipe.scopes = [("repo".to_owned(), repo)].into();
    };
    let scene = Scene::new(&["openid", "public_repo"], implies).await;
    scene.granted("openid repo").await;
    let refused = scene.ask().await;
    is(&refused, 403, "agent_scope_not_allowed");
    assert_eq!(refused.json()["details"]["scopes"], json!(["repo"]));
    let listed = scene.server.call("/sdk/grants/list", &json!({})).await.json();
    assert_eq!(listed["grants"][0]["scope_mismatch"], false, "nothing is missing: {listed}");
    assert_eq!(listed["grants"][0]["scopes"], json!(["openid", "repo"]));
}

#[tokio::test]
async fn t27_after_a_refresh_another_spelling_is_not_missing_either() {
    let scene = Scene::new(&["openid", "https://graph.example/User.Read"], like_microsoft).await;
    let grant = scene.granted("openid https://graph.example/User.Read").await;
    let grant_id = scene.connection(&grant).await["grant_id"].as_str().unwrap().to_owned();
    scene.server.mock.set(|s| s.refresh.scopes = Some("USER.READ openid".into()));
    scene.server.clock.advance_seconds(4000);
    let released = scene.server.token(&grant_id).await;
    is(&released, 200, "");
    assert_eq!(released.json()["scope_mismatch"], false, "{}", released.text());
    is(&scene.ask().await, 200, "");
}

#[tokio::test]
async fn several_scopes_in_one_are_refused_for_an_agent_with_the_mend() {
    let commas = |recipe: &mut Recipe| {
        (recipe.scope_separator, recipe.granted_scope_delimiters) = (",".into(), ",".into());
    };
    let scene = Scene::new(&["openid"], commas).await;
    let cases = [
        (json!({ "graph": ["users:read,chat:write"] }), "scopes.graph: `users:read,chat:write`"),
        (json!({ "mock": ["openid email"] }), "scopes.mock: `openid email`"),
        (json!({ "slack": ["a,b"] }), "scopes.slack: `a,b`"),
        (json!({ "not-configured": ["a b"] }), "scopes.not-configured: `a b`"),
    ];
    for (scopes, words) in cases {
        let made = json!({ "name": "other", "type": "agent", "scopes": scopes });
        let create = scene.server.call_as(&scene.server.app.key, "POST", "/sdk/agents", &made).await;
        for refused in [create, scene.limit(1, scopes.clone()).await] {
            is(&refused, 400, "invalid_request");
            let message = refused.json()["message"].as_str().unwrap_or_default().to_owned();
            assert!(message.contains(words), "{message}");
        }
    }
    is(
        &scene.limit(1, json!({ "graph": ["users:read", "chat:write"], "not-configured": ["a,b"] })).await,
        200,
        "",
    );
}

#[tokio::test]
async fn t13_what_nobody_asked_for_is_the_agents_once_the_user_allows_it() {
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    let mut walk = scene.granted("openid User.Read Mail.Read calendars.read").await;
    let refused = scene.ask().await;
    is(&refused, 403, "agent_scope_not_allowed");
    let (details, message) = (refused.json()["details"].clone(), refused.json()["message"].to_string());
    assert_eq!(details["unapproved_scopes"], json!(["Mail.Read", "calendars.read"]), "{details}");
    for part in ["Mail.Read calendars.read", "press Allow", "alter provider set APP graph"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert_eq!(scene.told(&walk).await, (json!("open"), json!("pending")), "the user is still asked");

    let page = scene.page(&mut walk).await;
    assert_eq!(page.header("referrer-policy"), "same-origin", "a form's POST has our origin");
    let words = page.text().replace("<wbr>", "");
    for part in ["mailbot", "Provider graph", "Mail.Read", "calendars.read", "Allow", "Not now"] {
        assert!(words.contains(part), "{part} is not on {words}");
    }
    assert!(!words.contains("User.Read"), "that was approved before: {words}");
    let shown = scene.question(&mut walk).await;
    let answered = scene.answer(&mut walk, &shown, "allow").await;
    assert_eq!(
        (answered.status, answered.header("location")),
        (303, format!("/connect/s/{}", walk.sid).as_str())
    );
    is(&scene.ask().await, 200, "");
    assert_eq!(scene.told(&walk).await, (json!("completed"), json!("completed")));
    assert!(scene.page(&mut walk).await.text().contains("You can close this window"));
    let widened = scene.widened().await;
    assert_eq!(widened.len(), 1);
    assert_eq!(widened[0]["scopes"], json!(["Mail.Read", "calendars.read"]), "{widened:?}");
}

#[tokio::test]
async fn t13_not_now_leaves_the_agent_without_them_and_the_next_connection_asks_again() {
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    let mut walk = scene.granted("openid User.Read Mail.Read").await;
    let shown = scene.question(&mut walk).await;
    assert_eq!(scene.answer(&mut walk, &shown, "not_now").await.status, 303);
    assert_eq!(scene.told(&walk).await, (json!("completed"), json!("completed")));
    is(&scene.ask().await, 403, "agent_scope_not_allowed");
    is(&scene.server.token(scene.connection(&walk).await["grant_id"].as_str().unwrap()).await, 200, "");
    assert!(scene.widened().await.is_empty());
    // The question was answered: an answer that comes later changes nothing.
    assert_eq!(scene.answer(&mut walk, &shown, "allow").await.status, 303);
    is(&scene.ask().await, 403, "agent_scope_not_allowed");

    let mut again = scene.granted("openid User.Read Mail.Read").await;
    let shown = scene.question(&mut again).await;
    assert_eq!(scene.answer(&mut again, &shown, "allow").await.status, 303);
    is(&scene.ask().await, 200, "");
}

#[tokio::test]
async fn t13_only_what_the_page_showed_is_allowed() {
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    let mut walk = scene.granted("openid User.Read Mail.Read").await;
    let shown = scene.question(&mut walk).await;
    let display = json!({ "display_name": "Another name" });
    let target = format!("/sdk/agents/{}", scene.agent);
    is(&scene.server.call_as(&scene.server.app.key, "PATCH", &target, &display).await, 200, "");
    for (shown, answer) in
        [(shown.as_str(), "allow"), ("", "allow"), (shown.as_str(), ""), (shown.as_str(), "yes")]
    {
        assert_eq!(scene.answer(&mut walk, shown, answer).await.status, 303);
        is(&scene.ask().await, 403, "agent_scope_not_allowed");
    }
    assert_eq!(scene.told(&walk).await.0, json!("open"), "the page asks anew");
    let anew = scene.question(&mut walk).await;
    assert_ne!(anew, shown);
    scene.answer(&mut walk, &anew, "allow").await;
    is(&scene.ask().await, 200, "");
}

#[tokio::test]
async fn t49_only_our_page_in_the_users_browser_answers() {
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    let mut walk = scene.granted("openid User.Read Mail.Read").await;
    let shown = scene.question(&mut walk).await;
    let ours = scene.server.public_url.clone();
    let form = || scene.form(&walk, &shown, "allow");
    let foreign = [
        form(),
        form().header("origin", "null"),
        form().header("origin", "https://evil.example"),
        form().header("origin", &ours).header("origin", &ours),
        form().header("origin", &ours).header("sec-fetch-site", "cross-site"),
    ];
    for sent in foreign {
        let mut browser = walk.browser.clone();
        assert_eq!(browser.send(&scene.server, sent).await.status, 403);
    }
    let other = TestBrowser::new().send(&scene.server, form().header("origin", &ours)).await;
    assert_eq!(other.status, 410, "another browser");
    for malformed in ["&answer=allow", "&shown=x", &format!("&x={}", "a".repeat(10_000))] {
        let sent = Sent { body: [&form().body[..], malformed.as_bytes()].concat(), ..form() };
        let refused = walk.browser.clone().send(&scene.server, sent.header("origin", &ours)).await;
        assert_eq!(refused.status, 400, "{malformed}");
    }
    is(&scene.ask().await, 403, "agent_scope_not_allowed");
    assert_eq!(scene.told(&walk).await.0, json!("open"));
}

#[tokio::test]
async fn t27_what_a_provider_adds_without_harm_locks_no_agent_out_and_nobody_is_asked() {
    let harmless = |recipe: &mut Recipe| {
        like_microsoft(recipe);
        recipe.harmless_scopes = vec!["openid".into(), "profile".into(), "email".into()];
    };
    let scene = Scene::new(&["openid", "User.Read"], harmless).await;
    let walk = scene.granted("openid https://graph.example/Profile email User.Read").await;
    let connection = scene.connection(&walk).await;
    assert_eq!(connection["metadata"]["extra_scopes"], json!(["https://graph.example/Profile", "email"]));
    is(&scene.ask().await, 200, "");
    // The app's own limit of the agent is about what was asked for; it need not name what the provider adds.
    is(&scene.limit(1, json!({ "graph": ["openid", "user.read"] })).await, 200, "");
    is(&scene.ask().await, 200, "");
    is(&scene.limit(2, json!({ "graph": ["user.read"] })).await, 200, "");
    let refused = scene.ask().await;
    is(&refused, 403, "agent_scope_not_allowed");
    assert_eq!(refused.json()["details"]["over_limit_scopes"], json!(["openid"]), "{}", refused.text());
    assert!(refused.json()["message"].to_string().contains("PATCH /sdk/agents/"), "{}", refused.text());
}

#[tokio::test]
async fn t13_nobody_is_asked_in_vain() {
    // The app's own limit excludes what came: the user's answer would change nothing.
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    is(&scene.limit(1, json!({ "graph": ["openid", "user.read"] })).await, 200, "");
    let walk = scene.granted("openid User.Read Mail.Read").await;
    scene.connection(&walk).await;
    let details = scene.ask().await.json()["details"].clone();
    assert_eq!(details["unapproved_scopes"], json!(["Mail.Read"]), "{details}");
    assert_eq!(details["over_limit_scopes"], json!(["Mail.Read"]), "{details}");
    // The agent is suspended while the page is open.
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    let mut walk = scene.granted("openid User.Read Mail.Read").await;
    let shown = scene.question(&mut walk).await;
    let target = format!("/sdk/agents/{}", scene.agent);
    let suspended = json!({ "status": "inactive" });
    is(&scene.server.call_as(&scene.server.app.key, "PATCH", &target, &suspended).await, 200, "");
    assert_eq!(scene.answer(&mut walk, &shown, "allow").await.status, 303);
    assert!(scene.page(&mut walk).await.text().contains("You can close this window"));
    assert!(scene.widened().await.is_empty());
    // Nor is somebody who connects for no agent.
    let (server, mut browser) = (&scene.server, TestBrowser::new());
    let token = server.mint(&json!({ "allowed_providers": ["graph"] })).await;
    let sid = browser.claim(server, &server.app, &token).await;
    let authorize = browser.approve(server, &sid, "graph").await;
    let callback = browser.at_provider(&authorize).await;
    browser.get(server, &callback).await;
    let told = server.status(&token, &server.app.origin, json!({})).await.json();
    assert_eq!(told["status"], "completed", "{told}");
}

#[tokio::test]
async fn t13_a_delegation_that_the_app_has_revoked_meanwhile_does_not_come_back() {
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    let mut walk = scene.granted("openid User.Read Mail.Read").await;
    let shown = scene.question(&mut walk).await;
    let grant = scene.server.grants(scene.server.app.id).await[0].id;
    let delegation = format!("/sdk/grants/{grant}/delegations/{}", scene.agent);
    is(&scene.server.call_empty(&scene.server.app.key, "DELETE", &delegation).await, 204, "");
    assert_eq!(scene.answer(&mut walk, &shown, "allow").await.status, 303);
    is(&scene.ask().await, 404, "no_delegated_grant");
    assert_eq!(scene.told(&walk).await.0, json!("completed"));
}

#[tokio::test]
async fn who_closes_the_window_without_an_answer_is_connected() {
    let scene = Scene::new(&["openid", "User.Read"], like_microsoft).await;
    let walk = scene.granted("openid User.Read Mail.Read").await;
    let mut browser = walk.browser.clone();
    browser.get(&scene.server, &format!("/connect/s/{}", walk.sid)).await;
    browser.post(&scene.server, &format!("/connect/api/s/{}/bye", walk.sid), &json!({ "instance": 2 })).await;
    let closed = async || {
        let origin = &scene.server.app.origin;
        scene.server.status(&walk.token, origin, json!({ "closed": true })).await.json()["status"].clone()
    };
    closed().await;
    scene.server.clock.advance_seconds(3);
    assert_eq!(closed().await, json!("completed"));
    is(&scene.ask().await, 403, "agent_scope_not_allowed");
}
