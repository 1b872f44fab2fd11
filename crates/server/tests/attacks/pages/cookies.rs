//! The cookie with the browser key: its attributes, how many there may be, and what other cookies can do (T47, T48).

use alter_testkit::{Sent, TestBrowser, TestServer, browser::sid_of, http::send_raw};
use serde_json::json;

use super::{claimed, page_of};

/// `(name, value, attributes)` of the only cookie of an answer.
fn only_cookie(line: &str) -> (String, String, Vec<String>) {
    let mut parts = line.split(';').map(|p| p.trim().to_owned());
    let pair = parts.next().expect("a cookie has a pair");
    let (name, value) = pair.split_once('=').expect("a cookie has a value");
    let mut attributes: Vec<String> = parts.collect();
    attributes.sort();
    (name.to_owned(), value.to_owned(), attributes)
}

#[tokio::test]
async fn t47_on_https_the_cookie_is_a_host_cookie_that_scripts_and_siblings_cannot_touch() {
    let server = TestServer::start_https().await;
    server.clock.freeze();
    let token = server.mint(&json!({})).await;
    let mut browser = TestBrowser::new();
    let reply = browser.open(&server, &token, Some("https://app.example")).await;
    let sid = sid_of(reply.header("location"));
    let [cookie] = reply.cookies().try_into().expect("one cookie");
    let (name, value, attributes) = only_cookie(&cookie);
    assert_eq!(name, format!("__Host-cs_{sid}"));
    assert_eq!(value.len(), 43, "256 bits");
    // Max-Age: ten minutes until the session's end, and ten more that an attempt may outlive the session.
    assert_eq!(attributes, ["HttpOnly", "Max-Age=1200", "Path=/", "SameSite=Lax", "Secure"]);
    assert!(!cookie.to_lowercase().contains("domain"));

    // A cookie without the prefix, which a sibling host could set, is no key.
    server.status(&token, "https://app.example", json!({})).await;
    let with = |name: &str| Sent::new("GET", &page_of(&sid)).header("cookie", &format!("{name}={value}"));
    assert_eq!(server.send(with(&format!("cs_{sid}"))).await.status, 410);
    assert_eq!(server.send(with(&format!("__host-cs_{sid}"))).await.status, 410);
    assert_eq!(server.send(with(&name)).await.status, 200);
}

#[tokio::test]
async fn t47_on_http_loopback_it_goes_without_prefix_and_secure_and_is_the_same_otherwise() {
    let server = TestServer::start().await;
    server.clock.freeze();
    let token = server.mint(&json!({})).await;
    server.clock.advance_seconds(100);
    let reply = TestBrowser::new().open(&server, &token, Some("https://app.example")).await;
    let sid = sid_of(reply.header("location"));
    let [cookie] = reply.cookies().try_into().expect("one cookie");
    let (name, _, attributes) = only_cookie(&cookie);
    assert_eq!(name, format!("cs_{sid}"));
    assert_eq!(attributes, ["HttpOnly", "Max-Age=1100", "Path=/", "SameSite=Lax"]);
}

#[tokio::test]
async fn t47_no_other_answer_sets_a_cookie_and_each_session_has_its_own_key() {
    let server = TestServer::start().await;
    let (mut browser, token, sid) = claimed(&server).await;
    for target in
        [page_of(&sid), "/sdk/oauth/connect".into(), "/connect/notice/open".into(), "/nothing".into()]
    {
        assert!(browser.get(&server, &target).await.cookies().is_empty(), "{target}");
    }
    assert!(server.status(&token, "https://app.example", json!({})).await.cookies().is_empty());
    let peek = browser.post(&server, "/connect/api/peek", &json!({ "token": token })).await;
    assert!(peek.cookies().is_empty());
    let approve =
        browser.post(&server, &format!("/connect/api/s/{sid}/approve"), &json!({ "provider": "mock" })).await;
    assert!(approve.cookies().is_empty());
    let second = server.mint(&json!({})).await;
    browser.claim(&server, &server.app, &second).await;
    let cookie = browser.cookie();
    let values: Vec<&str> = cookie.split("; ").filter_map(|p| p.split_once('=')).map(|(_, v)| v).collect();
    assert_eq!(values.len(), 2);
    assert_ne!(values[0], values[1]);
}

