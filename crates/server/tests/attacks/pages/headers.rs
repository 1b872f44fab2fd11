//! The header set of every HTML answer (T38, T51, threats 6.10), and which answers are no HTML at all (T33).

use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use serde_json::json;

use super::{claimed, enter, page_of};

/// The names of an HTML answer's headers: all of these and no others but `vary`.
const NAMES: [&str; 13] = [
    "cache-control",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
];

fn assert_page(what: &str, reply: &Reply) {
    // What shows a word from a request stays plain for every client (tests/routes/coding.rs).
    let plain = ["data-page=\"provider_error\"", "You came from"].iter().any(|is| reply.text().contains(is));
    let varies = if plain { "" } else { "accept-encoding" };
    assert_eq!(reply.header("vary"), varies, "{what}");
    let mut names: Vec<&str> =
        reply.headers.keys().map(|name| name.as_str()).filter(|n| *n != "vary").collect();
    names.sort_unstable();
    assert_eq!(names, NAMES, "{what}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "unsafe-none"),
    ] {
        assert_eq!(reply.header(name), value, "{what}: {name}");
    }
    let hsts = reply.header("strict-transport-security").strip_prefix("max-age=").expect("HSTS");
    assert!(
        hsts.split(';').next().and_then(|s| s.parse::<u32>().ok()).is_some_and(|s| s >= 31_536_000),
        "{what}"
    );
    let features = reply.header("permissions-policy");
    assert!(
        features.split(", ").all(|f| f.ends_with("=()")) && features.contains("camera=()"),
        "{what}: {features}"
    );
    assert_policy(what, reply.header("content-security-policy"));
}

fn assert_policy(what: &str, policy: &str) {
    let mut directives: Vec<&str> = policy.split(';').map(str::trim).collect();
    let style = directives.iter().position(|d| d.starts_with("style-src ")).expect("style-src");
    let style = directives.remove(style);
    assert!(style.starts_with("style-src 'sha256-") && !style.contains("unsafe"), "{what}: {style}");
    directives.sort_unstable();
    let expected = [
        "base-uri 'none'",
        "connect-src 'self'",
        "default-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "img-src 'self' data:",
        "require-trusted-types-for 'script'",
        "script-src 'self'",
        "trusted-types 'none'",
    ];
    assert_eq!(directives, expected, "{what}");
}

/// Every page that can be had without a session.
async fn outside(server: &TestServer) -> Vec<(String, u16, Reply)> {
    let mut pages = Vec::new();
    let mut targets: Vec<(String, u16)> = [
        ("/sdk/oauth/connect", 200),
        ("/sdk/oauth/connect?session=alter_cs_x", 400),
        ("/sdk/oauth/connect?token=alter_as_x", 400),
        ("/connect/s/aaaaaaaaaaaaaaaaaaaaaaaaaa", 410),
        ("/connect/s/no-sid-at-all", 410),
        ("/connect/s/aaaaaaaaaaaaaaaaaaaaaaaaaa/return", 410),
        ("/connect/s/no-sid-at-all/return", 410),
        ("/connect/s/aaaaaaaaaaaaaaaaaaaaaaaaaa?c=x&c=y", 410),
        ("/connect/notice/open", 403),
        ("/connect/notice/invalid", 404),
        ("/connect/notice/expired", 410),
        ("/connect/notice/used", 410),
        ("/connect/notice/other_browser", 410),
        ("/connect/notice/cookies", 400),
        ("/connect/notice/nothing", 404),
        ("/oauth/callback/pc_aaaaaaaaaaaaaaaaaaaaaaaaaa", 400),
        ("/oauth/callback/x?code=1&state=2", 400),
        ("/", 404),
        ("/nothing/here.html", 404),
    ]
    .map(|(target, status)| (target.to_owned(), status))
    .into();
    targets.push((format!("/oauth/callback/x?{}", "a".repeat(17_000)), 400));
    for (target, status) in targets {
        // One target is longer than the limit on purpose.
        pages.push((target.clone(), status, server.get(&target).await));
    }
    let wrong_host = Sent::new("GET", "/connect/notice/open").header("host", "evil.example");
    pages.push(("wrong host".into(), 421, server.send(wrong_host).await));
    let form = |body: &str| {
        let sent =
            Sent::new("POST", "/connect/open").header("content-type", "application/x-www-form-urlencoded");
        sent.header("origin", "https://app.example").body(body)
    };
    pages.push(("open: nothing".into(), 404, server.send(form("")).await));
    pages.push(("open: twice".into(), 404, server.send(form("session=a&session=b")).await));
    pages.push(("open: too large".into(), 400, server.send(form(&"a".repeat(300_000))).await));
    let form_post = Sent::new("POST", "/oauth/callback/x").body("code=1&state=2");
    pages.push(("form_post: no config".into(), 400, server.send(form_post).await));
    pages
}

