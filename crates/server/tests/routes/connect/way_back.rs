//! The way back from a redirect flow: every end that a person can see reaches the app's page as the right code, in the
//! address and from `/connect/result`.

use alter_mock_provider::TokenFault;
use alter_testkit::{Reply, TestBrowser, TestServer, browser::param};
use serde_json::{Value, json};

use super::{poll, status, step};

const ORIGIN: &str = "https://app.example";
const BACK: &str = "https://app.example/connected?tab=2#there";

/// A redirect flow, from the app's page until it is back there.
struct Flow {
    server: TestServer,
    browser: TestBrowser,
    token: String,
    sid: String,
}

impl Flow {
    /// A flow with one provider, at its consent page.
    async fn new() -> Self {
        Self::at(TestServer::start().await, json!({})).await
    }

    async fn of_two() -> Self {
        let server = TestServer::start().await;
        server.add_provider(&server.app, "other", |_| {}).await;
        Self::at(server, json!({})).await
    }

    async fn at(server: TestServer, mut mint: Value) -> Self {
        mint["return_url"] = json!(BACK);
        let (token, mut browser) = (server.mint(&mint).await, TestBrowser::new());
        let sid = browser.claim_by_redirect(&server, &server.app, &token).await;
        Self { server, browser, token, sid }
    }

    async fn page(&mut self) -> Reply {
        self.browser.get(&self.server, &format!("/connect/s/{}", self.sid)).await
    }

    async fn step(&mut self, name: &str, body: Value) {
        let done = step(&self.server, &mut self.browser, &self.sid, name, body).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }

    async fn approve(&mut self, provider: &str) -> String {
        let authorize = self.browser.approve(&self.server, &self.sid, provider).await;
        self.browser.at_provider(&authorize).await
    }

    async fn through_provider(&mut self) {
        let callback = self.approve("mock").await;
        let reply = self.browser.get(&self.server, &callback).await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (303, format!("/connect/s/{}", self.sid).as_str())
        );
    }

    async fn result(&self, body: Value) -> Value {
        let reply = self.server.result(ORIGIN, &body).await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (200, ORIGIN),
            "{}",
            reply.text()
        );
        reply.json()
    }

    fn v(&self) -> String {
        TestBrowser::flow_of(&self.token).0
    }

    /// Goes back by itself: the last page has nothing to say.
    async fn goes_back(&mut self) -> (url::Url, Value) {
        let page = self.page().await.text();
        let target = format!("/connect/s/{}/return", self.sid);
        assert!(page.contains(&format!("content=\"0;url={target}\"")), "{page}");
        self.follow().await
    }

    /// Goes back by the button of a page that says what happened.
    async fn is_led_back(&mut self) -> (url::Url, Value) {
        let page = self.page().await.text();
        let target = format!("/connect/s/{}/return", self.sid);
        assert!(page.contains(&format!("<a class=\"go\" href=\"{target}\">Back to <bdi>Test App")), "{page}");
        assert!(!page.contains("http-equiv=\"refresh\"") && !page.contains("data-close"), "{page}");
        self.follow().await
    }

    async fn follow(&mut self) -> (url::Url, Value) {
        let url = self.browser.go_back(&self.server, &self.sid).await;
        assert!(url.as_str().starts_with("https://app.example/connected?tab=2&alter_result_code="), "{url}");
        assert_eq!(url.fragment(), Some("there"));
        let told =
            self.result(json!({ "result_code": param(&url, "alter_result_code"), "v": self.v() })).await;
        (url, told)
    }

    /// The code that the address and the answer name.
    async fn ends_with(&mut self, error: &str) -> Value {
        let (url, told) = self.is_led_back().await;
        assert_failed(&url, &told, error);
        assert_eq!(param(&url, "alter_sid"), self.sid);
        told
    }
}

fn assert_failed(url: &url::Url, told: &Value, error: &str) {
    assert_eq!(
        (param(url, "alter_connect_error").as_str(), param(url, "error_code").as_str()),
        ("true", error)
    );
    assert_eq!((&told["status"], &told["error"]), (&json!("failed"), &json!(error)), "{told}");
    assert_eq!(told["message"], json!(param(url, "error_description")), "one sentence for people");
    assert!(told["connections"].is_null(), "{told}");
}

