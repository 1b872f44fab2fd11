//! The first browser wins, for good (S3, T53, T55).

use std::sync::Arc;

use alter_testkit::{Reply, TestBrowser, TestServer, browser::shown_on};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::{claim_by_proof, poll, reason, status, step};

/// Ten rounds on several threads, because a single round does not always hit the moment between reading and saving.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t53_of_a_hundred_browsers_that_claim_at_once_exactly_one_wins() {
    let server = Arc::new(TestServer::start().await);
    for round in 1..=10 {
        let token = server.mint(&json!({})).await;
        let mut winners = a_hundred_claims(&server, &token).await;
        assert_eq!(winners.len(), 1, "exactly one browser has the session");
        let (page, mut winner) = winners.remove(0);
        server.status(&token, "https://app.example", json!({})).await;
        assert_eq!(winner.get(&server, &page).await.status, 200);
        let claims = server.store.list_audit(server.app.id, 500).await.unwrap();
        let claims = claims.iter().filter(|(kind, _)| kind == "session_claimed").count();
        assert_eq!(claims, round, "one claim a round is in the audit");
    }
}

/// Claims from a hundred browsers at once. Returns those that got in, each with the page that it was sent to.
async fn a_hundred_claims(server: &Arc<TestServer>, token: &str) -> Vec<(String, TestBrowser)> {
    let barrier = Arc::new(Barrier::new(100));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (server, token, barrier) = (server.clone(), token.to_owned(), barrier.clone());
        tasks.spawn(async move {
            let mut browser = TestBrowser::new();
            barrier.wait().await;
            let reply = browser.open(&server, &token, Some("https://app.example")).await;
            (reply, browser)
        });
    }
    let mut winners = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (reply, browser) = done.unwrap();
        match reply.status {
            303 => winners.push((reply.header("location").to_owned(), browser)),
            410 => assert!(reply.cookies().is_empty(), "a loser got a cookie"),
            other => panic!("{other}: {}", reply.text()),
        }
    }
    winners
}

#[tokio::test]
async fn t53_the_browser_that_has_it_may_come_again_and_keeps_its_key() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let (mut browser, app) = (TestBrowser::new(), server.app.clone());
    let sid = browser.claim(&server, &app, &token).await;
    let key = browser.cookie();
    for _ in 0..3 {
        let again = browser.open(&server, &token, Some(&app.origin)).await;
        assert_eq!((again.status, again.header("location")), (303, format!("/connect/s/{sid}").as_str()));
        assert!(again.cookies().is_empty());
    }
    let by_proof = claim_by_proof(&server, &mut browser, &token).await;
    assert_eq!(by_proof.json()["location"], format!("/connect/s/{sid}"));
    assert_eq!(browser.cookie(), key, "a repeated claim changes no key");

    let mut other = TestBrowser::new();
    let refused = claim_by_proof(&server, &mut other, &token).await;
    assert_eq!((refused.status, refused.error().as_str()), (410, "session_expired"));
    assert_eq!(reason(&refused), "other_browser");
    other.set_cookie(&format!("cs_{sid}"), &"A".repeat(43));
    assert_eq!(reason(&claim_by_proof(&server, &mut other, &token).await), "other_browser");
    assert_eq!(
        browser.get(&server, &format!("/connect/s/{sid}")).await.status,
        200,
        "the first is undisturbed"
    );
}

/// A double click, a hundred times. Each press that counts is an attempt of its own, as in a second tab; whatever becomes of
/// them, they end in one grant, and no code is sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t53_a_hundred_consents_at_once_make_one_connection() {
    let server = Arc::new(TestServer::start().await);
    let (token, app) = (server.mint(&json!({})).await, server.app.clone());
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &app, &token).await;
    let page = browser.get(&server, &format!("/connect/s/{sid}")).await.text();
    let body = json!({ "provider": "mock", "shown": shown_on(&page) });
    let target = format!("/connect/api/s/{sid}/approve");
    let requests = (0..100).map(|_| (target.clone(), Some(body.clone()))).collect();
    let mut callbacks = Vec::new();
    for reply in at_once(&server, &browser, requests).await {
        match reply.status {
            200 => callbacks.push(browser.at_provider(reply.json()["location"].as_str().unwrap()).await),
            // Too many wrote at once (503): this press counts for nothing.
            _ => assert!([409, 429, 503].contains(&reply.status), "{}", reply.text()),
        }
    }
    assert!(!callbacks.is_empty());
    let requests = callbacks.iter().map(|callback| (callback.clone(), None)).collect();
    for reply in at_once(&server, &browser, requests).await {
        assert!([303, 400, 503].contains(&reply.status), "{}", reply.text());
    }
    for callback in &callbacks {
        assert!([303, 400].contains(&browser.get(&server, callback).await.status), "a reload");
    }
    assert_eq!(server.grants(app.id).await.len(), 1);
    assert_eq!(poll(&server, &token).await["grants"].as_array().map(Vec::len), Some(1));
    let sent = server.mock.seen().token;
    let codes: std::collections::BTreeSet<_> = sent.iter().map(|request| request.field("code")).collect();
    assert_eq!(codes.len(), sent.len(), "a code was sent twice");
}

