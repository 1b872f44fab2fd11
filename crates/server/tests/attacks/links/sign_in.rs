//! A link whose user signs in. The three attacks on links are here at L0 too: each has its positive control beside it.

use alter_mock_provider::{IdTokenFault, ResponseParam};

use super::*;
use crate::logs::Logs;

/// Nothing of the session can be used, and the page says nothing of whose it is.
async fn is_shut(tool: &Tool, browser: &mut TestBrowser, sid: &str) {
    for (step, body) in
        [("approve", json!({ "provider": "mock" })), ("select", json!({ "provider": "mock" }))]
    {
        let reply = browser.post(&tool.server, &format!("/connect/api/s/{sid}/{step}"), &body).await;
        assert!(is(&reply, 409, "step_moved"), "{step}: {}", reply.text());
    }
    let page = tool.page(browser, sid).await;
    assert!(page.contains("data-page=\"sign_in\""), "{page}");
    assert!(!page.contains("acme-100") && !page.contains("Mock Provider"), "{page}");
}

#[tokio::test]
async fn t06_a_link_leads_to_the_sign_in_and_after_it_to_a_grant_that_says_so() {
    let tool = Tool::new().await;
    let token = tool.start(ANN).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    is_shut(&tool, &mut browser, &sid).await;
    assert_eq!(tool.poll(&token).await["status"], "pending");

    tool.signs_in(ANN);
    let back = browser.sign_in(&tool.server, &sid).await;
    assert_eq!((back.status, back.header("location")), (303, format!("/connect/s/{sid}").as_str()));
    let page = tool.page(&mut browser, &sid).await;
    assert!(page.contains("data-page=\"consent\""), "{page}");
    assert!(!page.contains("opened from a link"), "who signed in has answered the question");
    tool.connect(&mut browser, &sid).await;

    let poll = tool.poll(&token).await;
    assert_eq!(poll["status"], "completed", "{poll}");
    let listed = tool.listed().await;
    let grant = &listed["grants"][0];
    assert_eq!((&grant["binding"], &grant["signed_in"]), (&json!("L2"), &json!(true)), "{listed}");
    assert_eq!(tool.audit().await[..3], ["grant_connected", "signed_in", "session_claimed"]);
    let page = tool.page(&mut browser, &sid).await;
    assert!(page.contains("You can close this window"), "a link has no page to go back to: {page}");
}

#[tokio::test]
async fn t01_a_mailed_link_captures_nothing_from_whoever_signs_in_as_another_user() {
    let tool = Tool::new().await;
    tool.start(ANN).await;
    let token = tool.start(BOB).await;
    let mut victim = TestBrowser::new();
    let sid = tool.open(&mut victim, &token).await;
    tool.signs_in(ANN);
    assert_eq!(victim.sign_in(&tool.server, &sid).await.status, 303);
    is_shut(&tool, &mut victim, &sid).await;
    let page = tool.page(&mut victim, &sid).await;
    assert!(page.contains("You are not the one who started this"), "{page}");
    assert_eq!(tool.audit().await[0], "sign_in_refused");
    let seen = tool.server.mock.seen();
    assert_eq!(seen.token.len(), 1, "the sign-in alone");
    assert!(tool.listed().await["grants"].as_array().unwrap().is_empty(), "captured");

    // The same person can say at the identity provider that it is another account after all.
    let again = victim.leave_to_sign_in(&tool.server, &sid).await;
    assert!(again.contains("prompt=login"), "{again}");
    tool.signs_in(BOB);
    let callback = victim.at_provider(&again).await;
    victim.get(&tool.server, &callback).await;
    assert!(tool.page(&mut victim, &sid).await.contains("data-page=\"consent\""), "the positive control");
}

/// A user of the identity provider who has never been a user of the app is no user of the session.
#[tokio::test]
async fn t01_somebody_whom_the_app_has_never_seen_is_not_the_sessions_user() {
    let tool = Tool::new().await;
    let token = tool.start(BOB).await;
    let mut victim = TestBrowser::new();
    let sid = tool.open(&mut victim, &token).await;
    tool.signs_in(ANN);
    victim.sign_in(&tool.server, &sid).await;
    is_shut(&tool, &mut victim, &sid).await;
}

