//! The stored attempt, and nothing else, decides to which app, provider and session a response belongs.

use alter_core::AppSettings;
use alter_mock_provider::MockProvider;
use alter_testkit::{Sent, TestApp, TestBrowser, TestServer};
use serde_json::json;

use super::{Away, audit, grants, page_of, param, query, token_requests};

/// An app of a hostile operator, whose provider `evil` has its endpoints at a server of his.
async fn hostile_app(server: &TestServer, evil: &MockProvider) -> TestApp {
    let mut settings = AppSettings::named("Hostile App");
    settings.website_url = Some("https://hostile.example".into());
    let app = server.add_app(settings).await;
    add_evil(server, evil, &app).await;
    app
}

/// Gives an app the provider `evil`.
pub(crate) async fn add_evil(server: &TestServer, evil: &MockProvider, app: &TestApp) -> String {
    server
        .add_provider(app, "evil", |recipe| {
            recipe.authorize_url = evil.url("/authorize");
            recipe.token_url = evil.url("/token");
            recipe.userinfo_url = Some(evil.url("/userinfo"));
            // No issuer, so that it is not `iss` that saves the victim.
            (recipe.issuer, recipe.jwks_url, recipe.iss_parameter) = (None, None, false);
            recipe.default_scopes = vec!["profile".into()];
        })
        .await
}

/// The evil authorization endpoint's redirect: the same request to the honest provider, as the honest client.
pub(crate) fn bounced(server: &TestServer, authorize: &str) -> String {
    let pairs = [
        ("response_type", "code"),
        ("client_id", &format!("client-{}-mock", server.app.id)),
        ("redirect_uri", &server.app.callback),
        ("scope", "openid email profile"),
        ("state", &param(authorize, "state")),
        ("code_challenge", &param(authorize, "code_challenge")),
        ("code_challenge_method", "S256"),
    ];
    format!("{}?{}", server.mock.url("/authorize"), query(&pairs))
}

#[tokio::test]
async fn t09_a_code_bounced_from_an_honest_provider_never_reaches_the_evil_token_endpoint() {
    let server = TestServer::start().await;
    let evil = MockProvider::start().await;
    let hostile = hostile_app(&server, &evil).await;
    add_evil(&server, &evil, &server.app).await;
    // Across two apps, and across two providers of one app.
    for app in [hostile, server.app.clone()] {
        let token = server.mint_for(&app, &json!({ "allowed_providers": ["evil"] })).await;
        let mut victim = TestBrowser::new();
        let sid = victim.claim(&server, &app, &token).await;
        let authorize = victim.approve(&server, &sid, "evil").await;
        assert!(authorize.starts_with(&evil.url("/authorize")));

        let callback = victim.at_provider(&bounced(&server, &authorize)).await;
        assert!(server.app.callback.ends_with(callback.split('?').next().unwrap()));
        let reply = victim.get(&server, &callback).await;
        assert_eq!(reply.header("location"), page_of(&sid));
        let code = param(&callback, "code");
        assert!(!code.is_empty());
        let at_evil = evil.seen();
        assert!(at_evil.token.is_empty() && at_evil.userinfo.is_empty() && at_evil.other.is_empty());
        assert_eq!(token_requests(&server), 0, "nor is it spent anywhere else");
        let status = server.status(&token, &app.origin, json!({})).await.json();
        assert_eq!(status["error"], "oauth_provider_error", "{status}");
        // Burned: another try does not help.
        victim.get(&server, &callback).await;
        assert_eq!((evil.seen().token.len(), token_requests(&server)), (0, 0));
    }
    // Positive control: the evil provider itself works like any other, and so does the honest one.
    evil.set(|switches| switches.auto_approve = true);
    let callback = server.add_provider(&server.app, "mock", |_| {}).await;
    assert_eq!(callback, server.app.callback, "configured again, the callback stays");
    let token = server.mint(&json!({ "allowed_providers": ["mock"] })).await;
    let (_, callback) = {
        let mut user = TestBrowser::new();
        let (sid, callback) = user.up_to_callback(&server, &server.app, &token).await;
        assert_eq!(user.get(&server, &callback).await.status, 303);
        (sid, callback)
    };
    let spent = server.mock.seen();
    assert_eq!(spent.token.len(), 1);
    assert_eq!(spent.token[0].field("code"), Some(param(&callback, "code").as_str()));
    assert!(evil.seen().token.is_empty());
}

