//! The database in the hands of somebody without the root key, who makes a grant another's: its tokens are sealed for its
//! owner, configuration and account, and do not open (T90).

use alter_flows::{grants, reap, refresh};
use alter_testkit::{TestBrowser, TestServer};
use serde_json::json;

use crate::{sql, support::copies::unbind};

async fn connected(server: &TestServer) -> String {
    TestBrowser::new().connect(server).await["grant_id"].as_str().unwrap().to_owned()
}

/// Asserts that a grant is refused while its row says something else, and that it is good again afterwards.
async fn refused_while(server: &TestServer, grant: &str, column: &str, value: &str) {
    let before = sql::text(
        server,
        &format!("SELECT COALESCE(CAST({column} AS TEXT), '') FROM grants WHERE id = '{grant}'"),
    );
    let set = |value: &str| format!("UPDATE grants SET {column} = '{value}' WHERE id = '{grant}'");
    assert_eq!(sql::run(server, &set(value), []), 1);
    let reply = server.token(grant).await;
    let got = (reply.status, reply.error());
    assert_eq!(got, (503, "provider_configuration_unavailable".to_owned()), "{column}: {}", reply.text());
    let found = grants::unproven_grants(&server.flows).await.unwrap();
    let text = found[0].why.to_string();
    assert!(
        found.len() == 1 && text.contains("alter grant revoke") && text.contains(grant),
        "{column}: {text}"
    );
    sql::run(server, &set(&before), []);
}