#[tokio::test]
async fn t02_the_address_of_a_sign_in_and_its_answer_are_of_no_use_in_another_browser() {
    let tool = Tool::new().await;
    let token = tool.start(BOB).await;
    let mut attacker = TestBrowser::new();
    let sid = tool.open(&mut attacker, &token).await;
    let authorize = attacker.leave_to_sign_in(&tool.server, &sid).await;

    // The victim signs in at the attacker's address: with no cookie, and with a session of their own.
    tool.signs_in(BOB);
    let callback = attacker.at_provider(&authorize).await;
    let mut without = TestBrowser::new();
    let mut victim = TestBrowser::new();
    tool.open(&mut victim, &tool.start(ANN).await).await;
    for browser in [&mut without, &mut victim] {
        let reply = browser.get(&tool.server, &callback).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        // Neither can anybody learn whether such a session is there.
        let unknown = callback.replace(&sid, "aaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_eq!(browser.get(&tool.server, &unknown).await.fingerprint(), reply.fingerprint());
    }
    assert_eq!(tool.server.mock.seen().token.len(), 0, "the code was exchanged");
    // The browser that left comes back: nobody has taken its trip away.
    attacker.get(&tool.server, &callback).await;
    assert!(tool.page(&mut attacker, &sid).await.contains("data-page=\"consent\""));
}

#[tokio::test]
async fn t03_the_code_of_another_persons_sign_in_proves_nothing() {
    let tool = Tool::new().await;
    // The attacker has a code for the session's user (his own session), and gets it into the victim's browser, or his own
    // browser's code into a session that a victim has opened.
    let (mut attacker, mut victim) = (TestBrowser::new(), TestBrowser::new());
    let (own, theirs) = (tool.start(BOB).await, tool.start(BOB).await);
    let attackers = tool.open(&mut attacker, &own).await;
    let victims = tool.open(&mut victim, &theirs).await;
    tool.signs_in(BOB);
    let address = attacker.leave_to_sign_in(&tool.server, &attackers).await;
    let stolen = attacker.at_provider(&address).await;
    let pending = victim.leave_to_sign_in(&tool.server, &victims).await;
    let code = param(&stolen, "code");
    let state = param(&pending, "state");
    let iss = param(&stolen, "iss");
    let path = stolen.split('?').next().unwrap();
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("code", &code), ("state", &state), ("iss", &iss)])
        .finish();
    assert_eq!(victim.get(&tool.server, &format!("{path}?{query}")).await.status, 303);
    is_shut(&tool, &mut victim, &victims).await;
    assert!(tool.page(&mut victim, &victims).await.contains("Signing in did not work"));
}

#[tokio::test]
async fn t17_an_answer_that_comes_twice_is_exchanged_once() {
    let tool = Tool::new().await;
    let token = tool.start(ANN).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    tool.signs_in(ANN);
    let authorize = browser.leave_to_sign_in(&tool.server, &sid).await;
    let callback = browser.at_provider(&authorize).await;
    for _ in 0..3 {
        assert_eq!(browser.get(&tool.server, &callback).await.status, 303);
    }
    assert_eq!(tool.server.mock.seen().token.len(), 1);
    let late = browser.post(&tool.server, &format!("/connect/api/s/{sid}/sign-in"), &json!({})).await;
    assert!(is(&late, 409, "step_moved"), "{}", late.text());
}