#[tokio::test]
async fn t09_a_callback_on_another_configurations_path_is_aborted() {
    let server = TestServer::start().await;
    let other = server.add_provider(&server.app, "other", |_| {}).await;
    let foreign = {
        let mut settings = AppSettings::named("Second App");
        settings.website_url = Some("https://second.example".into());
        server.add_app(settings).await.callback
    };
    let unknown = format!("{}/oauth/callback/pc_{}", server.public_url, "a".repeat(26));
    let (before, id) = server.app.callback.rsplit_once('/').expect("a path");
    let upper = format!("{before}/{}", id.to_uppercase());
    for url in [other, foreign, unknown, upper] {
        let token = server.mint(&json!({ "allowed_providers": ["mock"] })).await;
        let mut browser = TestBrowser::new();
        let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
        let path = url.trim_start_matches(&server.public_url);
        let moved = callback.replace(callback.split('?').next().unwrap(), path);
        assert_ne!(moved, callback);
        assert_eq!(browser.get(&server, &moved).await.header("location"), page_of(&sid));
        let status = server.status(&token, &server.app.origin, json!({})).await.json();
        assert_eq!(status["error"], "oauth_provider_error", "{url}: {status}");
        browser.get(&server, &callback).await;
        assert_eq!(token_requests(&server), 0);
    }
    // Paths that only look like the right one.
    let mut away = {
        let token = server.mint(&json!({ "allowed_providers": ["mock"] })).await;
        let mut browser = TestBrowser::new();
        let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
        Away { browser, token, sid, callback }
    };
    let right = away.path().to_owned();
    for path in [format!("{right}/"), format!("{right}/x"), right.replace("/oauth/", "//oauth/")] {
        let callback = away.callback.replace(&right, &path);
        let reply = away.browser.get(&server, &callback).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.status);
    }
    away.completes(&server).await;
}

#[tokio::test]
async fn t10_a_tenant_cannot_name_another_tenants_provider_configuration() {
    let server = TestServer::start().await;
    let mut settings = AppSettings::named("Tenant B");
    settings.website_url = Some("https://b.example".into());
    let tenant_b = server.add_app(settings).await;
    let only_a = server.add_provider(&server.app, "only-a", |_| {}).await;
    let config_id = only_a.rsplit('/').next().unwrap().to_owned();

    // By its id or its configuration id: the answer is "unknown", and says nothing about what A has.
    for name in ["only-a", config_id.as_str(), "ONLY-A"] {
        let body = json!({ "allowed_providers": [name] });
        let reply = server.send(server.signed(&tenant_b.key, "/sdk/oauth/connect/session", &body)).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "no_providers"), "{}", reply.text());
        assert_eq!(reply.json()["details"]["configured"], json!(["mock"]));
    }
    // Not on the pages of B's session, and not by their API.
    server.add_provider(&tenant_b, "also-b", |_| {}).await;
    let token =
        server.mint_for(&tenant_b, &json!({ "allowed_providers": ["mock", "also-b", "only-a"] })).await;
    let mut user = TestBrowser::new();
    let sid = user.claim(&server, &tenant_b, &token).await;
    let picker = user.get(&server, &page_of(&sid)).await.text();
    assert!(picker.contains("also-b") && !picker.contains("only-a"), "{picker}");
    for (step, provider) in [("select", "only-a"), ("approve", "only-a"), ("select", &config_id)] {
        let target = format!("/connect/api/s/{sid}/{step}");
        let reply = user.post(&server, &target, &json!({ "provider": provider })).await;
        assert!(reply.status >= 400 && reply.json()["location"].is_null(), "{step}: {}", reply.text());
    }
    // B's answer on A's callback path is not exchanged with A's client.
    let target = format!("/connect/api/s/{sid}/select");
    assert_eq!(user.post(&server, &target, &json!({ "provider": "mock" })).await.status, 200);
    let authorize = user.approve(&server, &sid, "mock").await;
    let callback = user.at_provider(&authorize).await;
    let path = callback.split('?').next().unwrap();
    let on_a = callback.replace(path, only_a.trim_start_matches(&server.public_url));
    user.get(&server, &on_a).await;
    assert_eq!(token_requests(&server), 0);
    // With B's key, A's sessions do not exist.
    let of_a = server.mint(&json!({})).await;
    let body = json!({ "session_token": of_a });
    let polled = server.send(server.signed(&tenant_b.key, "/sdk/oauth/connect/session/poll", &body)).await;
    assert_eq!((polled.status, polled.error().as_str()), (404, "invalid_token"));

    // Positive control: the owner connects it.
    let token = server.mint(&json!({ "allowed_providers": ["only-a"] })).await;
    let mut owner = TestBrowser::new();
    let sid = owner.claim(&server, &server.app, &token).await;
    let authorize = owner.approve(&server, &sid, "only-a").await;
    let callback = owner.at_provider(&authorize).await;
    owner.get(&server, &callback).await;
    assert_eq!((grants(&server, &server.app).await, grants(&server, &tenant_b).await), (1, 0));
}

