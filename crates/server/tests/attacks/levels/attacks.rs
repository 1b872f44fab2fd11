//! The three attacks on links (threats 0) against L3, in both forms of the proof. A capture is a grant that one person can
//! use and another one consented to. Each has its positive control: the same steps by one person.

use super::*;

/// Everything that somebody who holds the session token can ask for, as text.
async fn all_that_the_starter_learns(app: &Backend, token: &str, v: &str, sid: &str) -> String {
    let cb = secret::base64url(&secret::sha256(&secret::from_base64url(v).unwrap_or_default()));
    let mut learnt = app.poll(token).await.to_string();
    for cb in [json!({}), json!({ "cb": cb }), json!({ "cb": null })] {
        learnt += &app.server.status(token, &app.app.origin, cb).await.text();
    }
    for body in [
        json!({ "session_token": token, "v": v }),
        json!({ "session_token": token }),
        json!({ "sid": sid, "v": v }),
        json!({ "sid": sid, "session_token": token, "v": v }),
    ] {
        learnt += &app.result(&body).await.text();
    }
    learnt
}

/// The attacker starts a flow for himself and sends the link to a victim, who goes through with it. The attacker may choose
/// a flow id, whose `v` he knows.
#[tokio::test]
async fn t01_session_fixation_by_a_link_captures_nothing() {
    for form in FORMS {
        for with_flow_id in [false, true] {
            let app = Backend::new(form).await;
            let (mut attacker, victim) = (SignedIn::new(BOB), SignedIn::new(ANN));
            let token = app.start(&mut attacker).await;
            let (v, cb) = TestBrowser::flow_id();
            let link = if with_flow_id { json!({ "cb": cb, "m": "r" }) } else { json!({}) };
            let mut browser = TestBrowser::new();
            let address = app.through_link(&mut browser, &token, link).await;

            // The code is in the victim's browser, at the app's own page, and nowhere else.
            let code = code_in(&address);
            let learnt = all_that_the_starter_learns(&app, &token, &v, &code[..26]).await;
            assert!(!learnt.contains(&code) && !learnt.contains("result_code"), "{learnt}");
            assert!(!learnt.contains("grant_id") && !learnt.contains("acme.example"), "{learnt}");

            let refused = app.returned(&victim, &code).await;
            assert!(is(&refused, 403, "binding_failed"), "{}", refused.text());
            assert_eq!(refused.json()["details"]["reason"], "other_user");
            assert_eq!(app.audit().await[0], "connection_discarded");
            // Even with the code, the attacker is too late: the flow is over.
            let late = app.returned(&attacker, &code).await;
            assert!(is(&late, 403, "binding_failed"), "{}", late.text());
            assert_eq!(app.grants().await, 0, "captured");
            let poll = app.poll(&token).await;
            assert_eq!(poll["error"]["error_code"], "connect_flow_error", "{poll}");
            assert_eq!(app.server.mock.seen().revoke.len(), 1, "the provider ended what it had issued");

            // Positive control: one person goes through the same steps.
            let mut own = SignedIn::new(ANN);
            let token = app.start(&mut own).await;
            let address = app.through_link(&mut TestBrowser::new(), &token, json!({})).await;
            assert_eq!(app.returned(&own, &code_in(&address)).await.status, 200);
            assert_eq!(app.grants().await, 1);
        }
    }
}

/// The attacker starts in his own browser, and hands what comes next to a victim: the provider's address, or the callback.
#[tokio::test]
async fn t02_account_takeover_by_a_handed_over_address_captures_nothing() {
    for form in FORMS {
        let app = Backend::new(form).await;
        for after_provider in [false, true] {
            let mut attacker = SignedIn::new(BOB);
            let token = app.start(&mut attacker).await;
            let mut own = TestBrowser::new();
            let opened = app.open_link(&mut own, &token, "", json!({})).await;
            let sid = sid_of(opened.json()["location"].as_str().unwrap());
            let authorize = own.approve(&app.server, &sid, "mock").await;

            let mut victim = TestBrowser::new();
            let at_provider = if after_provider { &own } else { &victim };
            let callback = at_provider.at_provider(&authorize).await;
            let reply = victim.get(&app.server, &callback).await;
            assert_eq!(reply.status, 400, "{}", reply.text());
            // Nor does the attacker get it afterwards, with his cookie.
            own.get(&app.server, &callback).await;
            assert_eq!(app.server.mock.seen().token.len(), 0, "the code was exchanged");
            let address = app.back(&mut own, &sid).await;
            let refused = app.returned(&attacker, &code_in(&address)).await;
            assert!(is(&refused, 409, "nothing_to_confirm"), "{}", refused.text());
            assert_eq!(app.grants().await, 0, "captured");
        }
        // Positive control: one browser goes all the way.
        let mut own = SignedIn::new(ANN);
        let token = app.start(&mut own).await;
        let address = app.through_link(&mut TestBrowser::new(), &token, json!({})).await;
        assert_eq!(app.returned(&own, &code_in(&address)).await.status, 200);
    }
}