/// The address of a refusal's button.
fn button(page: &Reply) -> url::Url {
    let text = page.text();
    let href = text.split("<a class=\"go\" href=\"").nth(1).unwrap_or_else(|| panic!("no button: {text}"));
    url::Url::parse(&href.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&")).unwrap()
}

#[tokio::test]
async fn a_connection_comes_back_with_what_both_clients_read() {
    let mut flow = Flow::new().await;
    flow.through_provider().await;
    let (url, told) = flow.goes_back().await;
    let made = &told["connections"][0];
    assert_eq!((&told["status"], &made["provider"]), (&json!("completed"), &json!("mock")), "{told}");
    assert_eq!(told["events"].as_array().unwrap().len(), 3, "{told}");
    assert_eq!(param(&url, "alter_connect_success"), "true");
    for name in
        ["grant_id", "provider", "provider_name", "account_identifier", "timestamp", "operation", "status"]
    {
        assert_eq!(json!(param(&url, name)), made[name], "{name}");
    }
    assert_eq!(param(&url, "scopes"), "openid,email,profile");
    assert_eq!(poll(&flow.server, &flow.token).await["grants"][0]["grant_id"], made["grant_id"]);
}

#[tokio::test]
async fn several_connections_come_back_in_the_answer_and_the_first_of_them_in_the_address() {
    let mut flow = Flow::of_two().await;
    for provider in ["mock", "other"] {
        flow.step("select", json!({ "provider": provider })).await;
        let callback = flow.approve(provider).await;
        flow.browser.get(&flow.server, &callback).await;
        assert!(flow.page().await.text().contains("data-page=\"picker\""), "there may be more");
    }
    flow.step("finish", json!({})).await;
    let (url, told) = flow.goes_back().await;
    assert_eq!(param(&url, "provider"), "mock");
    assert_eq!(told["connections"].as_array().unwrap().len(), 2, "{told}");
}

#[tokio::test]
async fn a_refusal_on_our_page_and_one_at_the_provider_come_back_as_oauth_denied() {
    let mut flow = Flow::new().await;
    flow.step("cancel", json!({})).await;
    let (url, told) = flow.goes_back().await;
    assert_failed(&url, &told, "oauth_denied");

    let mut flow = Flow::new().await;
    flow.server.mock.set(|s| s.auto_deny = true);
    flow.through_provider().await;
    let (url, told) = flow.goes_back().await;
    assert_failed(&url, &told, "oauth_denied");
    assert_eq!(poll(&flow.server, &flow.token).await["error"]["error_code"], "connect_denied");
}

#[tokio::test]
async fn who_leaves_the_picker_comes_back_as_an_exit() {
    let mut flow = Flow::of_two().await;
    flow.step("cancel", json!({})).await;
    let (url, told) = flow.goes_back().await;
    assert_eq!((param(&url, "error_code").as_str(), &told["status"]), ("cancelled", &json!("exited")));
}

#[tokio::test]
async fn a_page_whose_time_is_over_comes_back_as_session_expired() {
    let mut flow = Flow::new().await;
    flow.server.clock.advance_seconds(601);
    let told = flow.ends_with("session_expired").await;
    assert_eq!(told["details"]["reason"], "expired");
}

#[tokio::test]
async fn who_leaves_the_expired_page_while_an_attempt_still_has_time_comes_back_too() {
    let mut flow = Flow::new().await;
    flow.server.clock.advance_seconds(300);
    let callback = flow.approve("mock").await;
    flow.server.clock.advance_seconds(301);
    flow.ends_with("session_expired").await;
    let late = flow.browser.get(&flow.server, &callback).await;
    assert_eq!(late.status, 303, "{}", late.text());
}

#[tokio::test]
async fn what_the_provider_does_wrong_comes_back_as_its_error() {
    type Wrong = fn(&mut alter_mock_provider::Switches);
    let cases: [(Wrong, &str, &str); 4] = [
        (
            |s| (s.auto_deny, s.deny_error) = (true, "server_error".into()),
            "provider_unavailable",
            "connect_flow_error",
        ),
        (|s| s.token_fault = Some(TokenFault::Status(503)), "token_endpoint_failed", "connect_flow_error"),
        (|s| s.token_fault = Some(TokenFault::InvalidClient), "client_refused", "invalid_client"),
        (|s| s.omit_token_fields = vec!["id_token".into()], "id_token_missing", "connect_flow_error"),
    ];
    for (wrong, reason, polled) in cases {
        let mut flow = Flow::new().await;
        flow.server.mock.set(wrong);
        flow.through_provider().await;
        let told = flow.ends_with("oauth_provider_error").await;
        assert_eq!(told["details"]["reason"], reason, "{told}");
        assert_eq!(poll(&flow.server, &flow.token).await["error"]["error_code"], polled);
    }
}

#[tokio::test]
async fn a_provider_that_was_removed_meanwhile_comes_back_as_its_error() {
    let mut flow = Flow::new().await;
    flow.page().await;
    let (flows, app) = (&flow.server.flows, flow.server.app.id);
    alter_flows::operate::remove_provider(flows, &alter_testkit::operator(), app, "mock").await.unwrap();
    let told = flow.ends_with("oauth_provider_error").await;
    assert_eq!(told["details"]["reason"], "provider_not_configured", "{told}");
}

#[tokio::test]
async fn an_agent_that_was_deleted_meanwhile_comes_back_as_session_expired() {
    let server = TestServer::start().await;
    server.set_idp(&server.app, None).await;
    let (agent, _) = server.add_agent(&server.app, "mailbot").await;
    let user = server.mock.user_token("acme-1001", "my-app");
    let mut flow = Flow::at(server, json!({ "user_token": user, "agent": "mailbot" })).await;
    flow.page().await;
    let target = format!("/sdk/agents/{agent}");
    flow.server.call_empty(&flow.server.app.key.clone(), "DELETE", &target).await;
    let told = flow.ends_with("session_expired").await;
    assert_eq!(told["details"]["reason"], "agent_revoked", "{told}");
}

#[tokio::test]
async fn a_failure_of_ours_comes_back_as_server_error() {
    let mut flow = Flow::new().await;
    let authorize = flow.browser.approve(&flow.server, &flow.sid, "mock").await;
    let callback = flow.browser.at_provider(&authorize).await;
    // A process that died with the code in its hand.
    let state = url::Url::parse(&authorize).unwrap();
    let hash = alter_core::secret::sha256(param(&state, "state").as_bytes());
    let (store, now) = (&flow.server.store, flow.server.flows.now());
    let id = store.find_attempt(&hash).await.unwrap().unwrap().id;
    assert!(store.consume_attempt(id, now).await.unwrap().is_first());
    flow.server.clock.advance_seconds(61);
    alter_flows::reap::reap(&flow.server.flows).await.unwrap();
    flow.browser.get(&flow.server, &callback).await;
    let told = flow.ends_with("server_error").await;
    assert_eq!(told["details"]["reason"], "interrupted", "{told}");
}

#[tokio::test]
async fn a_code_that_came_to_another_browser_comes_back_as_binding_failed_in_the_first() {
    let mut flow = Flow::new().await;
    let callback = flow.approve("mock").await;
    let foreign = TestBrowser::new().get(&flow.server, &callback).await;
    assert_eq!(foreign.status, 400);
    assert!(!foreign.text().contains("app.example"), "it is not theirs");
    flow.ends_with("binding_failed").await;
}

#[tokio::test]
async fn t52_blocked_cookies_come_back_as_binding_failed() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({ "return_url": BACK })).await;
    let opened = TestBrowser::new().open_as("r", &server, &token, Some(ORIGIN)).await;
    let marked = opened.header("location").to_owned();
    let page = TestBrowser::new().get(&server, &marked).await;
    assert_eq!(page.status, 400);
    let url = button(&page);
    let told = |body: Value| {
        let server = &server;
        async move { server.result(ORIGIN, &body).await.json() }
    };
    // Neither code nor three seconds: the person is back already.
    assert_eq!(param(&url, "alter_result_code"), "");
    let (v, sid) = (TestBrowser::flow_of(&token).0, param(&url, "alter_sid"));
    let first = url.query_pairs().nth(1).map(|(name, _)| name.into_owned());
    assert_eq!(first.as_deref(), Some("alter_sid"), "in the code's place: {url}");
    let in_its_place = told(json!({ "result_code": sid, "v": v })).await;
    let told = told(json!({ "sid": sid, "v": v, "result_code": null })).await;
    assert_eq!(in_its_place, told);
    assert_failed(&url, &told, "binding_failed");
    assert_eq!(told["details"]["reason"], "cookies_blocked", "{told}");
}