#[tokio::test]
async fn t11_a_callback_that_names_another_session_does_not_get_there() {
    let server = TestServer::start().await;
    server.mock.set(|switches| switches.auto_user = Some("acme-1002".into()));
    let attacker = Away::start(&server).await;
    server.mock.set(|switches| switches.auto_user = None);
    let mut victim = Away::start(&server).await;

    // The attacker's account in the victim's browser, with a query that names the victim's session and token.
    let mut forged = attacker.callback.clone();
    for name in ["sid", "session", "session_id", "s"] {
        forged.push_str(&format!("&{name}={}", victim.sid));
    }
    forged.push_str(&format!("&session_token={}&token={}", victim.token, victim.token));
    let reply = victim.browser.get(&server, &forged).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(audit(&server).await[0], "browser_mismatch");
    attacker.stays_burned(&server).await;

    assert_eq!(victim.status(&server).await["status"], "open");
    victim.completes(&server).await;
    let grants = server.grants(server.app.id).await;
    assert_eq!(grants.iter().map(|g| g.subject.as_str()).collect::<Vec<_>>(), ["acme-1001"]);
}

#[tokio::test]
async fn t11_parameters_of_the_callback_change_neither_app_nor_session_nor_provider() {
    let server = TestServer::start().await;
    let mut settings = AppSettings::named("Second App");
    settings.website_url = Some("https://second.example".into());
    let second = server.add_app(settings).await;

    // One browser in two flows at once.
    let first = Away::start(&server).await;
    let token = server.mint_for(&second, &json!({})).await;
    let mut browser = first.browser.clone();
    let (sid, callback) = browser.up_to_callback(&server, &second, &token).await;

    let mut pushed = first.callback.clone();
    let second_app = second.id.to_string();
    for name in ["app", "app_id", "tenant", "user", "principal", "user_token", "grant_id", "agent"] {
        pushed.push_str(&format!("&{name}={second_app}"));
    }
    pushed.push_str(&format!("&sid={sid}&provider=other&config_id=pc_{}&level=L3", "a".repeat(26)));
    pushed.push_str("&redirect_uri=https%3A%2F%2Fevil.example%2F&return_url=https%3A%2F%2Fevil.example%2F");
    let sent = Sent::new("GET", &pushed)
        .header("x-alter-app", &second_app)
        .header("x-forwarded-host", "evil.example");
    let reply = browser.send(&server, sent).await;
    assert_eq!(reply.header("location"), page_of(&first.sid));
    assert_eq!((grants(&server, &server.app).await, grants(&server, &second).await), (1, 0));
    assert_eq!(server.status(&token, &second.origin, json!({})).await.json()["status"], "open");

    assert_eq!(browser.get(&server, &callback).await.header("location"), page_of(&sid));
    assert_eq!((grants(&server, &server.app).await, grants(&server, &second).await), (1, 1));
}