/// The attacker connects an account of his own and sends a victim to the app's return page with his result code: the victim
/// would use the attacker's account. Or another app brings the code.
#[tokio::test]
async fn t11_cross_app_request_forgery_captures_nothing() {
    for form in FORMS {
        let app = Backend::new(form).await;
        let evil = Backend::add_app(&app.server, "Evil App", "https://evil.example").await;
        let mut attacker = SignedIn::new(BOB);
        let token = app.start(&mut attacker).await;
        let address = app.through_link(&mut TestBrowser::new(), &token, json!({})).await;
        let code = code_in(&address);

        // Another app with everything that the right one has.
        let mut body = json!({ "result_code": code });
        match form {
            Form::UserToken => body["user_token"] = app.server.mock.user_token(BOB, AUDIENCE).into(),
            Form::Verifier => body["code_verifier"] = attacker.verifier.clone().into(),
        }
        let foreign = finalize_as(&app.server, &evil, &body).await;
        assert!(is(&foreign, 404, "invalid_result_code"), "{}", foreign.text());
        assert_eq!(app.server.grants(evil.id).await.len() + app.grants().await, 0, "captured");

        // The victim has started a flow too: the verifier in that session is of another one.
        let mut victim = SignedIn::new(ANN);
        app.start(&mut victim).await;
        let refused = app.returned(&victim, &code).await;
        assert!(is(&refused, 403, "binding_failed"), "{}", refused.text());
        assert_eq!(app.grants().await, 0, "captured");

        // Positive control: his own return page takes the attacker's own account.
        let token = app.start(&mut attacker).await;
        let address = app.through_link(&mut TestBrowser::new(), &token, json!({})).await;
        assert_eq!(app.returned(&attacker, &code_in(&address)).await.status, 200);
    }
}

/// Door A proves the page, not the person: the attacker may lead a victim's browser to a page of the app where the attacker
/// is signed in. The app's word stops that too.
#[tokio::test]
async fn t03_a_popup_that_another_person_completed_is_discarded() {
    for form in FORMS {
        let app = Backend::new(form).await;
        let mut attacker = SignedIn::new(BOB);
        let token = app.start(&mut attacker).await;
        app.popup(&mut TestBrowser::new(), &token).await;
        let code = app.code_of_popup(&token).await;
        assert!(is(&app.returned(&SignedIn::new(ANN), &code).await, 403, "binding_failed"));
        assert_eq!(app.grants().await, 0);
        let status = app.server.status(&token, &app.app.origin, json!({})).await.json();
        assert_eq!(
            (&status["status"], &status["error"]),
            (&json!("failed"), &json!("binding_failed")),
            "{status}"
        );
    }
}

#[tokio::test]
async fn t58_the_page_of_a_popup_gets_its_code_with_v_and_at_the_apps_origin_alone() {
    let app = Backend::new(Form::UserToken).await;
    let token = app.start(&mut SignedIn::new(ANN)).await;
    let v = TestBrowser::flow_of(&token).0;
    let early = app.result(&json!({ "session_token": token, "v": v })).await;
    assert!(is(&early, 403, "binding_failed"), "nobody has opened it: {}", early.text());
    app.popup(&mut TestBrowser::new(), &token).await;
    for body in [
        json!({ "session_token": token }),
        json!({ "session_token": token, "v": "" }),
        json!({ "session_token": token, "v": TestBrowser::flow_id().0 }),
        json!({ "session_token": token, "v": TestBrowser::cb_of(&token) }),
    ] {
        let refused = app.result(&body).await;
        assert!(is(&refused, 403, "binding_failed"), "{body}: {}", refused.text());
    }
    let unknown = app.result(&json!({ "session_token": "alter_cs_x", "v": v })).await;
    assert!(is(&unknown, 404, "invalid_token"), "{}", unknown.text());
    for origin in ["https://evil.example", "null"] {
        let sent = Sent::new("POST", "/connect/result")
            .header("origin", origin)
            .header("content-type", "text/plain");
        let refused = app.server.send(sent.body(json!({ "session_token": token, "v": v }).to_string())).await;
        assert!(is(&refused, 403, "binding_failed"), "{}", refused.text());
    }
    app.code_of_popup(&token).await;
}