#[tokio::test]
async fn who_is_not_let_in_comes_back_with_the_reason() {
    let server = TestServer::start().await;
    server.clock.freeze();
    let mint = || async { server.mint(&json!({ "return_url": BACK })).await };
    let refused = |token: String| {
        let server = &server;
        async move {
            let page = TestBrowser::new().open_as("r", server, &token, Some(ORIGIN)).await;
            let url = button(&page);
            let v = TestBrowser::flow_id().0;
            let told =
                server.result(ORIGIN, &json!({ "sid": param(&url, "alter_sid"), "v": v })).await.json();
            assert_failed(&url, &told, "session_expired");
            told["details"]["reason"].as_str().unwrap().to_owned()
        }
    };
    let token = mint().await;
    let mut first = TestBrowser::new();
    let sid = first.claim_by_redirect(&server, &server.app, &token).await;
    assert_eq!(refused(token.clone()).await, "other_browser");
    step(&server, &mut first, &sid, "cancel", json!({})).await;
    assert_eq!(refused(token).await, "used");
    let token = mint().await;
    server.clock.advance_seconds(600);
    assert_eq!(refused(token).await, "expired");

    let token = mint().await;
    let page = TestBrowser::new().open_as("r", &server, &token, Some("https://evil.example")).await;
    assert_eq!((page.status, param(&button(&page), "error_code").as_str()), (403, "binding_failed"));
    let asked = json!({ "sid": param(&button(&page), "alter_sid"), "v": TestBrowser::flow_id().0 });
    assert_eq!(server.result(ORIGIN, &asked).await.error(), "binding_failed");
}