/// Every page of a session, by name.
async fn inside() -> Vec<(String, u16, Reply)> {
    let mut pages = Vec::new();
    let server = TestServer::start().await;
    server.add_provider(&server.app, "other", |_| {}).await;
    let (mut browser, token, sid) = claimed(&server).await;
    let page = page_of(&sid);
    pages.push(("picker".into(), 200, browser.get(&server, &page).await));
    let api = format!("/connect/api/s/{sid}");
    let choose = json!({ "provider": "mock" });
    browser.post(&server, &format!("{api}/select"), &choose).await;
    pages.push(("consent".into(), 200, browser.get(&server, &page).await));
    for (name, deny) in [("denied", "access_denied"), ("provider error", "temporarily_unavailable")] {
        server.mock.set(|s| (s.auto_deny, s.deny_error) = (true, deny.into()));
        browser.post(&server, &format!("{api}/select"), &choose).await;
        let authorize = browser.approve(&server, &sid, "mock").await;
        let callback = browser.at_provider(&authorize).await;
        browser.get(&server, &callback).await;
        pages.push((name.into(), 200, browser.get(&server, &page).await));
    }
    server.mock.set(|s| s.auto_deny = false);
    pages.push(("other browser".into(), 410, TestBrowser::new().get(&server, &page).await));
    let foreign = TestBrowser::new().open(&server, &token, Some("https://app.example")).await;
    pages.push(("taken".into(), 410, foreign));
    let fresh = server.mint(&json!({})).await;
    for origin in [None, Some("https://evil.example")] {
        pages.push(("open: foreign".into(), 403, TestBrowser::new().open(&server, &fresh, origin).await));
    }
    browser.post(&server, &format!("{api}/back"), &json!({})).await;
    browser.post(&server, &format!("{api}/cancel"), &json!({})).await;
    pages.push(("cancelled".into(), 200, browser.get(&server, &page).await));
    pages.push((
        "used".into(),
        410,
        TestBrowser::new().open(&server, &token, Some("https://app.example")).await,
    ));

    let single = json!({ "allowed_providers": ["mock"] });
    let (token, mut browser) = (server.mint(&single).await, TestBrowser::new());
    let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    browser.get(&server, &callback).await;
    pages.push(("done".into(), 200, browser.get(&server, &page_of(&sid)).await));
    pages.push(("callback in another browser".into(), 400, {
        let (token, mut started) = (server.mint(&single).await, TestBrowser::new());
        let (_, callback) = started.up_to_callback(&server, &server.app, &token).await;
        TestBrowser::new().get(&server, &callback).await
    }));

    let (token, mut browser) = (server.mint(&single).await, TestBrowser::new());
    let (sid, marked) = enter(&server, &mut browser, &token).await;
    pages.push(("cookies blocked".into(), 400, TestBrowser::new().get(&server, &marked).await));
    server.clock.advance_seconds(11);
    pages.push(("app unreachable".into(), 200, browser.get(&server, &page_of(&sid)).await));
    server.clock.advance_seconds(600);
    pages.push(("expired".into(), 410, browser.get(&server, &page_of(&sid)).await));
    pages.push(("waiting".into(), 200, waiting(&server).await));
    pages.extend(of_redirects(&server).await);
    pages
}

