//! Links without proof: the operator's choice for one app, told on the consent page, and L0 on the grant for ever.

use alter_core::Level;
use alter_testkit::operator;

use super::*;

async fn app(server: &TestServer, website: Option<&str>) -> TestApp {
    let mut settings = AppSettings::named("Open Links");
    settings.website_url = website.map(Into::into);
    settings.allow_unverified_links = true;
    server.add_app(settings).await
}

async fn through(server: &TestServer, token: &str) -> String {
    let mut browser = TestBrowser::new();
    let opened = browser.open_link(server, token, &json!({})).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    let sid = sid_of(opened.json()["location"].as_str().unwrap());
    let page = browser.get(server, &format!("/connect/s/{sid}")).await.text();
    assert!(page.contains("nobody has checked that you are the one who asked for it"), "{page}");
    assert!(page.contains("Whoever sent you the link will be able to use your"), "{page}");
    let authorize = browser.approve(server, &sid, "mock").await;
    let callback = browser.at_provider(&authorize).await;
    assert_eq!(browser.get(server, &callback).await.status, 303);
    browser.get(server, &format!("/connect/s/{sid}")).await.text()
}

#[tokio::test]
async fn t06_a_link_without_proof_makes_a_grant_at_l0_and_its_page_says_what_that_means() {
    let server = TestServer::start().await;
    for website in [None, Some("https://links.example")] {
        let app = match website {
            None => app(&server, None).await,
            Some(url) => {
                let mut settings = AppSettings::named("Open Links With A Page");
                (settings.website_url, settings.allow_unverified_links) = (Some(url.into()), true);
                server.add_app(settings).await
            }
        };
        let token = server.mint_for(&app, &json!({})).await;
        let page = through(&server, &token).await;
        assert!(page.contains("data-page=\"done\""), "{page}");
        let listed = server.call_as(&app.key, "POST", "/sdk/grants/list", &json!({})).await.json();
        let grant = &listed["grants"][0];
        assert_eq!((&grant["binding"], &grant["signed_in"]), (&json!("L0"), &json!(false)), "{listed}");
        let polled = server.call_as(&app.key, "POST", POLL, &json!({ "session_token": token })).await.json();
        assert_eq!(polled["status"], "completed", "{polled}");
        // Who holds the token and no key learns nothing of it (T58).
        if website.is_some() {
            let told = server.status(&token, "https://links.example", json!({})).await.text();
            assert!(!told.contains("grant_id"), "{told}");
        }
    }
}

#[tokio::test]
async fn t06_no_other_app_lets_a_link_in_and_no_provider_is_contacted() {
    let server = TestServer::start().await;
    let mut legacy = AppSettings::named("Legacy");
    (legacy.website_url, legacy.legacy_clients) = (Some("https://legacy.example".into()), true);
    let mut lowest = AppSettings::named("Lowest");
    (lowest.website_url, lowest.min_binding) = (Some("https://lowest.example".into()), Some(Level::L0));
    let pure_cli = AppSettings::named("No Page");
    for settings in [legacy, lowest, pure_cli] {
        let app = server.add_app(settings).await;
        let token = server.mint_for(&app, &json!({ "allowed_origin": "https://some.example" })).await;
        for more in [json!({}), json!({ "cb": TestBrowser::flow_id().1, "m": "r" })] {
            let refused = TestBrowser::new().open_link(&server, &token, &more).await;
            assert!(is(&refused, 403, "binding_failed"), "{}", refused.text());
        }
        let mut own = TestBrowser::new();
        assert_eq!(own.open(&server, &token, Some("https://some.example")).await.status, 303, "untouched");
    }
    let seen = server.mock.seen();
    assert_eq!((seen.authorize.len(), seen.token.len()), (0, 0));
}

#[tokio::test]
async fn t06_where_users_can_sign_in_a_link_for_a_user_is_strict_all_the_same() {
    let server = TestServer::start().await;
    let app = app(&server, None).await;
    server.set_sign_in(&app, Some(AUDIENCE)).await;
    let user_token = server.mock.user_token(ANN, AUDIENCE);
    let token = server.mint_for(&app, &json!({ "user_token": user_token })).await;
    let mut browser = TestBrowser::new();
    let opened = browser.open_link(&server, &token, &json!({})).await;
    let sid = sid_of(opened.json()["location"].as_str().unwrap());
    let page = browser.get(&server, &format!("/connect/s/{sid}")).await.text();
    assert!(page.contains("data-page=\"sign_in\""), "{page}");
}

