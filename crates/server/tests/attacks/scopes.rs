//! Scopes over HTTP as the provider means them: other spellings, what one scope implies, several scopes in one text
//! (T13, T27).

use alter_core::{AgentId, Recipe, Scope};
use alter_testkit::{Reply, TestBrowser, TestServer};
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
    let walk = scene.granted("openid repo").await;
    let page = walk.browser.clone().get(&scene.server, &format!("/connect/s/{}", walk.sid)).await;
    assert_eq!(page.status, 200);
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