/// Each answer is one that a sound sign-in differs from in one point.
#[tokio::test]
async fn t24_a_sign_in_whose_answer_does_not_hold_proves_nothing() {
    type Change = fn(&mut alter_mock_provider::Switches);
    let changes: [(&str, Change); 10] = [
        ("another nonce", |s| s.id_token = IdTokenFault::NonceWrong),
        ("no nonce", |s| s.id_token = IdTokenFault::NonceMissing),
        ("another audience", |s| s.id_token = IdTokenFault::WrongAud),
        ("no signature", |s| s.id_token = IdTokenFault::AlgNone),
        ("another key", |s| s.id_token = IdTokenFault::ForeignKey),
        ("past", |s| s.id_token = IdTokenFault::Expired),
        ("no id_token", |s| s.omit_token_fields = vec!["id_token".into()]),
        ("another issuer in the response", |s| s.iss = ResponseParam::Wrong("https://evil.example".into())),
        ("no issuer in the response", |s| s.iss = ResponseParam::Missing),
        ("refused", |s| s.auto_deny = true),
    ];
    for (what, change) in changes {
        let tool = Tool::new().await;
        let token = tool.start(ANN).await;
        let mut browser = TestBrowser::new();
        let sid = tool.open(&mut browser, &token).await;
        tool.signs_in(ANN);
        tool.server.mock.set(change);
        assert_eq!(browser.sign_in(&tool.server, &sid).await.status, 303, "{what}");
        is_shut(&tool, &mut browser, &sid).await;
        assert_eq!(tool.audit().await[0], "sign_in_refused", "{what}");
        tool.server.mock.set(|switches| {
            *switches = alter_mock_provider::Switches { auto_approve: true, ..Default::default() };
        });
        tool.signs_in(ANN);
        browser.sign_in(&tool.server, &sid).await;
        let page = tool.page(&mut browser, &sid).await;
        assert!(page.contains("data-page=\"consent\""), "{what}, and then a sound one: {page}");
    }
}

#[tokio::test]
async fn t09_an_answer_on_another_configurations_callback_path_proves_nothing() {
    let tool = Tool::new().await;
    let token = tool.start(ANN).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    tool.signs_in(ANN);
    let authorize = browser.leave_to_sign_in(&tool.server, &sid).await;
    let callback = browser.at_provider(&authorize).await;
    let own = url::Url::parse(&tool.callback).unwrap();
    let other = url::Url::parse(&tool.app.callback).unwrap();
    let elsewhere = callback.replace(own.path(), other.path());
    assert_ne!(elsewhere, callback);
    assert_eq!(browser.get(&tool.server, &elsewhere).await.status, 303);
    assert_eq!(tool.server.mock.seen().token.len(), 0);
    is_shut(&tool, &mut browser, &sid).await;
}

#[tokio::test]
async fn t54_a_sign_in_that_comes_back_after_its_time_or_the_sessions_proves_nothing() {
    for (session_ttl, shown, polled) in [(3600, "sign_in", "pending"), (600, "notice", "expired")] {
        let tool = Tool::new().await;
        tool.change_app(|settings| settings.session_ttl = session_ttl).await;
        let token = tool.start(ANN).await;
        let mut browser = TestBrowser::new();
        let sid = tool.open(&mut browser, &token).await;
        tool.signs_in(ANN);
        let authorize = browser.leave_to_sign_in(&tool.server, &sid).await;
        let callback = browser.at_provider(&authorize).await;
        tool.server.clock.advance_seconds(600);
        browser.get(&tool.server, &callback).await;
        assert_eq!(tool.server.mock.seen().token.len(), 0, "the code was exchanged");
        let page = tool.page(&mut browser, &sid).await;
        assert!(page.contains(&format!("data-page=\"{shown}\"")), "{session_ttl}: {page}");
        assert_eq!(tool.poll(&token).await["status"], polled);
        if session_ttl > 600 {
            assert!(page.contains("That took too long"), "{page}");
            browser.sign_in(&tool.server, &sid).await;
            assert!(
                tool.page(&mut browser, &sid).await.contains("data-page=\"consent\""),
                "and then in time"
            );
        }
    }
}

#[tokio::test]
async fn who_has_tried_too_often_is_told_and_sees_no_button_that_does_nothing() {
    let tool = Tool::new().await;
    let token = tool.start(ANN).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    for n in 0..20 {
        let page = tool.page(&mut browser, &sid).await;
        assert!(page.contains("data-do=\"sign-in\""), "{n}: {page}");
        browser.leave_to_sign_in(&tool.server, &sid).await;
    }
    let more = browser.post(&tool.server, &format!("/connect/api/s/{sid}/sign-in"), &json!({})).await;
    assert!(is(&more, 409, "step_moved"), "{}", more.text());
    let page = tool.page(&mut browser, &sid).await;
    assert!(page.contains("You have tried too often") && page.contains("start again"), "{page}");
    assert!(!page.contains("data-do=\"sign-in\"") && page.contains("data-do=\"cancel\""), "{page}");
}