#[tokio::test]
async fn t08_a_link_without_proof_never_replaces_a_credential_that_is_bound_better() {
    let server = TestServer::start().await;
    let app = app(&server, Some("https://links.example")).await;
    let connection = TestBrowser::new().connect_for(&server, &app, &json!({})).await;
    let before = server.grants(app.id).await;
    assert_eq!((before.len(), before[0].level), (1, Level::L2), "{connection}");

    let token = server.mint_for(&app, &json!({})).await;
    let page = through(&server, &token).await;
    assert!(!page.contains("is connected"), "{page}");
    let after = server.grants(app.id).await;
    assert_eq!(
        (after[0].credential.generation, after[0].level, after.len()),
        (before[0].credential.generation, Level::L2, 1)
    );
    // The other way round, a proven flow replaces one that was not.
    let other = server.add_app({
        let mut settings = AppSettings::named("The Other Way");
        (settings.website_url, settings.allow_unverified_links) =
            (Some("https://other.example".into()), true);
        settings
    });
    let other = other.await;
    through(&server, &server.mint_for(&other, &json!({})).await).await;
    assert_eq!(server.grants(other.id).await[0].level, Level::L0);
    TestBrowser::new().connect_for(&server, &other, &json!({})).await;
    assert_eq!(server.grants(other.id).await[0].level, Level::L2);
}

#[tokio::test]
async fn a_mint_for_a_link_is_refused_where_nobody_could_open_it() {
    let server = TestServer::start().await;
    let pure_cli = server.add_app(AppSettings::named("No Page")).await;
    let mint = |app: TestApp, body: Value| {
        let server = &server;
        async move { server.call_as(&app.key, "POST", "/sdk/oauth/connect/session", &body).await }
    };
    let refused = mint(pure_cli.clone(), json!({})).await;
    assert!(is(&refused, 400, "allowed_origin_required"), "{}", refused.text());
    for way in ["allowed_origin", "website_url", "alter idp set", "--allow-unverified-links"] {
        assert!(refused.text().contains(way), "{}", refused.text());
    }
    server.set_sign_in(&pure_cli, Some(AUDIENCE)).await;
    let refused = mint(pure_cli.clone(), json!({})).await;
    assert!(is(&refused, 400, "proof_required"), "{}", refused.text());
    assert_eq!(refused.json()["details"]["field"], "user_token");
    let user_token = server.mock.user_token(ANN, AUDIENCE);
    assert_eq!(mint(pure_cli, json!({ "user_token": user_token })).await.status, 201);
    assert_eq!(mint(app(&server, None).await, json!({})).await.status, 201);
}

/// At L3 the browser goes back to the app at the end: by the return URL, or to the page that opened the window.
#[tokio::test]
async fn a_mint_for_a_link_at_l3_is_refused_without_a_way_back() {
    let server = TestServer::start().await;
    let mut settings = AppSettings::named("No Page");
    settings.return_origins = vec![alter_core::Origin::parse("https://back.example").unwrap()];
    let app = server.add_app(settings).await;
    server.set_sign_in(&app, Some(AUDIENCE)).await;
    let challenge = json!({
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256",
    });
    let mint = async |name: &str, value: Value| {
        let mut body = challenge.clone();
        body[name] = value;
        server.call_as(&app.key, "POST", "/sdk/oauth/connect/session", &body).await
    };
    let user_token = json!(server.mock.user_token(ANN, AUDIENCE));
    for (name, value) in [("allowed_providers", Value::Null), ("user_token", user_token)] {
        let refused = mint(name, value).await;
        assert!(is(&refused, 400, "return_url_required"), "{name}: {}", refused.text());
        for way in ["return_url", "--return-origin", "allowed_origin"] {
            assert!(refused.text().contains(way), "{}", refused.text());
        }
    }
    assert_eq!(mint("return_url", json!("https://back.example/done")).await.status, 201);
    assert_eq!(mint("allowed_origin", json!("https://some.example")).await.status, 201);
}

#[tokio::test]
async fn links_without_proof_and_a_higher_level_exclude_each_other() {
    let server = TestServer::start().await;
    let mut settings = AppSettings::named("Both");
    (settings.allow_unverified_links, settings.min_binding) = (true, Some(Level::L2));
    let refused = alter_flows::operate::create_app(&server.flows, &operator(), settings).await;
    let why = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(why.contains("--min-binding") && why.contains("--allow-unverified-links"), "{why}");
}
