//! By which name a call may choose an account: its id, or a name that its provider vouches for. Anybody can claim another's
//! address at a provider that does not check it.

use alter_mock_provider::User;
use alter_testkit::{Reply, TestBrowser, TestServer};
use secrecy::SecretString;
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";
const BOSS: &str = "boss@corp.example";

struct Scene {
    server: TestServer,
    agent: SecretString,
}

impl Scene {
    async fn new() -> Self {
        let server = TestServer::start().await;
        server.set_idp(&server.app, Some(AUDIENCE)).await;
        let (_, agent) = server.add_agent(&server.app, "mailbot").await;
        Self { server, agent }
    }

    fn user(&self, user: &str) -> String {
        self.server.mock.user_token(user, AUDIENCE)
    }

    /// Somebody whose account has this id and address connects it. `verified` is what the provider says of the address.
    async fn connect(&self, (subject, address): (&str, &str), verified: Value, body: Value) -> String {
        let mock = &self.server.mock;
        mock.add_user(User { sub: subject.into(), email: address.into(), name: subject.into() });
        mock.set(|s| {
            s.auto_user = Some(subject.to_owned());
            s.id_token_claims = json!({ "email_verified": verified });
        });
        let made = TestBrowser::new().connect_for(&self.server, &self.server.app, &body).await;
        made["grant_id"].as_str().expect("a connection has a grant").to_owned()
    }

    /// The same for the agent, by a user of the app.
    async fn delegate(&self, user: &str, account: (&str, &str), verified: Value) -> String {
        let body = json!({ "user_token": self.user(user), "agent": "mailbot" });
        self.connect(account, verified, body).await
    }

    async fn ask(&self, key: &SecretString, account: &str, user: Option<&str>) -> Reply {
        let mut body = json!({
            "provider_id": "mock", "account": account,
            "request": { "method": "GET", "url": self.server.mock.url("/api/me") },
        });
        if let Some(user) = user {
            body["user_token"] = json!(self.user(user));
        }
        self.server.call_as(key, "POST", "/sdk/token", &body).await
    }
}

#[track_caller]
fn gives(reply: &Reply, grant: &str) {
    assert_eq!((reply.status, &reply.json()["grant_id"]), (200, &json!(grant)), "{}", reply.text());
}

/// Refused, with the grants that have the name and what to do instead.
#[track_caller]
fn refused(reply: &Reply, grants: &[&str]) {
    assert_eq!((reply.status, reply.error().as_str()), (409, "ambiguous_grant"), "{}", reply.text());
    let said = reply.json();
    assert_eq!((&said["grant_ids"], &said["account_was_provided"]), (&json!(grants), &json!(true)), "{said}");
    for candidate in said["candidates"].as_array().expect("candidates") {
        assert_eq!(
            (&candidate["account_verified"], &candidate["account_identifier"]),
            (&json!(false), &json!(BOSS))
        );
        assert!(candidate["account_id"].is_string(), "{candidate}");
    }
    let message = said["message"].as_str().expect("a message");
    for way in ["not verified", "grant_id", "account_id", "user_token"] {
        assert!(message.contains(way), "{message}");
    }
}

#[tokio::test]
async fn t13_an_agent_that_asks_for_an_address_does_not_get_the_account_of_whoever_claimed_it() {
    let scene = Scene::new().await;
    let mut claimed = Vec::new();
    for (user, said) in [("mallory", json!(false)), ("trudy", Value::Null), ("oscar", json!("no"))] {
        claimed.insert(0, scene.delegate(user, (user, BOSS), said).await);
    }
    let newest_first: Vec<&str> = claimed.iter().map(String::as_str).collect();
    refused(&scene.ask(&scene.agent, BOSS, None).await, &newest_first);
    // One grant that has the name is no better: the real owner may not have connected yet.
    for grant in &claimed[..2] {
        let revoke = format!("/sdk/oauth/grants/{grant}/revoke");
        assert_eq!(scene.server.call(&revoke, &json!({})).await.status, 200);
    }
    refused(&scene.ask(&scene.agent, BOSS, None).await, &newest_first[2..]);

    // The id of the account, or its user, names it.
    gives(&scene.ask(&scene.agent, "mallory", None).await, &claimed[2]);
    gives(&scene.ask(&scene.agent, BOSS, Some("mallory")).await, &claimed[2]);
    let nobody = scene.ask(&scene.agent, "nobody@corp.example", None).await;
    assert_eq!((nobody.status, nobody.error().as_str()), (404, "no_delegated_grant"));

    // Once the owner has connected, the address is the owner's.
    for said in [json!(true), json!("true")] {
        let owner = scene.delegate("boss", ("boss", BOSS), said).await;
        gives(&scene.ask(&scene.agent, BOSS, None).await, &owner);
    }
}

