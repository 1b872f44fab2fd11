//! Every state-changing route of our pages, called as a foreign page can call it (T49).

use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use serde_json::{Value, json};

use super::claimed;

/// The name of every step, with a valid body; all are POSTs under `/connect/api/s/{sid}/`.
const STEPS: [(&str, &str); 9] = [
    ("select", r#"{"provider":"mock"}"#),
    ("approve", r#"{"provider":"mock"}"#),
    ("sign-in", "{}"),
    ("back", "{}"),
    ("cancel", "{}"),
    ("finish", "{}"),
    ("seen", r#"{"instance":1}"#),
    ("bye", r#"{"instance":1}"#),
    ("state", "{}"),
];

/// The ways in which a foreign page can send a step: what is wrong, the expected status, the request.
fn forged(server: &TestServer, target: &str, body: &str) -> Vec<(String, u16, Sent)> {
    let ours = &server.public_url;
    let right = || {
        let sent =
            Sent::new("POST", target).header("origin", ours).header("content-type", "application/json");
        sent.header("sec-fetch-site", "same-origin").body(body)
    };
    let mut all: Vec<(String, u16, Sent)> = vec![
        ("no Origin".into(), 403, right().without("origin")),
        ("two Origins".into(), 403, right().header("origin", "https://evil.example")),
        (
            "no Origin, Referer of ours".into(),
            403,
            right().without("origin").header("referer", &format!("{ours}/")),
        ),
    ];
    let upper = ours.to_uppercase();
    for origin in [
        "null",
        "",
        "https://evil.example",
        "https://app.example",
        &format!("{ours}.evil.example"),
        &format!("{ours}/"),
        &ours.replace("http://", "https://"),
        &upper,
        &format!("{ours}, {ours}"),
        &format!("{ours} "),
        "http://localhost",
        &ours.replace("localhost", "127.0.0.1"),
    ] {
        // A trailing blank is no part of a header's value, so this one is our own origin.
        if origin.trim() != ours {
            all.push((format!("Origin {origin:?}"), 403, right().set("origin", origin)));
        }
    }
    for site in ["cross-site", "same-site", "none", "", "same-origin, cross-site"] {
        all.push((format!("Sec-Fetch-Site {site:?}"), 403, right().set("sec-fetch-site", site)));
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "text/json",
        "application/jsonx",
        "text/plain;application/json",
    ] {
        all.push((format!("Content-Type {kind:?}"), 415, right().set("content-type", kind)));
    }
    all.push(("no Content-Type".into(), 415, right().without("content-type")));
    all
}

/// A browser whose user has to sign in.
async fn opened_by_link(server: &TestServer) -> (TestBrowser, String) {
    server.set_sign_in(&server.app, Some("my-app")).await;
    let user_token = server.mock.user_token("acme-1001", "my-app");
    let token = server.mint(&json!({ "user_token": user_token })).await;
    let mut browser = TestBrowser::new();
    let opened = browser.open_link(server, &token, &json!({})).await.json();
    let sid = alter_testkit::browser::sid_of(opened["location"].as_str().expect("a location"));
    (browser, sid)
}

/// The whole stored session, which must not change.
async fn stored(server: &TestServer, sid: &str) -> String {
    let sid = alter_core::SessionId::parse(sid).expect("a sid");
    let session = server.store.get_session(&sid).await.expect("storage works").expect("it is there");
    format!("{} {:?}", session.version, session.data)
}

fn refused(reply: &Reply, status: u16) -> bool {
    let code = if status == 403 { "csrf_refused" } else { "unsupported_media_type" };
    (reply.status, reply.error().as_str(), reply.cookies().len()) == (status, code, 0)
}

#[tokio::test]
async fn t49_no_step_is_taken_for_a_page_that_is_not_ours() {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "other", |_| {}).await;
    for (name, body) in STEPS {
        let (mut browser, sid) = match name {
            "sign-in" => opened_by_link(&server).await,
            _ => {
                let (browser, _, sid) = claimed(&server).await;
                (browser, sid)
            }
        };
        browser.get(&server, &super::page_of(&sid)).await;
        if name == "approve" || name == "back" {
            let choose = json!({ "provider": "mock" });
            browser.post(&server, &format!("/connect/api/s/{sid}/select"), &choose).await;
        }
        let target = format!("/connect/api/s/{sid}/{name}");
        let before = stored(&server, &sid).await;
        for (what, status, sent) in forged(&server, &target, body) {
            let reply = browser.send(&server, sent).await;
            assert!(refused(&reply, status), "{name}: {what}: {} {}", reply.status, reply.text());
        }
        assert_eq!(stored(&server, &sid).await, before, "{name}: something changed");
        assert!(server.mock.seen().authorize.is_empty());
        let body: Value = serde_json::from_str(body).expect("the table is JSON");
        let control = browser.post(&server, &target, &body).await;
        assert_eq!(control.status, 200, "{name}: {}", control.text());
        if name != "state" {
            assert_ne!(stored(&server, &sid).await, before, "{name}: the control changed nothing");
        }
    }
}

#[tokio::test]
async fn t49_no_claim_is_made_and_no_token_looked_at_for_a_page_that_is_not_ours() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let (v, cb) = TestBrowser::flow_id();
    for (target, body) in [
        ("/connect/api/peek", json!({ "token": token })),
        ("/connect/api/claim", json!({ "token": token, "cb": cb, "v": v, "m": "p" })),
    ] {
        for (what, status, sent) in forged(&server, target, &body.to_string()) {
            let reply = server.send(sent).await;
            assert!(refused(&reply, status), "{target}: {what}: {} {}", reply.status, reply.text());
        }
        assert_eq!(TestBrowser::new().post(&server, target, &body).await.status, 200, "{target}: control");
    }
}

#[tokio::test]
async fn t49_the_list_of_steps_is_complete_and_none_answers_to_get() {
    let routes = include_str!("../../../src/routes/mod.rs");
    let steps = routes.matches("\"/connect/api/s/{sid}/").count();
    assert_eq!(steps, STEPS.len(), "a step is missing in this file's table");
    assert_eq!(
        routes.matches(".route(\"/connect/api/").count(),
        STEPS.len() + 2,
        "and so is another route of the pages"
    );
    let server = TestServer::start().await;
    let (mut browser, _, sid) = claimed(&server).await;
    let before = stored(&server, &sid).await;
    for (name, _) in STEPS {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let sent = Sent::new(method, &format!("/connect/api/s/{sid}/{name}"))
                .header("origin", &server.public_url);
            let reply = browser.send(&server, sent).await;
            assert_eq!(reply.status, 405, "{method} {name}");
            assert_eq!(reply.header("access-control-allow-origin"), "", "no preflight is ever granted");
        }
    }
    assert_eq!(stored(&server, &sid).await, before);
}
