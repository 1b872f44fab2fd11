//! `state`: unguessable, stored hashed, used once, read in one way only. Also the redirect URI.

use std::sync::Arc;

use alter_core::{SystemRandom, secret, time::random_bytes};
use alter_mock_provider::Gate;
use alter_testkit::{Reply, Sent, TestBrowser, TestServer, http::send};
use serde_json::json;
use tokio::{sync::Barrier, task::JoinSet};

use super::{Away, audit, grants, page_of, param, token_requests};

/// The same letters, each in the other case.
fn other_case(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect()
}

/// Whether no attempt was found: the browser is told so, or sent to the page of the session that it has at this provider.
fn is_lost(reply: &Reply) -> bool {
    reply.status == 400 || reply.header("location").ends_with("?back=unreadable")
}

#[tokio::test]
async fn t16_a_state_that_is_missing_doubled_an_array_long_or_in_the_wrong_case_is_refused() {
    let server = TestServer::start().await;
    let mut away = Away::start(&server).await;
    let (code, state) = (away.param("code"), away.param("state"));
    let iss = super::query(&[("iss", &away.param("iss"))]);
    let long = "a".repeat(10_000);
    let states = [
        String::new(),
        "state=".into(),
        "state".into(),
        format!("state={state}&state={state}"),
        format!("state={state}&state="),
        format!("state=&state={state}"),
        format!("state={state}&state={}", other_case(&state)),
        format!("state={state}&%73tate={state}"),
        format!("state[]={state}"),
        format!("state%5B%5D={state}"),
        format!("state[0]={state}"),
        format!("state[a]={state}&state[b]={state}"),
        format!("STATE={state}"),
        format!("State={state}"),
        format!("%20state={state}"),
        format!("state={}", other_case(&state)),
        format!("state={state}A"),
        format!("state={}", &state[..42]),
        format!("state={state}%00"),
        format!("state={state}%20"),
        format!("state={state}%0d%0a"),
        format!("state=%20{state}"),
        format!("state={state}%3D"),
        format!("state={state};state={state}"),
        format!("state={state},{state}"),
        format!("state=%ff{}", &state[1..]),
        format!("state={long}"),
        format!("state={state}{long}"),
        format!("state={state}&pad={}", "a".repeat(20_000)),
    ];
    let before = away.status(&server).await;
    for bad in states {
        let target = format!("{}?code={code}&{bad}&{iss}", away.path());
        let reply = away.browser.get(&server, &target).await;
        assert!(is_lost(&reply), "{} {}", reply.status, &bad[..bad.len().min(120)]);
        assert_eq!(token_requests(&server), 0);
    }
    let bare = away.path().to_owned();
    assert!(is_lost(&away.browser.get(&server, &bare).await), "no query at all");
    assert_eq!(away.status(&server).await, before);
    away.completes(&server).await;
}

#[tokio::test]
async fn t16_what_a_known_state_brings_is_read_in_one_way_or_ends_the_attempt_unread() {
    let server = TestServer::start().await;
    for bad in [
        "",
        "code=",
        "code=CODE&code=CODE",
        "code=CODE&code=other",
        "code[]=CODE",
        "CODE=CODE",
        "auth_code=CODE",
        "code=CODE%00",
        "code=CODE%0d%0a",
        "code=%F0%9F%98%80",
        "code=CODE&error=access_denied",
        "error=a&error=b",
        "code=CODE&iss=https://a.example",
    ] {
        let mut away = Away::start(&server).await;
        let (code, state) = (away.param("code"), away.param("state"));
        let iss = super::query(&[("iss", &away.param("iss"))]);
        let target = format!("{}?state={state}&{}&{iss}", away.path(), bad.replace("CODE", &code));
        // Without the cookie nothing is ended: whoever holds the address is not the user.
        let elsewhere = TestBrowser::new().get(&server, &target).await;
        assert_eq!((elsewhere.status, &away.status(&server).await["status"]), (400, &json!("open")), "{bad}");
        let reply = away.browser.get(&server, &target).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (303, super::page_of(&away.sid).as_str()),
            "{bad}"
        );
        let told = away.status(&server).await;
        assert_eq!(
            (&told["status"], &told["error"]),
            (&json!("failed"), &json!("oauth_provider_error")),
            "{bad}"
        );
        assert_eq!(told["details"]["reason"], "callback_not_understood", "{bad}");
        let page = away.browser.get(&server, &super::page_of(&away.sid)).await.text();
        assert!(page.contains("sent something that we cannot read"), "{bad}");
        assert_eq!(token_requests(&server), 0, "{bad}");
    }
}

