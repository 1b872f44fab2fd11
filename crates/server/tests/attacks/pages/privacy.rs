//! A browser that has no part in a session learns nothing about it, not even that it exists (T44, T50).

use alter_testkit::{Sent, TestBrowser, TestServer};
use serde_json::{Value, json};

use super::{claimed, enter, page_of};

/// Sids of sessions in every state, none of them this browser's. The last two belong to no session.
async fn sids(server: &TestServer) -> Vec<(&'static str, String)> {
    let (_, _, live) = claimed(server).await;
    let (_, cancelled, over) = claimed(server).await;
    server.status(&cancelled, "https://app.example", json!({ "cancel": true })).await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let (done, callback) = browser.up_to_callback(server, &server.app, &token).await;
    browser.get(server, &callback).await;
    let unknown = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    vec![
        ("live", live),
        ("over", over),
        ("done", done),
        ("unknown", unknown.into()),
        ("malformed", "x".into()),
    ]
}

#[tokio::test]
async fn t50_a_foreign_session_and_none_at_all_answer_with_the_same_bytes() {
    let server = TestServer::start().await;
    let sids = sids(&server).await;
    let (own, _, own_sid) = claimed(&server).await;
    let steps: [(&str, Value); 8] = [
        ("select", json!({ "provider": "mock" })),
        ("approve", json!({ "provider": "mock" })),
        ("back", json!({})),
        ("cancel", json!({})),
        ("finish", json!({})),
        ("seen", json!({ "instance": 1 })),
        ("bye", json!({ "instance": 1 })),
        ("state", json!({})),
    ];
    // Without a cookie, with the cookie of another session, and with a wrong value under the right name.
    for cookie in ["none", "another", "wrong"] {
        let mut first: Vec<String> = Vec::new();
        for (what, sid) in &sids {
            let mut browser = if cookie == "another" { own.clone() } else { TestBrowser::new() };
            if cookie == "wrong" {
                browser.set_cookie(&format!("cs_{sid}"), &"A".repeat(43));
            }
            let mut answers = Vec::new();
            for query in ["", "?c=x", "?c=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
                let page = browser.get(&server, &format!("{}{query}", page_of(sid))).await;
                assert_eq!(page.status, 410, "{what} {cookie}");
                answers.push(page.fingerprint());
            }
            for (name, body) in &steps {
                let reply = browser.post(&server, &format!("/connect/api/s/{sid}/{name}"), body).await;
                assert_eq!(
                    (reply.status, reply.error().as_str()),
                    (410, "session_expired"),
                    "{what} {cookie} {name}"
                );
                answers.push(reply.fingerprint());
            }
            if first.is_empty() {
                first.clone_from(&answers);
            }
            assert_eq!(answers, first, "{what} {cookie} answers otherwise than a foreign live session");
        }
    }
    let mut own = own;
    assert_eq!(own.get(&server, &page_of(&own_sid)).await.status, 200, "control");
}

#[tokio::test]
async fn t50_the_marker_of_a_claim_tells_blocked_cookies_once_and_to_its_holder_alone() {
    let server = TestServer::start().await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let (sid, marked) = enter(&server, &mut browser, &token).await;
    let blocked = TestBrowser::new().get(&server, &marked).await;
    assert_eq!(blocked.status, 400, "no cookie came back: said so");
    let changed = format!("{}A", &marked[..marked.len() - 1]);
    if changed != marked {
        assert_eq!(TestBrowser::new().get(&server, &changed).await.status, 410);
    }
    assert_eq!(browser.get(&server, &marked).await.status, 200);
    assert_eq!(
        TestBrowser::new().get(&server, &marked).await.status,
        410,
        "used up by the page that was served"
    );
    assert_eq!(browser.get(&server, &page_of(&sid)).await.status, 200);
}

#[tokio::test]
async fn t44_a_token_in_a_query_is_refused_everywhere_and_claims_nothing() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    for target in [
        format!("/sdk/oauth/connect?session={token}"),
        format!("/sdk/oauth/connect?token={token}"),
        format!("/sdk/oauth/connect?x=y&session={token}"),
        "/sdk/oauth/connect?session=".to_owned(),
    ] {
        let reply = server.get(&target).await;
        assert_eq!((reply.status, reply.cookies().len()), (400, 0), "{target}");
        assert!(!reply.text().contains(&token), "the page repeats it");
    }
    let (v, cb) = TestBrowser::flow_id();
    let query = format!("session={token}&cb={cb}&m=p&token={token}&v={v}&session_token={token}&cursor=0");
    for (target, kind, origin, body) in [
        ("/connect/open", "application/x-www-form-urlencoded", "https://app.example", ""),
        ("/connect/api/peek", "application/json", server.public_url.as_str(), "{}"),
        ("/connect/api/claim", "application/json", server.public_url.as_str(), "{}"),
        ("/connect/status", "text/plain", "https://app.example", "{}"),
    ] {
        let sent = Sent::new("POST", &format!("{target}?{query}"))
            .header("content-type", kind)
            .header("origin", origin);
        let reply = server.send(sent.body(body)).await;
        assert!(reply.status >= 400 && reply.cookies().is_empty(), "{target}: {}", reply.status);
    }
    assert_eq!(server.get(&format!("/connect/open?{query}")).await.status, 405);
    assert_eq!(
        TestBrowser::new().open(&server, &token, Some("https://app.example")).await.status,
        303,
        "unclaimed"
    );
}

#[tokio::test]
async fn t44_our_own_answers_carry_the_token_in_the_fragment_alone() {
    let server = TestServer::start().await;
    let minted = server.call("/sdk/oauth/connect/session", &json!({})).await.json();
    let (token, url) =
        (minted["session_token"].as_str().expect("a token"), minted["connect_url"].as_str().expect("a URL"));
    assert_eq!(url, format!("{}/sdk/oauth/connect#session={token}", server.public_url));
    let reply = TestBrowser::new().open(&server, token, Some("https://app.example")).await;
    let lines = format!("{:?}", reply.headers);
    assert!(!lines.contains(token) && !reply.text().contains(token), "{lines}");
}
