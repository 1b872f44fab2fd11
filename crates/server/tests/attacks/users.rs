//! An app's users, known by tokens of its identity provider, over HTTP: T61, T65, T68, T69, T72 and T73 at
//! `/sdk/auth/verify-token`. Faults of the token itself are tested in `crates/oauth/tests/user_token`.

use alter_core::{AppSettings, IdentityProvider};
use alter_flows::operate;
use alter_mock_provider::{KEY_HEADER, MockProvider, Raw};
use alter_testkit::{Reply, TestApp, TestServer, operator};
use serde_json::{Value, json};

const VERIFY: &str = "/sdk/auth/verify-token";
const AUDIENCE: &str = "my-app";
const USER: &str = "acme-1001";

/// A server whose test app has the mock as its identity provider.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    server.set_idp(&server.app, Some(AUDIENCE)).await;
    server
}

pub(crate) async fn second_app(server: &TestServer) -> TestApp {
    let mut settings = AppSettings::named("Second App");
    settings.website_url = Some("https://second.example".into());
    server.add_app(settings).await
}

async fn verify(server: &TestServer, app: &TestApp, token: &str) -> Reply {
    server.send(server.signed(&app.key, VERIFY, &json!({ "token": token }))).await
}

fn sound(server: &TestServer) -> String {
    server.mock.user_token(USER, AUDIENCE)
}

fn is(reply: &Reply, status: u16, code: &str) -> bool {
    (reply.status, reply.error().as_str()) == (status, code)
}