#[tokio::test]
async fn t48_a_tossed_second_cookie_of_the_name_is_no_key() {
    let server = TestServer::start().await;
    let (browser, _, sid) = claimed(&server).await;
    let (own, page) = (browser.cookie(), page_of(&sid));
    let tossed = format!("cs_{sid}={}", "A".repeat(43));
    for cookie in [
        format!("{own}; {tossed}"),
        format!("{tossed}; {own}"),
        tossed.clone(),
        format!("{own}x"),
        "x".into(),
    ] {
        let reply = server.send(Sent::new("GET", &page).header("cookie", &cookie)).await;
        assert_eq!(reply.status, 410, "{cookie}");
    }
    let two = Sent::new("GET", &page).header("cookie", &own).header("cookie", &tossed);
    assert_eq!(server.send(two).await.status, 410, "in two header lines");
    let control = Sent::new("GET", &page).header("cookie", &format!("a=b; {own}; junk; =; cs_=x"));
    assert_eq!(server.send(control).await.status, 200, "strangers beside it do no harm");
}

#[tokio::test]
async fn t48_of_eleven_live_sessions_in_one_browser_the_oldest_loses_its_cookie() {
    let server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let mut sids = Vec::new();
    for number in 1..=13 {
        let token = server.mint(&json!({})).await;
        sids.push(browser.claim(&server, &server.app, &token).await);
        let held = browser.cookie();
        // Counted as cookies: a random id or value may itself hold `cs_`.
        let live = held.split("; ").filter(|pair| pair.starts_with("cs_")).count();
        assert_eq!(live, number.min(10), "after {number} sessions: {held}");
        assert!(held.contains(sids.last().expect("just claimed")), "the new one stays");
    }
    let held = browser.cookie();
    for (number, sid) in sids.iter().enumerate() {
        assert_eq!(held.contains(sid.as_str()), number >= 3, "session {number}");
        let expected = if number >= 3 { 200 } else { 410 };
        assert_eq!(browser.get(&server, &page_of(sid)).await.status, expected, "session {number}");
    }
}

#[tokio::test]
async fn t48_sessions_that_are_over_go_before_live_ones() {
    let server = TestServer::start().await;
    let mut browser = TestBrowser::new();
    let mut sids = Vec::new();
    for _ in 0..10 {
        let token = server.mint(&json!({})).await;
        sids.push((browser.claim(&server, &server.app, &token).await, token));
    }
    let (ended, token) = &sids[5];
    server.status(token, "https://app.example", json!({ "cancel": true })).await;
    let fresh = server.mint(&json!({})).await;
    browser.claim(&server, &server.app, &fresh).await;
    let held = browser.cookie();
    assert!(!held.contains(ended.as_str()), "the one that is over went");
    assert!(held.contains(sids[0].0.as_str()), "the oldest live one stays");
}

#[tokio::test]
async fn t48_headers_above_sixteen_kilobytes_are_431_and_the_server_goes_on() {
    let server = TestServer::start().await;
    let (browser, _, sid) = claimed(&server).await;
    let bomb = |bytes: usize| format!("{}; {}", browser.cookie(), "b=".to_owned() + &"x".repeat(bytes));
    let page = |cookie: &str| Sent::new("GET", &page_of(&sid)).header("cookie", cookie);
    assert_eq!(server.send(page(&bomb(15_000))).await.status, 200, "below the limit");
    for bytes in [16_400, 30_000, 60_000] {
        let reply = server.send(page(&bomb(bytes))).await;
        assert_eq!(reply.status, 431, "{bytes}");
        assert!(!reply.text().contains("xxxx") && reply.cookies().is_empty(), "{bytes}");
        assert!(reply.json()["message"].is_string() || reply.header("content-type").starts_with("text/html"));
    }
    let many: String = (0..2_000).map(|i| format!("X-Header-{i}: y\r\n")).collect();
    let raw = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{many}\r\n", server.host);
    assert!(send_raw(&server.host, raw.as_bytes()).await.starts_with("HTTP/1.1 431"), "2,000 headers");
    let huge = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nCookie: {}", server.host, "z".repeat(200_000));
    let answer = send_raw(&server.host, huge.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer:.200}");
    assert_eq!(server.send(page(&browser.cookie())).await.status, 200, "and the server goes on");
}
