//! What a mint refuses, and how it says so (S4, S5, S6, S11; T39-T41).

use alter_core::{AppSettings, Level, Origin};
use alter_testkit::{Reply, TestApp, TestServer};
use serde_json::{Value, json};

use super::app_with;

const MINT: &str = "/sdk/oauth/connect/session";

async fn mint_for(server: &TestServer, app: &TestApp, body: Value) -> Reply {
    server.send(server.signed(&app.key, MINT, &body)).await
}

/// The input, a word for the fault that the message must name, the corrected value if there is one.
const FAULTS: [(&str, &str, &str); 28] = [
    ("https://app.example/", "slash", "https://app.example"),
    ("https://app.example/path", "path", "https://app.example"),
    ("https://app.example?x=1", "query", "https://app.example"),
    ("https://app.example#x", "fragment", "https://app.example"),
    ("https://user:pw@app.example", "user name", "https://app.example"),
    ("https://app@evil.example", "user name", ""),
    ("app.example", "scheme", "https://app.example"),
    ("http://app.example", "http", "https://app.example"),
    ("http://app.example:443", "http", "https://app.example"),
    ("http://app.example/", "slash", "https://app.example"),
    ("https://app.example:443", "default port", "https://app.example"),
    ("http://localhost:80", "default port", "http://localhost"),
    ("https://App.example", "lower case", "https://app.example"),
    ("HTTPS://app.example", "lower case", "https://app.example"),
    ("https://bücher.example", "browsers write", "https://xn--bcher-kva.example"),
    ("https://0x7f.0.0.1", "browsers write", "https://127.0.0.1"),
    ("https://[2001:DB8::1]", "lower case", "https://[2001:db8::1]"),
    ("*", "wildcard", ""),
    ("https://*.example.com", "wildcard", ""),
    ("null", "null", ""),
    ("", "empty", ""),
    ("https://app.example.", "dot", ""),
    ("https://app.example:0", "port", ""),
    ("https://[::ffff:102:304]", "IPv4", ""),
    ("https://app.example\t", "white space", ""),
    ("javascript:alert(1)", "scheme", ""),
    ("file:///etc/passwd", "scheme", ""),
    ("blob:https://app.example/uuid", "scheme", ""),
];

#[tokio::test]
async fn t39_an_origin_that_is_none_is_refused_with_the_fault_and_the_corrected_value() {
    let server = TestServer::start().await;
    for (input, fault, better) in FAULTS {
        let reply = server.call(MINT, &json!({ "allowed_origin": input })).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "invalid_origin"), "{input:?}");
        let body = reply.json();
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(fault), "{input:?}: {message}");
        if !better.is_empty() {
            assert!(message.contains(&format!("\"{better}\"")), "{input:?}: {message}");
            assert_eq!(body["details"]["suggestion"], better, "{input:?}");
            let again = server.call(MINT, &json!({ "allowed_origin": better })).await;
            assert_eq!(again.status, 201, "the corrected value {better} is refused: {}", again.text());
        }
    }
}

#[tokio::test]
async fn t39_nothing_but_a_serialised_secure_origin_is_minted() {
    let server = TestServer::start().await;
    let mut bad: Vec<String> = [
        " https://app.example",
        "https://app.example ",
        "https://app.example\n",
        "https://app\n.example",
        "//app.example",
        "https:/app.example",
        "https:app.example",
        "https:///app.example",
        "https:\\\\app.example",
        "https://app.example\\",
        "https://app.example\\evil",
        "https://app.example/.",
        "https://app.example//",
        "https://@app.example",
        "https://:pw@app.example",
        "https://app.example:@evil.example",
        "https://app.example:",
        "https://app.example:65536",
        "https://app.example:-1",
        "https://app.example:08443",
        "https://app.example:80a",
        "http://localhost.evil.example",
        "http://evil-localhost",
        "http://notlocalhost:3000",
        "http://127.0.0.1.evil.example",
        "http://192.168.0.1",
        "http://0.0.0.0:3000",
        "http://[::]:3000",
        "https://localhost.",
        "https://ex%61mple.com",
        "https://0177.0.0.1",
        "https://2130706433",
        "https://127.1",
        "https://[::1",
        "https://::1",
        "https://[2001:db8:0:0:0:0:0:1]",
        "data:text/html,x",
        "ws://app.example",
        "ftp://app.example",
        "chrome-extension://abcdefghijklmnop",
        "about:blank",
        "https://",
        "https",
        "null null",
        "https://app.example,https://evil.example",
        "https://app.example https://evil.example",
    ]
    .map(String::from)
    .into();
    bad.push("https://ex\u{ad}ample.com".into());
    bad.push("https://\u{ff45}xample.com".into());
    for input in &bad {
        let reply = server.call(MINT, &json!({ "allowed_origin": input })).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "invalid_origin"), "{input:?}");
    }
    for good in
        ["https://app.example.com:8443", "http://localhost:3000", "http://[::1]:5173", "https://192.0.2.7"]
    {
        let token = server.mint(&json!({ "allowed_origin": good })).await;
        assert_eq!(server.status(&token, good, json!({})).await.status, 200, "{good}");
        assert_eq!(server.status(&token, "https://app.example", json!({})).await.status, 403, "{good}");
    }
}

