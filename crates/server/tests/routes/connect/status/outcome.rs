//! Every cause of protocol 7, as the app's page and as the backend learn it.

use alter_flows::{operate, reap};
use alter_mock_provider::{Gate, IdTokenFault, Raw, Switches, TokenFault};
use alter_testkit::{TestBrowser, TestServer, operator};
use serde_json::{Value, json};

use super::{poll, status};

/// A cause, how to produce it, the SDK's code, the poll's code.
type Cause = (&'static str, fn(&mut Switches), &'static str, &'static str);

const CAUSES: [Cause; 9] = [
    ("denied at the provider", |s| s.auto_deny = true, "oauth_denied", "connect_denied"),
    (
        "another error of the provider",
        |s| {
            s.auto_deny = true;
            s.deny_error = "temporarily_unavailable".into();
        },
        "oauth_provider_error",
        "connect_flow_error",
    ),
    (
        "no answer",
        |s| s.token_fault = Some(TokenFault::CloseBeforeAnswer),
        "oauth_provider_error",
        "connect_flow_error",
    ),
    ("HTML", |s| s.token_fault = Some(TokenFault::Html200), "oauth_provider_error", "connect_flow_error"),
    (
        "an error in a 200",
        |s| s.token_fault = Some(TokenFault::Error200),
        "oauth_provider_error",
        "connect_flow_error",
    ),
    ("500", |s| s.token_fault = Some(TokenFault::Status(500)), "oauth_provider_error", "connect_flow_error"),
    (
        "identity unreadable",
        |s| s.id_token = IdTokenFault::MissingSub,
        "oauth_provider_error",
        "connect_flow_error",
    ),
    (
        "invalid_client",
        |s| s.token_fault = Some(TokenFault::InvalidClient),
        "oauth_provider_error",
        "invalid_client",
    ),
    (
        "redirect mismatch",
        |s| s.token_response = Some(Raw::json(400, &json!({ "error": "redirect_uri_mismatch" }))),
        "oauth_provider_error",
        "invalid_redirect_uri",
    ),
];

async fn run(server: &TestServer) -> (Value, Value) {
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let (_, callback) = browser.up_to_callback(server, &server.app, &token).await;
    browser.get(server, &callback).await;
    (status(server, &token, json!({})).await, poll(server, &token).await)
}

#[tokio::test]
async fn every_cause_has_its_code_on_both_channels() {
    for (cause, bring_about, sdk, backend) in CAUSES {
        let server = TestServer::start().await;
        server.mock.set(bring_about);
        let (told, polled) = run(&server).await;
        assert_eq!(
            (told["status"].as_str(), told["error"].as_str()),
            (Some("failed"), Some(sdk)),
            "{cause}: {told}"
        );
        assert!(told["details"]["reason"].as_str().is_some_and(|c| !c.is_empty()), "{cause}: {told}");
        assert!(told["message"].as_str().is_some_and(|m| m.len() > 10), "{cause}");
        assert_eq!(
            (polled["status"].as_str(), &polled["error"]["error_code"]),
            (Some("error"), &json!(backend)),
            "{cause}"
        );
        assert!(polled["error"]["error_message"].as_str().is_some_and(|m| m.len() > 10), "{cause}");
        assert!(server.grants(server.app.id).await.is_empty(), "{cause}");
        // Control: the same server without the cause.
        server.mock.set(|s| *s = Switches { auto_approve: true, ..Switches::default() });
        assert_eq!(run(&server).await.1["status"], "completed", "{cause}");
    }
}

#[tokio::test]
async fn a_person_is_told_by_name_whose_turn_it_is_and_programs_are_told_the_codes() {
    let server = TestServer::start().await;
    server.mock.set(|s| s.token_fault = Some(TokenFault::InvalidClient));
    let (told, polled) = run(&server).await;
    assert_eq!(
        told["message"],
        "Mock Provider is not set up correctly at Test App. The people who run Test App need to repair this; you cannot."
    );
    let details = &told["details"];
    assert_eq!(
        (&details["provider"], &details["reason"], &details["provider_error"]),
        (&json!("mock"), &json!("client_refused"), &json!("invalid_client"))
    );
    let developer = polled["error"]["error_message"].as_str().unwrap();
    assert!(developer.starts_with("Mock Provider does not accept the configured client (invalid_client)."));
}

#[tokio::test]
async fn a_failure_of_ours_is_a_server_error_with_a_request_id() {
    let server = TestServer::start().await;
    server.clock.freeze();
    let gate = Gate::closed();
    server.mock.set(|s| s.token_gate = Some(gate.clone()));
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let (_, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    let lost = async {
        server.mock.wait_for(|seen| seen.token.len() == 1).await;
        server.clock.advance_seconds(61);
        reap::reap(&server.flows).await.unwrap();
        let told = status(&server, &token, json!({})).await;
        assert_eq!((told["status"].as_str(), told["error"].as_str()), (Some("failed"), Some("server_error")));
        assert!(told["details"]["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{told}");
        assert_eq!(poll(&server, &token).await["error"]["error_code"], "service_unavailable");
        gate.open();
    };
    let (_, ()) = tokio::join!(browser.get(&server, &callback), lost);
    assert_eq!(status(&server, &token, json!({})).await["status"], "failed", "told once, settled");
}

#[tokio::test]
async fn a_provider_that_the_operator_removed_meanwhile_is_a_configuration_error() {
    let server = TestServer::start().await;
    let (token, mut browser) = (server.mint(&json!({})).await, TestBrowser::new());
    let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    assert!(operate::remove_provider(&server.flows, &operator(), server.app.id, "mock").await.is_ok());
    assert_eq!(browser.get(&server, &callback).await.status, 303);
    assert_eq!(super::token_requests(&server), 0);
    let told = status(&server, &token, json!({})).await;
    assert_eq!(
        (&told["error"], &told["details"]["reason"]),
        (&json!("oauth_provider_error"), &json!("provider_not_configured"))
    );
    assert!(told["details"]["provider_error"].is_null(), "the provider said nothing: {told}");
    assert_eq!(told["details"]["provider"], "mock", "its name is known all the same");
    let polled = poll(&server, &token).await;
    assert_eq!(polled["error"]["error_code"], "provider_configuration_unavailable");
    let message = polled["error"]["error_message"].as_str().unwrap();
    assert!(message.contains("The operator configures it again"), "{message}");
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("need to repair this; you cannot"), "{message}");
    let page = browser.get(&server, &format!("/connect/s/{sid}")).await.text();
    assert!(page.contains("need to repair this") && !page.contains("Error code from"), "{page}");
    let (kind, details) = server.store.list_audit(server.app.id, 1).await.unwrap().remove(0);
    assert_eq!((kind.as_str(), &details["reason"]), ("connect_failed", &json!("provider_not_configured")));
    assert!(details.get("provider_error").is_none(), "{details}");
}

/// Door A's answer comes with the cookie and leads to a page that asks for it back.
#[tokio::test]
async fn a_browser_that_keeps_no_cookie_ends_the_flow_in_seconds_and_one_that_keeps_it_does_not() {
    for providers in [json!(["mock"]), json!(["mock", "second"])] {
        let server = TestServer::start().await;
        server.clock.freeze();
        server.add_provider(&server.app, "second", |_| {}).await;
        let token = server.mint(&json!({ "allowed_providers": providers })).await;
        let mut kept = TestBrowser::new();
        let entered = kept.open(&server, &token, Some("https://app.example")).await;
        let page = entered.header("location").to_owned();
        // A scanner fetches the address first: the page that is then served to the browser itself counts.
        assert_eq!(TestBrowser::new().get(&server, &page).await.status, 400);
        server.clock.advance_millis(2_999);
        assert_eq!(status(&server, &token, json!({})).await["status"], "open", "not yet");
        assert_eq!(kept.get(&server, &page).await.status, 200);
        server.clock.advance_seconds(60);
        assert_eq!(status(&server, &token, json!({})).await["status"], "open", "it has its cookie");

        let token = server.mint(&json!({ "allowed_providers": providers })).await;
        let entered = TestBrowser::new().open(&server, &token, Some("https://app.example")).await;
        for seconds in [0, 3] {
            server.clock.advance_seconds(seconds);
            let blocked = TestBrowser::new().get(&server, entered.header("location")).await;
            assert!(blocked.text().contains("blocked a cookie"), "after {seconds} s: {}", blocked.text());
        }
        let told = status(&server, &token, json!({})).await;
        let what = (&told["status"], &told["error"], &told["details"]["reason"]);
        assert_eq!(what, (&json!("failed"), &json!("binding_failed"), &json!("cookies_blocked")));
        let message = told["message"].as_str().unwrap();
        assert!(
            message.contains("connected: the browser keeps no cookies of the connect page."),
            "{message}"
        );
        assert_eq!(poll(&server, &token).await["error"]["error_code"], "connect_flow_error");
        let again = TestBrowser::new().get(&server, entered.header("location")).await;
        assert!(again.text().contains("blocked a cookie"), "a reload says the same: {}", again.text());
    }
}
