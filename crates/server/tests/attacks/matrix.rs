//! T70 and T72 as a matrix: every route of the backend, called with every kind of credential, and with an id of the
//! app's own, an id of another app, and an id that does not exist. The routes are read from the router's own source: a
//! route without a row here fails the first test.

use alter_core::{
    AgentId, AppSettings, GrantId, KeyId, SystemRandom,
    token::{mint_auth_token, mint_session_token},
};
use alter_flows::{callers, operate};
use alter_testkit::{Reply, Sent, TestApp, TestBrowser, TestServer, operator};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";

/// Two apps, each with a user's grant that is delegated to its agent.
struct Scene {
    server: TestServer,
    own: Side,
    foreign: Side,
    unknown: Ids,
    suspended: SecretString,
    deleted: SecretString,
    revoked: SecretString,
}

struct Side {
    app: TestApp,
    agent_key: SecretString,
    ids: Ids,
}

/// One id of everything that routes take an id of.
#[derive(Clone)]
struct Ids {
    grant: String,
    agent: String,
    key: String,
    session: String,
    auth_session: String,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let other = super::users::second_app(&server).await;
        let own = Side::new(&server, server.app.clone()).await;
        let foreign = Side::new(&server, other).await;
        let unknown = Ids {
            grant: GrantId::new(&SystemRandom).to_string(),
            agent: AgentId::new(&SystemRandom).to_string(),
            key: KeyId::new(&SystemRandom).to_string(),
            session: mint_session_token(&SystemRandom).expose_secret().to_owned(),
            auth_session: mint_auth_token(&SystemRandom).expose_secret().to_owned(),
        };
        let stored = async || server.store.get_app(own.app.id).await.unwrap().unwrap();
        let (id, suspended) = server.add_agent(&own.app, "suspended").await;
        callers::set_agent_active_as_operator(&server.flows, &operator(), stored().await, id, false)
            .await
            .unwrap();
        let (id, deleted) = server.add_agent(&own.app, "deleted").await;
        callers::delete_agent_as_operator(&server.flows, &operator(), stored().await, id).await.unwrap();
        let made = operate::create_key(&server.flows, &operator(), own.app.id, "revoked").await.unwrap();
        assert!(operate::revoke_key(&server.flows, &operator(), own.app.id, made.key.id).await.is_ok());
        Self { server, own, foreign, unknown, suspended, deleted, revoked: made.secret }
    }
}

impl Side {
    async fn new(server: &TestServer, app: TestApp) -> Self {
        server.set_sign_in(&app, Some(AUDIENCE)).await;
        let stored = server.store.get_app(app.id).await.unwrap().unwrap();
        let settings = AppSettings { allow_auth_sessions: true, ..stored.settings };
        operate::change_app(&server.flows, &operator(), app.id, settings).await.unwrap();
        let (agent, agent_key) = server.add_agent(&app, "helper").await;
        let user = server.mock.user_token("acme-1001", AUDIENCE);
        let body = json!({ "user_token": user, "agent": "helper" });
        let made = TestBrowser::new().connect_for(server, &app, &body).await;
        let key = server.store.list_agent_keys(app.id, agent).await.unwrap()[0].id.to_string();
        let asked = server.call_as(&app.key, "POST", "/sdk/auth/session", &json!({})).await;
        let ids = Ids {
            grant: made["grant_id"].as_str().unwrap().to_owned(),
            agent: agent.to_string(),
            key,
            session: server.mint_for(&app, &json!({})).await,
            auth_session: asked.json()["session_token"].as_str().unwrap().to_owned(),
        };
        Self { app, agent_key, ids }
    }
}

