//! Something dies between the provider's answer and ours (threats 4).

use alter_mock_provider::Gate;
use alter_testkit::{TestBrowser, TestServer};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::{Away, grants, page_of, token_requests};

#[tokio::test]
async fn f26_a_browser_that_disconnects_during_the_exchange_still_gets_its_grant() {
    let server = TestServer::start().await;
    let away = Away::start(&server).await;
    let gate = Gate::closed();
    server.mock.set(|switches| switches.token_gate = Some(gate.clone()));

    let port = server.host.rsplit(':').next().expect("a port");
    let mut stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let cookie = away.browser.cookie();
    let request =
        format!("GET {} HTTP/1.1\r\nhost: {}\r\ncookie: {cookie}\r\n\r\n", away.callback, server.host);
    stream.write_all(request.as_bytes()).await.unwrap();
    server.mock.wait_for(|seen| !seen.token.is_empty()).await;
    drop(stream);
    // There is one runtime thread: once it has answered these, it has seen the closed socket too.
    for _ in 0..20 {
        assert_eq!(server.get("/healthz").await.status, 200);
        tokio::task::yield_now().await;
    }
    assert_eq!(away.status(&server).await["status"], "open");
    gate.open();

    // Shutdown waits for exchanges in flight, so the grant is there when it returns.
    tokio::time::timeout(std::time::Duration::from_secs(30), server.flows.drain()).await.expect("it ends");
    let status = away.status(&server).await;
    assert_eq!(status["status"], "completed", "{status}");
    assert_eq!((token_requests(&server), grants(&server, &server.app).await), (1, 1));
    let grant_id = status["connections"][0]["grant_id"].as_str().expect("a grant").to_owned();
    assert_eq!(server.token(&grant_id).await.status, 200);
    // The user who opens the window again sees it too.
    let mut browser = away.browser.clone();
    assert_eq!(browser.get(&server, &away.callback).await.header("location"), page_of(&away.sid));
    let page = browser.get(&server, &page_of(&away.sid)).await;
    assert!(page.text().contains("alex@acme.example"), "{}", page.text());
    assert_eq!(token_requests(&server), 1);
}

#[tokio::test]
async fn f55_a_server_restarted_while_the_user_is_at_the_provider_takes_the_callback() {
    let mut server = TestServer::start().await;
    let away = Away::start(&server).await;
    server.restart().await;
    away.completes(&server).await;
    assert_eq!(grants(&server, &server.app).await, 1);
}

#[tokio::test]
async fn f55_a_restart_at_every_step_of_the_flow_changes_nothing() {
    let mut server = TestServer::start().await;
    let app = server.app.clone();
    let mut browser = TestBrowser::new();
    let token = server.mint(&json!({})).await;
    server.restart().await;
    let sid = browser.claim(&server, &app, &token).await;
    server.restart().await;
    let authorize = browser.approve(&server, &sid, "mock").await;
    let callback = browser.at_provider(&authorize).await;
    server.restart().await;
    // After a restart too, a foreign browser is foreign, and its error means nothing.
    let forged = callback.replace("code=", "error=");
    assert_eq!(TestBrowser::new().get(&server, &forged).await.status, 400);
    assert_eq!(browser.get(&server, &callback).await.header("location"), page_of(&sid));
    server.restart().await;
    assert_eq!(browser.get(&server, &callback).await.header("location"), page_of(&sid));
    let status = server.status(&token, &app.origin, json!({})).await.json();
    assert_eq!(status["status"], "completed", "{status}");
    assert_eq!(token_requests(&server), 1);
    let grant_id = status["connections"][0]["grant_id"].as_str().expect("a grant").to_owned();
    assert_eq!(server.token(&grant_id).await.status, 200);
}
