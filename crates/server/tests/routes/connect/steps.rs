//! What the user does on our pages: choose, go back, cancel, finish.

use alter_mock_provider::Gate;
use alter_testkit::{Reply, Sent, TestBrowser, TestServer, http::send};
use serde_json::json;

use super::{poll, status, step, token_requests};

/// A claimed session with two providers, `mock` and `other`.
async fn two() -> (TestServer, TestBrowser, String, String) {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "other", |_| {}).await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let sid = browser.claim(&server, &server.app, &token).await;
    (server, browser, token, sid)
}

/// The `data-page` of the session's current page.
async fn page(server: &TestServer, browser: &mut TestBrowser, sid: &str) -> String {
    let html = browser.get(server, &format!("/connect/s/{sid}")).await.text();
    let rest = html.split("data-page=\"").nth(1).expect("every page names itself");
    rest.split('"').next().unwrap_or_default().to_owned()
}

fn moved(reply: &Reply) -> bool {
    (reply.status, reply.error().as_str()) == (409, "step_moved")
}

async fn connect(server: &TestServer, browser: &mut TestBrowser, sid: &str, provider: &str) {
    let chosen = step(server, browser, sid, "select", json!({ "provider": provider })).await;
    assert_eq!(chosen.status, 200, "{}", chosen.text());
    let authorize = browser.approve(server, sid, provider).await;
    let callback = browser.at_provider(&authorize).await;
    assert_eq!(browser.get(server, &callback).await.status, 303);
}

#[tokio::test]
async fn cancel_on_the_only_consent_page_is_a_refusal_and_contacts_no_provider() {
    let server = TestServer::start().await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let sid = browser.claim(&server, &server.app, &token).await;
    assert_eq!(step(&server, &mut browser, &sid, "cancel", json!({})).await.status, 200);
    let told = status(&server, &token, json!({})).await;
    assert_eq!((told["status"].as_str(), told["error"].as_str()), (Some("failed"), Some("oauth_denied")));
    let told = poll(&server, &token).await;
    assert_eq!((&told["status"], &told["error"]["error_code"]), (&json!("error"), &json!("connect_denied")));
    assert_eq!(page(&server, &mut browser, &sid).await, "denied");
    assert!(server.mock.seen().authorize.is_empty());
    assert!(moved(&step(&server, &mut browser, &sid, "approve", json!({ "provider": "mock" })).await));
}

#[tokio::test]
async fn a_denial_with_another_provider_left_goes_back_to_the_picker() {
    let (server, mut browser, token, sid) = two().await;
    assert_eq!(page(&server, &mut browser, &sid).await, "picker");
    server.mock.set(|s| s.auto_deny = true);
    connect(&server, &mut browser, &sid, "mock").await;
    server.mock.set(|s| s.auto_deny = false);

    assert_eq!(status(&server, &token, json!({})).await["status"], "open");
    let told = poll(&server, &token).await;
    assert_eq!(told["status"], "pending");
    let declined = &told["declined_providers"][0];
    assert_eq!(
        (&declined["provider_id"], &declined["error_code"]),
        (&json!("mock"), &json!("connect_denied"))
    );
    assert!(declined["declined_at"].as_str().is_some_and(|at| at.ends_with('Z')));

    assert_eq!(step(&server, &mut browser, &sid, "back", json!({})).await.status, 200);
    assert_eq!(page(&server, &mut browser, &sid).await, "picker");
    connect(&server, &mut browser, &sid, "other").await;
    assert_eq!(page(&server, &mut browser, &sid).await, "picker", "more may be connected");
    assert_eq!(poll(&server, &token).await["status"], "pending", "the user is not done");
    assert_eq!(step(&server, &mut browser, &sid, "finish", json!({})).await.status, 200);
    assert_eq!(page(&server, &mut browser, &sid).await, "done");
    let told = status(&server, &token, json!({})).await;
    assert_eq!(
        (told["status"].as_str(), told["connections"].as_array().map(Vec::len)),
        (Some("completed"), Some(1))
    );
    assert_eq!(poll(&server, &token).await["grants"][0]["provider_id"], "other");
}

#[tokio::test]
async fn cancel_on_a_consent_page_among_several_declines_that_provider_alone() {
    let (server, mut browser, token, sid) = two().await;
    for (provider, end) in [("mock", false), ("other", true)] {
        step(&server, &mut browser, &sid, "select", json!({ "provider": provider })).await;
        assert_eq!(page(&server, &mut browser, &sid).await, "consent");
        assert_eq!(step(&server, &mut browser, &sid, "cancel", json!({})).await.status, 200);
        let told = poll(&server, &token).await;
        match end {
            false => assert_eq!(told["declined_providers"][0]["provider_id"], provider, "{told}"),
            true => assert_eq!(told["error"]["error_code"], "connect_denied", "the last one: {told}"),
        }
        if !end {
            step(&server, &mut browser, &sid, "back", json!({})).await;
        }
    }
    assert_eq!(status(&server, &token, json!({})).await["error"], "oauth_denied");
    assert_eq!(token_requests(&server), 0);
}