/// Sends requests of one browser at once: a POST of our page where there is a body, and a GET where there is none.
async fn at_once(
    server: &Arc<TestServer>,
    browser: &TestBrowser,
    requests: Vec<(String, Option<Value>)>,
) -> Vec<Reply> {
    let barrier = Arc::new(Barrier::new(requests.len()));
    let mut tasks = tokio::task::JoinSet::new();
    for (target, body) in requests {
        let (server, mut browser, barrier) = (server.clone(), browser.clone(), barrier.clone());
        tasks.spawn(async move {
            barrier.wait().await;
            match body {
                Some(body) => browser.post(&server, &target, &body).await,
                None => browser.get(&server, &target).await,
            }
        });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn t53_a_refused_claim_burns_nothing() {
    let server = TestServer::start().await;
    let (token, app) = (server.mint(&json!({})).await, server.app.clone());
    for origin in [None, Some("null"), Some("https://evil.example"), Some("https://app.example.evil")] {
        let refused = TestBrowser::new().open(&server, &token, origin).await;
        assert_eq!(refused.status, 403, "{origin:?}");
        assert!(refused.cookies().is_empty());
    }
    let body = json!({ "token": token, "cb": TestBrowser::flow_id().1, "v": TestBrowser::flow_id().0 });
    let refused = TestBrowser::new().post(&server, "/connect/api/claim", &body).await;
    assert_eq!((refused.status, refused.error().as_str()), (403, "binding_failed"));
    // Protocol 7: the right browser may still come.
    assert_eq!(poll(&server, &token).await["status"], "pending");
    assert_eq!(status(&server, &token, json!({})).await["status"], "open");
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&server, &app, &token).await;
    browser.get(&server, &callback).await;
    assert_eq!(poll(&server, &token).await["status"], "completed");
}

/// Each case: how the session ended, and what another browser is told afterwards.
#[tokio::test]
async fn t55_an_ended_session_is_not_opened_again_and_says_why() {
    for (end, expected) in [("success", "used"), ("cancel", "used"), ("error", "used"), ("expiry", "expired")]
    {
        let server = TestServer::start().await;
        let (token, app, mut browser) =
            (server.mint(&json!({})).await, server.app.clone(), TestBrowser::new());
        let sid = match end {
            "cancel" | "expiry" => browser.claim(&server, &app, &token).await,
            _ => {
                server.mock.set(|s| s.auto_deny = end == "error");
                let (sid, callback) = browser.up_to_callback(&server, &app, &token).await;
                assert_eq!(browser.get(&server, &callback).await.status, 303);
                server.mock.set(|s| s.auto_deny = false);
                sid
            }
        };
        match end {
            "cancel" => assert_eq!(step(&server, &mut browser, &sid, "cancel", json!({})).await.status, 200),
            "expiry" => server.clock.advance_seconds(600),
            _ => {}
        }
        let before = server.mock.seen().authorize.len();

        let mut other = TestBrowser::new();
        let refused = claim_by_proof(&server, &mut other, &token).await;
        assert_eq!((refused.status, refused.error().as_str()), (410, "session_expired"), "{end}");
        assert_eq!(reason(&refused), expected, "{end}");
        let page = other.open(&server, &token, Some(&app.origin)).await;
        assert_eq!((page.status, page.cookies().len()), (410, 0), "{end}");

        // The session's own browser sees how the session ended, and can start nothing.
        let own = browser.open(&server, &token, Some(&app.origin)).await;
        assert_eq!((own.status, own.cookies().len()), (303, 0), "{end}");
        for name in ["select", "approve"] {
            let reply = step(&server, &mut browser, &sid, name, json!({ "provider": "mock" })).await;
            assert_eq!((reply.status, reply.error().as_str()), (409, "step_moved"), "{end}: {name}");
        }
        assert_eq!(server.mock.seen().authorize.len(), before, "{end}: the provider was contacted");
        let fresh = server.mint(&json!({})).await;
        TestBrowser::new().claim(&server, &app, &fresh).await;
    }
}

#[tokio::test]
async fn t55_a_used_token_never_starts_a_second_flow_even_after_a_restart() {
    let mut server = TestServer::start().await;
    let (token, app, mut browser) = (server.mint(&json!({})).await, server.app.clone(), TestBrowser::new());
    let (_, callback) = browser.up_to_callback(&server, &app, &token).await;
    browser.get(&server, &callback).await;
    server.restart().await;
    let refused = claim_by_proof(&server, &mut TestBrowser::new(), &token).await;
    assert_eq!((refused.status, reason(&refused).as_str()), (410, "used"));
    assert_eq!(status(&server, &token, json!({})).await["status"], "completed", "the result is still told");
}
