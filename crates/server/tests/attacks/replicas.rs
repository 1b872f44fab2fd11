//! Two servers on one PostgreSQL database, behind any load balancer: F61, T61 and T98 across both. These tests need two
//! servers; the others run on PostgreSQL too, with `ALTER_TEST_ENGINE=postgres`.

use std::sync::Arc;

use alter_flows::operate;
use alter_testkit::{Reply, Sent, TestBrowser, TestServer, browser::sid_of, http::send, operator};
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";

/// A server, and the address of a second one on the same database.
async fn two() -> (TestServer, String) {
    let server = TestServer::start_postgres().await;
    server.set_idp(&server.app, Some(AUDIENCE)).await;
    let (_flows, second) = server.replica(None).await;
    (server, second)
}

/// Sends a request to the second server, with the first server's `Host`.
async fn at(second: &str, server: &TestServer, sent: Sent) -> Reply {
    send(second, sent.header("host", &server.host)).await
}

fn page_post(server: &TestServer, browser: &TestBrowser, target: &str, body: &Value) -> Sent {
    Sent::new("POST", target)
        .header("origin", &server.public_url)
        .header("content-type", "application/json")
        .header("cookie", &browser.cookie())
        .body(body.to_string())
}

#[tokio::test]
async fn f61_minted_on_one_claimed_on_the_other_called_back_on_the_first_and_polled_on_the_other() {
    let (server, second) = two().await;
    let app = server.app.clone();
    server.add_agent(&app, "helper").await;
    let user = server.mock.user_token("acme-1001", AUDIENCE);
    let token = server.mint(&json!({ "user_token": user, "agent": "helper" })).await;

    let mut browser = TestBrowser::new();
    let (_, cb) = TestBrowser::flow_id();
    let form = Sent::new("POST", "/connect/open")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", &app.origin)
        .body(format!("session={token}&cb={cb}&m=p"));
    let claimed = at(&second, &server, form).await;
    assert_eq!(claimed.status, 303, "{}", claimed.text());
    for line in claimed.cookies() {
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        browser.set_cookie(name, value);
    }
    let sid = sid_of(claimed.header("location"));
    let status = server.status(&token, &app.origin, json!({ "cb": cb })).await;
    assert_eq!(status.json()["status"], "open", "{}", status.text());
    let target = format!("/connect/api/s/{sid}/approve");
    let approved =
        at(&second, &server, page_post(&server, &browser, &target, &json!({ "provider": "mock" }))).await;
    assert_eq!(approved.status, 200, "{}", approved.text());
    let callback = browser.at_provider(approved.json()["location"].as_str().unwrap()).await;
    let back = browser.get(&server, &callback).await;
    assert_eq!(back.status, 303, "{}", back.text());

    let poll = server.signed(&app.key, "/sdk/oauth/connect/session/poll", &json!({ "session_token": token }));
    let polled = at(&second, &server, poll).await.json();
    assert_eq!(polled["status"], "completed", "{polled}");
    let wanted = json!({ "grant_id": polled["grants"][0]["grant_id"],
                         "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    for reply in [
        server.call("/sdk/token", &wanted).await,
        at(&second, &server, server.signed(&app.key, "/sdk/token", &wanted)).await,
    ] {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(server.mock.seen().token_by_grant_type("authorization_code").len(), 1);
}

#[tokio::test]
async fn t61_the_same_signed_call_counts_at_one_of_two_replicas() {
    let (server, second) = two().await;
    let (server, second) = (Arc::new(server), Arc::new(second));
    for round in 0..20 {
        let sent = server.signed(&server.app.key, "/sdk/oauth/connect/session", &json!({}));
        let here = {
            let (server, sent) = (server.clone(), sent.clone());
            tokio::spawn(async move { server.send(sent).await.status })
        };
        let there = {
            let (server, second) = (server.clone(), second.clone());
            tokio::spawn(async move { at(&second, &server, sent).await.status })
        };
        let mut statuses = [here.await.unwrap(), there.await.unwrap()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 401], "round {round}");
    }
}

#[tokio::test]
async fn t17_a_callback_that_reaches_both_replicas_at_once_is_exchanged_once() {
    let (server, second) = two().await;
    let app = server.app.clone();
    for _ in 0..5 {
        let before = server.mock.seen().token.len();
        let token = server.mint(&json!({})).await;
        let mut browser = TestBrowser::new();
        let (_, callback) = browser.up_to_callback(&server, &app, &token).await;
        let sent = || Sent::new("GET", &callback).header("cookie", &browser.cookie());
        let (here, there) = tokio::join!(server.send(sent()), at(&second, &server, sent()));
        assert_eq!((here.status, there.status), (303, 303));
        assert_eq!(here.header("location"), there.header("location"));
        assert_eq!(server.mock.seen().token.len(), before + 1);
    }
}

#[tokio::test]
async fn t98_what_one_replica_revoked_the_other_does_not_release() {
    let (server, second) = two().await;
    let app = server.app.clone();
    let made = TestBrowser::new().connect(&server).await;
    let grant = made["grant_id"].as_str().unwrap();
    let wanted =
        json!({ "grant_id": grant, "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    let there = async || at(&second, &server, server.signed(&app.key, "/sdk/token", &wanted)).await;
    assert_eq!(there().await.status, 200, "control");
    let revoked = server.call(&format!("/sdk/oauth/grants/{grant}/revoke"), &json!({})).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let refused = there().await;
    assert_eq!((refused.status, refused.error().as_str()), (403, "grant_revoked"));
    // A key that the operator revokes is refused at the second server too.
    let keys = server.store.list_keys(app.id).await.unwrap();
    assert!(operate::revoke_key(&server.flows, &operator(), app.id, keys[0].id).await.is_ok());
    assert_eq!(there().await.status, 401);
}