#[tokio::test]
async fn t90_a_grant_whose_owner_configuration_or_account_was_edited_is_not_released() {
    let server = TestServer::start().await;
    server.set_idp(&server.app, Some("my-app")).await;
    server.add_provider(&server.app, "other", |_| ()).await;
    let connect = async |user: &str| {
        server.mock.set(|switches| switches.auto_user = Some(user.to_owned()));
        let body = json!({ "user_token": server.mock.user_token(user, "my-app"), "requested_grant": { "label": "work" },
                           "allowed_providers": ["mock"] });
        let made = TestBrowser::new().connect_for(&server, &server.app, &body).await;
        made["grant_id"].as_str().unwrap().to_owned()
    };
    let (mine, theirs) = (connect("acme-1001").await, connect("acme-1002").await);
    assert_eq!(server.token(&mine).await.status, 200, "positive control");
    let of_theirs =
        |column: &str| sql::text(&server, &format!("SELECT {column} FROM grants WHERE id = '{theirs}'"));
    let other = sql::text(&server, "SELECT config_id FROM providers WHERE provider = 'other'");
    let verified = ["1", "true"].contains(&of_theirs("CAST(account_verified AS TEXT)").as_str());
    for (column, value) in [
        ("principal", of_theirs("principal")),
        ("principal", "app".into()),
        ("config_id", other),
        ("provider", "other".into()),
        ("subject", of_theirs("subject") + "x"),
        ("account_identifier", of_theirs("account_identifier")),
        ("account_verified", if verified { "0" } else { "1" }.into()),
        ("label", "home".into()),
        ("filled", r#"{"subdomain":"evil"}"#.into()),
    ] {
        refused_while(&server, &mine, column, &value).await;
    }
    // Nor is a user's row, by which a user token finds its user.
    let whose = of_theirs("principal");
    let swap = |subject: &str| format!("UPDATE users SET subject = '{subject}' WHERE id <> '{whose}'");
    sql::run(&server, &swap("mallory"), []);
    let mallory = server.mock.user_token("mallory", "my-app");
    let ask = json!({ "grant_id": mine, "user_token": mallory,
                      "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    for reply in [server.call("/sdk/token", &ask).await, server.token(&mine).await] {
        let got = (reply.status, reply.error());
        assert_eq!(got, (503, "provider_configuration_unavailable".to_owned()), "{}", reply.text());
    }
    sql::run(&server, &swap("acme-1001"), []);
    assert_eq!(server.token(&mine).await.status, 200, "the row is as it was sealed");
    assert!(grants::unproven_grants(&server.flows).await.unwrap().is_empty());
}

#[tokio::test]
async fn t90_the_tokens_of_a_grant_that_was_pointed_at_another_provider_of_the_app_stay_here() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    let evil = server.mock.url("/evil");
    server
        .add_provider(&server.app, "evil", |recipe| {
            (recipe.token_url, recipe.revoke_url) = (evil.clone(), Some(evil.clone()));
        })
        .await;
    sql::run(
        &server,
        "UPDATE grants SET (config_id, provider) = (SELECT config_id, provider FROM providers WHERE provider = 'evil')",
        [],
    );
    assert_eq!(server.token(&grant).await.error(), "provider_configuration_unavailable");
    server.clock.advance_seconds(3700);
    refresh::sweep(&server.flows).await.unwrap();
    assert_eq!(server.token(&grant).await.status, 503);
    let target = format!("/sdk/oauth/grants/{grant}/revoke");
    assert_eq!(server.call(&target, &json!({})).await.status, 200, "here the grant ends all the same");
    reap::retry_revocations(&server.flows).await.unwrap();
    assert_eq!(
        (server.mock.seen().other.len(), server.mock.seen().token.len()),
        (0, 1),
        "the first exchange alone"
    );
}

#[tokio::test]
async fn t90_a_refresh_seals_its_tokens_for_no_row_that_was_edited_meanwhile() {
    let server = TestServer::start_sqlite().await;
    let grant = connected(&server).await;
    server.clock.freeze();
    server.clock.advance_seconds(3700);
    // The answer is in the journal, and its tokens are not yet in the grant.
    sql::block(&server, "UPDATE OF generation ON grants");
    assert_ne!(server.token(&grant).await.status, 200);
    sql::unblock(&server);
    assert_eq!(server.mock.seen().token.len(), 2, "the provider has answered");
    let statement = |account: &str| format!("UPDATE grants SET account_identifier = '{account}'");
    let account = sql::text(&server, "SELECT account_identifier FROM grants");
    sql::run(&server, &statement("mallory@example.com"), []);
    server.clock.advance_seconds(61);
    refresh::sweep(&server.flows).await.unwrap();
    assert_eq!(server.token(&grant).await.error(), "provider_configuration_unavailable");
    assert_eq!(sql::number(&server, "SELECT generation FROM grants"), 1, "nothing was sealed for this row");

    sql::run(&server, &statement(&account), []);
    refresh::sweep(&server.flows).await.unwrap();
    assert_eq!(sql::number(&server, "SELECT generation FROM grants"), 2);
    assert_eq!(server.token(&grant).await.status, 200);
}

#[tokio::test]
async fn t90_tokens_from_before_are_bound_at_the_start_and_never_unbound_again() {
    let server = TestServer::start().await;
    let grant = connected(&server).await;
    let bound = sql::number(&server, "SELECT length(access_token) FROM grants");
    unbind(&server, &server.app, &grant).await;
    assert_eq!(server.token(&grant).await.status, 200, "as a server before this one stored it");
    assert_eq!(grants::bind_tokens(&server.flows).await.unwrap(), 3, "access, refresh and id token");
    assert_eq!(grants::bind_tokens(&server.flows).await.unwrap(), 0);
    assert_eq!(server.token(&grant).await.status, 200);
    refused_while(&server, &grant, "account_identifier", "mallory@example.com").await;

    // What the fifth byte says is authenticated: nobody makes an unbound value of a bound one.
    let version = if server.postgres().is_some() {
        "UPDATE grants SET access_token = set_byte(access_token, 4, 1)"
    } else {
        "UPDATE grants SET access_token = CAST(substr(access_token, 1, 4) || X'01' || substr(access_token, 6) AS BLOB)"
    };
    assert_eq!(sql::run(&server, version, []), 1);
    assert_eq!(sql::number(&server, "SELECT length(access_token) FROM grants"), bound);
    assert_eq!(server.token(&grant).await.status, 500);
    assert_eq!(grants::bind_tokens(&server.flows).await.unwrap(), 0, "and none is bound anew");
}
