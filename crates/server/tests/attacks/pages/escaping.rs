//! Hostile words in everything that other people write and our pages show (T26, T45).

use alter_core::AppSettings;
use alter_flows::operate;
use alter_testkit::{TestApp, TestBrowser, TestServer, operator};
use serde_json::json;

use super::{page_of, reading::shape};
use crate::sql;

const HOSTILE: [&str; 16] = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "\" autofocus onfocus=\"alert(1)",
    "' onmouseover='alert(1)",
    "--><b>x</b><!--",
    "<!--",
    "]]><b>",
    "{{ 7*7 }}{% raw %}<b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "\u{2028}<b>\u{202e}x",
    "<\u{200b}script>alert(1)</script>",
];

/// Asserts that none of these is in the page. The shape check is the rule; this is the same for human readers.
fn assert_plain(what: &str, html: &str) {
    for bad in [
        "<script>alert",
        "<svg onload",
        "<img src=x",
        "onfocus=\"alert",
        "onmouseover='alert",
        "<a href=java",
    ] {
        assert!(!html.contains(bad), "{what}: {bad}");
    }
}

/// The names are stored as a build did that had no rule for them.
async fn app_named(server: &TestServer, name: &str, provider: &str, scope: &str) -> TestApp {
    let mut settings = AppSettings::named("App");
    settings.website_url = Some("https://app.example".into());
    let app = server.add_app(settings.clone()).await;
    settings.name = name.to_owned();
    let settings = json!(settings).to_string().replace('\'', "''");
    let stored = format!("UPDATE apps SET settings = '{settings}' WHERE id = '{}'", app.id);
    assert_eq!(sql::run(server, &stored, []), 1);
    server
        .add_provider(&app, "other", |recipe| {
            recipe.name = provider.to_owned();
            recipe.scopes = [("openid".to_owned(), scope.into())].into();
            recipe.authorize_params.clear();
        })
        .await;
    app
}

/// Walks through the pages of an app: picker, consent, denied, provider error, done, cancelled, and those of other
/// people's browsers.
async fn walk(server: &TestServer, app: &TestApp) -> Vec<(&'static str, String)> {
    let mut pages = Vec::new();
    let token = server.mint_for(app, &json!({})).await;
    let foreign = TestBrowser::new().open(server, &token, Some("https://evil.example")).await;
    pages.push(("open from app", foreign.text()));
    let mut browser = TestBrowser::new();
    let sid = browser.claim(server, app, &token).await;
    let (page, api) = (page_of(&sid), format!("/connect/api/s/{sid}"));
    pages.push(("picker", browser.get(server, &page).await.text()));
    let choose = json!({ "provider": "other" });
    browser.post(server, &format!("{api}/select"), &choose).await;
    pages.push(("consent", browser.get(server, &page).await.text()));
    for (name, code) in [("denied", "access_denied"), ("provider error", "server_error")] {
        server.mock.set(|s| (s.auto_deny, s.deny_error) = (true, code.into()));
        browser.post(server, &format!("{api}/select"), &choose).await;
        let authorize = browser.approve(server, &sid, "other").await;
        let callback = browser.at_provider(&authorize).await;
        browser.get(server, &callback).await;
        pages.push((name, browser.get(server, &page).await.text()));
    }
    server.mock.set(|s| s.auto_deny = false);
    browser.post(server, &format!("{api}/select"), &choose).await;
    let authorize = browser.approve(server, &sid, "other").await;
    let callback = browser.at_provider(&authorize).await;
    browser.get(server, &callback).await;
    pages.push(("picker with a connection", browser.get(server, &page).await.text()));
    browser.post(server, &format!("{api}/finish"), &json!({})).await;
    pages.push(("done", browser.get(server, &page).await.text()));

    let token = server.mint_for(app, &json!({})).await;
    let mut silent = TestBrowser::new();
    let location =
        silent.open(server, &token, Some("https://app.example")).await.header("location").to_owned();
    server.clock.advance_seconds(11);
    pages.push(("app unreachable", silent.get(server, &location).await.text()));
    pages
}

#[tokio::test]
async fn t45_hostile_words_in_every_field_stay_words_on_every_page() {
    let server = TestServer::start().await;
    // Both providers are the same mock, so there is one account name per walk.
    let account = |words: &str| {
        let claims = json!({ "email": words, "name": words });
        server.mock.set(|s| (s.id_token_claims, s.userinfo_claims) = (claims.clone(), claims.clone()));
        server.mock.set(|s| s.deny_description = Some(words.to_owned()));
    };
    account("Plain words");
    let plain = app_named(&server, "Plain words", "Plain words", "Plain words").await;
    let plain = walk(&server, &plain).await;
    for words in HOSTILE {
        account(words);
        let app = app_named(&server, words, words, words).await;
        let pages = walk(&server, &app).await;
        for ((what, html), (_, expected)) in pages.iter().zip(&plain) {
            assert_plain(&format!("{what} {words:?}"), html);
            assert_eq!(shape(html), shape(expected), "{what} {words:?}");
        }
        // Control: the words are there, as text.
        let escaped = words.contains('<') || words.contains('"');
        let marks = |page: &str| page.matches("&#60;").count() + page.matches("&#34;").count();
        let shown = pages.iter().filter(|(_, html)| marks(html) > marks(&plain[0].1)).count();
        assert!(!escaped || shown >= 5, "{words:?} is shown on {shown} pages");
    }
}

#[tokio::test]
async fn t45_hostile_scope_codes_and_provider_errors_stay_words() {
    let server = TestServer::start().await;
    server.mock.set(|s| {
        (s.auto_deny, s.deny_description) = (true, Some("<script>alert(1)</script>\r\n\u{1b}[31m".repeat(50)))
    });
    let mut kept = 0;
    for code in HOSTILE.into_iter().chain(["weird.code-1", "<b>"]) {
        server.mock.set(|s| s.deny_error = code.to_owned());
        let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
        let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
        // A code that RFC 6749 does not allow may make the whole callback invalid.
        let back = browser.get(&server, &callback).await;
        assert!(matches!(back.status, 303 | 400), "{code:?}: {}", back.status);
        assert!(
            matches!(back.header("location"), "") || back.header("location") == page_of(&sid),
            "{code:?}"
        );
        for html in [back.text(), browser.get(&server, &page_of(&sid)).await.text()] {
            assert_plain(code, &html);
            shape(&html);
            assert!(!html.contains("alert(1)"), "the provider's own words are shown: {code:?}");
        }
        let told = server.status(&token, "https://app.example", json!({})).await.json();
        if let Some(shown) = told["details"]["provider_error"].as_str() {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            assert!(shown.len() <= 64 && shown.bytes().all(plain), "{shown}");
            kept += 1;
        }
    }
    assert!(kept > 0, "control: a code of letters arrives");
}

#[tokio::test]
async fn t45_a_name_with_control_characters_is_no_name() {
    let server = TestServer::start().await;
    for name in
        ["a\r\nSet-Cookie: x=1", "a\0b", "a\u{1b}[31m", "\u{7f}", "a\u{202e}b", "", "   ", &"x".repeat(81)]
    {
        assert!(
            operate::create_app(&server.flows, &operator(), AppSettings::named(name)).await.is_err(),
            "{name:?}"
        );
    }
    assert!(
        operate::create_app(&server.flows, &operator(), AppSettings::named("Ünïcode & Söhne <3"))
            .await
            .is_ok()
    );
}