#[tokio::test]
async fn what_cannot_be_matched_ends_nothing_and_the_user_can_go_on() {
    for lost in ["error=access_denied", "", "code=CODE", "code=CODE&state=x"] {
        let server = TestServer::start().await;
        let mut away = Away::start(&server).await;
        let target = format!("{}?{}", away.path(), lost.replace("CODE", &away.param("code")));
        let elsewhere = TestBrowser::new().get(&server, &target).await;
        assert_eq!(elsewhere.status, 400);
        assert!(elsewhere.text().contains("This address cannot be read"), "not \"already finished\": {lost}");
        let reply = away.browser.get(&server, &target).await;
        assert_eq!(reply.status, 303, "{lost}");
        let page = away.browser.get(&server, reply.header("location")).await.text();
        assert!(page.contains("sent something that we cannot read"), "{lost}");
        assert!(page.contains("Try again") && page.contains("Cancel"), "{lost}");
        assert_eq!(away.status(&server).await["status"], "open", "{lost}");
        away.completes(&server).await;
    }
}

#[tokio::test]
async fn a_code_of_eight_kib_is_exchanged() {
    let server = TestServer::start().await;
    let mut away = Away::start(&server).await;
    let long = "c".repeat(5000);
    let pairs = [("code", long.as_str()), ("state", &away.param("state")), ("iss", &away.param("iss"))];
    let target = format!("{}?{}", away.path(), super::query(&pairs));
    assert_eq!(away.browser.get(&server, &target).await.status, 303);
    assert_eq!(server.mock.seen().token[0].field("code"), Some(long.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t17_a_callback_fifty_times_at_once_is_exchanged_once_and_all_get_the_same_answer() {
    const TIMES: usize = 50;
    let server = TestServer::start().await;
    let away = Away::start(&server).await;
    let gate = Gate::closed();
    server.mock.set(|switches| switches.token_gate = Some(gate.clone()));

    let start = Arc::new(Barrier::new(TIMES));
    let mut all = JoinSet::new();
    for _ in 0..TIMES {
        let (start, host) = (start.clone(), server.host.clone());
        let sent = Sent::new("GET", &away.callback).header("cookie", &away.browser.cookie());
        all.spawn(async move {
            start.wait().await;
            send(&host, sent).await
        });
    }
    // While the one exchange is held at the provider, all the others are answered.
    let mut replies: Vec<Reply> = Vec::new();
    while replies.len() < TIMES - 1 {
        replies.push(all.join_next().await.expect("fifty were sent").unwrap());
        assert!(token_requests(&server) <= 1, "a second exchange was started");
    }
    gate.open();
    replies.push(all.join_next().await.expect("the one that waited").unwrap());
    for reply in &replies {
        assert_eq!((reply.status, reply.header("location")), (303, page_of(&away.sid).as_str()));
        assert_eq!(reply.headers.get("set-cookie"), None);
    }
    assert_eq!(token_requests(&server), 1);
    assert_eq!(away.status(&server).await["status"], "completed");
    assert_eq!(grants(&server, &server.app).await, 1);
}

#[tokio::test]
async fn t17_a_callback_replayed_later_has_no_effect() {
    let server = TestServer::start().await;
    let mut away = Away::start(&server).await;
    assert_eq!(away.browser.get(&server, &away.callback).await.status, 303);
    let status = away.status(&server).await;
    assert_eq!(status["status"], "completed");
    let entries = audit(&server).await;
    let error = format!("{}?error=access_denied&state={}", away.path(), away.param("state"));
    let other_code = away.callback.replace(&away.param("code"), "another-code");
    let wrong_iss = away.callback.replace("iss=", "iss=x");
    for _ in 0..3 {
        for target in [&away.callback, &error, &other_code, &wrong_iss] {
            let reply = away.browser.get(&server, target).await;
            assert_eq!((reply.status, reply.header("location")), (303, page_of(&away.sid).as_str()));
        }
        assert_eq!(TestBrowser::new().get(&server, &away.callback).await.status, 400);
    }
    server.clock.advance_seconds(3600);
    away.browser.get(&server, &away.callback).await;
    assert_eq!(token_requests(&server), 1);
    assert_eq!(away.status(&server).await, status);
    assert_eq!(audit(&server).await, entries);
    let kept = server.grants(server.app.id).await;
    assert_eq!(kept.iter().map(|g| g.credential.generation).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn t18_a_thousand_guessed_states_find_nothing() {
    let server = TestServer::start().await;
    let mut away = Away::start(&server).await;
    let state = away.param("state");
    assert_eq!(state.len(), 43, "256 bits as base64url");
    for _ in 0..1000 {
        let guess = secret::base64url(&random_bytes::<32>(&SystemRandom));
        let target = away.callback.replace(&state, &guess);
        let reply = away.browser.get(&server, &target).await;
        assert_eq!((reply.status, reply.header("location")), (400, ""));
    }
    assert_eq!(token_requests(&server), 0);
    assert_eq!(away.status(&server).await["status"], "open");
    away.completes(&server).await;
}

#[tokio::test]
async fn t18_states_are_different_every_time_and_stored_as_their_hash_only() {
    let server = TestServer::start_sqlite().await;
    let token = server.mint(&json!({})).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    let mut authorize = Vec::new();
    for _ in 0..5 {
        authorize.push(browser.approve(&server, &sid, "mock").await);
    }
    let mut states: Vec<String> = authorize.iter().map(|url| param(url, "state")).collect();
    let last = states.last().expect("five").clone();
    states.sort();
    states.dedup();
    assert_eq!(states.len(), 5);
    let callback = browser.at_provider(authorize.last().expect("five")).await;

    let scan = |when: &str| {
        let files = stored(&server);
        let holds = |needle: &[u8]| files.windows(needle.len()).any(|window| window == needle);
        // The planted canaries: the scan finds what is stored in clear.
        assert!(holds(sid.as_bytes()) && holds(b"client-"), "{when}: the scan does not work");
        assert!(holds(&secret::sha256(last.as_bytes())), "{when}: the hash of the state is not there");
        assert!(holds(&secret::sha256(token.as_bytes())), "{when}: the hash of the token is not there");
        let cookie = browser.cookie();
        let key = cookie.split_once('=').expect("one cookie").1;
        for hidden in [last.as_str(), token.as_str(), key, &param(&callback, "code")] {
            // A part of a secret is as bad as the whole.
            assert!(!holds(&hidden.as_bytes()[hidden.len() - 24..]), "{when}: {hidden} is stored in clear");
            assert!(!holds(&hidden.as_bytes()[..24]), "{when}: {hidden} is stored in clear");
        }
    };
    scan("at the provider");
    assert_eq!(browser.clone().get(&server, &callback).await.status, 303);
    assert_eq!(grants(&server, &server.app).await, 1);
    scan("connected");
    let sent = server.mock.seen().token[0].clone();
    let verifier = sent.field("code_verifier").expect("PKCE always");
    assert!(!stored(&server).windows(verifier.len()).any(|window| window == verifier.as_bytes()));
}

/// Every byte of every file of the data directory.
fn stored(server: &TestServer) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(server.dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

#[tokio::test]
async fn t30_the_redirect_uri_is_the_same_bytes_in_both_requests() {
    for server in [TestServer::start().await, TestServer::start_https().await] {
        let token = server.mint(&json!({})).await;
        let mut browser = TestBrowser::new();
        let sid = browser.claim(&server, &server.app, &token).await;
        // The provider is told our configured address, not the one in the request.
        let target = format!("/connect/api/s/{sid}/approve");
        let sent = Sent::new("POST", &target)
            .header("host", &server.host.to_uppercase())
            .header("origin", &server.public_url)
            .header("content-type", "application/json")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "ftp")
            .header("forwarded", "host=evil.example;proto=ftp")
            .body(json!({ "provider": "mock" }).to_string());
        let reply = browser.send(&server, sent).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let authorize = reply.json()["location"].as_str().expect("a location").to_owned();
        let callback = browser.at_provider(&authorize).await;
        let sent = Sent::new("GET", &callback)
            .header("host", &server.host.to_uppercase())
            .header("x-forwarded-host", "evil.example");
        assert_eq!(browser.send(&server, sent).await.status, 303);

        let seen = server.mock.seen();
        assert_eq!((seen.authorize.len(), seen.token.len()), (1, 1));
        let asked = seen.authorize[0].query_param("redirect_uri").expect("it is always sent");
        assert_eq!(asked, server.app.callback);
        assert_eq!(seen.token[0].field("redirect_uri"), Some(asked));
        assert_eq!(grants(&server, &server.app).await, 1);
    }
}
