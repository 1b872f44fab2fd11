//! The legitimate flow, from session to token: the positive control of all attack tests.

use alter_testkit::{TestBrowser, TestServer};
use serde_json::json;

#[tokio::test]
async fn the_whole_flow_ends_in_a_token_for_the_backend() {
    let server = TestServer::start().await;
    let connection = TestBrowser::new().connect(&server).await;
    assert_eq!(connection["provider"], "mock");
    assert_eq!(connection["operation"], "creation");
    assert_eq!(connection["status"], "active");

    let released = server.token(connection["grant_id"].as_str().unwrap()).await;
    assert_eq!(released.status, 200, "{}", released.text());
    assert_eq!(released.json()["provider_id"], "mock");
    assert!(released.json()["access_token"].as_str().is_some_and(|t| t.len() > 10));
}

#[tokio::test]
async fn connecting_the_same_account_again_keeps_the_grant() {
    let server = TestServer::start().await;
    let first = TestBrowser::new().connect(&server).await;
    let second = TestBrowser::new().connect(&server).await;
    assert_eq!(first["grant_id"], second["grant_id"]);
    assert_eq!(second["operation"], "reauth");
}

#[tokio::test]
async fn the_backend_learns_by_polling_what_the_page_learns_by_status() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let body = json!({ "session_token": token });
    let poll = || server.call("/sdk/oauth/connect/session/poll", &body);
    assert_eq!(poll().await.json()["status"], "pending");
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    browser.get(&server, &callback).await;
    let polled = poll().await.json();
    assert_eq!(polled["status"], "completed");
    assert_eq!(polled["grants"][0]["provider_id"], "mock");
    assert_eq!(polled["grants"][0]["operation"], "creation");
}

#[tokio::test]
async fn t15_the_same_account_at_two_apps_or_two_providers_makes_separate_grants() {
    let server = TestServer::start().await;
    let first = TestBrowser::new().connect(&server).await;

    let mut settings = alter_core::AppSettings::named("Second App");
    settings.website_url = Some("https://second.example".into());
    let second_app = server.add_app(settings).await;
    let token = server.mint_for(&second_app, &json!({})).await;
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&server, &second_app, &token).await;
    browser.get(&server, &callback).await;
    let elsewhere =
        server.status(&token, &second_app.origin, json!({})).await.json()["connections"][0].clone();
    assert_eq!(elsewhere["operation"], "creation");
    assert_ne!(first["grant_id"], elsewhere["grant_id"]);

    server.add_provider(&server.app, "other", |_| {}).await;
    let token = server.mint(&json!({ "allowed_providers": ["other"] })).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    let authorize = browser.approve(&server, &sid, "other").await;
    let callback = browser.at_provider(&authorize).await;
    browser.get(&server, &callback).await;
    let other = server.status(&token, &server.app.origin, json!({})).await.json()["connections"][0].clone();
    assert_eq!(other["operation"], "creation");
    assert_ne!(first["grant_id"], other["grant_id"]);
    assert_eq!(
        first["account_identifier"], other["account_identifier"],
        "it is the same account at the mock"
    );
}