#[tokio::test]
async fn a_redirect_without_a_form_is_refused_and_led_back() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({ "return_url": BACK })).await;
    let body = json!({ "token": token, "cb": TestBrowser::cb_of(&token), "m": "r" });
    let refused = TestBrowser::new().post(&server, "/connect/api/claim", &body).await;
    let said = refused.json();
    assert_eq!((refused.status, &said["error"]), (403, &json!("binding_failed")), "{said}");
    assert_eq!(said["details"]["reason"], "form_action");
    assert!(said["message"].as_str().unwrap().contains("form-action"), "{said}");
    let back = url::Url::parse(said["details"]["back"].as_str().unwrap()).unwrap();
    assert_eq!(param(&back, "error_code"), "binding_failed");
    assert!(back.as_str().starts_with("https://app.example/connected?tab=2&"), "{back}");
}

#[tokio::test]
async fn client_0_8_0_is_refused_in_its_redirect_mode_and_led_back() {
    let server = TestServer::start().await;
    let app = crate::support::session::app_with(&server, |settings| settings.legacy_clients = true).await;
    let token = server.mint_for(&app, &json!({ "return_url": BACK })).await;
    let marks = json!({ "opener": false, "name": "", "referrer": "https://app.example/", "site": "cross-site", "history": 3 });
    let refused = TestBrowser::new()
        .post(&server, "/connect/api/claim", &json!({ "token": token, "marks": marks }))
        .await;
    assert_eq!((refused.status, refused.error().as_str()), (403, "binding_failed"));
    assert!(refused.json()["details"]["back"].as_str().unwrap().contains("alter_connect_error=true"));
    // Its popup has an opener: it can be closed, and is told nothing new.
    let marks = json!({ "opener": true, "name": "x", "referrer": "https://app.example/", "site": "cross-site", "history": 1 });
    let refused = TestBrowser::new()
        .post(&server, "/connect/api/claim", &json!({ "token": token, "marks": marks }))
        .await;
    assert_eq!(refused.json()["details"], Value::Null);
}

