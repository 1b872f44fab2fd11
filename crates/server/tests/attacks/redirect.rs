//! Attacks on the redirect transport: forged and stolen results, open redirects, what the one who began a flow can learn of
//! it without the browser that went through it (T40, T42, T51, T58; protocol 6).

use alter_core::{
    SystemRandom,
    secret::{base64url, sha256},
    time::random_bytes,
};
use alter_testkit::{Reply, Sent, TestApp, TestBrowser, TestServer, browser::param};
use serde_json::{Value, json};

use crate::support::session::{app_with, poll, status, step};

const ORIGIN: &str = "https://app.example";
const BACK: &str = "https://app.example/connected?tab=2#there";

/// A redirect flow that has made a connection.
struct Connected {
    token: String,
    sid: String,
    browser: TestBrowser,
}

impl Connected {
    async fn new(server: &TestServer) -> Self {
        Self::at(server, &server.app.clone(), BACK).await
    }

    async fn at(server: &TestServer, app: &TestApp, back: &str) -> Self {
        let token = server.mint_for(app, &json!({ "return_url": back })).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim_by_redirect(server, app, &token).await;
        let authorize = browser.approve(server, &sid, "mock").await;
        let callback = browser.at_provider(&authorize).await;
        assert_eq!(browser.get(server, &callback).await.status, 303);
        Self { token, sid, browser }
    }

    async fn code(&mut self, server: &TestServer) -> String {
        let code = param(&self.browser.go_back(server, &self.sid).await, "alter_result_code");
        assert_eq!(code.len(), 69, "{code}");
        code
    }

    fn v(&self) -> String {
        TestBrowser::flow_of(&self.token).0
    }

    async fn redeem(&self, server: &TestServer, code: &str) -> Reply {
        server.result(ORIGIN, &json!({ "result_code": code, "v": self.v() })).await
    }
}

fn is_refused(reply: &Reply, status: u16, error: &str) {
    assert_eq!((reply.status, reply.error().as_str()), (status, error), "{}", reply.text());
    assert!(!reply.text().contains("grant_id") && !reply.text().contains("connections"), "{}", reply.text());
}

fn guess() -> String {
    base64url(&random_bytes::<32>(&SystemRandom))
}

#[tokio::test]
async fn t42_of_a_thousand_forged_results_none_is_accepted() {
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let mut other = Connected::new(&server).await;
    let (code, others) = (flow.code(&server).await, other.code(&server).await);
    let (sid, secret) = code.split_at(26);
    for n in 0..1000_usize {
        let mut changed = code.clone().into_bytes();
        let at = 26 + n % 43;
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let forged = match n % 8 {
            0 => format!("{sid}{}", guess()),
            1 => changed,
            2 => format!("{sid}{}", &others[26..]),
            3 => format!("{}{secret}", other.sid),
            4 => format!("{}{secret}", "a".repeat(26)),
            5 => format!("{code}{}", "A".repeat(1 + n % 50)),
            // The id alone is no code but a ticket of its own: below.
            6 if n % code.len() != 26 => code[..n % code.len()].to_owned(),
            // What the page of the flow can compute.
            _ => format!("{sid}{}", base64url(&sha256(format!("{}{n}", flow.v()).as_bytes()))),
        };
        is_refused(&flow.redeem(&server, &forged).await, 404, "invalid_result_code");
    }
    let by_id = flow.redeem(&server, sid).await;
    assert_eq!(by_id.json()["status"], "failed", "{}", by_id.text());
    assert!(!by_id.text().contains("grant_id") && !by_id.text().contains("connections"), "{}", by_id.text());
    // Control: nothing was burnt.
    assert_eq!(flow.redeem(&server, &code).await.json()["status"], "completed");
}

#[tokio::test]
async fn t42_a_thousand_forged_browsers_get_no_way_back() {
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let target = format!("/connect/s/{}/return", flow.sid);
    let unknown = TestBrowser::new().get(&server, "/connect/s/aaaaaaaaaaaaaaaaaaaaaaaaaa/return").await;
    for n in 0..1000 {
        let mut forged = TestBrowser::new();
        match n % 4 {
            0 => {}
            1 => forged.set_cookie(&format!("cs_{}", flow.sid), &flow.v()),
            2 => forged.set_cookie(&format!("cs_{}", flow.sid), &TestBrowser::cb_of(&flow.token)),
            _ => forged.set_cookie(&format!("cs_{}", flow.sid), &guess()),
        }
        let reply = forged.get(&server, &target).await;
        assert_eq!((reply.status, reply.header("location")), (410, ""));
        assert_eq!(reply.text(), unknown.text(), "unknown and foreign look alike (T50)");
    }
    let code = flow.code(&server).await;
    assert_eq!(flow.redeem(&server, &code).await.json()["status"], "completed");
}

