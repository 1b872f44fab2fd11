//! Getting in: which proof reaches which level, and that a refused proof changes nothing (threats 6.2, protocol 2).

use alter_core::{AppSettings, Level, secret, token};
use alter_flows::operate;
use alter_testkit::{Reply, Sent, TestApp, TestBrowser, TestServer, browser::sid_of, operator};
use serde_json::{Value, json};

/// An app that admits the published client 0.8.0.
async fn legacy_app(server: &TestServer, change: impl FnOnce(&mut AppSettings)) -> TestApp {
    let mut settings = AppSettings::named("Legacy App");
    settings.website_url = Some("https://legacy.example".into());
    settings.legacy_clients = true;
    change(&mut settings);
    server.add_app(settings).await
}

/// The marks of the published client, all right for `origin`.
fn marks(origin: &str) -> Value {
    json!({ "opener": true, "name": "alter_oauth_popup", "referrer": format!("{origin}/settings?tab=2"), "site": "cross-site", "history": 1 })
}

/// What our connect page sends for doors B, C and D.
async fn claim(server: &TestServer, browser: &mut TestBrowser, token: &str, more: Value) -> Reply {
    let mut body = json!({ "token": token });
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        body[name] = value;
    }
    browser.post(server, "/connect/api/claim", &body).await
}

/// How many times the session has been saved.
async fn version(server: &TestServer, token: &str) -> u64 {
    let hash = token::session_token_hash(token).expect("a token of ours");
    server.store.find_session(&hash).await.unwrap().expect("the session is there").version
}

/// Asserts that this browser got no cookie and cannot go on, neither with the answer nor, if it knows the sid, through
/// the page's API.
async fn assert_outside(server: &TestServer, browser: &mut TestBrowser, token: &str, reply: &Reply) {
    assert!(reply.cookies().is_empty(), "{:?}", reply.cookies());
    assert_eq!(reply.header("location"), "");
    assert!(!reply.text().contains("alter_cs_"), "{}", reply.text());
    let hash = token::session_token_hash(token).expect("a token of ours");
    let session = server.store.find_session(&hash).await.unwrap().expect("the session is there");
    assert_eq!((session.state_name(), session.version), ("minted", 0));
    let target = format!("/connect/api/s/{}/approve", session.sid);
    let approve = browser.post(server, &target, &json!({ "provider": "mock" })).await;
    assert_eq!(approve.error(), "session_expired", "{}", approve.text());
    let seen = server.mock.seen();
    let requests = seen.authorize.len() + seen.token.len() + seen.discovery.len() + seen.jwks.len();
    assert_eq!(requests, 0, "the provider was contacted");
}

/// Approves and comes back. Asserts that the backend learns of the grant.
async fn finish(server: &TestServer, app: &TestApp, browser: &mut TestBrowser, token: &str, sid: &str) {
    let authorize = browser.approve(server, sid, "mock").await;
    let callback = browser.at_provider(&authorize).await;
    assert_eq!(browser.get(server, &callback).await.status, 303);
    let body = json!({ "session_token": token });
    let polled = server.send(server.signed(&app.key, "/sdk/oauth/connect/session/poll", &body)).await.json();
    assert_eq!(polled["status"], "completed", "{polled}");
}

fn location_sid(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    alter_testkit::browser::sid_of(reply.json()["location"].as_str().expect("a claim has a location"))
}

#[tokio::test]
async fn t01_a_link_opened_without_proof_is_refused_and_no_provider_is_contacted() {
    let server = TestServer::start().await;
    let legacy = legacy_app(&server, |_| {}).await;
    for app in [server.app.clone(), legacy] {
        let token = server.mint_for(&app, &json!({})).await;
        let mut victim = TestBrowser::new();
        // What the shell page sends for `#session=T`, with and without a claim to a flow id.
        for body in [json!({}), json!({ "m": "p" }), json!({ "cb": TestBrowser::flow_id().1, "m": "r" })] {
            let reply = claim(&server, &mut victim, &token, body).await;
            assert_eq!((reply.status, reply.error().as_str()), (403, "binding_failed"), "{}", reply.text());
            assert_outside(&server, &mut victim, &token, &reply).await;
        }
        // The right browser may still come, so the backend still waits.
        let body = json!({ "session_token": token });
        let polled = server.send(server.signed(&app.key, "/sdk/oauth/connect/session/poll", &body)).await;
        assert_eq!(polled.json()["status"], "pending");

        let mut user = TestBrowser::new();
        let sid = user.claim(&server, &app, &token).await;
        finish(&server, &app, &mut user, &token, &sid).await;
        server.mock.forget_seen();
    }
}