#[tokio::test]
async fn cancel_on_the_picker_ends_the_flow_as_an_exit() {
    let (server, mut browser, token, sid) = two().await;
    assert_eq!(step(&server, &mut browser, &sid, "cancel", json!({})).await.status, 200);
    assert_eq!(status(&server, &token, json!({})).await["status"], "exited");
    assert_eq!(page(&server, &mut browser, &sid).await, "cancelled");
    for (name, body) in
        [("select", json!({ "provider": "mock" })), ("finish", json!({})), ("back", json!({}))]
    {
        assert!(moved(&step(&server, &mut browser, &sid, name, body).await), "{name}");
    }
}

#[tokio::test]
async fn finish_without_a_connection_is_no_success() {
    let (server, mut browser, token, sid) = two().await;
    assert_eq!(step(&server, &mut browser, &sid, "finish", json!({})).await.status, 200);
    let told = status(&server, &token, json!({})).await;
    assert_eq!((told["status"].as_str(), told.get("connections")), (Some("exited"), None));
    assert_ne!(poll(&server, &token).await["status"], "completed");
}

#[tokio::test]
async fn what_was_connected_counts_however_the_flow_ends() {
    for end in ["cancel", "exit", "expiry"] {
        let (server, mut browser, token, sid) = two().await;
        connect(&server, &mut browser, &sid, "mock").await;
        match end {
            "cancel" => drop(step(&server, &mut browser, &sid, "cancel", json!({})).await),
            "exit" => drop(status(&server, &token, json!({ "cancel": true })).await),
            _ => server.clock.advance_seconds(3600),
        }
        let told = status(&server, &token, json!({})).await;
        assert_eq!(told["connections"][0]["provider"], "mock", "{end}: {told}");
        assert_eq!(poll(&server, &token).await["status"], "completed", "{end}");
    }
}

#[tokio::test]
async fn cancel_on_the_page_of_a_failure_leaves_and_refuses_no_provider_again() {
    let (server, mut browser, token, sid) = two().await;
    server.mock.set(|s| s.auto_deny = true);
    connect(&server, &mut browser, &sid, "mock").await;
    assert_eq!(page(&server, &mut browser, &sid).await, "denied");
    assert_eq!(step(&server, &mut browser, &sid, "cancel", json!({})).await.status, 200);
    assert_eq!(status(&server, &token, json!({})).await["status"], "exited");
}

#[tokio::test]
async fn the_pages_of_a_flow_that_is_over_report_in_vain() {
    let (server, mut browser, token, sid) = two().await;
    step(&server, &mut browser, &sid, "cancel", json!({})).await;
    let stored = async || {
        let hash = alter_core::token::session_token_hash(&token).expect("a token of ours");
        server.store.find_session(&hash).await.unwrap().expect("the session is there")
    };
    let before = stored().await;
    assert_eq!(before.state_name(), "cancelled");
    for sign in ["seen", "bye"] {
        let body = json!({ "instance": before.data.signals.page_instance });
        assert_eq!(step(&server, &mut browser, &sid, sign, body).await.status, 200, "{sign}");
        assert_eq!(stored().await, before, "{sign}");
    }
}

#[tokio::test]
async fn only_what_is_offered_and_chosen_can_be_approved() {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "other", |_| {}).await;
    server.add_provider(&server.app, "third", |_| {}).await;
    let token = server.mint(&json!({ "allowed_providers": ["mock", "other"] })).await;
    let mut browser = TestBrowser::new();
    let sid = browser.claim(&server, &server.app, &token).await;
    for provider in ["mock", "third", "nope", "", "../mock", "MOCK"] {
        let body = json!({ "provider": provider });
        assert!(
            moved(&step(&server, &mut browser, &sid, "approve", body.clone()).await),
            "approve {provider:?}"
        );
        if provider != "mock" {
            assert!(moved(&step(&server, &mut browser, &sid, "select", body).await), "select {provider:?}");
        }
    }
    step(&server, &mut browser, &sid, "select", json!({ "provider": "mock" })).await;
    assert!(moved(&step(&server, &mut browser, &sid, "approve", json!({ "provider": "other" })).await));
    browser.approve(&server, &sid, "mock").await;
}