#[tokio::test]
async fn t68_a_sound_token_is_answered_with_its_user_and_a_refusal_says_why_and_repeats_nothing() {
    let server = server().await;
    let verified = verify(&server, &server.app, &sound(&server)).await;
    assert_eq!(verified.status, 200, "{}", verified.text());
    let user = verified.json();
    assert_eq!((&user["sub"], &user["iss"]), (&json!(USER), &json!(server.mock.issuer())));
    assert!(user["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{user}");
    assert!(format!("{:?}", verified.headers).contains("no-store"));

    let with = |header: Value, claims: Value| server.mock.user_token_with(USER, AUDIENCE, header, claims);
    for (token, why) in [
        (with(json!({ "alg": "none" }), Value::Null), "algorithm"),
        (with(json!({ "alg": "HS256" }), Value::Null), "algorithm"),
        (with(json!({ KEY_HEADER: "foreign" }), Value::Null), "signature"),
        (with(json!({ "kid": "../../canary" }), Value::Null), "key"),
        (with(Value::Null, json!({ "aud": "canary-app" })), "aud"),
        (with(Value::Null, json!({ "iss": "https://canary.example" })), "iss"),
        (with(Value::Null, json!({ "exp": 1 })), "expired"),
        (with(Value::Null, json!({ "sub": "" })), "sub"),
        ("canary.canary.canary".into(), "malformed"),
    ] {
        let refused = verify(&server, &server.app, &token).await;
        assert!(is(&refused, 401, "jwt_validation_error"), "{why}: {} {}", refused.status, refused.text());
        let text = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(text.starts_with("The user token is not valid: ") && text.contains(why), "{why}: {text}");
        assert_eq!(text.ends_with("Sign the user in again."), why == "expired", "{text}");
        assert!(why == "expired" || text.contains("alter idp show"), "{text}");
        assert!(!refused.text().contains("canary") && !refused.text().contains(USER), "{}", refused.text());
    }
}

#[tokio::test]
async fn an_app_without_an_identity_provider_has_no_users() {
    let server = TestServer::start().await;
    let refused = verify(&server, &server.app, &sound(&server)).await;
    assert!(is(&refused, 400, "idp_not_configured"), "{}", refused.text());
    server.set_idp(&server.app, Some(AUDIENCE)).await;
    assert_eq!(verify(&server, &server.app, &sound(&server)).await.status, 200, "control");
}

#[tokio::test]
async fn an_identity_provider_that_cannot_be_asked_is_nobodys_fault_who_calls() {
    let server = server().await;
    server.mock.set(|s| s.jwks = Some(Raw::new(500, "text/plain", "")));
    let refused = verify(&server, &server.app, &sound(&server)).await;
    assert!(is(&refused, 503, "idp_unreachable"), "{}", refused.text());
    assert!(!refused.text().contains("127.0.0.1"), "{}", refused.text());
    server.mock.set(|s| s.jwks = None);
    server.clock.advance_seconds(61);
    assert_eq!(verify(&server, &server.app, &sound(&server)).await.status, 200, "control");
}

#[tokio::test]
async fn t61_a_call_with_a_user_token_is_good_once_whatever_came_of_it() {
    let server = server().await;
    for (token, status) in [(sound(&server), 200), ("a.b.c".into(), 401)] {
        let call = server.signed(&server.app.key, VERIFY, &json!({ "token": token }));
        let first = server.send(call.clone()).await;
        assert_eq!(first.status, status, "{}", first.text());
        let again = server.send(call).await;
        assert!(is(&again, 401, "invalid_signature"), "{}", again.text());
    }
    let unsigned =
        alter_testkit::Sent::new("POST", VERIFY).body(json!({ "token": sound(&server) }).to_string());
    assert_eq!(server.send(unsigned).await.status, 401);
}

#[tokio::test]
async fn t68_a_body_that_is_not_one_token_is_refused() {
    let server = server().await;
    let token = sound(&server);
    for body in [
        json!({}),
        json!({ "token": null }),
        json!({ "token": 7 }),
        json!({ "token": [token] }),
        json!({ "token": token, "sub": "victim" }),
        json!({ "user_token": token }),
    ] {
        let refused = server.call(VERIFY, &body).await;
        assert!(is(&refused, 400, "invalid_request"), "{body}: {}", refused.text());
        assert!(!refused.text().contains(&token), "{}", refused.text());
    }
    let long = server.call(VERIFY, &json!({ "token": "a".repeat(8193) })).await;
    assert!(is(&long, 401, "jwt_validation_error"), "{}", long.text());
    assert_eq!(server.call(VERIFY, &json!({ "token": token })).await.status, 200, "control");
}

#[tokio::test]
async fn t69_a_token_that_was_good_a_moment_ago_is_refused_a_second_after_its_end_and_the_skew() {
    let server = server().await;
    server.clock.freeze();
    let exp = server.flows.now().as_seconds() + 300;
    let token = server.mock.user_token_with(USER, AUDIENCE, Value::Null, json!({ "exp": exp }));
    assert_eq!(verify(&server, &server.app, &token).await.status, 200, "control: valid when it was made");
    server.clock.advance_seconds(300 + 59);
    assert_eq!(verify(&server, &server.app, &token).await.status, 200, "control: within the skew");
    server.clock.advance_seconds(1);
    let refused = verify(&server, &server.app, &token).await;
    assert!(is(&refused, 401, "jwt_validation_error"), "{}", refused.text());
    assert!(refused.text().contains("expired"), "{}", refused.text());
}

#[tokio::test]
async fn t69_a_token_of_an_identity_provider_that_was_taken_away_is_refused_at_once() {
    let server = server().await;
    let token = sound(&server);
    assert_eq!(verify(&server, &server.app, &token).await.status, 200, "control");
    let app = server.store.get_app(server.app.id).await.unwrap().unwrap();
    let settings = AppSettings { identity_provider: None, ..app.settings };
    operate::change_app(&server.flows, &operator(), app.id, settings).await.unwrap();
    let refused = verify(&server, &server.app, &token).await;
    assert!(is(&refused, 400, "idp_not_configured"), "{}", refused.text());
}

#[tokio::test]
async fn t73_a_token_for_one_app_is_none_for_another_of_the_same_identity_provider() {
    let server = server().await;
    let other = second_app(&server).await;
    server.set_idp(&other, Some("other-app")).await;
    let theirs = server.mock.user_token(USER, "other-app");
    for (app, token, status) in [
        (&server.app, &sound(&server), 200),
        (&other, &theirs, 200),
        (&server.app, &theirs, 401),
        (&other, &sound(&server), 401),
    ] {
        assert_eq!(verify(&server, app, token).await.status, status);
    }
}

#[tokio::test]
async fn t73_one_apps_storm_and_broken_identity_provider_are_nothing_to_another() {
    let server = server().await;
    let (other, evil) = (second_app(&server).await, MockProvider::start().await);
    server.set_idp(&other, Some(AUDIENCE)).await;
    assert_eq!(verify(&server, &other, &sound(&server)).await.status, 200, "control");
    for n in 0..20 {
        let kid = json!({ "kid": format!("storm-{n}") });
        let unknown = server.mock.user_token_with(USER, AUDIENCE, kid, Value::Null);
        assert_eq!(verify(&server, &server.app, &unknown).await.status, 401);
    }
    server.mock.set(|s| s.key_generation = 1);
    assert_eq!(verify(&server, &server.app, &sound(&server)).await.status, 401, "its own minute");
    assert_eq!(verify(&server, &other, &sound(&server)).await.status, 200, "not the other's");

    // One app gives the same issuer a key set of its own.
    let own = IdentityProvider {
        issuer: server.mock.issuer(),
        audience: Some(AUDIENCE.into()),
        jwks_url: Some(evil.url("/jwks")),
        ..IdentityProvider::default()
    };
    let app = server.store.get_app(server.app.id).await.unwrap().unwrap();
    let settings = AppSettings { identity_provider: Some(own), ..app.settings };
    operate::change_app(&server.flows, &operator(), app.id, settings).await.unwrap();
    let iss = json!({ "iss": server.mock.issuer() });
    let forged = evil.user_token_with(USER, AUDIENCE, Value::Null, iss);
    assert_eq!(verify(&server, &server.app, &forged).await.status, 200, "control: his app, his keys");
    assert_eq!(verify(&server, &other, &forged).await.status, 401);
}
