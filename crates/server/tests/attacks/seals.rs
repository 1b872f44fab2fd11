//! The database in the hands of somebody without the root key, who edits a row that steers secrets: what was edited is
//! refused before anything is sent with it (T90).

use alter_core::AppSettings;
use alter_flows::{OperateError, operate, reap, refresh};
use alter_testkit::{TestBrowser, TestServer, operator};
use serde_json::{Value, json};

use crate::sql;

/// Changes the stored recipe of `mock` behind the program's back.
fn edit(server: &TestServer, change: impl Fn(&mut Value)) {
    let mut recipe: Value =
        serde_json::from_str(&sql::text(server, "SELECT recipe FROM providers WHERE provider = 'mock'"))
            .unwrap();
    change(&mut recipe);
    let text = recipe.to_string().replace('\'', "''");
    let statement = format!("UPDATE providers SET recipe = '{text}' WHERE provider = 'mock'");
    assert_eq!(sql::run(server, &statement, []), 1);
}

async fn connected(server: &TestServer) -> String {
    TestBrowser::new().connect(server).await["grant_id"].as_str().unwrap().to_owned()
}

/// What arrived at an address that the provider does not have.
fn stolen(server: &TestServer) -> usize {
    server.mock.seen().other.len()
}

#[tokio::test]
async fn t90_an_edited_revocation_url_gets_neither_token_nor_client_secret() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    let evil = server.mock.url("/evil");
    edit(&server, |recipe| recipe["revoke_url"] = json!(evil));
    let target = format!("/sdk/oauth/grants/{grant}/revoke");
    assert_eq!(server.call(&target, &json!({})).await.status, 200, "here the grant ends all the same");
    assert_eq!((stolen(&server), server.mock.seen().revoke.len()), (0, 0));

    // The operator writes the row anew: now the provider is asked.
    server.add_provider(&server.app, "mock", |_| ()).await;
    server.clock.advance_seconds(3600);
    reap::retry_revocations(&server.flows).await.unwrap();
    assert_eq!((stolen(&server), server.mock.seen().revoke.len()), (0, 1));
}

#[tokio::test]
async fn t90_a_request_for_an_edited_provider_ends_after_a_day() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    server.clock.freeze();
    let evil = server.mock.url("/evil");
    edit(&server, |recipe| recipe["revoke_url"] = json!(evil));
    server.call(&format!("/sdk/oauth/grants/{grant}/revoke"), &json!({})).await;
    for _ in 0..30 {
        server.clock.advance_seconds(3600);
        reap::retry_revocations(&server.flows).await.unwrap();
    }
    assert_eq!((sql::count(&server, "revocations"), stolen(&server)), (0, 0));
}

#[tokio::test]
async fn t90_an_edited_token_url_gets_neither_code_nor_refresh_token() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    let (mut browser, app) = (TestBrowser::new(), &server.app);
    let mut attempt = browser.leave_for(&server, app, "mock").await;
    attempt.callback = browser.at_provider(&attempt.authorize).await;
    let evil = server.mock.url("/evil");
    edit(&server, |recipe| recipe["token_url"] = json!(evil));

    browser.come_back(&server, app, &mut attempt).await;
    assert_eq!(attempt.reason(), "provider_misconfigured", "{}", attempt.status);
    server.clock.advance_seconds(3700);
    assert_eq!(server.token(&grant).await.error(), "provider_configuration_unavailable");
    refresh::sweep(&server.flows).await.unwrap();
    assert_eq!((stolen(&server), server.mock.seen().token.len()), (0, 1), "the first exchange alone");

    server.add_provider(&server.app, "mock", |_| ()).await;
    server.clock.advance_seconds(60);
    assert_eq!(server.token(&grant).await.status, 200, "the row was written anew");
}

#[tokio::test]
async fn t90_an_edited_api_host_gets_no_token_and_an_edited_authorization_url_no_user() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    edit(&server, |recipe| recipe["api_hosts"].as_array_mut().unwrap().push(json!("evil.example")));
    for url in ["https://evil.example/".to_owned(), server.mock.url("/api/me")] {
        let body = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
        let reply = server.call("/sdk/token", &body).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (503, "provider_configuration_unavailable"),
            "{url}"
        );
    }
    let mut browser = TestBrowser::new();
    let token = server.mint(&json!({ "allowed_providers": ["mock"] })).await;
    let sid = browser.claim(&server, &server.app, &token).await;
    let approve = json!({ "provider": "mock" });
    let reply = browser.post(&server, &format!("/connect/api/s/{sid}/approve"), &approve).await;
    assert_eq!((reply.status, reply.error().as_str()), (409, "step_moved"), "the page is shown again");
    let poll = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await;
    assert_eq!(
        poll.json()["error"]["error_code"],
        "provider_configuration_unavailable",
        "and the app hears why"
    );
}