#[tokio::test]
async fn no_provider_is_contacted_before_the_app_page_was_heard_of() {
    let server = TestServer::start().await;
    server.clock.freeze();
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let location =
        browser.open(&server, &token, Some("https://app.example")).await.header("location").to_owned();
    let sid = alter_testkit::browser::sid_of(&location);
    let body = json!({ "provider": "mock" });
    let early = step(&server, &mut browser, &sid, "approve", body.clone()).await;
    assert_eq!((early.status, early.error().as_str()), (409, "waiting_for_app"));
    server.clock.advance_seconds(10);
    let silent = step(&server, &mut browser, &sid, "approve", body.clone()).await;
    assert_eq!((silent.status, silent.error().as_str()), (409, "app_unreachable"));
    status(&server, &token, json!({})).await;
    assert_eq!(step(&server, &mut browser, &sid, "approve", body).await.status, 200, "heard of, if late");
}

#[tokio::test]
async fn a_session_has_fifty_attempts_however_often_a_provider_was_chosen() {
    let (server, mut browser, _, sid) = two().await;
    server.clock.freeze();
    let body = json!({ "provider": "mock" });
    for _ in 0..205 {
        assert_eq!(step(&server, &mut browser, &sid, "select", body.clone()).await.status, 200);
    }
    let mut approved = 0;
    for _ in 0..60 {
        match step(&server, &mut browser, &sid, "approve", body.clone()).await {
            reply if reply.status == 200 => approved += 1,
            reply => assert!(moved(&reply), "{}", reply.text()),
        }
    }
    assert_eq!(approved, 50);
}

#[tokio::test]
async fn t53_no_step_in_a_second_tab_changes_a_flow_whose_code_is_being_exchanged() {
    let (server, mut browser, token, sid) = two().await;
    step(&server, &mut browser, &sid, "select", json!({ "provider": "mock" })).await;
    let authorize = browser.approve(&server, &sid, "mock").await;
    let callback = browser.at_provider(&authorize).await;
    let gate = Gate::closed();
    server.mock.set(|switches| switches.token_gate = Some(gate.clone()));
    let (host, sent) = (server.host.clone(), Sent::new("GET", &callback).header("cookie", &browser.cookie()));
    let coming_back = tokio::spawn(async move { send(&host, sent).await });
    server.mock.wait_for(|seen| !seen.token.is_empty()).await;

    let provider = |id: &str| json!({ "provider": id });
    for (name, body) in [
        ("cancel", json!({})),
        ("back", json!({})),
        ("finish", json!({})),
        ("select", provider("other")),
        ("select", provider("mock")),
        ("approve", provider("mock")),
    ] {
        let reply = step(&server, &mut browser, &sid, name, body).await;
        assert!(moved(&reply), "{name}: {} {}", reply.status, reply.text());
    }
    assert_eq!(poll(&server, &token).await["status"], "pending");
    gate.open();
    assert_eq!(coming_back.await.unwrap().status, 303);
    assert_eq!(token_requests(&server), 1);
    assert_eq!(step(&server, &mut browser, &sid, "finish", json!({})).await.status, 200, "control");
    let told = status(&server, &token, json!({})).await;
    assert_eq!(told["connections"][0]["provider"], "mock", "{told}");
}

/// The session's page in a browser that says it is part of Instagram, on an iPhone.
async fn page_inside_instagram(server: &TestServer, browser: &mut TestBrowser, target: &str) -> Reply {
    let user_agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
        Mobile/22F76 Instagram 384.0.0.28 (iPhone15,3; iOS 18_5; de_DE)";
    browser.send(server, Sent::new("GET", target).header("user-agent", user_agent)).await
}

#[tokio::test]
async fn inside_another_app_a_provider_that_lets_nobody_sign_in_there_says_so_before_anybody_leaves() {
    let server = TestServer::start().await;
    server.add_provider(&server.app, "strict", |recipe| recipe.refuses_webviews = true).await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let sid = browser.claim(&server, &server.app, &token).await;
    let target = format!("/connect/s/{sid}");

    step(&server, &mut browser, &sid, "select", json!({ "provider": "mock" })).await;
    let allows = page_inside_instagram(&server, &mut browser, &target).await.text();
    assert!(allows.contains("data-page=\"consent\""), "control: this provider does not mind\n{allows}");
    step(&server, &mut browser, &sid, "back", json!({})).await;

    step(&server, &mut browser, &sid, "select", json!({ "provider": "strict" })).await;
    let refused = page_inside_instagram(&server, &mut browser, &target).await.text();
    assert!(refused.contains("data-page=\"webview\"") && refused.contains("in Instagram</h1>"), "{refused}");
    let origin = &server.app.origin;
    assert!(refused.contains(&format!(">{origin}<")), "the app's address: {refused}");
    assert!(!refused.contains("data-do=\"approve\""), "{refused}");
    let anyway = page_inside_instagram(&server, &mut browser, &format!("{target}?here=1")).await.text();
    assert!(anyway.contains("data-page=\"consent\""), "whoever was recognised wrongly can go on\n{anyway}");
    assert_eq!(page(&server, &mut browser, &sid).await, "consent", "control: a browser of its own");
}