#[tokio::test]
async fn t42_a_stolen_code_is_worth_nothing_without_the_v_of_the_page_that_left() {
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let other = Connected::new(&server).await;
    let code = flow.code(&server).await;
    let cb = TestBrowser::cb_of(&flow.token);
    for v in [
        other.v(),
        cb,
        flow.token.clone(),
        String::new(),
        guess(),
        format!("{}=", flow.v()),
        flow.sid.clone(),
    ] {
        let reply = server.result(ORIGIN, &json!({ "result_code": code, "v": v })).await;
        is_refused(&reply, 403, "binding_failed");
        assert_eq!(reply.json()["details"], Value::Null, "nor where the page should be");
    }
    for body in [json!({ "result_code": code }), json!({ "result_code": code, "v": null })] {
        is_refused(&server.result(ORIGIN, &body).await, 403, "binding_failed");
    }
    assert_eq!(flow.redeem(&server, &code).await.json()["status"], "completed");
}

#[tokio::test]
async fn t42_another_apps_page_cannot_read_a_result_even_with_code_and_v() {
    let server = TestServer::start().await;
    let second =
        app_with(&server, |settings| settings.website_url = Some("https://second.example".into())).await;
    let mut flow = Connected::new(&server).await;
    let mut theirs = Connected::at(&server, &second, "https://second.example/back").await;
    let (code, others) = (flow.code(&server).await, theirs.code(&server).await);
    let with = |code: &str, v: String| json!({ "result_code": code, "v": v });
    for origin in ["https://second.example", "https://evil.example", "null", "https://app.example/"] {
        let reply = server.result(origin, &with(&code, flow.v())).await;
        is_refused(&reply, 403, "binding_failed");
    }
    is_refused(&server.result(ORIGIN, &with(&others, theirs.v())).await, 403, "binding_failed");
    is_refused(&server.result(ORIGIN, &with(&others, flow.v())).await, 403, "binding_failed");
    // Who names no origin, or two, may not read the answer either.
    let body = with(&code, flow.v()).to_string();
    let bare = server.send(Sent::new("POST", "/connect/result").body(body.clone())).await;
    is_refused(&bare, 403, "foreign_origin");
    assert_eq!(bare.header("access-control-allow-origin"), "");
    let twice = Sent::new("POST", "/connect/result").header("origin", ORIGIN).header("origin", ORIGIN);
    is_refused(&server.send(twice.body(body)).await, 403, "foreign_origin");
    assert_eq!(flow.redeem(&server, &code).await.json()["status"], "completed");
}

#[tokio::test]
async fn t42_the_page_at_return_url_may_read_the_result_where_its_origin_is_another_registered_one() {
    let server = TestServer::start().await;
    let wide = app_with(&server, |settings| {
        settings.return_origins = vec![alter_core::Origin::parse("https://m.app.example").unwrap()];
    });
    let mut flow = Connected::at(&server, &wide.await, "https://m.app.example/back").await;
    let code = flow.code(&server).await;
    let body = json!({ "result_code": code, "v": flow.v() });
    let reply = server.result("https://m.app.example", &body).await;
    assert_eq!(reply.header("access-control-allow-origin"), "https://m.app.example");
    assert_eq!(reply.json()["status"], "completed", "{}", reply.text());
}

#[tokio::test]
async fn t42_a_code_is_issued_once_and_a_replay_ends_after_five_minutes() {
    let server = TestServer::start().await;
    server.clock.freeze();
    let mut flow = Connected::new(&server).await;
    let code = flow.code(&server).await;
    let first = flow.redeem(&server, &code).await;
    server.clock.advance_seconds(299);
    // The answer was lost, the page reloaded, the back button pressed: the same code, and the same answer.
    assert_eq!(flow.code(&server).await, code);
    assert_eq!(flow.redeem(&server, &code).await.json(), first.json());
    assert_eq!(server.grants(server.app.id).await.len(), 1);
    server.clock.advance_seconds(1);
    is_refused(&flow.redeem(&server, &code).await, 410, "session_expired");
    assert_eq!(flow.code(&server).await, code, "its time is not renewed");
    is_refused(&flow.redeem(&server, &code).await, 410, "session_expired");
    let wrong_v = server.result(ORIGIN, &json!({ "result_code": code, "v": guess() })).await;
    is_refused(&wrong_v, 403, "binding_failed");
}