#[tokio::test]
async fn t39_without_an_origin_the_apps_website_decides_and_without_both_nothing_is_minted() {
    let server = TestServer::start().await;
    let app = app_with(&server, |s| s.website_url = Some("https://Shop.example:443/start?x".into())).await;
    let token = server.mint_for(&app, &json!({ "allowed_origin": null })).await;
    assert_eq!(server.status(&token, "https://shop.example", json!({})).await.status, 200);
    let bare = AppSettings { min_binding: Some(Level::L2), ..AppSettings::named("No page") };
    let bare = server.add_app(bare).await;
    let reply = mint_for(&server, &bare, json!({})).await;
    assert_eq!((reply.status, reply.error().as_str()), (400, "allowed_origin_required"));
}

#[tokio::test]
async fn t40_a_return_url_of_an_unregistered_origin_is_refused() {
    let server = TestServer::start().await;
    let app =
        app_with(&server, |s| s.return_origins = vec![Origin::parse("https://back.example").unwrap()]).await;
    let bad = [
        "https://evil.example/",
        "https://back.example.evil/",
        "https://back.example@evil.example/",
        "https://evil.example/https://back.example",
        "https://back.example:8443/",
        "http://back.example/",
        "https://sub.back.example/",
        "//back.example/",
        "/connected",
        "",
        "https:\\\\back.example/",
        "https://back.example\\@evil.example/",
        "https://user@back.example/",
        "https://back.example/\n",
        "https://back.example/\tx",
        "javascript:alert(1)//https://back.example",
        "data:text/html,x",
        "https://back.example%00.evil.example/",
        "https://evil.example#@back.example/",
        "back.example/connected",
        "https://back.example.",
        "ftp://back.example/",
    ];
    for url in bad {
        let reply = mint_for(&server, &app, json!({ "return_url": url })).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "invalid_return_url"), "{url:?}");
    }
    let good = ["https://back.example/done?tab=2#there", "https://back.example", "https://app.example/own"];
    for url in good {
        let reply = mint_for(&server, &app, json!({ "return_url": url })).await;
        assert_eq!(reply.status, 201, "{url}: {}", reply.text());
    }
}

#[tokio::test]
async fn t40_a_return_url_that_is_longer_than_a_session_keeps_is_refused() {
    let server = TestServer::start().await;
    let of = |bytes: usize| json!({ "return_url": format!("{:x<bytes$}", "https://app.example/") });
    assert_eq!(server.call(MINT, &of(2048)).await.status, 201, "control");
    for bytes in [2049, 60_000] {
        let reply = server.call(MINT, &of(bytes)).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "invalid_return_url"), "{bytes}");
        assert!(reply.text().contains("2048 bytes") && reply.body.len() < 500, "{}", reply.text());
    }
}

#[tokio::test]
async fn t26_a_label_that_people_would_not_see_as_it_is_is_refused_by_name() {
    let server = TestServer::start().await;
    let labelled = |label: &str| json!({ "requested_grant": { "label": label } });
    for bad in [
        "",
        "work\n",
        "work\r\nX-Evil: 1",
        "\u{1b}[31mwork",
        "wo\u{0}rk",
        "work\u{7f}",
        "work\u{9b}31m",
        "work\u{202e}",
        "\u{200d}",
        " work",
        &"w".repeat(256),
    ] {
        let reply = server.call(MINT, &labelled(bad)).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "invalid_request"), "{bad:?}");
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("requested_grant.label "), "{bad:?}: {message}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
    }
    for good in ["work", "Grüße 世界", &"w".repeat(255)] {
        assert_eq!(server.call(MINT, &labelled(good)).await.status, 201, "{good}");
    }
}

