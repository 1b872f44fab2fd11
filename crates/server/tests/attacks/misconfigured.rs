//! Providers that cannot be asked as they are configured here: that is the operator's affair, and neither the app nor the
//! user is told that the provider failed or that patience helps.

use alter_core::{IdentitySource, Recipe};
use alter_flows::{OperateError, operate};
use alter_testkit::{TestAttempt, TestBrowser, TestServer, operator};
use serde_json::{Value, json};

use crate::{logs::Logs, sql};

/// What is wrong with the recipe; what the operator's log must name: the setting, and the host where there is one; and
/// whether the user is sent to the provider before it shows.
type Fault = (&'static str, fn(&mut Recipe), &'static [&'static str], bool);

const INSIDE: &str = "10.1.2.3";
const ALLOW: &str = "ALTER_EGRESS_ALLOW";

const FAULTS: [Fault; 11] = [
    ("the token endpoint is inside", |r| r.token_url = inside("token"), &[INSIDE, ALLOW], false),
    (
        "the token endpoint is plain http",
        |r| r.token_url = "http://1.1.1.1/token".into(),
        &["1.1.1.1", ALLOW],
        false,
    ),
    (
        "the token endpoint has a user name",
        |r| r.token_url = "https://u@1.1.1.1/".into(),
        &["token_url"],
        false,
    ),
    ("the token endpoint is no URL", |r| r.token_url = "nowhere".into(), &["token_url"], true),
    ("userinfo is inside", |r| asked_for_the_account(r, Some(inside("me"))), &[INSIDE, ALLOW], false),
    (
        "userinfo is inside, and an id_token comes too",
        |r| {
            r.identity.from = IdentitySource::Userinfo;
            r.userinfo_url = Some(inside("me"));
        },
        &[INSIDE, ALLOW],
        false,
    ),
    ("there is no userinfo", |r| asked_for_the_account(r, None), &["userinfo_url"], true),
    ("the keys are inside", |r| r.jwks_url = Some(inside("jwks")), &[INSIDE, ALLOW], false),
    (
        "the keys are plain http",
        |r| r.jwks_url = Some("http://1.1.1.1/jwks".into()),
        &["1.1.1.1", ALLOW],
        false,
    ),
    ("there is no issuer", |r| (r.issuer, r.iss_parameter) = (None, false), &["issuer"], true),
    ("the keys have no URL", |r| r.jwks_url = Some("nowhere".into()), &["jwks_url"], true),
];

fn inside(path: &str) -> String {
    format!("https://{INSIDE}/{path}")
}

/// A provider without id_tokens.
fn asked_for_the_account(recipe: &mut Recipe, userinfo_url: Option<String>) {
    recipe.jwks_url = None;
    recipe.default_scopes = vec!["notes.read".into()];
    recipe.identity.from = IdentitySource::Userinfo;
    recipe.userinfo_url = userinfo_url;
}

async fn attempt(server: &TestServer, browser: &mut TestBrowser, change: fn(&mut Recipe)) -> TestAttempt {
    let removed = operate::remove_provider(&server.flows, &operator(), server.app.id, "odd").await;
    assert!(matches!(removed, Ok(()) | Err(OperateError::NoSuchProvider(_))), "{removed:?}");
    server.add_provider(&server.app, "odd", change).await;
    let token = server.mint(&json!({ "allowed_providers": ["odd"] })).await;
    let sid = browser.claim(server, &server.app, &token).await;
    let approve = format!("/connect/api/s/{sid}/approve");
    let approved = browser.post(server, &approve, &json!({ "provider": "odd" })).await;
    let authorize = approved.json()["location"].as_str().unwrap_or_default().to_owned();
    let (callback, reply, status) = (String::new(), None, Value::Null);
    let mut attempt = TestAttempt { token, sid, authorize, callback, reply, status };
    if attempt.authorize.is_empty() {
        assert_eq!((approved.status, approved.error().as_str()), (409, "step_moved"), "the page reloads");
        attempt.status = server.status(&attempt.token, &server.app.origin, json!({})).await.json();
    } else {
        browser.come_back(server, &server.app, &mut attempt).await;
    }
    attempt
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_as_it_is_configured_is_the_operators_affair_and_is_called_so() {
    let server = TestServer::start_sqlite().await;
    for (what, change, named, sent_away) in FAULTS {
        let (mut browser, logs) = (TestBrowser::new(), Logs::capture());
        let attempt = attempt(&server, &mut browser, change).await;
        let log = logs.text();
        drop(logs);
        assert_eq!(!attempt.authorize.is_empty(), sent_away, "{what}");
        assert_eq!(attempt.status["status"], "failed", "{what}: {}", attempt.status);
        assert_eq!(attempt.status["error"], "oauth_provider_error", "{what}");
        assert_eq!(attempt.reason(), "provider_misconfigured", "{what}: {}", attempt.status);
        let line = log
            .lines()
            .find(|line| line.contains(if sent_away { "exchange refused" } else { "is not sent to" }))
            .unwrap_or_else(|| panic!("{what}: {log}"));
        assert!(!log.contains("asking again"), "{what}: {log}");
        assert!(named.iter().all(|name| line.contains(name)), "{what}: {line}");

        let poll = json!({ "session_token": attempt.token });
        let polled = server.call("/sdk/oauth/connect/session/poll", &poll).await;
        assert_eq!(polled.json()["error"]["error_code"], "provider_configuration_unavailable", "{what}");
        let page = browser.get(&server, &format!("/connect/s/{}", attempt.sid)).await.text();
        assert!(
            page.contains("is not set up correctly") && page.contains("need to repair this"),
            "{what}: {page}"
        );
        for told in [&attempt.status.to_string(), &polled.text(), &page] {
            assert!(
                ![INSIDE, "1.1.1.1", "reserved"].iter().any(|inner| told.contains(inner)),
                "{what}: {told}"
            );
        }
        assert_eq!(sql::count(&server, "grants"), 0, "{what}");
        assert_eq!(sql::count(&server, "attempts WHERE status <> 'failed' OR body IS NOT NULL"), 0, "{what}");
    }
    TestBrowser::new().attempt(&server, "mock").await.connection();
}
