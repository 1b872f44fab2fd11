//! No secret in the server's URLs and pages (T43), and no secret leaves without its audit entry (T97).

use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::sql;

#[tokio::test]
async fn t97_no_token_leaves_while_the_audit_cannot_be_written() {
    let server = TestServer::start_sqlite().await;
    let attempt = TestBrowser::new().attempt(&server, "mock").await;
    let grant = attempt.grant_id();
    let entries = || sql::count(&server, "audit WHERE kind = 'token_released'");
    let token = server.token(grant).await.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(entries(), 1, "positive control: a release has its entry");

    for event in ["INSERT ON audit", "INSERT ON audit_heads"] {
        sql::block(&server, event);
        for _ in 0..3 {
            let refused = server.token(grant).await;
            assert_eq!(refused.status, 503, "{event}: {}", refused.text());
            assert_eq!(refused.error(), "service_unavailable");
            let text = refused.text();
            assert!(!text.contains(&token) && !text.contains("blocked by the test"), "{text}");
            assert!(!format!("{:?}", refused.headers).contains(&token));
        }
        sql::unblock(&server);
        assert_eq!(entries(), 1, "{event}");
    }
    // Even the nonce is not used up: the same request passes once the audit is back.
    let url = server.mock.url("/api/me");
    let body = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
    let request = server.signed(&server.app.key, "/sdk/token", &body);
    sql::block(&server, "INSERT ON audit");
    assert_eq!(server.send(request.clone()).await.status, 503);
    sql::unblock(&server);
    let released = server.send(request.clone()).await;
    assert_eq!(released.json()["access_token"], token.as_str(), "{}", released.text());
    assert_eq!(entries(), 2);
    assert_eq!(server.send(request).await.status, 401, "and it passes once");
    assert_eq!(entries(), 2);
}

#[tokio::test]
async fn t97_no_grant_is_announced_while_the_audit_cannot_be_written() {
    let server = TestServer::start_sqlite().await;
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(&server, &server.app, "mock").await;
    sql::block(&server, "INSERT ON audit");
    browser.come_back(&server, &server.app, &mut attempt).await;
    assert_eq!(attempt.status["status"], "open", "{}", attempt.status);
    assert_eq!(sql::count(&server, "grants"), 0);
    sql::unblock(&server);
    TestBrowser::new().attempt(&server, "mock").await.connection();
}

/// Everything that a flow makes public: URLs, pages, headers.
struct Public(Vec<(String, String)>);

impl Public {
    fn add(&mut self, what: &str, reply: &Reply) {
        self.0.push((format!("{what}: headers"), format!("{:?}", without_cookies(reply))));
        self.0.push((format!("{what}: body"), reply.text()));
    }

    fn has_no(&self, name: &str, secret: &str) {
        for (what, text) in &self.0 {
            assert!(!text.contains(secret), "{name} in {what}: {text}");
        }
    }
}

fn without_cookies(reply: &Reply) -> Vec<(String, String)> {
    let headers = reply.headers.iter().filter(|(name, _)| *name != "set-cookie");
    headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect()
}

#[tokio::test]
async fn t43_no_url_and_no_page_of_a_flow_carries_a_token() {
    let server = TestServer::start_sqlite().await;
    let minted = server.send(server.signed(&server.app.key, "/sdk/oauth/connect/session", &json!({}))).await;
    let token = minted.json()["session_token"].as_str().unwrap().to_owned();
    let connect = minted.json()["connect_url"].as_str().unwrap().to_owned();
    let connect = url::Url::parse(&connect).unwrap();
    assert_eq!(connect.query(), None, "never sent to any server");
    assert_eq!(
        connect.fragment(),
        Some(format!("session={token}").as_str()),
        "positive control: it has the token"
    );

    let mut public = Public(Vec::new());
    let mut browser = TestBrowser::new();
    public.add("shell", &server.get(connect.path()).await);
    public.add("refused", &browser.open(&server, &token, Some("https://evil.example")).await);
    let opened = browser.open(&server, &token, Some(&server.app.origin)).await;
    assert_eq!(opened.status, 303);
    public.add("opened", &opened);
    let sid = alter_testkit::browser::sid_of(opened.header("location"));
    public.add("page after the claim", &browser.get(&server, opened.header("location")).await);
    server.status(&token, &server.app.origin, json!({})).await;
    let page = format!("/connect/s/{sid}");
    public.add("consent", &browser.get(&server, &page).await);
    public.add("other browser", &TestBrowser::new().open(&server, &token, Some(&server.app.origin)).await);
    let approve = json!({ "provider": "mock" });
    let approved = browser.post(&server, &format!("/connect/api/s/{sid}/approve"), &approve).await;
    public.add("approved", &approved);
    let authorize = approved.json()["location"].as_str().unwrap().to_owned();
    let callback = browser.at_provider(&authorize).await;
    let back = browser.get(&server, &callback).await;
    assert_eq!((back.status, back.header("location")), (303, page.as_str()));
    assert_eq!(back.header("referrer-policy"), "no-referrer");
    public.add("callback", &back);
    public.add("done", &browser.get(&server, &page).await);
    public.add("callback again", &browser.get(&server, &callback).await);
    public.add("callback elsewhere", &TestBrowser::new().get(&server, &callback).await);
    let status = server.status(&token, &server.app.origin, json!({})).await;
    assert_eq!(status.json()["status"], "completed", "positive control: {}", status.text());
    public.add("status", &status);
    let poll = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await;
    public.add("poll", &poll);
    let query = Sent::new("GET", &format!("/sdk/oauth/connect?session={token}"));
    public.add("a token in the query", &server.send(query).await);

    let grant = status.json()["connections"][0]["grant_id"].as_str().unwrap().to_owned();
    let access = server.token(&grant).await.json()["access_token"].as_str().unwrap().to_owned();
    let seen = server.mock.seen();
    public.has_no("session token", &token);
    public.has_no("access token", &access);
    public.has_no("refresh token", "mock_rt_");
    public.has_no("id_token", "eyJ");
    public.has_no("verifier", seen.token[0].field("code_verifier").unwrap());
    public.has_no("code", seen.token[0].field("code").unwrap());
    public.has_no("client secret", alter_testkit::server::CLIENT_SECRET);
    public.has_no("API key", server.app.key.expose_secret());
    public.has_no("browser key", browser.cookie().split_once('=').unwrap().1);
    public.add("planted", &server.token(&grant).await);
    assert!(public.0.iter().any(|(_, text)| text.contains(&access)), "positive control: the scan sees");
}