#[tokio::test]
async fn t42_a_result_survives_a_restart_and_comes_from_any_replica() {
    let mut server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let code = flow.code(&server).await;
    server.restart().await;
    assert_eq!(flow.code(&server).await, code);
    assert_eq!(flow.redeem(&server, &code).await.json()["status"], "completed");
}

#[tokio::test]
async fn t58_neither_status_nor_poll_nor_a_page_carries_the_code() {
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let path = format!("/connect/s/{}", flow.sid);
    let mut told = Vec::new();
    for round in 0..2 {
        told.push(server.status(&flow.token, ORIGIN, json!({})).await.text());
        told.push(poll(&server, &flow.token).await.to_string());
        told.push(flow.browser.get(&server, &path).await.text());
        told.push(step(&server, &mut flow.browser, &flow.sid, "state", json!({})).await.text());
        if round == 0 {
            let _issued = flow.code(&server).await;
        }
    }
    let code = flow.code(&server).await;
    let answer = flow.redeem(&server, &code).await.text();
    for text in told.iter().chain([&answer]) {
        assert!(!text.contains(&code[26..]) && !text.contains("result_code"), "{text}");
    }
}

/// The trap of threats 6.2: the attacker owns session token and `v` of his own session, and a victim goes through it.
#[tokio::test]
async fn t58_who_began_a_redirect_flow_learns_of_no_connection_without_its_way_back() {
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    for round in 0..2 {
        let asked = status(&server, &flow.token, json!({})).await;
        assert_eq!((&asked["status"], &asked["connections"]), (&json!("completed"), &json!([])), "{asked}");
        let told = server.result(ORIGIN, &json!({ "sid": flow.sid, "v": flow.v() })).await;
        assert_eq!((told.status, &told.json()["status"]), (200, &json!("failed")), "{}", told.text());
        assert_eq!(told.json()["details"]["reason"], "used");
        assert!(told.json()["connections"].is_null() && !told.text().contains("grant"), "{}", told.text());
        if round == 0 {
            let _issued = flow.code(&server).await;
        }
    }
    // The app's backend, which has the key, hears of it as ever.
    assert_eq!(poll(&server, &flow.token).await["status"], "completed");
}

#[tokio::test]
async fn t58_a_sid_without_its_v_tells_nothing_of_a_session() {
    let server = TestServer::start().await;
    let flow = Connected::new(&server).await;
    let minted = server.mint(&json!({ "return_url": BACK })).await;
    let hash = alter_core::token::session_token_hash(&minted).unwrap();
    let unclaimed = server.store.find_session(&hash).await.unwrap().unwrap();
    let unknown = server.result(ORIGIN, &json!({ "sid": "a".repeat(26), "v": flow.v() })).await;
    is_refused(&unknown, 403, "binding_failed");
    for (sid, v) in [
        (unclaimed.sid.as_str(), TestBrowser::flow_of(&minted).0),
        (&flow.sid, String::new()),
        (&flow.sid, "x".into()),
        (&flow.sid, flow.token.clone()),
        ("", flow.v()),
        ("no sid", flow.v()),
    ] {
        let reply = server.result(ORIGIN, &json!({ "sid": sid, "v": v })).await;
        is_refused(&reply, 403, "binding_failed");
        assert_eq!(reply.json()["message"], unknown.json()["message"]);
    }
    let elsewhere = server.result("https://evil.example", &json!({ "sid": flow.sid, "v": flow.v() })).await;
    is_refused(&elsewhere, 403, "binding_failed");
    assert!(!elsewhere.text().contains("app.example"), "{}", elsewhere.text());
    let neither = server.result(ORIGIN, &json!({ "v": flow.v() })).await;
    is_refused(&neither, 400, "invalid_request");
    // Nothing was changed by asking.
    let after = server.store.find_session(&hash).await.unwrap().unwrap();
    assert_eq!((after.state_name(), after.version), ("minted", 0));
}