/// The pages on which a redirect flow ends.
async fn of_redirects(server: &TestServer) -> Vec<(String, u16, Reply)> {
    let mut pages = Vec::new();
    let body = json!({ "allowed_providers": ["mock"], "return_url": "https://app.example/back" });
    let (token, mut browser) = (server.mint(&body).await, TestBrowser::new());
    let sid = browser.claim_by_redirect(server, &server.app, &token).await;
    let taken = TestBrowser::new().open_as("r", server, &token, Some("https://app.example")).await;
    pages.push(("redirect: taken".into(), 410, taken));
    browser.post(server, &format!("/connect/api/s/{sid}/cancel"), &json!({})).await;
    pages.push(("redirect: denied".into(), 200, browser.get(server, &page_of(&sid)).await));
    let without = server.mint(&json!({})).await;
    let refused = TestBrowser::new().open_as("r", server, &without, Some("https://app.example")).await;
    pages.push(("redirect: no return_url".into(), 400, refused));
    pages
}

/// The page of a session whose code is being exchanged.
async fn waiting(server: &TestServer) -> Reply {
    let gate = alter_mock_provider::Gate::closed();
    server.mock.set(|s| s.token_gate = Some(gate.clone()));
    let token = server.mint(&json!({ "allowed_providers": ["mock"] })).await;
    let mut browser = TestBrowser::new();
    let (sid, callback) = browser.up_to_callback(server, &server.app, &token).await;
    let before = server.mock.seen().token.len();
    let mut same = browser.clone();
    let meanwhile = async {
        server.mock.wait_for(|seen| seen.token.len() > before).await;
        let page = same.get(server, &page_of(&sid)).await;
        gate.open();
        page
    };
    tokio::join!(browser.get(server, &callback), meanwhile).1
}

#[tokio::test]
async fn t38_every_html_answer_has_exactly_the_header_set() {
    let server = TestServer::start().await;
    let mut pages = outside(&server).await;
    pages.extend(inside().await);
    for (what, status, reply) in &pages {
        assert_eq!(reply.status, *status, "{what:.80}: {:.300}", reply.text());
        assert_page(&format!("{what:.80}"), reply);
    }
    let names = |word: &str| {
        pages.iter().filter(|(_, _, r)| r.text().contains(&format!("data-page=\"{word}\""))).count()
    };
    for word in
        ["shell", "picker", "consent", "waiting", "done", "denied", "provider_error", "cancelled", "notice"]
    {
        assert!(names(word) > 0, "no {word} page was looked at");
    }
}

#[tokio::test]
async fn t38_the_server_with_an_https_address_sends_the_same_headers() {
    let server = TestServer::start_https().await;
    assert_page("shell", &server.get("/sdk/oauth/connect").await);
    let (mut browser, _, sid) = claimed(&server).await;
    assert_page("consent", &browser.get(&server, &page_of(&sid)).await);
}

#[tokio::test]
async fn t51_nothing_of_a_session_is_kept_by_a_cache() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let mut browser = TestBrowser::new();
    let entered = browser.open(&server, &token, Some("https://app.example")).await;
    let status = server.status(&token, "https://app.example", json!({})).await;
    let sid = alter_testkit::browser::sid_of(entered.header("location"));
    let state = browser.post(&server, &format!("/connect/api/s/{sid}/state"), &json!({})).await;
    let callback = browser.at_provider(&browser.clone().approve(&server, &sid, "mock").await).await;
    let called_back = browser.get(&server, &callback).await;
    let poll = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await;
    let grant = poll.json()["grants"][0]["grant_id"].as_str().expect("it completed").to_owned();
    let released = server.token(&grant).await;
    let form_post = Sent::new("POST", &server.app.callback[server.public_url.len()..]).body("code=1&state=2");
    let form_post = server.send(form_post).await;
    for (what, reply) in [
        ("open", entered),
        ("status", status),
        ("callback", called_back),
        ("poll", poll),
        ("token", released),
        ("form_post", form_post),
    ] {
        assert!(reply.status < 400, "{what}: {}", reply.text());
        assert_eq!(reply.header("cache-control"), "no-store", "{what}");
    }
    // The answer to a POST is cacheable only if it says so (RFC 9111), and this one must not.
    assert!(matches!(state.header("cache-control"), "" | "no-store"), "{:?}", state.headers);
}

