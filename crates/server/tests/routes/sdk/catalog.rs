//! Every provider of the catalog, through the whole flow: its recipe with the endpoints on loopback, and the answers
//! that its documentation shows (`crates/providers/tests/replay`).

use alter_core::{BodyFormat, ClientAuth, IdentitySource, Recipe, UserinfoMethod};
use alter_mock_provider::{Alg, Raw, ResponseParam};
use alter_providers::Catalog;
use alter_testkit::{TestAttempt, TestBrowser, TestServer, server::CLIENT_SECRET};
use axum::{
    Router,
    http::{HeaderMap, Method, Uri},
    routing::any,
};
use serde_json::{Value, json};

use crate::sql;

fn ids() -> impl Iterator<Item = &'static str> {
    Catalog::builtin().iter().map(|recipe| recipe.id.as_str())
}

fn sample(id: &str) -> Value {
    let path = format!("{}/../providers/tests/replay/{id}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn recipe(id: &str) -> Recipe {
    let mut recipe = Catalog::builtin().get(id).unwrap().clone();
    for (name, parameter) in recipe.parameters.clone() {
        recipe.fill(&name, &parameter.example).unwrap();
    }
    recipe
}

/// Starts an account endpoint like the provider's. It accepts only the sample's token, where the provider reads it, with the
/// provider's method and body, and never a token in the URL (T86). Returns the endpoint's URL.
async fn userinfo(sample: &Value, recipe: &Recipe) -> String {
    let body = sample.pointer("/userinfo/body").cloned().unwrap_or_default();
    let token = sample["expect"]["access_token"].as_str().unwrap().to_owned();
    let recipe = recipe.clone();
    let answer = move |method: Method, uri: Uri, headers: HeaderMap, sent: String| async move {
        let right = match recipe.userinfo.method {
            UserinfoMethod::Introspect => introspects(&recipe, &token, &method, &sent),
            UserinfoMethod::Get | UserinfoMethod::Post => asks(&recipe, &token, &method, &headers, &sent),
        };
        let leaked = uri.to_string().contains(&token);
        let known = headers.get("user-agent").is_some_and(|agent| agent == "alter-connect");
        let status = if right && known && !leaked { 200 } else { 401 };
        (axum::http::StatusCode::from_u16(status).unwrap(), body.to_string())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/account", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/account", any(answer))).await });
    url
}

/// The token in the provider's header, and the provider's own headers and body.
fn asks(recipe: &Recipe, token: &str, method: &Method, headers: &HeaderMap, sent: &str) -> bool {
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    let request = &recipe.userinfo;
    has(&recipe.api_auth.header, &recipe.api_auth.format.replace("{token}", token))
        && request.headers.iter().all(|(name, value)| has(name, value))
        && *method == if request.method == UserinfoMethod::Post { Method::POST } else { Method::GET }
        && sent == request.body.clone().unwrap_or_default()
        && headers.contains_key("content-type") == request.body.is_some()
}

/// The token in each of the provider's fields, and our client's secret (RFC 7662).
fn introspects(recipe: &Recipe, token: &str, method: &Method, sent: &str) -> bool {
    let fields: Vec<_> = url::form_urlencoded::parse(sent.as_bytes()).collect();
    let has = |name: &str, value: &str| fields.iter().any(|(key, found)| key == name && found == value);
    *method == Method::POST
        && recipe.userinfo.token_fields.iter().all(|name| has(name, token))
        && has("client_secret", CLIENT_SECRET)
}

/// A server with this provider of the catalog; only the provider's endpoints are changed.
async fn start(id: &str, sample: &Value) -> TestServer {
    let server = TestServer::start().await;
    let account = userinfo(sample, &recipe(id)).await;
    let claims = sample.get("id_token_claims");
    server.mock.set(|s| {
        s.id_token_alg = Alg::Rs256;
        s.ignore_pkce = !recipe(id).pkce;
        let more = sample["callback_params"].as_object().into_iter().flatten();
        s.extra_response_params =
            more.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        // A provider that issues id_tokens names itself in its authorization responses too (RFC 9207).
        s.iss = match claims.and_then(|claims| claims["iss"].as_str()) {
            Some(iss) => ResponseParam::Wrong(iss.to_owned()),
            None => ResponseParam::Missing,
        };
    });
    let mock = server.mock.issuer();
    server
        .add_provider(&server.app, id, |place| {
            *place = recipe(id);
            place.authorize_url = format!("{mock}/authorize");
            place.token_url = format!("{mock}/token");
            place.userinfo_url = place.userinfo_url.as_ref().map(|_| account);
            place.jwks_url = place.jwks_url.as_ref().map(|_| format!("{mock}/jwks"));
            place.api_hosts.push(mock.replace("http://", ""));
        })
        .await;
    server
}

