//! Hosts per customer: who fills a placeholder chooses among the provider's hosts and never another's (T81), and whatever a
//! browser brings chooses none.

use alter_core::{IdentitySource, Recipe, recipe::Parameter};
use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use serde_json::{Value, json};

use crate::sql;

/// A provider with a host for each customer, all of which are the mock.
fn at_customers(issuer: &str) -> impl FnOnce(&mut Recipe) + use<> {
    named(issuer, "subdomain")
}

/// The same with another name of the placeholder.
fn named(issuer: &str, name: &'static str) -> impl FnOnce(&mut Recipe) + use<> {
    let port = issuer.rsplit(':').next().unwrap().to_owned();
    move |recipe| {
        let at = |path: &str| format!("http://{{{name}}}.desk.localhost:{port}/{path}");
        let parameter = json!({ "description": "Your Desk subdomain", "example": "acme", "by": "customer" });
        let parameter: Parameter = serde_json::from_value(parameter).unwrap();
        recipe.parameters = [(name.to_owned(), parameter)].into();
        (recipe.authorize_url, recipe.token_url) = (at("authorize"), at("token"));
        (recipe.userinfo_url, recipe.revoke_url) = (Some(at("userinfo")), Some(at("revoke")));
        (recipe.issuer, recipe.jwks_url, recipe.iss_parameter) = (None, None, false);
        recipe.default_scopes = vec!["notes.read".into()];
        recipe.identity.from = IdentitySource::Userinfo;
        recipe.api_hosts = vec![format!("{{{name}}}.desk.localhost:{port}")];
    }
}

async fn desk() -> TestServer {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "desk", at_customers(&server.mock.issuer())).await;
    server
}

/// The address of a customer at the mock.
fn host(server: &TestServer, customer: &str) -> String {
    format!("{customer}.desk.localhost:{}", server.mock.issuer().rsplit(':').next().unwrap())
}

fn session(config: &Value) -> Value {
    json!({ "allowed_providers": ["desk"], "connection_config": { "desk": config } })
}

/// Connects at the customer that the app names.
async fn connected(server: &TestServer, customer: &str) -> Value {
    let token = server.mint(&session(&json!({ "subdomain": customer }))).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(server, &server.app, &token).await;
    finish(server, &mut browser, &token, &sid).await
}

async fn finish(server: &TestServer, browser: &mut TestBrowser, token: &str, sid: &str) -> Value {
    let authorize = browser.approve(server, sid, "desk").await;
    let callback = browser.at_provider(&authorize).await;
    assert_eq!(browser.get(server, &callback).await.status, 303);
    let status = server.status(token, &server.app.origin, json!({})).await.json();
    assert_eq!(status["status"], "completed", "{status}");
    status["connections"][0].clone()
}

/// Sends the form of the page that asks for the customer.
async fn say(server: &TestServer, browser: &mut TestBrowser, sid: &str, form: &str) -> Reply {
    let sent = Sent::new("POST", &format!("/connect/s/{sid}"))
        .header("origin", &server.public_url)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded");
    browser.send(server, sent.body(form)).await
}

async fn release(server: &TestServer, grant: &str, url: &str) -> Reply {
    let body = json!({ "grant_id": grant, "request": { "method": "GET", "url": url } });
    server.call("/sdk/token", &body).await
}