/// Whoever is signed in there as somebody else is asked again each time, also after a trip that came to something else or to
/// nothing.
#[tokio::test]
async fn the_identity_provider_asks_who_it_is_until_the_right_user_has_signed_in() {
    let tool = Tool::new().await;
    tool.start(ANN).await;
    let token = tool.start(BOB).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    tool.signs_in(ANN);
    let first = browser.leave_to_sign_in(&tool.server, &sid).await;
    assert!(!first.contains("prompt="), "{first}");
    let callback = browser.at_provider(&first).await;
    browser.get(&tool.server, &callback).await;
    tool.server.mock.set(|switches| switches.auto_deny = true);
    browser.sign_in(&tool.server, &sid).await;
    assert!(tool.page(&mut browser, &sid).await.contains("You did not sign in"), "the control");
    for after in ["a refusal", "a trip that nobody came back from"] {
        let again = browser.leave_to_sign_in(&tool.server, &sid).await;
        assert!(again.contains("prompt=login"), "after {after}: {again}");
    }
}

/// A wrong `sub` is mostly no wrong person: many identity providers give each client another one.
#[tokio::test]
async fn the_log_tells_a_subject_that_nobody_has_from_another_user() {
    for (known, says) in [(false, "pairwise"), (true, "another user of the app")] {
        let tool = Tool::new().await;
        if known {
            tool.start(ANN).await;
        }
        let token = tool.start(BOB).await;
        let mut browser = TestBrowser::new();
        let sid = tool.open(&mut browser, &token).await;
        tool.signs_in(ANN);
        let logs = Logs::capture();
        browser.sign_in(&tool.server, &sid).await;
        let text = logs.text();
        assert!(text.contains("a sign-in proves nothing") && text.contains(says), "{known}: {text}");
        assert_eq!(text.contains("pairwise"), !known, "{text}");
        is_shut(&tool, &mut browser, &sid).await;
    }
}

#[tokio::test]
async fn the_log_says_what_the_identity_provider_answered_instead_of_a_code() {
    let tool = Tool::new().await;
    let token = tool.start(BOB).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    tool.server.mock.set(|s| {
        (s.auto_deny, s.deny_error) = (true, "invalid_scope".into());
        s.deny_description = Some("this client may not ask for openid".into());
    });
    let logs = Logs::capture();
    browser.sign_in(&tool.server, &sid).await;
    let text = logs.text();
    assert!(text.contains("invalid_scope") && text.contains("this client may not ask for openid"), "{text}");
}

#[tokio::test]
async fn a_sign_ins_answer_that_cannot_be_read_leads_back_to_the_page_which_says_so() {
    let tool = Tool::new().await;
    let token = tool.start(ANN).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    browser.leave_to_sign_in(&tool.server, &sid).await;
    let path = url::Url::parse(&tool.callback).unwrap().path().to_owned();
    let back = browser.get(&tool.server, &format!("{path}?code=x")).await;
    assert_eq!(back.status, 303, "{}", back.text());
    let page = browser.get(&tool.server, back.header("location")).await.text();
    assert!(page.contains("Signing in did not work") && page.contains("data-do=\"sign-in\""), "{page}");
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    let old = browser.get(&tool.server, back.header("location")).await.text();
    assert!(old.contains("data-page=\"consent\""), "an old address shows nothing old: {old}");
}

#[tokio::test]
async fn inside_another_app_an_identity_provider_that_lets_nobody_sign_in_there_says_so() {
    let user_agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
        Mobile/22F76 Instagram 384.0.0.28 (iPhone15,3; iOS 18_5; de_DE)";
    let tool = Tool::new().await;
    let token = tool.start(ANN).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    for (google, shown) in [(false, "sign_in"), (true, "webview")] {
        if google {
            tool.change_app(|settings| {
                settings.identity_provider.as_mut().unwrap().issuer = "https://accounts.google.com".into();
            })
            .await;
        }
        let target = format!("/connect/s/{sid}");
        let sent = alter_testkit::Sent::new("GET", &target).header("user-agent", user_agent);
        let page = browser.send(&tool.server, sent).await.text();
        assert!(page.contains(&format!("data-page=\"{shown}\"")), "{google}: {page}");
        if google {
            assert!(page.contains("You cannot sign in") && page.contains("in Instagram</h1>"), "{page}");
            assert!(!page.contains("data-do=\"sign-in\""), "{page}");
            let sent =
                alter_testkit::Sent::new("GET", &format!("{target}?here=1")).header("user-agent", user_agent);
            let anyway = browser.send(&tool.server, sent).await.text();
            assert!(anyway.contains("data-page=\"sign_in\""), "whoever was recognised wrongly can go on");
        }
    }
}