/// The documented answer; if it has an id_token, one for this flow. `change` may spoil the id_token's claims.
fn answer(
    server: &TestServer,
    sample: &Value,
    attempt: &TestAttempt,
    change: impl FnOnce(&mut Value),
) -> Raw {
    let mut body = sample["token_response"]["body"].clone();
    if let Some(claims) = sample.get("id_token_claims") {
        let mut claims = claims.clone();
        let now = server.flows.now().as_seconds();
        claims["aud"] = json!(attempt.param("client_id"));
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 3600);
        claims["nonce"] = json!(attempt.param("nonce"));
        change(&mut claims);
        body["id_token"] = json!(server.mock.sign(Value::Null, claims));
    }
    let content_type = sample["token_response"]["content_type"].as_str().unwrap();
    Raw::new(200, content_type, body.to_string())
}

async fn connect(server: &TestServer, id: &str, answer: impl FnOnce(&TestAttempt) -> Raw) -> TestAttempt {
    let mut browser = TestBrowser::new();
    let mut attempt = browser.leave_for(server, &server.app, id).await;
    let answer = answer(&attempt);
    server.mock.set(|s| s.token_response = Some(answer));
    browser.come_back(server, &server.app, &mut attempt).await;
    attempt
}

fn check_requests(server: &TestServer, recipe: &Recipe, attempt: &TestAttempt) {
    let id = &recipe.id;
    match recipe.default_scopes.as_slice() {
        [] => assert!(!attempt.authorize.contains("scope="), "{id}: {}", attempt.authorize),
        scopes => {
            assert_eq!(attempt.param(&recipe.scope_parameter), scopes.join(&recipe.scope_separator), "{id}");
        }
    }
    for (name, value) in &recipe.authorize_params {
        assert_eq!(attempt.param(name), *value, "{id}: {name}");
    }
    assert_eq!(attempt.authorize.contains("code_challenge="), recipe.pkce, "{id}");
    let seen = server.mock.seen();
    let request = seen.token.last().unwrap();
    assert_eq!(request.authorization().is_some(), recipe.client_auth == ClientAuth::Basic, "{id}");
    let in_body = (recipe.client_auth == ClientAuth::Post).then_some(CLIENT_SECRET);
    assert_eq!(request.field("client_secret"), in_body, "{id}");
    assert_eq!(request.field("code_verifier").is_some(), recipe.pkce, "{id}");
    assert_eq!(request.header("accept"), Some("application/json"), "{id}: GitHub answers forms otherwise");
    assert_eq!(request.header("user-agent"), Some("alter-connect"), "{id}");
    let kind = match recipe.token_body {
        BodyFormat::Form => "application/x-www-form-urlencoded",
        BodyFormat::Json => "application/json",
    };
    assert_eq!(request.header("content-type"), Some(kind), "{id}");
    for (name, value) in &recipe.token_params {
        assert_eq!(request.field(name), Some(value.as_str()), "{id}: {name}");
    }
}