/// Markup in every place that a caller controls comes back, if at all, as JSON that browsers never sniff.
#[tokio::test]
async fn t33_no_answer_reflects_input_as_html() {
    const MARK: &str = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'";
    let server = TestServer::start().await;
    let encoded =
        "%3Cscript%3Ealert(1)%3C/script%3E%3Cimg%20src=x%20onerror=alert(1)%3E%22'".replace('/', "%20");
    let raw = "%3Cscript%3Ealert(1)%3C%20script%3E";
    let mut replies = Vec::new();
    for path in [
        "/",
        "/connect/s/",
        "/connect/notice/",
        "/oauth/callback/",
        "/sdk/",
        "/sdk/v/1/",
        "/sdk/oauth/connect/",
        "/connect/api/s/",
        "/connect/assets/",
    ] {
        for text in [encoded.as_str(), raw] {
            for method in ["GET", "POST"] {
                replies.push(
                    server.send(Sent::new(method, &format!("{path}{text}?{text}=1&error={text}"))).await,
                );
            }
        }
    }
    for (name, value) in [
        ("host", "<script>alert(1)</script>"),
        ("origin", MARK),
        ("referer", MARK),
        ("user-agent", MARK),
        ("sec-fetch-site", MARK),
        ("cookie", MARK),
        ("x-request-id", MARK),
        ("x-forwarded-host", MARK),
        ("accept", MARK),
    ] {
        for target in [
            "/sdk/oauth/connect",
            "/nothing",
            "/connect/s/aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "/connect/notice/open",
        ] {
            replies.push(server.send(Sent::new("GET", target).header(name, value)).await);
        }
        replies.push(server.send(Sent::new("POST", "/connect/status").header(name, value).body("{}")).await);
    }
    let bodies = [
        json!({ "<script>alert(1)</script>": 1 }),
        json!({ MARK: MARK }),
        json!({ "token": MARK }),
        json!({ "session_token": MARK, "cursor": MARK }),
    ];
    for body in &bodies {
        for target in ["/connect/api/peek", "/connect/api/claim", "/connect/api/s/x/select"] {
            replies.push(TestBrowser::new().post(&server, target, body).await);
        }
        for target in ["/sdk/token", "/sdk/oauth/connect/session", "/sdk/oauth/connect/session/poll"] {
            replies.push(server.call(target, body).await);
        }
        replies.push(server.status(MARK, MARK, body.clone()).await);
    }
    let minted = json!({ "allowed_origin": format!("https://{MARK}"), "return_url": MARK, "allowed_providers": [MARK] });
    replies.push(server.call("/sdk/oauth/connect/session", &minted).await);
    let mut reflected = 0;
    for reply in &replies {
        let html = reply.header("content-type").starts_with("text/html");
        let marked = reply.text().contains("<script>alert") || reply.text().contains("<img src=x");
        assert!(!(html && marked), "reflected as HTML: {}", reply.text());
        reflected += usize::from(marked);
        if !reply.body.is_empty() && !html {
            assert_eq!(reply.header("content-type"), "application/json", "{:.200}", reply.text());
        }
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{}", reply.status);
        for (name, value) in &reply.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let echoed_origin = name == "access-control-allow-origin" && value == MARK;
            assert!(echoed_origin || !value.contains("<script"), "{name}: {value}");
        }
    }
    assert!(reflected > 0, "control: the marks did arrive somewhere");
}

#[tokio::test]
async fn t33_a_script_or_style_is_served_as_such_and_nothing_else_is() {
    let server = TestServer::start().await;
    let shell = server.get("/sdk/oauth/connect").await.text();
    let script =
        shell.split("<script src=\"").nth(1).and_then(|s| s.split('"').next()).expect("a script").to_owned();
    let reply = server.get(&script).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin");
    let sdk = server.get("/sdk/alter-connect.umd.js").await;
    assert_eq!((sdk.status, sdk.header("cross-origin-resource-policy")), (200, "cross-origin"));
    for reply in [&reply, &sdk] {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(reply.cookies().is_empty());
    }
}