#[tokio::test]
async fn t90_a_seal_that_is_taken_off_or_comes_from_another_row_does_not_help() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    server.add_provider(&server.app, "other", |_| ()).await;
    let moved = "UPDATE providers SET seal = (SELECT seal FROM providers WHERE provider = 'other')
                WHERE provider = 'mock'";
    sql::run(&server, moved, []);
    assert_eq!(server.token(&grant).await.error(), "provider_configuration_unavailable");
    let seal = async || {
        let configured = operate::list_providers(&server.flows, server.app.id).await.unwrap();
        let digest = configured.iter().find(|c| c.recipe.id == "mock").unwrap().digest();
        operate::seal_provider(&server.flows, &operator(), server.app.id, "mock", &digest).await
    };
    let sealed = seal().await;
    let Err(OperateError::Invalid(text)) = sealed else { panic!("{sealed:?}") };
    assert!(text.contains("does not match its seal") && text.contains("alter provider set"), "{text}");

    // A row from before there were seals: an operator looks at it and seals it.
    sql::run(&server, "UPDATE providers SET seal = NULL WHERE provider = 'mock'", []);
    assert_eq!(server.token(&grant).await.error(), "provider_configuration_unavailable");
    let found = operate::unproven_providers(&server.flows).await.unwrap();
    let text = found[0].why.to_string();
    assert!(found.len() == 1 && text.contains("alter provider seal"), "{text}");
    let other = operate::seal_provider(&server.flows, &operator(), server.app.id, "mock", &[7; 32]).await;
    assert!(other.unwrap_err().to_string().contains("not the one that you looked at"));
    seal().await.unwrap();
    assert_eq!(server.token(&grant).await.status, 200);
}

#[tokio::test]
async fn t90_a_planted_key_and_a_revocation_that_was_undone_open_nothing() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    assert_eq!(server.token(&grant).await.status, 200, "positive control");

    // Somebody plants a key of their own: the row of the app's key, with another hash, in another app.
    let other = server.add_app(AppSettings::named("Other")).await;
    let planted = format!("UPDATE api_keys SET app_id = '{}' WHERE app_id = '{}'", server.app.id, other.id);
    assert_eq!(sql::run(&server, &planted, []), 1);
    let body =
        json!({ "grant_id": grant, "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    let reply = server.send(server.signed(&other.key, "/sdk/token", &body)).await;
    assert_eq!((reply.status, &reply.json()["error"]), (401, &json!("invalid_key")));

    let keys = operate::list_keys(&server.flows, server.app.id).await.unwrap();
    for key in keys {
        operate::revoke_key(&server.flows, &operator(), server.app.id, key.id).await.unwrap();
    }
    sql::run(&server, "UPDATE api_keys SET revoked_at = NULL", []);
    assert_eq!(server.token(&grant).await.status, 401, "the seal went with the revocation");
    let found = operate::unproven_keys(&server.flows).await.unwrap();
    assert!(!found.is_empty());
    for row in found.iter().filter(|row| row.app == server.app.id) {
        let sealed = operate::seal_key(&server.flows, &operator(), row.app, row.key.unwrap()).await;
        let Err(OperateError::Invalid(text)) = sealed else { panic!("{sealed:?}") };
        assert!(text.contains("was revoked"), "{text}");
    }
}

#[tokio::test]
async fn t90_a_grant_that_is_pointed_at_another_apps_provider_sends_it_nothing() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    let other = server.add_app(AppSettings::named("Other")).await;
    server.add_provider(&other, "mock", |_| ()).await;
    let theirs = format!(
        "UPDATE grants SET config_id = (SELECT config_id FROM providers WHERE app_id = '{}')",
        other.id
    );
    assert_eq!(sql::run(&server, &theirs, []), 1);
    assert_eq!(server.token(&grant).await.error(), "provider_configuration_unavailable");
    server.clock.advance_seconds(3700);
    refresh::sweep(&server.flows).await.unwrap();
    let target = format!("/sdk/oauth/grants/{grant}/revoke");
    assert_eq!(server.call(&target, &json!({})).await.status, 200, "here the grant ends all the same");
    assert_eq!(
        (server.mock.seen().token.len(), server.mock.seen().revoke.len()),
        (1, 0),
        "the first exchange alone"
    );
}
