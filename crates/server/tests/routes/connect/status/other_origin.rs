//! A page at another origin than the session's (localhost for 127.0.0.1, `www`, a preview's address) learns that, and
//! where both are, and nothing else (protocol 5).

use alter_testkit::{TestBrowser, TestServer};
use serde_json::json;

use super::{status, step};

/// What is right, in the test app's eyes: its origin is `https://app.example`.
const ELSEWHERE: [&str; 6] = [
    "https://www.app.example",
    "http://app.example",
    "https://app.example:8443",
    "http://localhost:3000",
    "https://app.example.evil.example",
    "null",
];

#[tokio::test]
async fn a_page_at_another_origin_reads_both_origins_and_nothing_else() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({ "allowed_providers": ["mock"] })).await;
    let mut browser = TestBrowser::new();
    let ask_all = async |when: &str| {
        for origin in ELSEWHERE {
            let reply = server.status(&token, origin, json!({ "closed": true, "cancel": true })).await;
            assert_eq!((reply.status, reply.error().as_str()), (403, "binding_failed"), "{when} {origin}");
            assert_eq!(
                reply.header("access-control-allow-origin"),
                origin,
                "{when}: that very page may read it"
            );
            assert_eq!(
                (reply.header("vary"), reply.header("access-control-allow-credentials")),
                ("Origin", "")
            );
            let mut body = reply.json();
            let details = json!({ "page_origin": origin, "allowed_origin": server.app.origin });
            assert_eq!(body["details"], details, "{when}");
            let message = body["message"].as_str().unwrap();
            assert!(message.contains(&server.app.origin) && message.contains("allowed_origin"), "{message}");
            let fields: Vec<_> = body.as_object_mut().unwrap().keys().cloned().collect();
            assert_eq!(fields, ["details", "error", "message", "request_id"], "{when} {origin}");
        }
    };
    ask_all("before the claim").await;
    let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    ask_all("at the provider").await;
    assert_eq!(
        status(&server, &token, json!({})).await["status"],
        "open",
        "nothing was reported or cancelled"
    );
    assert_eq!(browser.get(&server, &callback).await.status, 303);
    ask_all("after the end").await;
    assert_eq!(step(&server, &mut browser, &sid, "state", json!({})).await.json()["page"], "done");
    assert_eq!(status(&server, &token, json!({})).await["status"], "completed", "control: the right page");
}

#[tokio::test]
async fn without_the_token_a_page_at_another_origin_learns_of_no_session() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let (head, tail) = token.split_at(20);
    let swapped: String = tail.chars().rev().collect();
    for unknown in [format!("{head}{swapped}"), head.to_owned(), String::new()] {
        let reply = server.status(&unknown, "https://evil.example", json!({})).await;
        assert_eq!((reply.status, reply.error().as_str()), (404, "invalid_token"), "{unknown}");
        assert!(!reply.text().contains(&server.app.origin), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_page_that_is_not_the_sessions_shows_both_origins_to_its_user() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    for origin in ELSEWHERE {
        let reply = TestBrowser::new().open(&server, &token, Some(origin)).await;
        assert_eq!((reply.status, reply.cookies().len()), (403, 0), "{origin}");
        let page = reply.text();
        assert!(page.contains(&format!("<bdi>{}</bdi>", server.app.origin)), "{origin}: {page}");
        let named = if origin == "null" { "a page without an address" } else { origin };
        assert!(page.contains(named) && page.contains("allowed_origin"), "{origin}: {page}");
        assert!(!page.contains("Content-Security-Policy"), "{origin}: no policy is to blame");
    }
    // A browser that says nothing, or twice, leaves only the guess.
    let silent = TestBrowser::new().open(&server, &token, None).await;
    assert!(silent.text().contains("Content-Security-Policy"), "{}", silent.text());
}
