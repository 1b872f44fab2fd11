//! Wrong hosts, wrong methods, unknown paths, too much, too deep (T76, decisions 9).

use alter_testkit::{Sent, TestBrowser, TestServer, http::send_raw};
use serde_json::json;

use crate::logs::Logs;

#[tokio::test]
async fn a_request_for_another_host_is_misdirected() {
    let server = TestServer::start().await;
    let port = server.host.rsplit(':').next().expect("a port").to_owned();
    let token = server.mint(&json!({})).await;
    for host in [
        "evil.example".to_owned(),
        "localhost".into(),
        "localhost:1".into(),
        format!("127.0.0.1:{port}"),
        format!("{}.", server.host),
        format!("{}.evil.example", server.host),
        format!("evil@{}", server.host),
        format!("localhost.:{port}"),
        format!("localhost:0{port}"),
    ] {
        for sent in [
            Sent::new("GET", "/connect/notice/open"),
            Sent::new("GET", "/sdk/alter-connect.umd.js"),
            Sent::new("POST", "/connect/open").body(format!("session={token}")),
            server.signed(&server.app.key, "/sdk/oauth/connect/session", &json!({})),
        ] {
            let what = format!("{} with Host {host}", sent.target);
            let reply = server.send(sent.header("host", &host)).await;
            assert_eq!(reply.status, 421, "{what}");
            assert!(reply.cookies().is_empty());
        }
        assert_eq!(
            server.send(Sent::new("GET", "/healthz").header("host", &host)).await.status,
            200,
            "probes"
        );
    }
    let two =
        Sent::new("GET", "/connect/notice/open").header("host", &server.host).header("host", "evil.example");
    assert!(matches!(server.send(two).await.status, 400 | 421), "two hosts");
    let none = send_raw(&server.host, b"GET /connect/notice/open HTTP/1.0\r\n\r\n").await;
    assert!(none.starts_with("HTTP/1.0 421") || none.starts_with("HTTP/1.1 4"), "no host: {none:.60}");
    assert_eq!(
        server
            .send(Sent::new("GET", "/connect/notice/open").header("host", &server.host.to_uppercase()))
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn a_target_that_names_another_host_is_misdirected_whatever_the_host_header_says() {
    let server = TestServer::start().await;
    let ours = server.host.clone();
    let ask = async |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        send_raw(&server.host, request.as_bytes()).await
    };
    let path = "/connect/notice/open";
    for (target, host) in [
        (format!("http://evil.example{path}"), &*ours),
        (format!("https://evil.example:443{path}"), &*ours),
        (format!("http://evil.example@{ours}{path}"), &*ours),
        (format!("http://{ours}.evil.example{path}"), &*ours),
        (format!("http://{ours}{path}"), "evil.example"),
    ] {
        let reply = ask(&target, host).await;
        assert!(reply.starts_with("HTTP/1.1 421"), "{target} {host}: {reply:.60}");
    }
    for target in
        [path.to_owned(), format!("http://{ours}{path}"), format!("http://{}{path}", ours.to_uppercase())]
    {
        let reply = ask(&target, &ours).await;
        assert!(reply.starts_with("HTTP/1.1 403"), "positive control: {target}: {reply:.60}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_an_unknown_path_404() {
    let server = TestServer::start().await;
    for (method, target) in [
        ("PUT", "/connect/open"),
        ("GET", "/connect/status"),
        ("GET", "/connect/api/peek"),
        ("PUT", "/sdk/token"),
        ("GET", "/sdk/oauth/connect/session"),
        ("POST", "/sdk/oauth/connect"),
        ("DELETE", "/healthz"),
        ("POST", "/connect/notice/open"),
        ("TRACE", "/connect/status"),
        ("PATCH", "/oauth/callback/x"),
        ("OPTIONS", "/connect/status"),
    ] {
        let reply = server.send(Sent::new(method, target)).await;
        assert_eq!((reply.status, reply.error().as_str()), (405, "method_not_allowed"), "{method} {target}");
        assert!(!reply.header("allow").is_empty(), "{method} {target}: no Allow (RFC 9110 section 15.5.6)");
    }
    for (method, target, html) in [
        ("GET", "/nothing", true),
        ("GET", "/connect/", true),
        ("POST", "/nothing", false),
        // A GET of such an address would be looked up among the SDK's files.
        ("POST", "/sdk/nothing", false),
        ("GET", "/sdk/x/y", false),
        ("GET", "/connect/api/x", false),
        ("GET", "/sdk/v/9.9.9/alter-connect.umd.js", false),
        ("GET", "/sdk/..x", false),
    ] {
        let reply = server.send(Sent::new(method, target)).await;
        assert_eq!(reply.status, 404, "{method} {target}");
        assert_eq!(reply.header("content-type").starts_with("text/html"), html, "{method} {target}");
    }
}

/// A browser that goes to an address shows what comes, so it must be a page: a reload of door A, a proxy's redirect that
/// lost the form, an app with a wrong `baseURL`, a provider that comes back by POST.
#[tokio::test]
async fn a_person_never_sees_json() {
    let server = TestServer::start().await;
    let elsewhere = |method: &str, target: &str| Sent::new(method, target).header("host", "127.0.0.1:8700");
    let browser = |method: &str, target: &str| Sent::new(method, target).header("sec-fetch-mode", "navigate");
    let long = || "a".repeat(17_000);
    for (sent, status, words) in [
        (elsewhere("POST", "/connect/open"), 421, server.public_url.as_str()),
        (elsewhere("POST", "/oauth/callback/x"), 421, &server.public_url),
        (elsewhere("POST", "/connect/s/x"), 421, &server.public_url),
        (elsewhere("GET", "/connect/open"), 421, &server.public_url),
        (elsewhere("PUT", "/nothing").header("sec-fetch-mode", "navigate"), 421, &server.public_url),
        (Sent::new("GET", "/connect/open"), 405, "Open this page from"),
        (browser("POST", "/connect/notice/open"), 405, "There is no page here"),
        (browser("POST", "/sdk/oauth/connect"), 405, "There is no page here"),
        (browser("POST", "/nothing"), 404, "There is no page here"),
        (Sent::new("GET", "/connect/s/a%2fb"), 400, "There is no page here"),
        (Sent::new("POST", "/connect/s/a%2fb"), 400, "There is no page here"),
        (Sent::new("POST", "/connect/open").header("x-long", &long()), 431, "cookies"),
        (Sent::new("POST", "/connect/s/x").header("x-long", &long()), 431, "cookies"),
    ] {
        let what = format!("{} {}", sent.method, sent.target);
        let reply = server.send(sent).await;
        assert_eq!(reply.status, status, "{what}");
        assert!(reply.header("content-type").starts_with("text/html"), "{what}: {}", reply.text());
        assert!(reply.text().contains(words), "{what}: {}", reply.text());
    }
}

/// An app whose `baseURL` is 127.0.0.1 where the server is localhost. Any web page can send that request, so nobody reads the
/// right address there.
#[tokio::test]
async fn an_app_with_a_wrong_base_url_may_read_that_it_is_wrong_and_not_what_is_right() {
    let server = TestServer::start().await;
    let sent = Sent::new("POST", "/connect/status").header("host", "127.0.0.1:8700").body("{}");
    let reply = server.send(sent.clone().header("origin", "https://app.example")).await;
    assert_eq!((reply.status, reply.error().as_str()), (421, "wrong_host"));
    assert_eq!(
        (reply.header("access-control-allow-origin"), reply.header("vary")),
        ("https://app.example", "Origin")
    );
    assert!(!reply.text().contains(&server.public_url), "{}", reply.text());
    let silent = server.send(sent).await;
    assert_eq!((silent.status, silent.header("access-control-allow-origin")), (421, ""));
}

/// The longest body that a page's own script sends, bytes.
const PAGE: usize = 4 * 1024;

#[tokio::test]
async fn t76_a_body_beyond_the_limit_is_413_and_changes_nothing() {
    let server = TestServer::start().await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let sid = browser.claim(&server, &server.app, &token).await;
    let large = |bytes: usize| format!("{{\"provider\":\"mock\"}}{}", " ".repeat(bytes - 19));
    for target in
        [format!("/connect/api/s/{sid}/select"), "/connect/api/peek".into(), "/connect/api/claim".into()]
    {
        let sent = Sent::new("POST", &target)
            .header("origin", &server.public_url)
            .header("content-type", "application/json");
        let reply = browser.send(&server, sent.body(large(PAGE + 1))).await;
        assert_eq!((reply.status, reply.error().as_str()), (413, "body_too_large"), "{target}");
    }
    let status =
        Sent::new("POST", "/connect/status").header("origin", "https://app.example").body(large(PAGE + 1));
    assert_eq!(server.send(status).await.status, 413);
    let signed = server.signed_raw(&server.app.key, "POST", "/sdk/token", large(256 * 1024 + 1).as_bytes());
    assert_eq!(server.send(signed).await.status, 413);

    let target = format!("/connect/api/s/{sid}/select");
    let sent = Sent::new("POST", &target)
        .header("origin", &server.public_url)
        .header("content-type", "application/json");
    assert_eq!(browser.send(&server, sent.body(large(PAGE))).await.status, 200, "exactly the limit");

    // A body announced as gigabytes, or sent in endless chunks, is refused long before its end.
    let head = |more: &str| {
        format!(
            "POST /connect/status HTTP/1.1\r\nHost: {}\r\nOrigin: https://app.example\r\nConnection: close\r\n{more}\r\n",
            server.host
        )
    };
    let mut chunked = head("Transfer-Encoding: chunked\r\n");
    (0..80).for_each(|_| chunked.push_str(&format!("1000\r\n{}\r\n", "x".repeat(4096))));
    let mut announced = head("Content-Length: 10000000000\r\n");
    announced.push_str(&"x".repeat(300_000));
    for raw in [chunked, announced] {
        let answer = send_raw(&server.host, raw.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer:.80}");
    }
    assert_eq!(server.status(&token, "https://app.example", json!({})).await.status, 200);
}

#[tokio::test]
async fn t76_json_deeper_than_32_is_refused_and_a_million_brackets_hurt_nobody() {
    let server = TestServer::start().await;
    let nest = |n: usize, inner: &str| format!("{}{inner}{}", "[".repeat(n), "]".repeat(n));
    let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    for body in [nest(33, ""), nest(100_000, ""), "[".repeat(200_000), objects(33), objects(40_000)] {
        for target in ["/sdk/oauth/connect/session", "/sdk/token", "/sdk/oauth/connect/session/poll"] {
            let reply =
                server.send(server.signed_raw(&server.app.key, "POST", target, body.as_bytes())).await;
            assert_eq!(
                (reply.status, reply.error().as_str()),
                (400, "invalid_request"),
                "{target} {body:.20}"
            );
            assert!(reply.text().contains("32"), "{}", reply.text());
        }
        let status =
            Sent::new("POST", "/connect/status").header("origin", "https://app.example").body(body.clone());
        let refused = if body.len() > PAGE { 413 } else { 400 };
        assert_eq!(server.send(status).await.status, refused);
        let peek = Sent::new("POST", "/connect/api/peek").header("origin", &server.public_url);
        let peek = server.send(peek.header("content-type", "application/json").body(body)).await;
        assert_eq!(peek.status, refused);
    }
    let in_depth = format!("{{\"metadata\":{}}}", nest(30, "1"));
    let control =
        server.signed_raw(&server.app.key, "POST", "/sdk/oauth/connect/session", in_depth.as_bytes());
    assert_eq!(server.send(control).await.error(), "unsupported_field", "31 levels are read");
    assert_eq!(server.call("/sdk/oauth/connect/session", &json!({})).await.status, 201);
}

#[tokio::test]
async fn t76_broken_json_and_long_strings_are_refused_without_being_repeated() {
    let server = TestServer::start().await;
    let long = "secret-canary-".repeat(10_000);
    for body in [
        "".into(),
        "{".into(),
        "null".into(),
        "[]".into(),
        "\"x\"".into(),
        "{} {}".into(),
        "\u{feff}{}".into(),
        format!("{{\"session_token\":{long}}}"),
        format!("{{\"session_token\":[\"{long}\"]}}"),
        format!("{{\"session_token\":\"a\",\"session_token\":\"{long}\"}}"),
        format!("{{\"{long}\":1}}"),
        "{\"session_token\":\"\\ud800\"}".into(),
        "{\"session_token\":1e999}".into(),
        "{\"session_token\":NaN}".into(),
    ] {
        let text: String = body;
        let target = "/sdk/oauth/connect/session/poll";
        let reply = server.send(server.signed_raw(&server.app.key, "POST", target, text.as_bytes())).await;
        assert_eq!((reply.status, reply.error().as_str()), (400, "invalid_request"), "{text:.60}");
        assert!(
            reply.body.len() < 2_000 && !reply.text().contains("secret-canary"),
            "{text:.60}: {:.300}",
            reply.text()
        );
    }
    let invalid = server.signed_raw(
        &server.app.key,
        "POST",
        "/sdk/oauth/connect/session/poll",
        b"{\"session_token\":\"\xff\"}",
    );
    assert_eq!(server.send(invalid).await.status, 400, "not UTF-8");
    for (field, value) in [
        ("allowed_origin", json!(format!("https://{}", "a/".repeat(50_000)))),
        ("return_url", json!("x".repeat(200_000))),
        ("allowed_providers", json!(vec!["x"; 20_000])),
        ("allowed_origin", json!("x".repeat(200_000))),
    ] {
        let reply = server.call("/sdk/oauth/connect/session", &json!({ field: value })).await;
        assert_eq!(reply.status, 400, "{field}: {:.200}", reply.text());
        assert!(reply.body.len() < 4_000, "{field}: the answer repeats {} bytes", reply.body.len());
    }
    let nul = json!({ "grant_id": "11111111-2222-4333-8444-555555555555", "reason": "a\u{0}b", "request": { "method": "GET", "url": "https://x/" } });
    assert_eq!(server.call("/sdk/token", &nul).await.status, 400, "NUL");
}

/// A path of many short segments, each of which could be a public id, and a method that is a long word.
#[tokio::test]
async fn t75_a_refused_request_writes_a_kibibyte_of_log_at_most() {
    let server = TestServer::start().await;
    let short = format!("/{}", "a".repeat(36)).repeat(1_500);
    let quoted = "/%22\"{}".repeat(6_000);
    let callback = format!("/oauth/callback/{}", "a".repeat(9_000));
    for (method, path) in [
        ("GET", short.clone()),
        ("POST", short.clone()),
        ("GET", quoted),
        ("GET", callback),
        (&"X".repeat(9_000), short),
    ] {
        let logs = Logs::capture();
        let raw = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.host);
        let answer = send_raw(&server.host, raw.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer:.80}");
        let log = logs.text();
        assert!(log.contains("request refused") || log.is_empty(), "{log:.300}");
        assert!(log.len() <= 1024, "{} bytes of log for {method:.10}: {log:.300}", log.len());
    }
    // Control: a path of ours is in the log as it came.
    let logs = Logs::capture();
    let ours =
        "/sdk/agents/11111111-2222-4333-8444-555555555555/keys/11111111-2222-4333-8444-555555555555/revoke";
    assert_eq!(server.send(Sent::new("PUT", ours)).await.status, 404);
    assert!(logs.text().contains(&format!("path={ours} ")), "{}", logs.text());
}

/// The log is what tells an operator that the app's page is at localhost and its session for 127.0.0.1.
#[tokio::test]
async fn t75_a_page_at_another_origin_is_in_the_log_with_both_origins_cut_to_what_fits() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let long = format!("https://{}", "a".repeat(9_000));
    for (origin, logged) in [("http://localhost:3000", "http://localhost:3000 "), (&long, &long[..300])] {
        for door in ["/connect/status", "/connect/open"] {
            let logs = Logs::capture();
            let reply = match door {
                "/connect/status" => server.status(&token, origin, json!({})).await,
                _ => TestBrowser::new().open(&server, &token, Some(origin)).await,
            };
            assert_eq!(reply.status, 403, "{door}");
            let log = logs.text();
            assert!(log.contains(&format!("page_origin={logged}")), "{door}: {log:.600}");
            assert!(log.contains(&format!("allowed_origin={}", server.app.origin)), "{door}: {log:.600}");
            assert!(log.len() <= 1024 && !log.contains(&token), "{door}: {} bytes: {log:.1200}", log.len());
        }
    }
}

#[tokio::test]
async fn the_log_says_at_which_notice_a_flow_ended() {
    let server = TestServer::start().await;
    for (name, logged) in [("open", true), ("other_browser", true), ("nothing_of_ours", false)] {
        let logs = Logs::capture();
        let reply = server.get(&format!("/connect/notice/{name}")).await;
        let line = format!("message=a flow ended at a notice notice={name}\n");
        let log = logs.text();
        assert_eq!(log.contains(&line), logged, "{log:.600}");
        assert!(log.contains(&format!("request_id={}", reply.header("x-request-id"))), "{log:.600}");
    }
}