#[tokio::test]
async fn every_provider_of_the_catalog_connects_with_the_answers_of_its_documentation() {
    for id in ids() {
        let (sample, recipe) = (sample(id), recipe(id));
        let server = start(id, &sample).await;
        let attempt = connect(&server, id, |attempt| answer(&server, &sample, attempt, |_| ())).await;
        let (connection, expect) = (attempt.connection(), &sample["expect"]);
        assert_eq!(connection["provider"], id);
        assert_eq!(connection["provider_name"], recipe.name);
        // Where nobody is told who connected, the provider's name stands.
        let account = expect.get("account").cloned().unwrap_or_else(|| json!(recipe.name));
        assert_eq!(connection["account_identifier"], account, "{id}");
        // If the answer names no scopes, the requested scopes were granted.
        let mut granted = expect.get("scopes").cloned().unwrap_or_else(|| json!(recipe.default_scopes));
        // Google's sample lists no `openid`, and has an id_token.
        if sample.get("id_token_claims").is_some() && !granted.as_array().unwrap().contains(&json!("openid"))
        {
            granted.as_array_mut().unwrap().push(json!("openid"));
        }
        assert_eq!(connection["scopes"], granted, "{id}");
        check_requests(&server, &recipe, &attempt);

        let column = |name: &str| sql::text(&server, &format!("SELECT coalesce({name}, '') FROM grants"));
        match expect["subject"].as_str() {
            Some(subject) => assert_eq!(column("subject"), subject, "{id}"),
            None => assert_eq!(recipe.identity.from, IdentitySource::None, "{id}"),
        }
        assert_eq!(
            column("account_display_name"),
            expect["display_name"].as_str().unwrap_or_default(),
            "{id}"
        );
        let kept = sql::count(&server, "grants WHERE refresh_token IS NOT NULL") == 1;
        assert_eq!(kept, expect.get("refresh_token").is_some(), "{id}");

        let released = server.token(attempt.grant_id()).await;
        assert_eq!(released.status, 200, "{id}: {}", released.text());
        let released = released.json();
        assert_eq!(released["access_token"], expect["access_token"], "{id}");
        assert_eq!(released["injection_header"], recipe.api_auth.header, "{id}");
        assert_eq!(released["injection_format"], recipe.api_auth.format, "{id}");
        match expect["expires_in"].as_i64() {
            // Square says when the token ends, not how long it lives.
            None => {
                let endless = expect.get("expires_at").is_none();
                assert_eq!(released["expires_in"].is_null(), endless, "{id}: {released}");
            }
            Some(life) => {
                let left = released["expires_in"].as_i64().unwrap();
                assert!((life - 30..=life).contains(&left), "{id}: {left}");
            }
        }
    }
}

#[tokio::test]
async fn every_failure_that_a_providers_documentation_shows_is_seen_for_what_it_is() {
    for id in ids() {
        let sample = sample(id);
        let server = start(id, &sample).await;
        for error in sample["errors"].as_array().unwrap() {
            let code = error["expect"]["error"].as_str().unwrap();
            let status = u16::try_from(error["status"].as_u64().unwrap()).unwrap();
            let kind = error["content_type"].as_str().unwrap();
            let attempt = connect(&server, id, |_| Raw::new(status, kind, error["body"].to_string())).await;
            assert_eq!(attempt.status["error"], "oauth_provider_error", "{id}: {}", attempt.status);
            // We report codes in lower case, whatever the provider writes.
            assert_eq!(attempt.provider_error(), code.to_ascii_lowercase(), "{id}");
            let poll = json!({ "session_token": attempt.token });
            let polled = server.call("/sdk/oauth/connect/session/poll", &poll).await.json();
            let expected = match code {
                "incorrect_client_credentials" | "invalid_client" => "invalid_client",
                "redirect_uri_mismatch" | "invalid_redirect_uri" => "invalid_redirect_uri",
                _ => "connect_flow_error",
            };
            assert_eq!(polled["error"]["error_code"], expected, "{id}: {polled}");
            assert!(!polled.to_string().contains("AADSTS"), "the provider's text stays out: {polled}");
            assert_eq!(sql::count(&server, "grants"), 0, "{id}: {code}");
        }
    }
}

#[tokio::test]
async fn an_id_token_of_another_tenant_or_issuer_connects_nobody() {
    for id in ["google", "microsoft"] {
        let sample = sample(id);
        let server = start(id, &sample).await;
        for (claim, value) in [
            ("iss", json!("https://accounts.evil.example")),
            ("iss", json!("https://login.microsoftonline.com/aaaaaaaa-6c67-4c5b-b112-36a304b66dad/v2.0")),
            ("iss", json!(server.mock.issuer())),
            ("aud", json!("somebody-else")),
            ("nonce", json!("another")),
        ] {
            let spoil = |claims: &mut Value| claims[claim] = value.clone();
            let attempt = connect(&server, id, |attempt| answer(&server, &sample, attempt, spoil)).await;
            assert_eq!(attempt.reason(), "id_token_invalid", "{id}: {claim} = {value}");
        }
        assert_eq!(sql::count(&server, "grants"), 0);
        connect(&server, id, |attempt| answer(&server, &sample, attempt, |_| ())).await.connection();
    }
}

