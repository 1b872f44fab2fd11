//! What is compressed on its way out, and what is not.

use std::io::Read as _;

use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use serde_json::json;

const SDK: &str = "/sdk/v/0.1.0/alter-connect.umd.js";
const BUDGET: usize = 20_000;

fn unzipped(reply: &Reply) -> String {
    assert_eq!(reply.header("content-encoding"), "gzip", "{:?}", reply.headers);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_string(&mut text).expect("it is gzip");
    text
}

fn get(target: &str, accepted: &str) -> Sent {
    Sent::new("GET", target).header("accept-encoding", accepted)
}

async fn script_of(server: &TestServer) -> String {
    let shell = server.get("/sdk/oauth/connect").await.text();
    shell.split("<script src=\"").nth(1).and_then(|s| s.split('"').next()).expect("a script").to_owned()
}

#[tokio::test]
async fn a_static_file_comes_compressed_or_plain_as_the_client_asks() {
    let server = TestServer::start().await;
    let script = script_of(&server).await;
    for (target, lasting) in [(&*script, true), (SDK, true), ("/sdk/alter-connect.esm.js", false)] {
        let (plain, gzip) = (server.get(target).await, server.send(get(target, "br, gzip")).await);
        assert_eq!(unzipped(&gzip), plain.text(), "{target}");
        assert!(gzip.body.len() * 10 < plain.body.len() * 7, "{target}: {}", gzip.body.len());
        for accepted in ["identity", "br", "gzip;q=0", "*;q=0", "gzip;q=0.2, identity", ""] {
            let reply = server.send(get(target, accepted)).await;
            assert_eq!(
                (reply.header("content-encoding"), &reply.body),
                ("", &plain.body),
                "{target} {accepted}"
            );
            assert_eq!(reply.header("etag"), plain.header("etag"), "{target} {accepted}");
        }
        assert_ne!(plain.header("etag"), gzip.header("etag"), "{target}: each coding has its own tag");
        for reply in [&plain, &gzip] {
            assert_eq!(reply.header("vary"), "accept-encoding", "{target}");
            assert_eq!(reply.header("content-type"), "text/javascript; charset=utf-8", "{target}");
            assert_eq!(reply.header("cache-control").contains("immutable"), lasting, "{target}");
        }
    }
}

#[tokio::test]
async fn a_static_file_that_the_client_has_is_not_sent_again() {
    let server = TestServer::start().await;
    for accepted in ["gzip", "identity"] {
        let whole = server.send(get(SDK, accepted)).await;
        let again = get(SDK, accepted).header("if-none-match", whole.header("etag"));
        let again = server.send(again).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{accepted}");
        for name in ["etag", "vary", "cache-control", "access-control-allow-origin"] {
            assert_eq!(again.header(name), whole.header(name), "{accepted}: {name}");
        }
        let other = get(SDK, accepted).header("if-none-match", "\"0123456789abcdef\"");
        assert_eq!(server.send(other).await.status, 200, "{accepted}");
    }
    let plain = server.get(SDK).await;
    let other_coding = get(SDK, "gzip").header("if-none-match", plain.header("etag"));
    assert_eq!(server.send(other_coding).await.status, 200, "the plain one is another representation");
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let server = TestServer::start().await;
    for target in [SDK, "/connect/notice/open", "/openapi.json"] {
        for accepted in ["gzip", "identity"] {
            let whole = server.send(get(target, accepted)).await;
            let head = server.send(Sent::new("HEAD", target).header("accept-encoding", accepted)).await;
            assert_eq!((head.status, head.body.len()), (whole.status, 0), "{target} {accepted}");
            for name in ["etag", "vary", "cache-control", "content-type", "content-encoding"] {
                assert_eq!(head.header(name), whole.header(name), "{target} {accepted}: {name}");
            }
            let length = head.header("content-length");
            assert!(["", whole.header("content-length")].contains(&length), "{target} {accepted}: {length}");
        }
    }
}

#[tokio::test]
async fn the_contract_is_a_file_with_a_tag_for_each_coding() {
    let server = TestServer::start().await;
    let (plain, gzip) = (server.get("/openapi.json").await, server.send(get("/openapi.json", "gzip")).await);
    assert_eq!(unzipped(&gzip), plain.text());
    assert_eq!(plain.header("content-type"), "application/json");
    assert!(!plain.header("etag").is_empty());
    assert_ne!(plain.header("etag"), gzip.header("etag"));
    for whole in [&plain, &gzip] {
        assert_eq!((whole.header("vary"), whole.header("cache-control")), ("accept-encoding", "no-cache"));
    }
    let known = get("/openapi.json", "gzip").header("if-none-match", gzip.header("etag"));
    let again = server.send(known).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, gzip.header("etag")));
    let other = get("/openapi.json", "gzip").header("if-none-match", plain.header("etag"));
    assert_eq!(server.send(other).await.status, 200, "the plain one is another representation");
}

