//! Providers that are a little odd: what stands beside a token, what comes beside a code, names of their own.

use std::time::Duration;

use alter_core::{IdentitySource, Recipe, recipe::Revoke, recipe::RevokeEnds};
use alter_mock_provider::{IdTokenFault, Raw};
use alter_testkit::{Reply, TestAttempt, TestBrowser, TestServer};
use serde_json::{Value, json};

use crate::{logs::Logs, sql};

/// A provider without id_tokens, whose account is asked for at userinfo.
fn plain(recipe: &mut Recipe) {
    recipe.jwks_url = None;
    recipe.default_scopes = vec!["read".into(), "activity:write".into()];
    recipe.identity.from = IdentitySource::Userinfo;
}

async fn with(change: impl FnOnce(&mut Recipe)) -> TestServer {
    let server = TestServer::start().await;
    server
        .add_provider(&server.app, "odd", |recipe| {
            plain(recipe);
            change(recipe);
        })
        .await;
    server
}

/// Connects; the browser comes back with more in its query.
async fn come_back_with(server: &TestServer, more: &str) -> TestAttempt {
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(server, &server.app, "odd").await;
    attempt.callback = format!("{}{more}", browser.at_provider(&attempt.authorize).await);
    browser.come_back(server, &server.app, &mut attempt).await;
    attempt
}