#[tokio::test]
async fn t13_an_address_that_was_verified_once_does_not_stay_so_when_the_provider_takes_it_back() {
    let scene = Scene::new().await;
    let grant = scene.delegate("mallory", ("mallory", BOSS), json!(true)).await;
    gives(&scene.ask(&scene.agent, BOSS, None).await, &grant);
    assert_eq!(scene.delegate("mallory", ("mallory", BOSS), json!(false)).await, grant, "connected again");
    refused(&scene.ask(&scene.agent, BOSS, None).await, &[&grant]);
}

#[tokio::test]
async fn t13_the_id_of_an_account_comes_before_a_name_that_looks_like_it() {
    let scene = Scene::new().await;
    let owner = scene.delegate("boss", ("108", BOSS), json!(true)).await;
    // Verified or not, another account is called like the first one's id.
    scene.delegate("mallory", ("109", "108"), json!(true)).await;
    scene.delegate("trudy", ("110", "108"), json!(false)).await;
    gives(&scene.ask(&scene.agent, "108", None).await, &owner);
    let listed = scene.server.call("/sdk/grants/list", &json!({ "account": "108" })).await.json();
    assert_eq!((&listed["total"], &listed["grants"][0]["grant_id"]), (&json!(1), &json!(owner)), "{listed}");
}

#[tokio::test]
async fn the_apps_own_grants_were_connected_by_anybody_and_a_users_by_that_user() {
    let scene = Scene::new().await;
    let key = &scene.server.app.key;
    let own = scene.connect(("mallory", BOSS), json!(false), json!({})).await;
    refused(&scene.ask(key, BOSS, None).await, &[&own]);
    gives(&scene.ask(key, "mallory", None).await, &own);
    let users =
        scene.connect(("trudy", BOSS), json!(false), json!({ "user_token": scene.user("trudy") })).await;
    gives(&scene.ask(key, BOSS, Some("trudy")).await, &users);
    let verified = scene.connect(("boss", BOSS), json!(true), json!({})).await;
    gives(&scene.ask(key, BOSS, None).await, &verified);
}

#[tokio::test]
async fn lists_and_poll_say_whether_a_name_is_verified() {
    let scene = Scene::new().await;
    scene.delegate("mallory", ("mallory", BOSS), json!(false)).await;
    scene.delegate("boss", ("boss", BOSS), json!(true)).await;
    for key in [&scene.server.app.key, &scene.agent] {
        let body = json!({ "account": BOSS });
        let listed = scene.server.call_as(key, "POST", "/sdk/grants/list", &body).await.json();
        let facts: Vec<_> = listed["grants"].as_array().expect("grants").iter().collect();
        let facts: Vec<_> = facts.iter().map(|g| (&g["account_id"], &g["account_verified"])).collect();
        assert_eq!(facts, [(&json!("boss"), &json!(true)), (&json!("mallory"), &json!(false))], "{listed}");
    }
    for (subject, verified) in [("mallory", false), ("boss", true)] {
        let token = scene.server.mint(&json!({})).await;
        scene.server.mock.set(|s| {
            s.auto_user = Some(subject.to_owned());
            s.id_token_claims = json!({ "email_verified": verified });
        });
        let mut browser = TestBrowser::new();
        let (_, callback) = browser.up_to_callback(&scene.server, &scene.server.app, &token).await;
        assert_eq!(browser.get(&scene.server, &callback).await.status, 303);
        let body = json!({ "session_token": token });
        let polled = scene.server.call("/sdk/oauth/connect/session/poll", &body).await.json();
        assert_eq!(polled["grants"][0]["account_verified"], json!(verified), "{polled}");
    }
}