#[tokio::test]
async fn t01_every_incomplete_set_of_legacy_marks_is_refused() {
    let server = TestServer::start().await;
    let app = legacy_app(&server, |_| {}).await;
    let token = server.mint_for(&app, &json!({})).await;
    let absent = [
        ("opener", json!(false)),
        ("name", json!("")),
        ("referrer", json!("")),
        ("site", json!("none")),
        ("history", json!(2)),
    ];
    for missing in 1_u32..32 {
        let mut given = marks(&app.origin);
        for (bit, (mark, nothing)) in absent.iter().enumerate() {
            if missing & (1 << bit) != 0 {
                given[*mark] = nothing.clone();
            }
        }
        let mut victim = TestBrowser::new();
        let reply = claim(&server, &mut victim, &token, json!({ "marks": given })).await;
        assert_eq!((reply.status, reply.error().as_str()), (403, "binding_failed"), "{given}");
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    let mut user = TestBrowser::new();
    let reply = claim(&server, &mut user, &token, json!({ "marks": marks(&app.origin) })).await;
    let sid = location_sid(&reply);
    finish(&server, &app, &mut user, &token, &sid).await;
}

/// T07: a link with `rel=opener` or with a target has an opener and a Referer, but not the client's window name.
#[tokio::test]
async fn t07_a_link_inside_the_app_lacks_the_window_name_and_is_refused() {
    let server = TestServer::start().await;
    let app = legacy_app(&server, |_| {}).await;
    let token = server.mint_for(&app, &json!({})).await;
    for name in ["", "_blank", "popup", "Alter_OAuth_Popup", "alter_oauth_popup ", "alter_oauth_popup2"] {
        let mut given = marks(&app.origin);
        given["name"] = json!(name);
        let reply = claim(&server, &mut TestBrowser::new(), &token, json!({ "marks": given })).await;
        assert_eq!(reply.error(), "binding_failed", "{name:?}");
    }
    let reply = claim(&server, &mut TestBrowser::new(), &token, json!({ "marks": marks(&app.origin) })).await;
    location_sid(&reply);
}

/// T07: over a redirect of the app, another web site has every mark but a window that shows nothing but our page.
#[tokio::test]
async fn t07_a_window_that_has_shown_other_pages_is_refused_and_told_to_be_closed() {
    let server = TestServer::start().await;
    let app = legacy_app(&server, |_| {}).await;
    let token = server.mint_for(&app, &json!({})).await;
    let mut victim = TestBrowser::new();
    for history in [json!(0), json!(2), json!(3), json!(50), Value::Null] {
        let mut given = marks(&app.origin);
        given["history"] = history;
        let reply = claim(&server, &mut victim, &token, json!({ "marks": given })).await;
        let said = reply.json();
        assert_eq!(
            (reply.status, &said["error"], &said["details"]["reason"]),
            (403, &json!("binding_failed"), &json!("used_window")),
            "{given}"
        );
        assert!(said["message"].as_str().unwrap().contains("Close it"), "{said}");
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    let page = server.get("/connect/notice/used_window").await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("This window was already in use. Close it"), "{}", page.text());
    // Where another mark is wrong too, there is nothing to say about the window.
    for (mark, wrong) in [("name", ""), ("site", "none"), ("referrer", "https://evil.example/")] {
        let mut given = marks(&app.origin);
        (given["history"], given[mark]) = (json!(2), json!(wrong));
        let reply = claim(&server, &mut victim, &token, json!({ "marks": given })).await;
        assert_eq!(reply.json()["details"]["reason"], Value::Null, "{}", reply.text());
    }
    let reply = claim(&server, &mut victim, &token, json!({ "marks": marks(&app.origin) })).await;
    location_sid(&reply);
}

/// WebKit sends no Referer from a window that is used again: our page in it says `no-referrer`.
#[tokio::test]
async fn t07_a_used_window_is_told_to_be_closed_where_the_referer_is_missing_too() {
    let server = TestServer::start().await;
    let app = legacy_app(&server, |_| {}).await;
    let token = server.mint_for(&app, &json!({})).await;
    for (history, reason) in [(2, json!("used_window")), (1, Value::Null)] {
        let mut given = marks(&app.origin);
        (given["history"], given["referrer"]) = (json!(history), json!(""));
        let mut victim = TestBrowser::new();
        let reply = claim(&server, &mut victim, &token, json!({ "marks": given })).await;
        assert_eq!((reply.status, &reply.json()["details"]["reason"]), (403, &reason), "{given}");
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
}

#[tokio::test]
async fn t05_a_form_post_from_another_origin_is_refused_and_the_session_stays_untouched() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let evil = [
        "https://evil.example",
        "null",
        "",
        "http://app.example",
        "https://app.example/",
        "https://app.example:443",
        "https://app.example:8443",
        "https://APP.example",
        "https://app.example.evil.example",
        "https://evil.app.example",
        "https://app.example@evil.example",
        "https://app.example, https://evil.example",
        "https://app.exampl",
        server.public_url.as_str(),
    ];
    let mut victim = TestBrowser::new();
    for origin in evil.into_iter().map(Some).chain([None]) {
        let reply = victim.open(&server, &token, origin).await;
        assert_eq!(reply.status, 403, "{origin:?}: {}", reply.text());
        assert!(reply.text().contains("Test App"), "the page names the app to start from");
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    // Two headers: neither is believed, in either order.
    let pair = ["https://evil.example", "https://app.example"];
    for (first, second) in [(pair[0], pair[1]), (pair[1], pair[0])] {
        let form = format!("session={token}&cb={}&m=p", TestBrowser::flow_id().1);
        let sent = Sent::new("POST", "/connect/open")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", first)
            .header("origin", second)
            .body(form);
        let reply = victim.send(&server, sent).await;
        assert_eq!(reply.status, 403);
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    let mut user = TestBrowser::new();
    let sid = user.claim(&server, &server.app, &token).await;
    finish(&server, &server.app, &mut user, &token, &sid).await;
}

#[tokio::test]
async fn t05_an_opener_that_does_not_know_v_is_refused() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let (v, cb) = TestBrowser::flow_of(&token);
    let (other_v, other_cb) = TestBrowser::flow_id();
    let short = secret::base64url(&[7; 31]);
    let wrong = [
        (cb.clone(), other_v.clone()),
        (other_cb, v.clone()),
        (cb.clone(), String::new()),
        (cb.clone(), cb.clone()),
        (cb.clone(), format!("{v}=")),
        (cb.clone(), format!(" {v}")),
        (cb.clone(), v.to_lowercase()),
        (format!("{cb}="), v.clone()),
        (String::new(), v.clone()),
        // Right hashes, but of values that no SDK makes.
        (secret::base64url(&secret::sha256(&[7; 31])), short),
        (secret::base64url(&secret::sha256(b"")), String::new()),
        // The hash of the text instead of the hash of the bytes that it encodes.
        (secret::base64url(&secret::sha256(v.as_bytes())), v.clone()),
    ];
    let mut victim = TestBrowser::new();
    for (cb, v) in wrong {
        let reply = claim(&server, &mut victim, &token, json!({ "cb": cb, "v": v })).await;
        assert_eq!(reply.error(), "binding_failed", "cb {cb:?} v {v:?}");
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    let mut user = TestBrowser::new();
    let reply = claim(&server, &mut user, &token, json!({ "cb": cb, "v": v, "m": "p" })).await;
    let sid = location_sid(&reply);
    server.status(&token, &server.app.origin, json!({})).await;
    finish(&server, &server.app, &mut user, &token, &sid).await;
}

#[tokio::test]
async fn t05_an_evil_opener_with_the_right_window_name_fails_on_the_referrer() {
    let server = TestServer::start().await;
    let app = legacy_app(&server, |_| {}).await;
    let token = server.mint_for(&app, &json!({})).await;
    let mut victim = TestBrowser::new();
    for referrer in [
        "https://evil.example/",
        "https://evil.example/https://legacy.example/",
        "https://evil.example/?https://legacy.example",
        "https://legacy.example.evil.example/",
        "https://legacy.example@evil.example/",
        "https://evil.example#https://legacy.example/",
        "http://legacy.example/",
        "https://legacy.example:8443/",
        "https://sub.legacy.example/",
        "https://app.example/",
        "legacy.example",
        "null",
        "about:blank",
        "data:text/html,https://legacy.example/",
    ] {
        let mut given = marks(&app.origin);
        given["referrer"] = json!(referrer);
        let reply = claim(&server, &mut victim, &token, json!({ "marks": given })).await;
        assert_eq!((reply.status, reply.error().as_str()), (403, "binding_failed"), "{referrer}");
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    let reply = claim(&server, &mut victim, &token, json!({ "marks": marks(&app.origin) })).await;
    location_sid(&reply);
}

#[tokio::test]
async fn t08_legacy_marks_do_not_reach_an_app_that_asks_for_l2() {
    let server = TestServer::start().await;
    let strict = legacy_app(&server, |settings| settings.min_binding = Some(Level::L2)).await;
    for app in [server.app.clone(), strict] {
        let token = server.mint_for(&app, &json!({})).await;
        let mut victim = TestBrowser::new();
        let reply = claim(&server, &mut victim, &token, json!({ "marks": marks(&app.origin) })).await;
        assert_eq!((reply.status, reply.error().as_str()), (403, "binding_failed"), "{}", reply.text());
        assert_outside(&server, &mut victim, &token, &reply).await;

        let mut user = TestBrowser::new();
        let sid = user.claim(&server, &app, &token).await;
        finish(&server, &app, &mut user, &token, &sid).await;
        server.mock.forget_seen();
    }
}

#[tokio::test]
async fn t08_min_binding_is_fixed_when_the_session_is_minted() {
    let server = TestServer::start().await;
    let app = legacy_app(&server, |settings| settings.min_binding = Some(Level::L2)).await;
    let before = server.mint_for(&app, &json!({})).await;
    let mut settings = AppSettings::named("Legacy App");
    settings.website_url = Some(app.origin.clone());
    settings.legacy_clients = true;
    operate::change_app(&server.flows, &operator(), app.id, settings).await.unwrap();

    let mut victim = TestBrowser::new();
    let reply = claim(&server, &mut victim, &before, json!({ "marks": marks(&app.origin) })).await;
    assert_eq!((reply.status, reply.error().as_str()), (403, "binding_failed"), "{}", reply.text());
    assert_outside(&server, &mut victim, &before, &reply).await;

    let after = server.mint_for(&app, &json!({})).await;
    let reply = claim(&server, &mut TestBrowser::new(), &after, json!({ "marks": marks(&app.origin) })).await;
    location_sid(&reply);
}

#[tokio::test]
async fn t08_a_stripped_challenge_never_gets_in_by_a_weaker_door() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let (v, cb) = TestBrowser::flow_id();
    let mut victim = TestBrowser::new();

    // Door A, from the app's own origin, without a valid flow id.
    let twice = format!("&cb={cb}&cb={}", TestBrowser::flow_id().1);
    let short = format!("&cb={}", &cb[..42]);
    for cb in ["", "&cb=", "&cb=AAAA", "&CB=aaaa", &twice, &short] {
        let sent = Sent::new("POST", "/connect/open")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &server.app.origin)
            .body(format!("session={token}{cb}&m=p"));
        let reply = victim.send(&server, sent).await;
        assert_eq!(reply.status, 403, "{cb:?}: {}", reply.text());
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    // Doors B and C with parts taken away.
    let full = marks(&server.app.origin);
    for body in [
        json!({ "v": v }),
        json!({ "cb": cb }),
        json!({ "cb": null, "v": v, "marks": full }),
        json!({ "cb": cb, "v": null, "marks": full }),
        json!({ "marks": full, "m": "p" }),
    ] {
        let reply = claim(&server, &mut victim, &token, body.clone()).await;
        assert!(matches!(reply.status, 400 | 403), "{body}: {}", reply.text());
        assert_outside(&server, &mut victim, &token, &reply).await;
    }
    // Marks do not make up for a wrong proof either.
    let body = json!({ "cb": cb, "v": TestBrowser::flow_id().0, "marks": full });
    let reply = claim(&server, &mut victim, &token, body).await;
    assert_eq!(reply.error(), "binding_failed");

    assert_eq!(version(&server, &token).await, 0);
    let mut user = TestBrowser::new();
    let sid = user.claim(&server, &server.app, &token).await;
    finish(&server, &server.app, &mut user, &token, &sid).await;
}

#[tokio::test]
async fn t08_the_level_reached_is_stored_on_the_grant() {
    let server = TestServer::start().await;
    TestBrowser::new().connect(&server).await;
    let app = legacy_app(&server, |_| {}).await;
    let token = server.mint_for(&app, &json!({})).await;
    let mut user = TestBrowser::new();
    let reply = claim(&server, &mut user, &token, json!({ "marks": marks(&app.origin) })).await;
    finish(&server, &app, &mut user, &token, &location_sid(&reply)).await;
    for (app, level) in [(server.app.id, Level::L2), (app.id, Level::L1)] {
        let grants = server.grants(app).await;
        assert_eq!(grants.iter().map(|g| g.level).collect::<Vec<_>>(), [level]);
    }
}

#[tokio::test]
async fn t58_a_session_that_only_marks_opened_tells_the_tokens_holder_of_no_connection() {
    let server = TestServer::start().await;
    let app = legacy_app(&server, |_| {}).await;
    let token = server.mint_for(&app, &json!({})).await;
    let mut user = TestBrowser::new();
    let reply = claim(&server, &mut user, &token, json!({ "marks": marks(&app.origin) })).await;
    finish(&server, &app, &mut user, &token, &location_sid(&reply)).await;
    let grant = server.grants(app.id).await[0].id.to_string();
    let told = server.status(&token, &app.origin, json!({ "cb": null })).await;
    assert_eq!((told.status, &told.json()["status"]), (200, &json!("completed")), "{}", told.text());
    assert_eq!(told.json()["connections"], json!([]), "{}", told.text());
    assert!(!told.text().contains(&grant), "{}", told.text());

    // Control: a page that proved itself is told.
    let token = server.mint_for(&app, &json!({})).await;
    let mut user = TestBrowser::new();
    let sid = user.claim(&server, &app, &token).await;
    finish(&server, &app, &mut user, &token, &sid).await;
    let told = server.status(&token, &app.origin, json!({})).await.json();
    assert_eq!(told["connections"][0]["grant_id"], json!(grant), "{told}");
}

/// Client 0.8.0: the window that the app opened asks for the state while the provider has a window of its own. Between two of
/// its questions the server is replaced.
#[tokio::test]
async fn f56_a_restart_between_the_hubs_questions_loses_no_result() {
    let mut server = TestServer::start().await;
    let app = legacy_app(&server, |_| {}).await;
    let mut user = TestBrowser::new();
    let token = server.mint_for(&app, &json!({})).await;
    let claimed = claim(&server, &mut user, &token, json!({ "marks": marks(&app.origin) })).await.json();
    let sid = sid_of(claimed["location"].as_str().unwrap());
    let page = user.get(&server, &format!("/connect/s/{sid}")).await.text();
    assert!(page.contains(" data-hub"), "{page}");
    let authorize = user.approve(&server, &sid, "mock").await;
    let state = format!("/connect/api/s/{sid}/state");
    assert_eq!(user.post(&server, &state, &json!({})).await.json()["page"], "consent");
    server.restart().await;
    assert_eq!(user.post(&server, &state, &json!({})).await.json()["page"], "consent");
    let callback = user.at_provider(&authorize).await;
    assert_eq!(user.get(&server, &callback).await.status, 303);
    server.restart().await;
    assert_eq!(user.post(&server, &state, &json!({})).await.json()["page"], "done");
    let page = user.get(&server, &format!("/connect/s/{sid}")).await.text();
    assert!(page.contains("alter_connect_success"), "for the app's page: {page}");
}

/// A flow of our own SDK needs no window beside it, and a link has no opener to tell.
#[tokio::test]
async fn only_client_0_8_0_has_a_hub() {
    let server = TestServer::start().await;
    let mut user = TestBrowser::new();
    let sid = user.claim(&server, &server.app.clone(), &server.mint(&json!({})).await).await;
    assert!(!user.get(&server, &format!("/connect/s/{sid}")).await.text().contains(" data-hub"));
}