async fn token(server: &TestServer, attempt: &TestAttempt) -> Value {
    let reply = server.token(attempt.grant_id()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn listed(server: &TestServer) -> Value {
    server.call("/sdk/grants/list", &json!({})).await.json()["grants"][0].clone()
}

#[tokio::test]
async fn scopes_in_the_callback_are_shown_and_decide_nothing() {
    let server = with(|recipe| recipe.callback.scope = Some("scope".into())).await;
    server.set_idp(&server.app, Some("my-app")).await;
    server.mock.set(|s| s.omit_token_fields = vec!["scope".into()]);
    let attempt = come_back_with(&server, "&scope=read").await;
    let made = attempt.connection();
    assert_eq!((&made["scopes"], &made["status"]), (&json!(["read"]), &json!("error")));
    assert_eq!(made["metadata"]["missing_scopes"], json!(["activity:write"]));
    assert_eq!(listed(&server).await["scopes"], json!(["read"]));
    let released = token(&server, &attempt).await;
    assert_eq!((&released["scopes"], &released["scope_mismatch"]), (&json!(["read"]), &json!(true)));
    // The browser can edit its query: what an agent must be allowed to use stays all that was asked for.
    let grant = &server.grants(server.app.id).await[0];
    assert_eq!(grant.scopes, ["read", "activity:write"]);

    // What the token answer says counts alone, and the browser cannot add to what was asked for.
    server.mock.set(|s| (s.omit_token_fields, s.granted_scopes) = (vec![], Some("activity:write".into())));
    let attempt = come_back_with(&server, "&scope=read+evil").await;
    assert_eq!(attempt.connection()["scopes"], json!(["activity:write"]));
    server.mock.set(|s| (s.omit_token_fields, s.granted_scopes) = (vec!["scope".into()], None));
    let attempt = come_back_with(&server, "&scope=read+evil+activity:write").await;
    assert_eq!(attempt.connection()["scopes"], json!(["read", "activity:write"]));
}

#[tokio::test]
async fn what_stands_beside_the_token_is_kept_and_what_the_browser_brought_is_marked() {
    let server = with(|recipe| {
        recipe.metadata =
            [("instance_url", "/instance_url"), ("team", "/team/id"), ("odd", "/team"), ("both", "/both")]
                .map(|(name, path)| (name.to_owned(), path.to_owned()))
                .into();
        recipe.callback.metadata = [("realm".to_owned(), "realmId".to_owned())].into();
    })
    .await;
    let answer = json!({ "access_token": "{{access_token}}", "instance_url": "https://acme.my.salesforce.example",
                         "team": { "id": 7 }, "realm": "of the answer" });
    server.mock.set(|s| s.token_response = Some(Raw::json(200, &answer)));
    let attempt = come_back_with(&server, "&realmId=4711").await;
    let told = json!({
        "instance_url": { "value": "https://acme.my.salesforce.example", "verified": true },
        "team": { "value": "7", "verified": true },
        "realm": { "value": "4711", "verified": false },
    });
    assert_eq!(token(&server, &attempt).await["provider_metadata"], told);
    assert_eq!(listed(&server).await["provider_metadata"], told);
    let elsewhere = json!({ "grant_id": attempt.grant_id(),
        "request": { "method": "GET", "url": "https://acme.my.salesforce.example/x" } });
    let refused = server.call("/sdk/token", &elsewhere).await;
    assert_eq!(refused.error(), "blocked_destination", "a fact opens no host");
    // What cannot be read, or comes twice, is left out.
    let attempt = come_back_with(&server, "&realmId=1&realmId=2").await;
    assert_eq!(token(&server, &attempt).await["provider_metadata"]["realm"], Value::Null);
}

#[tokio::test]
async fn further_headers_of_calls_reach_userinfo_and_the_app() {
    let server = with(|recipe| {
        recipe.api_headers = [("Client-Id".to_owned(), "{client_id}".to_owned())].into();
        recipe.token_headers = [("x-version".to_owned(), "7".to_owned())].into();
    })
    .await;
    let attempt = come_back_with(&server, "").await;
    let client = format!("client-{}-odd", server.app.id);
    let seen = server.mock.seen();
    assert_eq!(seen.userinfo[0].header("client-id"), Some(client.as_str()));
    assert_eq!((seen.token[0].header("x-version"), seen.token[0].header("client-id")), (Some("7"), None));
    let released = token(&server, &attempt).await;
    let injection =
        json!({ "target": "header", "key": "Client-Id", "value_source": "additional_credentials.client_id" });
    assert_eq!(released["additional_injections"], json!([injection]));
    assert_eq!(released["additional_credentials"], json!({ "client_id": client }));
}

#[tokio::test]
async fn a_code_in_a_parameter_of_another_name_is_exchanged_under_its_own_name() {
    let server = with(|recipe| recipe.callback.code = Some("auth_code".into())).await;
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "odd").await;
    attempt.callback = browser.at_provider(&attempt.authorize).await.replace("code=", "auth_code=");
    // Another browser that has the code ends the attempt, as with any code.
    let mut stolen = browser.leave_for(&server, &server.app, "odd").await;
    stolen.callback = browser.at_provider(&stolen.authorize).await.replace("code=", "auth_code=");
    TestBrowser::new().get(&server, &stolen.callback).await;
    browser.come_back(&server, &server.app, &mut stolen).await;
    assert_eq!(stolen.reason(), "other_browser", "{}", stolen.status);
    browser.come_back(&server, &server.app, &mut attempt).await;
    attempt.connection();
    // Elsewhere such a parameter says nothing.
    let mut plain = browser.leave_for(&server, &server.app, "mock").await;
    plain.callback = browser.at_provider(&plain.authorize).await.replace("code=", "auth_code=");
    browser.come_back(&server, &server.app, &mut plain).await;
    assert_eq!(plain.reason(), "callback_not_understood", "{}", plain.status);
}

#[tokio::test]
async fn an_assumed_life_counts_where_nobody_says() {
    let server = with(|recipe| recipe.token.assumed_life_seconds = Some(7200)).await;
    server.mock.set(|s| s.omit_token_fields = vec!["expires_in".into()]);
    let attempt = come_back_with(&server, "").await;
    let released = token(&server, &attempt).await;
    assert!((7190..=7200).contains(&released["expires_in"].as_i64().unwrap()), "{released}");
    server.mock.set(|s| s.omit_token_fields = vec![]);
    let attempt = come_back_with(&server, "").await;
    assert!(token(&server, &attempt).await["expires_in"].as_i64().unwrap() <= 3600, "what it says counts");
}

#[tokio::test]
async fn a_server_that_tells_no_account_makes_a_grant_of_its_own_each_time() {
    let server = with(|recipe| recipe.identity.from = IdentitySource::None).await;
    let connect = async |label: Option<&str>| {
        let body = json!({ "allowed_providers": ["odd"], "requested_grant": label.map(|label| json!({ "label": label })) });
        let token = server.mint(&body).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(&server, &server.app, &token).await;
        let authorize = browser.approve(&server, &sid, "odd").await;
        let callback = browser.at_provider(&authorize).await;
        browser.get(&server, &callback).await;
        server.status(&token, &server.app.origin, json!({})).await.json()["connections"][0].clone()
    };
    let (work, home, bare) = (connect(Some("work")).await, connect(Some("home")).await, connect(None).await);
    for (made, name) in [(&work, "work"), (&home, "home"), (&bare, "Provider odd")] {
        assert_eq!((&made["operation"], &made["account_identifier"]), (&json!("creation"), &json!(name)));
    }
    assert_eq!(server.grants(server.app.id).await.len(), 3);
    assert!(server.mock.seen().userinfo.is_empty(), "nobody is asked");
    let chosen = json!({ "provider_id": "odd", "label": "home",
        "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    assert_eq!(server.call("/sdk/token", &chosen).await.json()["grant_id"], home["grant_id"]);
    assert!(server.grants(server.app.id).await.iter().all(|grant| !grant.account_verified));
}

#[tokio::test]
async fn a_busy_userinfo_that_asks_for_too_much_patience_is_asked_once() {
    let server = with(|_| ()).await;
    let busy = Raw::new(429, "text/plain", "later").with_header("retry-after", "3600");
    server.mock.set(|s| s.userinfo = Some(busy));
    let attempt = come_back_with(&server, "").await;
    assert_eq!(attempt.reason(), "userinfo_failed", "{}", attempt.status);
    assert_eq!(server.mock.seen().userinfo.len(), 1);
}

/// What the revocation endpoint has heard after an attempt whose identity failed.
async fn ended(server: &TestServer) -> Vec<String> {
    server.flows.drain().await;
    let seen = server.mock.seen();
    seen.revoke.iter().filter_map(|request| request.field("token").map(str::to_owned)).collect()
}

fn nobody() -> Option<Raw> {
    Some(Raw::json(200, &json!({ "name": "nobody" })))
}

#[tokio::test]
async fn tokens_of_an_account_that_is_not_told_are_ended_where_that_ends_nothing_else() {
    // No other grant of this client lives: the tokens are ended.
    let server = with(|_| ()).await;
    server.mock.set(|s| s.userinfo = nobody());
    let attempt = come_back_with(&server, "").await;
    assert_eq!(attempt.reason(), "identity_unreadable", "{}", attempt.status);
    assert_eq!(ended(&server).await.len(), 1, "once");
}

#[tokio::test]
async fn tokens_of_an_account_that_is_not_told_are_shredded_where_another_grant_would_end_too() {
    let server = with(|_| ()).await;
    let attempt = come_back_with(&server, "").await;
    let lives = attempt.grant_id().to_owned();
    server.mock.set(|s| s.userinfo = nobody());
    come_back_with(&server, "").await;
    assert!(ended(&server).await.is_empty(), "it may be the same account's");
    server.mock.set(|s| s.userinfo = None);
    assert_eq!(server.token(&lives).await.status, 200);
    assert_eq!(sql::count(&server, "attempts WHERE body IS NOT NULL"), 0, "and the tokens are gone here");
}

#[tokio::test]
async fn tokens_are_ended_beside_a_grant_where_the_provider_ends_the_token_alone() {
    let server = with(|recipe| {
        let url = recipe.revoke_url.take().unwrap();
        recipe.revoke = Some(Revoke { ends: RevokeEnds::Token, ..Revoke::rfc7009(url) });
    })
    .await;
    server.mock.set(|s| s.revoke_ends = alter_mock_provider::RevokeEnds::TokenAlone);
    let lives = come_back_with(&server, "").await.grant_id().to_owned();
    server.mock.set(|s| s.userinfo = nobody());
    come_back_with(&server, "").await;
    assert_eq!(ended(&server).await.len(), 1);
    assert_eq!(server.token(&lives).await.status, 200);
}

#[tokio::test]
async fn tokens_behind_a_bad_id_token_are_ended_too_and_a_provider_that_does_not_answer_holds_nobody_up() {
    let server = TestServer::start().await;
    server.mock.set(|s| {
        s.id_token = IdTokenFault::BadSignature;
        s.delays = vec![("/revoke".into(), Duration::from_secs(3600))];
    });
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    assert_eq!(attempt.reason(), "id_token_invalid", "{}", attempt.status);
    server.mock.wait_for(|seen| seen.revoke.len() == 1).await;
}

/// The headers and texts of a reply.
fn shown(reply: &Reply) -> String {
    format!("{} {:?}", reply.text(), reply.headers)
}

#[tokio::test]
async fn t26_the_providers_own_words_reach_log_and_details_and_no_page() {
    let logs = Logs::capture();
    let server = with(|_| ()).await;
    let said = "The plan has no API access. Ask the owner\u{202e}\r\n\u{1b}[31m of the workspace";
    let kept = "The plan has no API access. Ask the owner [31m of the workspace";
    let body = json!({ "error": "invalid_request", "error_description": said });
    server.mock.set(|s| s.token_response = Some(Raw::json(400, &body)));
    let mut browser = TestBrowser::new();
    let attempt = browser.attempt(&server, "odd").await;
    assert_eq!(attempt.status["details"]["provider_message"], kept);
    assert!(!attempt.status["message"].as_str().unwrap().contains("workspace"));
    let page = browser.get(&server, &format!("/connect/s/{}", attempt.sid)).await;
    assert!(!shown(&page).contains("workspace"), "a person is told by our words alone");
    assert!(logs.text().contains(kept), "{}", logs.text());
    // Of the callback's words, the same.
    server.mock.set(|s| {
        (s.auto_deny, s.deny_error, s.deny_description) = (true, "invalid_scope".into(), Some(said.into()))
    });
    let attempt = browser.attempt(&server, "odd").await;
    assert_eq!(attempt.status["details"]["provider_message"], kept);
}

#[tokio::test]
async fn words_that_repeat_what_we_sent_are_masked() {
    let logs = Logs::capture();
    let server = with(|_| ()).await;
    let secret = alter_testkit::server::CLIENT_SECRET;
    let body =
        json!({ "error": "invalid_client", "error_description": format!("{secret} is not the secret") });
    server.mock.set(|s| s.token_response = Some(Raw::json(401, &body)));
    let attempt = TestBrowser::new().attempt(&server, "odd").await;
    assert_eq!(attempt.status["details"]["provider_message"], "[...] is not the secret");
    assert!(!logs.text().contains(secret));
}

/// Nobody knows any more what was sent, so it could not be taken out.
#[tokio::test]
async fn words_of_an_answer_that_another_process_asked_for_are_not_read() {
    let server = TestServer::start_sqlite().await;
    server.add_provider(&server.app, "odd", |_| ()).await;
    let body = json!({ "error": "invalid_grant", "error_description": "pw is not the secret" });
    server.mock.set(|s| s.token_response = Some(Raw::json(400, &body)));
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "odd").await;
    attempt.callback = browser.at_provider(&attempt.authorize).await;
    // The end cannot be stored, so that the journal has the answer and the attempt stays `sent`.
    sql::block(&server, "INSERT ON audit");
    browser.come_back(&server, &server.app, &mut attempt).await;
    assert_eq!(attempt.status["status"], "open", "{}", attempt.status);
    sql::unblock(&server);
    server.clock.advance_seconds(120);
    alter_flows::reap::reap(&server.flows).await.unwrap();
    let told = server.status(&attempt.token, &server.app.origin, json!({})).await.json();
    assert_eq!(told["details"]["reason"], "code_refused", "{told}");
    assert!(told["details"].get("provider_message").is_none(), "{told}");
}