/// The status and error code with which a route answers; the code of a success is empty.
type Answer = (u16, &'static str);

/// One route: how to call it with given ids, and its answer to each credential.
struct Row {
    method: &'static str,
    path: &'static str,
    body: fn(&Scene, &Ids) -> Option<Value>,
    /// To the app's own key, with the app's own ids.
    app: Answer,
    /// To the agent's key, with the ids that concern the agent.
    agent: Answer,
    /// To the app's own key, with ids of another app or of nobody; `None` = the route takes no id.
    app_elsewhere: Option<Answer>,
    /// The same, to the agent's key.
    agent_elsewhere: Option<Answer>,
}

const OK: Answer = (200, "");
const CREATED: Answer = (201, "");
const ACCEPTED: Answer = (202, "");
const GONE: Answer = (204, "");
const APP_ONLY: Answer = (403, "app_key_required");
const NO_AGENT: Answer = (404, "agent_not_found");
const NO_GRANT: Answer = (404, "grant_not_found");

fn none(_: &Scene, _: &Ids) -> Option<Value> {
    None
}

fn empty(_: &Scene, _: &Ids) -> Option<Value> {
    Some(json!({}))
}

fn wanted(scene: &Scene, ids: &Ids) -> Option<Value> {
    let url = scene.server.mock.url("/api/me");
    Some(json!({ "grant_id": ids.grant, "request": { "method": "GET", "url": url } }))
}

/// A route that only the app's own key may call, on an agent of the app.
const fn managed(
    method: &'static str,
    path: &'static str,
    body: fn(&Scene, &Ids) -> Option<Value>,
    app: Answer,
) -> Row {
    Row {
        method,
        path,
        body,
        app,
        agent: APP_ONLY,
        app_elsewhere: Some(NO_AGENT),
        agent_elsewhere: Some(APP_ONLY),
    }
}

const ROWS: &[Row] = &[
    Row {
        method: "POST",
        path: "/sdk/oauth/connect/session",
        body: empty,
        app: CREATED,
        agent: APP_ONLY,
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    Row {
        method: "POST",
        path: "/sdk/oauth/connect/session/poll",
        body: |_, ids| Some(json!({ "session_token": ids.session })),
        app: OK,
        agent: APP_ONLY,
        app_elsewhere: Some((404, "invalid_token")),
        agent_elsewhere: Some(APP_ONLY),
    },
    Row {
        method: "POST",
        path: "/sdk/token",
        body: wanted,
        app: OK,
        agent: OK,
        app_elsewhere: Some(NO_GRANT),
        agent_elsewhere: Some((404, "no_delegated_grant")),
    },
    Row {
        method: "POST",
        path: "/sdk/oauth/audit/api-call",
        body: |_, ids| {
            let url = "https://api.acme.example/v1/me";
            Some(json!({
                "grant_id": ids.grant, "method": "GET", "url": url, "response_status": 200, "latency_ms": 31,
            }))
        },
        app: ACCEPTED,
        agent: ACCEPTED,
        app_elsewhere: Some(NO_GRANT),
        agent_elsewhere: Some((404, "no_delegated_grant")),
    },
    Row {
        method: "GET",
        path: "/sdk/oauth/provider-catalog",
        body: none,
        app: OK,
        agent: OK,
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    Row {
        method: "POST",
        path: "/sdk/auth/session",
        body: empty,
        app: CREATED,
        agent: APP_ONLY,
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    Row {
        method: "POST",
        path: "/sdk/auth/poll",
        body: |_, ids| Some(json!({ "session_token": ids.auth_session })),
        app: OK,
        agent: APP_ONLY,
        app_elsewhere: Some((404, "invalid_token")),
        agent_elsewhere: Some(APP_ONLY),
    },
    Row {
        method: "POST",
        path: "/sdk/auth/verify-token",
        body: |scene, _| Some(json!({ "token": scene.server.mock.user_token("acme-1001", AUDIENCE) })),
        app: OK,
        agent: APP_ONLY,
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    Row {
        method: "POST",
        path: "/sdk/grants/list",
        body: empty,
        app: OK,
        agent: OK,
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    Row {
        method: "POST",
        path: "/sdk/oauth/grants/{grant_id}/revoke",
        body: empty,
        app: OK,
        agent: APP_ONLY,
        app_elsewhere: Some(NO_GRANT),
        agent_elsewhere: Some(APP_ONLY),
    },
    Row {
        method: "DELETE",
        path: "/sdk/grants/{grant_id}/delegations/me",
        body: none,
        app: (403, "agent_key_required"),
        agent: GONE,
        app_elsewhere: Some((403, "agent_key_required")),
        agent_elsewhere: Some(GONE),
    },
    Row {
        method: "DELETE",
        path: "/sdk/grants/{grant_id}/delegations/{agent_id}",
        body: none,
        app: GONE,
        agent: (403, "use_self_revoke_path"),
        app_elsewhere: Some(NO_GRANT),
        agent_elsewhere: Some((403, "use_self_revoke_path")),
    },
    Row {
        method: "POST",
        path: "/sdk/agents",
        body: |_, _| Some(json!({ "name": "another" })),
        app: CREATED,
        agent: (403, "agent_cannot_mint_subagents"),
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    Row {
        method: "GET",
        path: "/sdk/agents",
        body: none,
        app: OK,
        agent: APP_ONLY,
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    Row {
        method: "GET",
        path: "/sdk/agents/me",
        body: none,
        app: (403, "me_requires_agent_key"),
        agent: OK,
        app_elsewhere: None,
        agent_elsewhere: None,
    },
    managed("GET", "/sdk/agents/{id}", none, OK),
    managed("PATCH", "/sdk/agents/{id}", |_, _| Some(json!({ "display_name": "Helper" })), OK),
    managed("GET", "/sdk/agents/{id}/keys", none, OK),
    managed("POST", "/sdk/agents/{id}/keys", empty, CREATED),
    managed("PATCH", "/sdk/agents/{id}/keys/{key_id}/deprecate", empty, OK),
    managed("PATCH", "/sdk/agents/{id}/keys/{key_id}/undeprecate", empty, OK),
    managed("DELETE", "/sdk/agents/{id}/keys/{key_id}", none, (409, "last_active_key")),
    managed("DELETE", "/sdk/agents/{id}", none, OK),
    Row {
        method: "POST",
        path: "/sdk/oauth/connect/session/finalize",
        // No flow of the scene has ended with a code, so there is none of the app's own.
        body: |_, ids| {
            Some(
                json!({ "result_code": format!("{:a<69}", &ids.session[9..]), "code_verifier": "x".repeat(43) }),
            )
        },
        app: (404, "invalid_result_code"),
        agent: APP_ONLY,
        app_elsewhere: Some((404, "invalid_result_code")),
        agent_elsewhere: Some(APP_ONLY),
    },
];

impl Row {
    fn target(&self, ids: &Ids) -> String {
        self.path
            .replace("{grant_id}", &ids.grant)
            .replace("{agent_id}", &ids.agent)
            .replace("{id}", &ids.agent)
            .replace("{key_id}", &ids.key)
    }

    async fn call(&self, scene: &Scene, key: &SecretString, ids: &Ids) -> Reply {
        let target = self.target(ids);
        match (self.body)(scene, ids) {
            Some(body) => scene.server.call_as(key, self.method, &target, &body).await,
            None => scene.server.call_empty(key, self.method, &target).await,
        }
    }

    #[track_caller]
    fn judge(&self, who: &str, reply: &Reply, expected: Answer) {
        let code = if reply.status < 400 { String::new() } else { reply.error() };
        let got = (reply.status, code.as_str());
        assert_eq!(got, expected, "{} {} as {who}: {}", self.method, self.path, reply.text());
    }
}

#[test]
fn t70_t72_every_route_of_the_backend_has_its_row() {
    // Read as text, so that a route cannot be added without a row.
    let source = include_str!("../../src/routes/mod.rs");
    let mut routes = Vec::new();
    for route in source.split(".route(").skip(1) {
        let path = route.trim_start().trim_start_matches('"').split('"').next().unwrap_or_default();
        let handlers = route.split(".route(").next().unwrap_or_default();
        for method in ["get", "post", "patch", "delete", "put"] {
            let called = |sep: char| handlers.contains(&format!("{sep}{method}("));
            if path.starts_with("/sdk/") && (called(' ') || called('.')) {
                routes.push((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    assert!(routes.len() > ROWS.len(), "the routes were not found: {routes:?}");
    // Everybody may read these: the browser SDK's files and the page that takes a session token.
    let public = ["/sdk/{file}", "/sdk/v/{version}/{file}", "/sdk/oauth/connect"];
    routes.retain(|(_, path)| !public.contains(&path.as_str()));
    let rows: Vec<_> = ROWS.iter().map(|row| (row.method.to_owned(), row.path.to_owned())).collect();
    for route in &routes {
        assert!(rows.contains(route), "{route:?} has no row in the matrix");
    }
    assert_eq!(routes.len(), rows.len(), "a row without a route");
}

#[tokio::test]
async fn t70_no_route_takes_a_credential_of_another_kind() {
    let scene = Scene::new().await;
    let session = SecretString::from(scene.own.ids.session.clone());
    let garbage = SecretString::from("alter_rk_aaaaaaaaaaaaaaaaaaaaaa_aaaaaa");
    for row in ROWS {
        let ids = &scene.own.ids;
        let target = row.target(ids);
        let body = (row.body)(&scene, ids).map(|body| body.to_string()).unwrap_or_default();
        let bare = Sent::new(row.method, &target).header("content-type", "application/json").body(body);
        row.judge("nobody", &scene.server.send(bare.clone()).await, (401, "invalid_key"));
        let unsigned = bare.header("x-api-key", scene.own.app.key.expose_secret());
        row.judge("an unsigned call", &scene.server.send(unsigned).await, (401, "signature_required"));
        for (who, key, expected) in [
            ("a session token", &session, (401, "invalid_key")),
            ("not a key at all", &garbage, (401, "invalid_key")),
            ("a revoked key", &scene.revoked, (401, "key_revoked")),
            ("a deleted agent", &scene.deleted, (401, "agent_revoked")),
        ] {
            row.judge(who, &row.call(&scene, key, ids).await, expected);
        }
        let suspended = if row.path == "/sdk/agents/me" { OK } else { (401, "agent_inactive") };
        row.judge("a suspended agent", &row.call(&scene, &scene.suspended, ids).await, suspended);
        let elsewhere = row.agent_elsewhere.unwrap_or(row.agent);
        let foreign_agent = row.call(&scene, &scene.foreign.agent_key, ids).await;
        row.judge("another app's agent", &foreign_agent, elsewhere);
    }
}

#[tokio::test]
async fn t72_ids_of_another_app_answer_with_the_bytes_of_ids_that_are_not_there() {
    let scene = Scene::new().await;
    for row in ROWS {
        for (who, key, expected) in [
            ("the app", &scene.own.app.key, row.app_elsewhere),
            ("the agent", &scene.own.agent_key, row.agent_elsewhere),
        ] {
            let Some(expected) = expected else { continue };
            let foreign = row.call(&scene, key, &scene.foreign.ids).await;
            let unknown = row.call(&scene, key, &scene.unknown).await;
            row.judge(&format!("{who}, a foreign id"), &foreign, expected);
            row.judge(&format!("{who}, an unknown id"), &unknown, expected);
            assert_eq!(foreign.fingerprint(), unknown.fingerprint(), "{} {} as {who}", row.method, row.path);
        }
    }
    // For routes that take two ids: one id of the own app and one of another app.
    let (own, foreign) = (&scene.own.ids, &scene.foreign.ids);
    for (mixed, expected) in [
        (Ids { agent: foreign.agent.clone(), ..own.clone() }, [NO_AGENT, NO_AGENT]),
        (
            Ids { grant: foreign.grant.clone(), key: foreign.key.clone(), ..own.clone() },
            [NO_GRANT, (404, "key_not_found")],
        ),
    ] {
        for (path, expected) in
            ["/sdk/grants/{grant_id}/delegations/{agent_id}", "/sdk/agents/{id}/keys/{key_id}"]
                .iter()
                .zip(expected)
        {
            let row = ROWS.iter().find(|r| r.path == *path && r.method == "DELETE").unwrap();
            row.judge("the app, mixed ids", &row.call(&scene, &scene.own.app.key, &mixed).await, expected);
        }
    }
    // Nothing of the other app was touched.
    let theirs = &scene.foreign;
    assert_eq!(ROWS[2].call(&scene, &theirs.app.key, &theirs.ids).await.status, 200);
    assert_eq!(ROWS[2].call(&scene, &theirs.agent_key, &theirs.ids).await.status, 200);
}

#[tokio::test]
async fn t70_the_right_credential_is_answered_on_every_route() {
    // The positive half. Some rows end something, so each row has a scene of its own.
    let documented = documented();
    for row in ROWS {
        let scene = Scene::new().await;
        let by_agent = row.call(&scene, &scene.own.agent_key, &scene.own.ids).await;
        row.judge("the agent", &by_agent, row.agent);
        let scene = if row.agent == GONE { Scene::new().await } else { scene };
        let by_app = row.call(&scene, &scene.own.app.key, &scene.own.ids).await;
        row.judge("the app", &by_app, row.app);
        let taken = Callers { app: takes(&by_app, AGENT_WANTED), agent: takes(&by_agent, APP_WANTED) };
        let what = format!("{} {}", row.method, row.path);
        assert_eq!(documented.get(&what), Some(&taken), "docs/reference/endpoints.md: {what}");
        assert_eq!(contracted(row), taken, "contract/openapi.json: {what}");
    }
    assert_eq!(documented.len(), ROWS.len(), "docs/reference/endpoints.md has other routes: {documented:?}");
}

/// Which of the two keys a route takes.
#[derive(Debug, PartialEq, Eq)]
struct Callers {
    app: bool,
    agent: bool,
}

/// The errors that tell an agent's key from the app's, and not what a key may do.
const APP_WANTED: &[&str] = &["app_key_required", "use_self_revoke_path", "agent_cannot_mint_subagents"];
const AGENT_WANTED: &[&str] = &["agent_key_required", "me_requires_agent_key"];

fn takes(reply: &Reply, wanted: &[&str]) -> bool {
    reply.status != 403 || !wanted.contains(&reply.error().as_str())
}

/// What the contract says: an operation that does not take a key has the error that tells so.
fn contracted(row: &Row) -> Callers {
    let contract = serde_json::to_value(alter_server::openapi::document()).unwrap();
    let refusals = &contract["paths"][row.path][row.method.to_lowercase()]["responses"]["403"];
    let named = &refusals["content"]["application/json"]["examples"];
    let refuses = |codes: &[&str]| codes.iter().any(|code| named[code].is_object());
    Callers { app: !refuses(AGENT_WANTED), agent: !refuses(APP_WANTED) }
}

/// The signed routes of the table, as `METHOD PATH`. A cell has methods and paths in backticks: a method without a path
/// belongs to the next path.
fn documented() -> std::collections::BTreeMap<String, Callers> {
    let table = include_str!("../../../../docs/reference/endpoints.md");
    let mut routes = std::collections::BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `") && line.contains("signed |")) {
        let cells: Vec<_> = line.split(" | ").collect();
        let caller = |word| cells[1].contains(word);
        let mut methods = Vec::new();
        for word in cells[0].split('`').skip(1).step_by(2) {
            let (method, path) = word.split_once(' ').unwrap_or((word, ""));
            methods.push(method);
            if !path.is_empty() {
                for method in methods.drain(..) {
                    let callers = Callers { app: caller("app backend"), agent: caller("agent") };
                    routes.insert(format!("{method} {path}"), callers);
                }
            }
        }
    }
    routes
}

#[tokio::test]
async fn a_query_that_a_route_does_not_know_is_refused_on_every_route() {
    let scene = Scene::new().await;
    for row in ROWS {
        let target = format!("{}?x=1", row.target(&scene.own.ids));
        let app_or_agent =
            if row.path == "/sdk/agents/me" { &scene.own.agent_key } else { &scene.own.app.key };
        let reply = match (row.body)(&scene, &scene.own.ids) {
            Some(body) => scene.server.call_as(app_or_agent, row.method, &target, &body).await,
            None => scene.server.call_empty(app_or_agent, row.method, &target).await,
        };
        row.judge("an unknown query", &reply, (400, "invalid_request"));
    }
}

#[tokio::test]
async fn a_body_that_a_route_does_not_take_is_refused_on_every_route() {
    let scene = Scene::new().await;
    for row in ROWS.iter().filter(|row| (row.body)(&scene, &scene.own.ids).is_none()) {
        let key = if row.agent.0 < 400 { &scene.own.agent_key } else { &scene.own.app.key };
        let target = row.target(&scene.own.ids);
        // It is signed, so only its being there is wrong.
        for body in ["{}", "null", " ", r#"{"grant_id":"x"}"#] {
            let sent = scene.server.signed_raw(key, row.method, &target, body.as_bytes());
            row.judge("a body", &scene.server.send(sent).await, (400, "invalid_request"));
        }
        assert_ne!(row.call(&scene, key, &scene.own.ids).await.status, 400, "control: {}", row.path);
    }
}

#[tokio::test]
async fn t72_a_list_shows_what_is_the_callers_and_nothing_else() {
    let scene = Scene::new().await;
    let server = &scene.server;
    let list =
        async |key: &SecretString| server.call_as(key, "POST", "/sdk/grants/list", &json!({})).await.text();
    for (side, other) in [(&scene.own, &scene.foreign), (&scene.foreign, &scene.own)] {
        for key in [&side.app.key, &side.agent_key] {
            let text = list(key).await;
            assert!(text.contains(&side.ids.grant) && !text.contains(&other.ids.grant), "{text}");
        }
        let agents = server.call_empty(&side.app.key, "GET", "/sdk/agents?include_revoked=true").await.text();
        assert!(agents.contains(&side.ids.agent) && !agents.contains(&other.ids.agent), "{agents}");
    }
    // A second agent of the same app sees nothing of what the first was given.
    let (_, stranger) = server.add_agent(&scene.own.app, "stranger").await;
    let text = list(&stranger).await;
    assert!(!text.contains(&scene.own.ids.grant), "{text}");
    assert!(!text.contains(&scene.own.ids.agent), "{text}");
}