#[tokio::test]
async fn s5_a_redirect_without_a_return_url_is_refused_in_words_and_burns_nothing() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let page = TestBrowser::new().open_as("r", &server, &token, Some(ORIGIN)).await;
    assert_eq!((page.status, page.cookies().len()), (400, 0));
    assert!(page.text().contains("<code>return_url</code>"), "{}", page.text());
    assert_eq!(
        button(&page).as_str(),
        "https://app.example/",
        "the page that it came from proved its origin"
    );
    TestBrowser::new().claim(&server, &server.app, &token).await;
}

#[tokio::test]
async fn b08_nobody_waits_for_a_status_call_and_a_closed_window_ends_nothing() {
    let mut flow = Flow::new().await;
    flow.server.clock.advance_seconds(30);
    let asked = status(&flow.server, &flow.token, json!({ "closed": true })).await;
    assert_eq!(asked["status"], "open");
    let page = flow.page().await.text();
    assert!(page.contains("data-page=\"consent\""), "{page}");
    step(&flow.server, &mut flow.browser, &flow.sid, "bye", json!({ "instance": 1 })).await;
    flow.server.clock.advance_seconds(300);
    assert_eq!(status(&flow.server, &flow.token, json!({ "closed": true })).await["status"], "open");
    flow.through_provider().await;
    assert_eq!(flow.goes_back().await.1["status"], "completed");
}

#[tokio::test]
async fn the_app_cancels_a_flow_that_was_left_by_the_back_button() {
    let mut flow = Flow::new().await;
    flow.page().await;
    assert_eq!(status(&flow.server, &flow.token, json!({ "cancel": true })).await["status"], "exited");
    let (_, told) = flow.goes_back().await;
    assert_eq!(told["status"], "exited");
}

#[tokio::test]
async fn a_flow_that_is_not_over_has_no_way_back_yet_and_says_so() {
    let mut flow = Flow::new().await;
    flow.page().await;
    let early = flow.browser.get(&flow.server, &format!("/connect/s/{}/return", flow.sid)).await;
    assert_eq!((early.status, early.header("location")), (303, format!("/connect/s/{}", flow.sid).as_str()));
    let told = flow.result(json!({ "sid": flow.sid, "v": flow.v() })).await;
    assert_eq!(told["status"], "open", "{told}");
    flow.through_provider().await;
    assert_eq!(flow.goes_back().await.1["status"], "completed");
}

#[tokio::test]
async fn a_popup_has_no_way_back() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({ "return_url": BACK })).await;
    let mut browser = TestBrowser::new();
    let (sid, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    browser.get(&server, &callback).await;
    let page = browser.get(&server, &format!("/connect/s/{sid}")).await.text();
    assert!(page.contains("data-close") && !page.contains("http-equiv=\"refresh\""), "{page}");
    let back = browser.get(&server, &format!("/connect/s/{sid}/return")).await;
    assert_eq!(back.header("location"), format!("/connect/s/{sid}"));
}

#[tokio::test]
async fn a_long_list_of_scopes_stays_out_of_the_address() {
    let mut flow = Flow::new().await;
    let scopes: Vec<String> = (0..60).map(|n| format!("https://provider.example/auth/scope-{n}")).collect();
    flow.server.mock.set(|s| s.granted_scopes = Some(scopes.join(" ")));
    flow.through_provider().await;
    let (url, told) = flow.goes_back().await;
    assert!(url.as_str().len() < 1000 && param(&url, "scopes").is_empty(), "{url}");
    assert!(told["connections"][0]["scopes"].as_array().unwrap().len() >= 60, "{told}");
}