#[tokio::test]
async fn t41_a_return_url_that_carries_a_parameter_of_the_result_is_refused_by_name() {
    let server = TestServer::start().await;
    let ours = [
        "alter_connect_success",
        "alter_connect_error",
        "alter_result_code",
        "alter_sid",
        "grant_id",
        "provider",
        "provider_name",
        "account_identifier",
        "timestamp",
        "operation",
        "scopes",
        "status",
        "error_code",
        "error_description",
    ];
    for name in ours {
        for url in [
            format!("https://app.example/x?{name}=1"),
            format!("https://app.example/x?a=b&{name}"),
            format!("https://app.example/x?{}=1", name.replace('_', "%5F")),
        ] {
            let reply = server.call(MINT, &json!({ "return_url": url })).await;
            assert_eq!((reply.status, reply.error().as_str()), (400, "invalid_return_url"), "{url}");
            assert!(reply.json()["message"].as_str().unwrap().contains(name), "{}", reply.text());
        }
    }
    let control = json!({ "return_url": "https://app.example/x?tab=grant_id&granted=1" });
    assert_eq!(server.call(MINT, &control).await.status, 201);
}

#[tokio::test]
async fn s11_a_field_that_is_not_built_is_refused_by_name_and_null_passes() {
    let server = TestServer::start().await;
    let fields = json!({
        "metadata": { "ip_address": "192.0.2.1" }, "direct": true, "switch_account": true,
        "allow_user_policy_rules": false, "grant_policy": { "max_ttl_seconds": 60 },
        "required_scopes": { "mock": ["openid"] },
        "requested_grant": { "restrictions": { "allowed_methods": ["GET"] } },
        "repair_grant_id": "11111111-2222-4333-8444-555555555555", "delegable": false, "scope_constraint": []
    });
    let mut nulls = json!({ "allowed_providers": null, "return_url": null, "allowed_origin": null, "agent": null,
                            "user_token": null });
    for (name, value) in fields.as_object().unwrap() {
        let reply = server.call(MINT, &json!({ name: value })).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "unsupported_field"), "{name}");
        assert!(reply.json()["message"].as_str().unwrap().contains(name.as_str()), "{}", reply.text());
        nulls[name] = Value::Null;
    }
    assert_eq!(server.call(MINT, &nulls).await.status, 201, "the published client sends nulls");
    let unknown = server.call(MINT, &json!({ "alowed_origin": "https://app.example" })).await;
    assert_eq!((unknown.status, unknown.error().as_str()), (400, "invalid_request"));
    assert!(unknown.text().contains("alowed_origin"), "a misspelt field is named: {}", unknown.text());
}

#[tokio::test]
async fn s11_token_fields_that_mean_nothing_here_are_refused_and_null_passes() {
    let server = TestServer::start().await;
    let connection = alter_testkit::TestBrowser::new().connect(&server).await;
    let wanted = json!({ "method": "GET", "url": server.mock.url("/api/me") });
    for (name, code) in [
        ("app_user_id", "unsupported_field"),
        ("provider_id", "invalid_request"),
        ("account", "invalid_request"),
        ("label", "invalid_request"),
        ("user_token", "idp_not_configured"),
    ] {
        let mut body = json!({ "grant_id": connection["grant_id"], "request": wanted, "reason": null });
        body[name] = json!("x");
        let reply = server.call("/sdk/token", &body).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, code), "{name}");
        body[name] = Value::Null;
        assert_eq!(server.call("/sdk/token", &body).await.status, 200, "{name}: null");
    }
}

#[tokio::test]
async fn s6_providers_are_cleaned_and_none_left_is_an_error() {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "other", |_| {}).await;
    let single = |reply: &Reply| reply.json()["single_provider"].as_bool();
    for (asked, alone) in [
        (json!(null), false),
        (json!([" MOCK ", "mock", "Mock"]), true),
        (json!(["nope", "other"]), true),
        (json!(["other", "mock"]), false),
    ] {
        let reply = server.call(MINT, &json!({ "allowed_providers": asked })).await;
        assert_eq!((reply.status, single(&reply)), (201, Some(alone)), "{asked}: {}", reply.text());
    }
    for (asked, code) in [
        (json!(["nope"]), "no_providers"),
        (json!(["../mock", "mock\u{0}", "%6dock"]), "no_providers"),
        (json!([]), "invalid_request"),
        (json!(["mock", " "]), "invalid_request"),
        (json!("mock"), "invalid_request"),
        (json!([["mock"]]), "invalid_request"),
    ] {
        let reply = server.call(MINT, &json!({ "allowed_providers": asked })).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, code), "{asked}");
    }
}