#[tokio::test]
async fn t40_nothing_of_a_request_goes_into_the_way_back() {
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let right = flow.browser.go_back(&server, &flow.sid).await;
    let evil = "https%3A%2F%2Fevil.example%2F";
    for query in [
        format!("return_url={evil}"),
        format!("url={evil}&back={evil}&next=//evil.example&c=x"),
        "alter_result_code=x&grant_id=other&provider=other".to_owned(),
    ] {
        let target = format!("/connect/s/{}/return?{query}", flow.sid);
        let sent = Sent::new("GET", &target)
            .header("referer", "https://evil.example/")
            .header("origin", "https://evil.example")
            .header("x-forwarded-host", "evil.example");
        let reply = flow.browser.send(&server, sent).await;
        assert_eq!((reply.status, reply.header("location")), (303, right.as_str()));
    }
    for path in ["return/", "return//evil.example", "return/https:%2f%2fevil.example", "Return"] {
        let reply = flow.browser.get(&server, &format!("/connect/s/{}/{path}", flow.sid)).await;
        assert!((400..500).contains(&reply.status) && reply.header("location").is_empty(), "{path}");
    }
    let posted = flow.browser.post(&server, &format!("/connect/s/{}/return", flow.sid), &json!({})).await;
    assert_eq!((posted.status, posted.header("location")), (405, ""));
}

#[tokio::test]
async fn t40_no_refusal_of_a_redirect_leads_anywhere_but_to_the_sessions_own_address() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({ "return_url": BACK })).await;
    for origin in [None, Some("null"), Some("https://evil.example"), Some("https://app.example.evil.example")]
    {
        let page = TestBrowser::new().open_as("r", &server, &token, origin).await;
        assert_eq!(page.status, 403);
        let links: Vec<String> = page
            .text()
            .split("href=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect();
        let away: Vec<_> = links.iter().filter(|href| !href.starts_with("data:")).collect();
        assert!(
            matches!(away[..], [back] if back.starts_with("https://app.example/connected?tab=2&")),
            "{away:?}"
        );
    }
    // Without a session there is no address at all.
    let page = TestBrowser::new().open_as("r", &server, "alter_cs_no", Some(ORIGIN)).await;
    assert!(page.status == 404 && !page.text().contains("app.example"), "{}", page.text());
}

#[tokio::test]
async fn t05_a_form_from_another_origin_is_no_redirect_flow_either() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({ "return_url": BACK })).await;
    for origin in [None, Some("null"), Some("https://evil.example"), Some("https://app.example:8443")] {
        let reply = TestBrowser::new().open_as("r", &server, &token, origin).await;
        assert_eq!((reply.status, reply.cookies().len()), (403, 0), "{origin:?}");
    }
    let hash = alter_core::token::session_token_hash(&token).unwrap();
    let session = server.store.find_session(&hash).await.unwrap().unwrap();
    assert_eq!((session.state_name(), session.version), ("minted", 0));
}

#[tokio::test]
async fn t51_the_way_back_is_kept_by_no_cache_and_tells_the_app_no_address_of_ours() {
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let back = flow.browser.get(&server, &format!("/connect/s/{}/return", flow.sid)).await;
    assert_eq!((back.header("cache-control"), back.header("referrer-policy")), ("no-store", "no-referrer"));
    let code = flow.code(&server).await;
    let answer = flow.redeem(&server, &code).await;
    assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn t95_a_result_code_is_in_no_log() {
    let logs = crate::logs::Logs::capture();
    let server = TestServer::start().await;
    let mut flow = Connected::new(&server).await;
    let code = flow.code(&server).await;
    flow.redeem(&server, &code).await;
    let wrong = format!("{}{}", flow.sid, guess());
    flow.redeem(&server, &wrong).await;
    let text = logs.text();
    assert!(text.contains("invalid_result_code"), "positive control");
    for secret in [&code[26..], &wrong[26..], &flow.v()] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn s5_the_log_names_the_field_that_a_redirect_lacks() {
    let logs = crate::logs::Logs::capture();
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let reply = TestBrowser::new().open_as("r", &server, &token, Some(ORIGIN)).await;
    assert_eq!(reply.status, 400);
    let text = logs.text();
    assert!(text.contains("return_url") && text.contains("/sdk/oauth/connect/session"), "{text}");
}
