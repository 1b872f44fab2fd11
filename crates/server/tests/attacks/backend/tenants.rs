//! One app and another: foreign ids, foreign keys, foreign hosts (T10, T72, T74, T81).

use alter_core::{GrantId, SystemRandom, token::mint_session_token};
use alter_testkit::{TestBrowser, TestServer};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{POLL, grant, second_app, wanted};

#[tokio::test]
async fn t72_an_id_of_another_app_answers_with_the_bytes_of_one_that_is_not_there() {
    let server = TestServer::start().await;
    let other = second_app(&server).await;
    let mine = grant(&server).await;
    let token = server.mint(&json!({})).await;
    let no_grant = GrantId::new(&SystemRandom).to_string();
    let no_session = mint_session_token(&SystemRandom).expose_secret().to_owned();
    // Route, an id of the test app, an id that does not exist, the request.
    type Body<'a> = &'a dyn Fn(&str) -> serde_json::Value;
    let token_body = |id: &str| wanted(&server, id);
    let blocked_body =
        |id: &str| json!({ "grant_id": id, "request": { "method": "GET", "url": "https://evil.example/" } });
    let poll_body = |id: &str| json!({ "session_token": id });
    let routes: [(&str, &str, &str, Body<'_>); 3] = [
        ("/sdk/token", &mine, &no_grant, &token_body),
        ("/sdk/token", &mine, &no_grant, &blocked_body),
        (POLL, &token, &no_session, &poll_body),
    ];
    for (route, known, unknown, body) in routes {
        let ask = async |id: &str| server.send(server.signed(&other.key, route, &body(id))).await;
        let (foreign, missing) = (ask(known).await, ask(unknown).await);
        assert_eq!(foreign.status, 404, "{route}: {}", foreign.text());
        assert_eq!(foreign.fingerprint(), missing.fingerprint(), "{route}");
    }
    assert_eq!(server.token(&mine).await.status, 200, "control: its own app");
    let polled = server.call(POLL, &json!({ "session_token": token })).await;
    assert_eq!(polled.status, 200, "control: its own app");
}

#[tokio::test]
async fn t74_a_grant_id_is_no_authority() {
    let server = TestServer::start().await;
    let (mine, other) = (grant(&server).await, second_app(&server).await);
    let with_other = server.send(server.signed(&other.key, "/sdk/token", &wanted(&server, &mine))).await;
    assert_eq!((with_other.status, with_other.error().as_str()), (404, "grant_not_found"));
    assert!(!with_other.text().contains(&mine) && !with_other.text().contains("mock"));
    let body = wanted(&server, &mine).to_string();
    let nobody = alter_testkit::Sent::new("POST", "/sdk/token").body(body.as_bytes());
    assert_eq!(server.send(nobody).await.status, 401);
    let token = server.mint(&json!({})).await;
    let session = alter_testkit::Sent::new("POST", "/sdk/token").header("x-api-key", &token).body(body);
    assert_eq!(server.send(session).await.status, 401, "a session token is no key");
    for id in [
        mine.to_uppercase(),
        mine.replace('-', ""),
        format!("{{{mine}}}"),
        format!("{mine} "),
        "' OR '1'='1".into(),
        String::new(),
    ] {
        let reply = server.call("/sdk/token", &wanted(&server, &id)).await;
        assert_eq!(reply.status, 400, "{id:?}");
    }
    let released = server.store.list_audit(other.id, 100).await.unwrap();
    assert!(released.iter().all(|(kind, _)| kind != "token_released"));
    assert_eq!(server.token(&mine).await.status, 200, "control");
    let version: Vec<char> = mine.chars().collect();
    assert_eq!(version[14], '4', "a random UUID: {mine}");
}

#[tokio::test]
async fn t72_two_apps_with_the_same_account_have_two_grants() {
    let server = TestServer::start().await;
    let (mine, other) = (grant(&server).await, second_app(&server).await);
    let (token, mut browser) = (server.mint_for(&other, &json!({})).await, TestBrowser::new());
    let (_, callback) = browser.up_to_callback(&server, &other, &token).await;
    browser.get(&server, &callback).await;
    let polled =
        server.send(server.signed(&other.key, POLL, &json!({ "session_token": token }))).await.json();
    let theirs = polled["grants"][0]["grant_id"].as_str().expect("the second app connected").to_owned();
    assert_ne!(mine, theirs);
    assert_eq!(polled["grants"][0]["operation"], "creation", "not a renewal of the other app's");
    let cross = server.send(server.signed(&other.key, "/sdk/token", &wanted(&server, &mine))).await;
    assert_eq!(cross.status, 404);
    let own = server.send(server.signed(&other.key, "/sdk/token", &wanted(&server, &theirs))).await;
    assert_eq!(own.status, 200);
    assert_ne!(own.json()["access_token"], server.token(&mine).await.json()["access_token"]);
}

#[tokio::test]
async fn t81_a_token_is_released_for_the_providers_own_hosts_alone() {
    let server = TestServer::start().await;
    let grant = grant(&server).await;
    let host = server.mock.issuer().trim_start_matches("http://").to_owned();
    let port: u16 = host.rsplit(':').next().unwrap().parse().unwrap();
    let ask = async |url: &str| {
        let body = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
        server.call("/sdk/token", &body).await
    };
    let bad = [
        "https://evil.example/".to_owned(),
        format!("http://{host}.evil.example/"),
        format!("http://{host}@evil.example/"),
        format!("http://evil.example\\@{host}/"),
        format!("http://evil.example#@{host}/"),
        format!("http://evil.example?@{host}/"),
        format!("http://user@{host}/"),
        format!("http://user:pw@{host}/"),
        format!("http://:@{host}/x@"),
        format!("http://127.0.0.1:{}/", port ^ 1),
        "http://127.0.0.1/".into(),
        format!("https://127.0.0.2:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.1.:{port}.evil.example/"),
        format!("ftp://{host}/"),
        format!("ws://{host}/"),
        format!("//{host}/"),
        host.clone(),
        "/api/me".into(),
        String::new(),
        "javascript:alert(1)".into(),
        "data:text/plain,x".into(),
        format!("http://evil.example/http://{host}/"),
        format!("http://evil.example:{port}/"),
        format!("http://127.0.0.1%2eevil.example:{port}/"),
        format!("file://{host}/"),
        "http://".into(),
        format!("http://0.0.0.0:{port}/"),
    ];
    for url in &bad {
        let reply = ask(url).await;
        assert_eq!(
            (reply.status, reply.error().as_str()),
            (422, "blocked_destination"),
            "{url}: {}",
            reply.text()
        );
        assert!(!reply.text().contains("access_token"), "{url}");
        assert!(reply.text().contains(&host), "the hosts that are allowed are named: {}", reply.text());
    }
    let audit = server.store.list_audit(server.app.id, 500).await.unwrap();
    assert!(audit.iter().all(|(kind, _)| kind != "token_released"), "a refusal was recorded as a release");
    for url in [
        format!("http://{host}/api/me"),
        format!("http://{host}/api/me?x=@evil.example"),
        format!("http://{host}"),
    ] {
        assert_eq!(ask(&url).await.status, 200, "{url}");
    }
}

#[tokio::test]
async fn t10_a_provider_configured_on_one_app_is_nothing_to_another() {
    let server = TestServer::start().await;
    let other = second_app(&server).await;
    server.add_provider(&server.app, "only-mine", |_| {}).await;
    let body = json!({ "allowed_providers": ["only-mine"] });
    let reply = server.send(server.signed(&other.key, super::MINT, &body)).await;
    assert_eq!((reply.status, reply.error().as_str()), (400, "no_providers"));
    assert!(!reply.text().contains("only-mine"), "{}", reply.text());
    assert_eq!(server.call(super::MINT, &body).await.status, 201, "control");
}