/// It is the app's client at its identity provider, and nothing is connected with it.
#[tokio::test]
async fn the_sign_in_client_is_no_provider_of_the_catalog() {
    let tool = Tool::new().await;
    let catalog = tool.server.call_empty(&tool.app.key, "GET", "/sdk/oauth/provider-catalog").await;
    assert_eq!(catalog.status, 200, "{}", catalog.text());
    assert!(catalog.text().contains("\"mock\""), "the control: {}", catalog.text());
    assert!(!catalog.text().contains("@sign-in"), "{}", catalog.text());
}

#[tokio::test]
async fn a_sign_in_that_the_operator_has_taken_away_is_told_and_comes_back() {
    let tool = Tool::new().await;
    let token = tool.start(ANN).await;
    let mut browser = TestBrowser::new();
    let sid = tool.open(&mut browser, &token).await;
    tool.server.set_idp(&tool.app, Some(AUDIENCE)).await;
    let gone = browser.post(&tool.server, &format!("/connect/api/s/{sid}/sign-in"), &json!({})).await;
    assert!(is(&gone, 409, "step_moved"), "{}", gone.text());
    assert!(tool.page(&mut browser, &sid).await.contains("Signing in did not work"));
    let refused = TestBrowser::new()
        .open_link(&tool.server, &tool.start_at("https://tool.example").await, &json!({}))
        .await;
    assert!(is(&refused, 403, "binding_failed"), "no new link is let in: {}", refused.text());
    tool.server.set_sign_in(&tool.app, Some(AUDIENCE)).await;
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    assert!(tool.page(&mut browser, &sid).await.contains("data-page=\"consent\""));
}

/// What the two doors that have no proof bring where the app has the sign-in: a link, and door B of a redirect.
#[tokio::test]
async fn a_redirect_that_an_apps_csp_keeps_from_posting_a_form_gets_in_by_the_sign_in() {
    let tool = Tool::new().await;
    let page = "https://tool.example";
    let user_token = tool.server.mock.user_token(ANN, AUDIENCE);
    let body =
        json!({ "user_token": user_token, "allowed_origin": page, "return_url": format!("{page}/back") });
    let token = tool.server.mint_for(&tool.app, &body).await;
    let (v, cb) = TestBrowser::flow_id();
    let mut browser = TestBrowser::new();
    let opened = browser.open_link(&tool.server, &token, &json!({ "cb": cb, "m": "r" })).await;
    assert_eq!(opened.status, 200, "{}", opened.text());
    let sid = sid_of(opened.json()["location"].as_str().unwrap());
    is_shut(&tool, &mut browser, &sid).await;
    tool.signs_in(ANN);
    browser.sign_in(&tool.server, &sid).await;
    tool.connect(&mut browser, &sid).await;
    let back = browser.go_back(&tool.server, &sid).await;
    let code = alter_testkit::browser::param(&back, "alter_result_code");
    let told = tool.server.result(page, &json!({ "result_code": code, "v": v })).await.json();
    assert_eq!(told["status"], "completed", "{told}");
}

fn param(address: &str, name: &str) -> String {
    let address = if address.starts_with('/') { format!("http://x{address}") } else { address.to_owned() };
    alter_testkit::browser::param(&url::Url::parse(&address).unwrap(), name)
}

impl Tool {
    /// Mints for a page, so that no sign-in is needed to mint.
    async fn start_at(&self, origin: &str) -> String {
        let user_token = self.server.mock.user_token(ANN, AUDIENCE);
        self.server.mint_for(&self.app, &json!({ "user_token": user_token, "allowed_origin": origin })).await
    }
}