#[tokio::test]
async fn t17_what_the_browser_adds_to_the_callback_names_no_account() {
    let sample = sample("quickbooks");
    let server = start("quickbooks", &sample).await;
    let subject = || sql::text(&server, "SELECT subject FROM grants");
    connect(&server, "quickbooks", |attempt| answer(&server, &sample, attempt, |_| ())).await.connection();
    let honest = subject();
    // A browser can put another company into the query: the account stays the one that the provider names.
    server.mock.set(|s| {
        s.extra_response_params = vec![("realmId".into(), "666".into()), ("sub".into(), "x".into())]
    });
    connect(&server, "quickbooks", |attempt| answer(&server, &sample, attempt, |_| ())).await.connection();
    assert_eq!((subject(), sql::count(&server, "grants")), (honest, 1));
}

#[tokio::test]
async fn t81_a_token_of_a_provider_with_a_host_per_customer_goes_below_its_domain_alone() {
    let salesforce = recipe("salesforce");
    for good in
        ["https://acme.my.salesforce.com/services/data", "https://acme--box.sandbox.my.salesforce.com/"]
    {
        assert!(salesforce.api_url(good).is_some(), "{good}");
    }
    for bad in [
        "https://my.salesforce.com/",
        "https://acme.my.salesforce.com.evil.example/",
        "https://evilmy.salesforce.com/",
        "https://acme.my.salesforce.com@evil.example/",
        "http://acme.my.salesforce.com/",
        "https://evil.example/acme.my.salesforce.com",
    ] {
        assert!(salesforce.api_url(bad).is_none(), "{bad}");
    }
    let shopify = recipe("shopify");
    assert!(shopify.api_url("https://my-store.myshopify.com/admin/api/x.json").is_some());
    for bad in ["https://other.myshopify.com/", "https://a.my-store.myshopify.com/", "https://myshopify.com/"]
    {
        assert!(shopify.api_url(bad).is_none(), "{bad}");
    }
}

#[tokio::test]
async fn the_catalog_lists_what_can_be_configured_and_an_apps_own_providers_to_that_app_alone() {
    let server = TestServer::start().await;
    let other = super::app_with(&server, |_| {}).await;
    server.add_provider(&server.app, "acme", |place| place.name = "Acme".into()).await;
    let ask = async |key| {
        let reply = server.send(server.signed_raw(key, "GET", "/sdk/oauth/provider-catalog", b"")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["providers"].clone()
    };
    let mine = ask(&server.app.key).await;
    assert_eq!(mine["acme"]["status"], "configured");
    assert_eq!((&mine["acme"]["name"], &mine["acme"]["display_name"]), (&json!("Acme"), &json!("Acme")));
    assert!(ask(&other.key).await.get("acme").is_none(), "another app's provider");
    for id in ids() {
        let (entry, recipe) = (&mine[id], recipe(id));
        assert_eq!(entry["status"], "available", "{id}");
        assert_eq!(entry["supports_pkce"], recipe.pkce, "{id}");
        assert_eq!(entry["default_scopes"], json!(recipe.default_scopes), "{id}");
        for (scope, known) in &recipe.scopes {
            let shown = &entry["available_scopes"][scope];
            assert_eq!(shown["description"], known.description, "{id}: {scope}");
            assert_eq!(shown["is_default"], recipe.default_scopes.contains(scope), "{id}: {scope}");
        }
    }
    let text = mine.to_string();
    assert!(!text.contains("client_id") && !text.contains(CLIENT_SECRET));
    let unsigned = alter_testkit::Sent::new("GET", "/sdk/oauth/provider-catalog");
    assert_eq!(server.send(unsigned).await.status, 401);
}