#[tokio::test]
async fn a_page_is_compressed_when_it_is_sent() {
    let server = TestServer::start().await;
    for target in ["/sdk/oauth/connect", "/connect/notice/expired", "/nothing/here"] {
        let (plain, gzip) = (server.get(target).await, server.send(get(target, "gzip")).await);
        assert_eq!(unzipped(&gzip), plain.text(), "{target}");
        assert_eq!(gzip.header("content-length"), gzip.body.len().to_string(), "{target}");
        assert_eq!(
            (plain.header("vary"), gzip.header("vary")),
            ("accept-encoding", "accept-encoding"),
            "{target}"
        );
        assert_eq!(gzip.header("cache-control"), plain.header("cache-control"), "{target}");
        let refused = server.send(get(target, "gzip;q=0, identity;q=0")).await;
        assert_eq!((refused.status, refused.header("content-encoding")), (plain.status, ""), "{target}");
    }
}

#[tokio::test]
async fn a_consent_page_and_its_script_keep_to_their_budget_on_the_wire() {
    let server = TestServer::start().await;
    let (token, mut browser) =
        (server.mint(&json!({ "allowed_providers": ["mock"] })).await, TestBrowser::new());
    let sid = browser.claim(&server, &server.app, &token).await;
    let page = browser.send(&server, get(&format!("/connect/s/{sid}"), "gzip")).await;
    assert!(unzipped(&page).contains("data-page=\"consent\""));
    let script = server.send(get(&script_of(&server).await, "gzip")).await;
    let weight = page.body.len() + script.body.len();
    assert!(weight < BUDGET, "{} + {}", page.body.len(), script.body.len());
}

/// How well a body compresses tells which of its parts are alike. So what holds a secret, or a word from a request beside
/// something private, is never compressed.
#[tokio::test]
async fn what_holds_a_secret_or_a_strangers_word_is_sent_plain_whatever_the_client_asks() {
    let server = TestServer::start().await;
    let only = json!({ "allowed_providers": ["mock"] });
    let gzip = |sent: Sent| server.send(sent.header("accept-encoding", "gzip"));
    let minted = gzip(server.signed(&server.app.key, "/sdk/oauth/connect/session", &only)).await;
    let grant = TestBrowser::new().connect(&server).await["grant_id"].as_str().expect("connected").to_owned();
    let wanted = json!({ "grant_id": grant, "reason": "test",
        "request": { "method": "GET", "url": server.mock.url("/api/me") } });
    let released = gzip(server.signed(&server.app.key, "/sdk/token", &wanted)).await;
    let listed = gzip(server.signed(&server.app.key, "/sdk/grants/list", &json!({}))).await;

    server.mock.set(|s| (s.auto_deny, s.deny_error) = (true, "temporarily_unavailable".into()));
    let (token, mut browser) = (server.mint(&only).await, TestBrowser::new());
    let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    browser.get(&server, &callback).await;
    let failed = browser.send(&server, get(&format!("/connect/s/{sid}"), "gzip")).await;
    assert!(failed.text().contains("temporarily_unavailable"), "{}", failed.text());

    let token = server.mint(&only).await;
    let opened = Sent::new("POST", "/connect/open")
        .header("accept-encoding", "gzip")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("session={token}&cb={}", "c".repeat(43)));
    let elsewhere = server.send(opened.clone().header("origin", "https://other.example")).await;
    assert!(elsewhere.status == 403 && elsewhere.text().contains("https://other.example"));
    assert_eq!(elsewhere.header("content-encoding"), "");
    assert_eq!(
        server.send(opened).await.header("content-encoding"),
        "gzip",
        "it shows nothing of the request"
    );

    for (what, reply) in
        [("mint", minted), ("token", released), ("list", listed), ("provider's code", failed)]
    {
        assert!(reply.status < 300, "{what}: {}", reply.text());
        assert_eq!((reply.header("content-encoding"), reply.header("vary")), ("", ""), "{what}");
    }
}

#[tokio::test]
async fn the_page_for_a_wrong_host_gets_its_script_there() {
    let server = TestServer::start().await;
    let script = script_of(&server).await;
    let misdirected =
        server.send(Sent::new("GET", "/connect/notice/open").header("host", "evil.example")).await;
    assert!(misdirected.status == 421 && misdirected.text().contains(&script), "{}", misdirected.text());
    let reply = server.send(Sent::new("GET", &script).header("host", "evil.example")).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/javascript; charset=utf-8"));
}