fn hosts(requests: &[alter_mock_provider::Recorded]) -> Vec<String> {
    requests.iter().map(|request| request.header("host").unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn t81_everything_goes_to_the_host_of_the_customer_that_the_app_named() {
    let server = desk().await;
    let made = connected(&server, "acme").await;
    let grant = made["grant_id"].as_str().unwrap();
    let acme = host(&server, "acme");
    let seen = server.mock.seen();
    assert_eq!((hosts(&seen.token), hosts(&seen.userinfo)), (vec![acme.clone()], vec![acme.clone()]));

    assert_eq!(release(&server, grant, &format!("http://{acme}/api/me")).await.status, 200);
    for other in [host(&server, "other"), host(&server, "{subdomain}"), host(&server, "a.acme")] {
        let refused = release(&server, grant, &format!("http://{other}/api/me")).await;
        assert_eq!((refused.status, refused.error()), (422, "blocked_destination".into()), "{other}");
    }
    server.clock.advance_seconds(4000);
    assert_eq!(release(&server, grant, &format!("http://{acme}/api/me")).await.status, 200);
    assert_eq!(hosts(&server.mock.seen().token), [acme.clone(), acme.clone()], "the refresh too");
    server.call(&format!("/sdk/oauth/grants/{grant}/revoke"), &json!({})).await;
    assert_eq!(hosts(&server.mock.seen().revoke), [acme]);
}

#[tokio::test]
async fn t81_an_app_cannot_name_anything_but_a_label_of_a_provider_that_the_session_offers() {
    let server = desk().await;
    for bad in
        ["", "evil.example", "evil.example/", "acme:80", "a@b", "ACME", "-a", "xn--a", "{subdomain}", "a b"]
    {
        let reply = server.call("/sdk/oauth/connect/session", &session(&json!({ "subdomain": bad }))).await;
        assert_eq!((reply.status, reply.error()), (400, "invalid_request".into()), "{bad:?}");
        assert_eq!(reply.json()["details"]["provider_id"], "desk", "{bad:?}");
    }
    for config in [
        json!({ "desk": { "shop": "acme" } }),
        json!({ "mock": { "subdomain": "acme" } }),
        json!({ "nobody": {} }),
    ] {
        let body = json!({ "allowed_providers": ["desk"], "connection_config": config });
        let reply = server.call("/sdk/oauth/connect/session", &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    }
    assert_eq!(server.mint(&session(&json!({ "subdomain": "acme" }))).await.len(), 58, "positive control");
}

#[tokio::test]
async fn a_person_says_where_the_account_is_without_the_script_and_sees_it_before_approving() {
    let server = desk().await;
    let token = server.mint(&json!({ "allowed_providers": ["desk"] })).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    let path = format!("/connect/s/{sid}");
    let page = browser.get(&server, &path).await;
    assert!(page.text().contains("Your Desk subdomain") && page.text().contains("<form"), "{}", page.text());
    assert!(page.text().contains("name=\"at.subdomain\""), "{}", page.text());
    assert_eq!(page.header("referrer-policy"), "same-origin", "or the form would have no Origin");
    let early = json!({ "provider": "desk" });
    let refused = browser.post(&server, &format!("/connect/api/s/{sid}/approve"), &early).await;
    assert_eq!((refused.status, refused.error()), (409, "step_moved".into()), "nobody has said where");

    for bad in ["evil.example", "http%3A%2F%2Fevil.example%2F", "a%40b", "", "%00", "acme.desk.localhost"] {
        let again = say(&server, &mut browser, &sid, &format!("provider=desk&at.subdomain={bad}")).await;
        assert_eq!(again.status, 400, "{bad}");
        assert!(again.text().contains("like acme") && again.text().contains("role=\"alert\""), "{bad}");
    }
    let unknown = say(&server, &mut browser, &sid, "provider=desk&at.host=evil").await;
    assert_eq!((unknown.status, unknown.header("location")), (303, path.as_str()), "it is not asked for");
    let taken = say(&server, &mut browser, &sid, "provider=desk&at.subdomain=+Acme+").await;
    assert_eq!((taken.status, taken.header("location")), (303, path.as_str()));
    let consent = browser.get(&server, &path).await.text();
    let shown = consent.replace("<wbr>", "");
    assert!(shown.contains(&host(&server, "acme")), "{shown}");

    // Nothing typed: it is asked anew, and what the page showed is not approved any more.
    let stale = json!({ "provider": "desk", "shown": alter_testkit::browser::shown_on(&consent) });
    assert_eq!(say(&server, &mut browser, &sid, "provider=desk").await.status, 303);
    assert!(browser.get(&server, &path).await.text().contains("<form"));
    say(&server, &mut browser, &sid, "provider=desk&at.subdomain=beta").await;
    let moved = browser.post(&server, &format!("/connect/api/s/{sid}/approve"), &stale).await;
    assert_eq!(moved.error(), "step_moved");
    let made = finish(&server, &mut browser, &token, &sid).await;
    assert_eq!(hosts(&server.mock.seen().token), [host(&server, "beta")], "{made}");
}

#[tokio::test]
async fn t49_the_form_is_taken_from_our_own_page_alone() {
    let server = desk().await;
    let token = server.mint(&json!({ "allowed_providers": ["desk"] })).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    let form = || {
        Sent::new("POST", &format!("/connect/s/{sid}"))
            .header("origin", &server.public_url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("provider=desk&at.subdomain=evil")
    };
    let (foreign, unread) = ((403, "did not come from our own page"), (400, "cannot be read"));
    for (what, (status, words), sent) in [
        ("no Origin", foreign, form().without("origin")),
        ("null", foreign, form().set("origin", "null")),
        ("the app's", foreign, form().set("origin", "https://app.example")),
        ("two", foreign, form().header("origin", "https://evil.example")),
        ("another site", foreign, form().header("sec-fetch-site", "cross-site")),
        ("a field twice", unread, form().body("provider=desk&at.subdomain=a&at.subdomain=b")),
        ("too long", unread, form().body(format!("provider={}", "a".repeat(10_000)))),
    ] {
        let reply = browser.send(&server, sent).await;
        assert_eq!(reply.status, status, "{what}");
        assert!(reply.text().starts_with("<!doctype html>"), "{what}: a person never sees JSON");
        assert!(reply.text().contains(words), "{what}: {}", reply.text());
    }
    assert_eq!(TestBrowser::new().send(&server, form()).await.status, 410, "another browser");
    assert!(browser.get(&server, &format!("/connect/s/{sid}")).await.text().contains("Your Desk subdomain"));
    assert_eq!(browser.send(&server, form()).await.status, 303, "positive control");
}

#[tokio::test]
async fn a_placeholder_may_have_the_name_of_a_field_of_the_form() {
    for name in ["provider", "answer", "at.at"] {
        let server = TestServer::start().await;
        server.add_provider(&server.app, "desk", named(&server.mock.issuer(), name)).await;
        let token = server.mint(&json!({ "allowed_providers": ["desk"] })).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(&server, &server.app, &token).await;
        let page = browser.get(&server, &format!("/connect/s/{sid}")).await.text();
        assert_eq!(page.matches(&format!("name=\"at.{name}\"")).count(), 1, "{name}: {page}");
        let form = format!("provider=desk&at.{name}=acme");
        assert_eq!(say(&server, &mut browser, &sid, &form).await.status, 303, "{name}");
        finish(&server, &mut browser, &token, &sid).await;
        assert_eq!(hosts(&server.mock.seen().token), [host(&server, "acme")], "{name}");
    }
}

#[tokio::test]
async fn a_fault_while_the_page_asks_again_is_ours_and_is_said() {
    let server = TestServer::start_sqlite().await;
    server.add_provider(&server.app, "desk", at_customers(&server.mock.issuer())).await;
    let token = server.mint(&json!({ "allowed_providers": ["desk"] })).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    sql::block(&server, "UPDATE ON sessions");
    let failed = say(&server, &mut browser, &sid, "provider=desk&at.subdomain=evil.example").await;
    sql::unblock(&server);
    assert_eq!(failed.status, 500, "{}", failed.text());
    assert!(failed.text().contains(failed.header("x-request-id")), "{}", failed.text());
}

#[tokio::test]
async fn a_consent_page_with_a_host_that_a_person_typed_is_sent_plain() {
    let server = desk().await;
    for (config, typed, coding) in [(json!({ "subdomain": "acme" }), false, "gzip"), (json!({}), true, "")] {
        let token = server.mint(&session(&config)).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(&server, &server.app, &token).await;
        if typed {
            say(&server, &mut browser, &sid, "provider=desk&at.subdomain=acme").await;
        }
        let get = Sent::new("GET", &format!("/connect/s/{sid}")).header("accept-encoding", "gzip");
        let page = browser.send(&server, get).await;
        assert_eq!((page.status, page.header("content-encoding")), (200, coding), "typed: {typed}");
    }
}

#[tokio::test]
async fn t81_a_host_that_the_browser_brings_is_never_called() {
    let server = desk().await;
    let token = server.mint(&session(&json!({ "subdomain": "acme" }))).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    let authorize = browser.approve(&server, &sid, "desk").await;
    let callback = browser.at_provider(&authorize).await;
    let evil = host(&server, "evil");
    let callback =
        format!("{callback}&subdomain=evil&shop={evil}&location=evil&accounts-server=http%3A%2F%2F{evil}");
    browser.get(&server, &callback).await;
    assert_eq!(hosts(&server.mock.seen().token), [host(&server, "acme")]);
    let grant = &server.grants(server.app.id).await[0];
    assert_eq!(grant.filled, [("subdomain".to_owned(), "acme".to_owned())].into());
}

#[tokio::test]
async fn t90_an_attempt_that_is_pointed_at_another_customer_sends_it_nothing() {
    let server = desk().await;
    for edited in ["'{\"subdomain\":\"evil\"}'", "'{}'"] {
        let token = server.mint(&session(&json!({ "subdomain": "acme" }))).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(&server, &server.app, &token).await;
        let authorize = browser.approve(&server, &sid, "desk").await;
        let callback = browser.at_provider(&authorize).await;
        assert_eq!(
            sql::run(&server, &format!("UPDATE attempts SET filled = {edited} WHERE status = 'started'"), []),
            1
        );
        browser.get(&server, &callback).await;
        let status = server.status(&token, &server.app.origin, json!({})).await.json();
        assert_eq!(status["status"], "failed", "{status}");
        let seen = server.mock.seen();
        assert!(seen.token.is_empty() && seen.userinfo.is_empty(), "neither code nor client secret left");
    }
}

#[tokio::test]
async fn equal_ids_at_two_customers_are_two_grants_and_no_customer_vouches_for_a_name() {
    let server = desk().await;
    let acme = connected(&server, "acme").await;
    let evil = connected(&server, "evil").await;
    assert_ne!(acme["grant_id"], evil["grant_id"]);
    assert_eq!(evil["operation"], "creation");
    assert_eq!(connected(&server, "acme").await["operation"], "reauth", "the same account again");
    let grants = server.grants(server.app.id).await;
    assert!(grants.iter().all(|grant| !grant.account_verified), "{grants:?}");
    let mut subjects: Vec<_> = grants.iter().map(|grant| grant.subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["acme/acme-1001", "evil/acme-1001"]);
}

#[tokio::test]
async fn a_crash_after_the_answer_loses_neither_customer_nor_what_the_browser_brought() {
    let server = TestServer::start_sqlite().await;
    let customers = at_customers(&server.mock.issuer());
    server
        .add_provider(&server.app, "desk", |recipe| {
            customers(recipe);
            recipe.callback.metadata = [("realm".to_owned(), "realmId".to_owned())].into();
        })
        .await;
    let token = server.mint(&session(&json!({ "subdomain": "acme" }))).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    let authorize = browser.approve(&server, &sid, "desk").await;
    let callback = browser.at_provider(&authorize).await;
    // The commit fails, so that the journal has the answer and the attempt stays `sent`.
    sql::block(&server, "INSERT ON grants");
    browser.get(&server, &format!("{callback}&realmId=42")).await;
    sql::unblock(&server);
    server.clock.advance_seconds(120);
    alter_flows::reap::reap(&server.flows).await.unwrap();
    let grants = server.grants(server.app.id).await;
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].filled["subdomain"], "acme");
    assert_eq!(grants[0].metadata["realm"].value, "42");
}
