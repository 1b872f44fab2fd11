//! What somebody with a session token, or with a guess at one, can learn (T57, T58).

use alter_core::{SystemRandom, token::mint_session_token};
use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{claim_by_proof, poll, status, token_requests};

/// A well-formed token of no session, then tokens that are malformed in every way.
fn wrong_tokens(right: &str) -> Vec<String> {
    let unknown = mint_session_token(&SystemRandom).expose_secret().to_owned();
    let flipped = match right.ends_with('a') {
        true => format!("{}b", &right[..right.len() - 1]),
        false => format!("{}a", &right[..right.len() - 1]),
    };
    let mut all =
        vec![unknown, flipped, right.to_uppercase(), format!("{right}a"), right[..right.len() - 1].into()];
    all.extend(
        ["", "x", "alter_cs_", "alter_rk_abcdefghijklmnopqrstuv_iwpykn", "' OR 1=1 --", "\u{0}", "ü"]
            .map(String::from),
    );
    // As long as a page may send: beyond that, the length alone is refused.
    all.push("a".repeat(3_800));
    all
}

async fn ask(server: &TestServer, route: &str, token: &str) -> Reply {
    let mut browser = TestBrowser::new();
    match route {
        "peek" => browser.post(server, "/connect/api/peek", &json!({ "token": token })).await,
        "claim" => claim_by_proof(server, &mut browser, token).await,
        "status" => server.status(token, &server.app.origin, json!({})).await,
        "result" => {
            let v = TestBrowser::flow_of(token).0;
            server.result(&server.app.origin, &json!({ "session_token": token, "v": v })).await
        }
        _ => server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": token })).await,
    }
}

#[tokio::test]
async fn t57_malformed_and_unknown_tokens_get_one_and_the_same_answer() {
    let server = TestServer::start().await;
    let right = server.mint(&json!({})).await;
    for route in ["peek", "status", "poll", "result", "claim"] {
        let mut first: Option<String> = None;
        for wrong in wrong_tokens(&right) {
            let reply = ask(&server, route, &wrong).await;
            assert_eq!((reply.status, reply.error().as_str()), (404, "invalid_token"), "{route} {wrong:.60}");
            let same = first.get_or_insert_with(|| reply.fingerprint());
            assert_eq!(&reply.fingerprint(), same, "{route} {wrong:.60}");
        }
        // No page has opened the session yet, so its result is not for this one.
        let status = if route == "result" { 403 } else { 200 };
        assert_eq!(ask(&server, route, &right).await.status, status, "{route}: the right token");
    }
}

#[tokio::test]
async fn t57_the_form_door_answers_malformed_and_unknown_tokens_alike() {
    let server = TestServer::start().await;
    let right = server.mint(&json!({})).await;
    let mut first: Option<String> = None;
    for wrong in wrong_tokens(&right) {
        let encoded: String = url::form_urlencoded::byte_serialize(wrong.as_bytes()).collect();
        let reply = TestBrowser::new().open(&server, &encoded, Some("https://app.example")).await;
        assert_eq!(reply.status, 404, "{wrong:.60}");
        let same = first.get_or_insert_with(|| reply.fingerprint());
        assert_eq!(&reply.fingerprint(), same, "{wrong:.60}");
    }
    assert_eq!(TestBrowser::new().open(&server, &right, Some("https://app.example")).await.status, 303);
}

#[tokio::test]
async fn t57_another_apps_poll_is_told_as_much_as_a_guess_is() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let other = super::app_with(&server, |_| {}).await;
    let ask = async |token: &str| {
        let body = json!({ "session_token": token });
        server.send(server.signed(&other.key, "/sdk/oauth/connect/session/poll", &body)).await
    };
    let unknown = mint_session_token(&SystemRandom);
    assert_eq!(ask(&token).await.fingerprint(), ask(unknown.expose_secret()).await.fingerprint());
    assert_eq!(poll(&server, &token).await["status"], "pending", "its own app");
}

/// The conditions of every statement of a storage crate that reads, changes or deletes rows of `table`. Both engines'
/// parameters are written `?1`.
fn conditions_on(table: &str, engine: &str) -> Vec<String> {
    let folder = format!("{}/../{engine}/src", env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap().replace('$', "?");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for verb in ["FROM", "UPDATE", "JOIN"] {
            for rest in text.split(&format!("{verb} {table} ")).skip(1) {
                let words = rest.split('"').next().unwrap_or_default();
                found.push(words.split_once("WHERE ").map_or(words, |(_, condition)| condition).to_owned());
            }
        }
    }
    found
}

#[test]
fn t57_a_session_is_found_by_its_id_by_its_tokens_hash_or_by_its_time_and_in_no_other_way() {
    let allowed = [
        "token_hash = ?1",
        "sid = ?1",
        "expires_at < ?1",
        // The reaper wipes what nobody fetched; it is told nothing about a session.
        "user_token IS NOT NULL ORDER BY",
        "state IN ('minted', 'claimed') AND expires_at",
        "sid IN",
        "sid = ANY(?1",
        // The rows of an inner statement, whose condition is one of these too.
        "sid = ANY(ARRAY( SELECT sid",
        // An operator counts and deletes all of an app's.
        "app_id = ?1",
    ];
    for (engine, column) in [("store-sqlite", "token_hash BLOB"), ("store-postgres", "token_hash BYTEA")] {
        let found = conditions_on("sessions", engine);
        for condition in &found {
            assert!(allowed.iter().any(|a| condition.starts_with(a)), "{engine}: {condition}");
        }
        let by_hash = found.iter().filter(|c| c.starts_with("token_hash = ?1")).count();
        assert_eq!(by_hash, 1, "control of {engine}: {found:?}");
        let schema = format!("{}/../{engine}/migrations/0001_connect.sql", env!("CARGO_MANIFEST_DIR"));
        let schema = std::fs::read_to_string(schema).unwrap();
        let table = schema.split("CREATE TABLE sessions").nth(1).and_then(|t| t.split(';').next()).unwrap();
        let row = table.lines().find(|line| line.contains("token_hash")).unwrap_or_default();
        let words = row.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.starts_with(column) && words.contains("UNIQUE"), "{engine}: {row}");
        assert_eq!(table.matches("token").count(), 1, "a second column for the token: {table}");
    }
}

/// Asserts that an answer to the holder of a session token has none of these words.
fn assert_says_nothing(told: &str) {
    for word in
        ["result_code", "access_token", "refresh_token", "id_token", "\"code\"", "connections", "grant"]
    {
        assert!(!told.contains(word), "{word}: {told}");
    }
}

/// Asks everything that the holder of the token can ask without the victim; curl can send any `Origin`.
async fn spy(server: &TestServer, token: &str) {
    let told = server.status(token, &server.app.origin, json!({})).await;
    assert_ne!(told.json()["status"], "completed", "{}", told.text());
    assert_says_nothing(&told.text());
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let body = json!({ "session_token": token, "cursor": 0 }).to_string();
        let sent = Sent::new("POST", "/connect/status").header("content-type", "text/plain").body(body);
        let sent = origin.iter().fold(sent, |sent, origin| sent.header("origin", origin));
        let reply = server.send(sent).await;
        let readable = reply.header("access-control-allow-origin");
        assert_eq!((reply.status, readable), (403, origin.unwrap_or_default()), "{origin:?}");
        assert_says_nothing(&reply.text());
    }
    // It is his session, so he has `v` too.
    let v = TestBrowser::flow_of(token).0;
    for body in [json!({ "session_token": token, "v": v }), json!({ "session_token": token })] {
        assert_says_nothing(&server.result(&server.app.origin, &body).await.text());
    }
    let peek = TestBrowser::new().post(server, "/connect/api/peek", &json!({ "token": token })).await;
    assert_says_nothing(&peek.text());
    let body = json!({ "session_token": token }).to_string();
    let unsigned =
        Sent::new("POST", "/sdk/oauth/connect/session/poll").header("content-type", "application/json");
    let unsigned = server.send(unsigned.body(body)).await;
    assert_eq!(unsigned.status, 401, "the poll is the backend's");
    assert_says_nothing(&unsigned.text());
}

#[tokio::test]
async fn t58_the_token_without_the_flow_id_reads_and_cancels_nothing_once_a_page_has_opened_it() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({ "allowed_providers": ["mock"] })).await;
    let page = TestBrowser::cb_of(&token);
    let ask = async |cb: Option<&str>, cancel: bool| {
        let told = server.status(&token, &server.app.origin, json!({ "cb": cb, "cancel": cancel })).await;
        assert_eq!(told.status, 200, "{}", told.text());
        told.json()
    };
    let foreign = TestBrowser::flow_id().1;
    assert_eq!(ask(None, false).await["status"], "open", "control: nobody has opened it yet");
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&server, &server.app, &token).await;
    for reason in ["other_browser", "used"] {
        for cb in [None, Some(foreign.as_str()), Some("")] {
            let told = ask(cb, true).await;
            assert_eq!(
                (&told["status"], &told["details"]["reason"]),
                (&json!("failed"), &json!(reason)),
                "{told}"
            );
            assert_says_nothing(&told.to_string());
        }
        let told = ask(Some(&page), false).await;
        if reason == "other_browser" {
            assert_eq!(told["status"], "open", "nothing was cancelled: {told}");
            assert_eq!(browser.get(&server, &callback).await.status, 303);
        } else {
            assert_eq!(told["connections"].as_array().unwrap().len(), 1, "control: {told}");
        }
    }
    // Origin is judged first: a wrong page learns nothing of the flow either.
    let elsewhere = server.status(&token, "https://evil.example", json!({ "cb": null })).await;
    assert_eq!((elsewhere.status, elsewhere.error().as_str()), (403, "binding_failed"));
    assert_says_nothing(&elsewhere.text());
}

#[tokio::test]
async fn t58_a_mailed_link_gives_its_sender_no_grant_however_often_he_asks() {
    let server = TestServer::start().await;
    let token = server.mint(&json!({})).await;
    let mut victim = TestBrowser::new();
    assert_eq!(victim.get(&server, "/sdk/oauth/connect").await.status, 200);
    spy(&server, &token).await;
    let marks = json!({ "opener": true, "name": "alter_oauth_popup", "referrer": "https://app.example/", "site": "cross-site", "history": 1 });
    for proof in [json!({}), json!({ "cb": TestBrowser::flow_id().1 }), json!({ "marks": marks })] {
        let mut body = json!({ "token": token });
        body.as_object_mut().unwrap().extend(proof.as_object().unwrap().clone());
        let refused = victim.post(&server, "/connect/api/claim", &body).await;
        assert_eq!((refused.status, refused.error().as_str()), (403, "binding_failed"), "{body}");
        spy(&server, &token).await;
    }
    assert!(victim.cookie().is_empty());
    assert!(server.mock.seen().authorize.is_empty(), "no provider was contacted");
    assert!(server.grants(server.app.id).await.is_empty());
    TestBrowser::new().connect(&server).await;
}

#[tokio::test]
async fn t58_a_forwarded_authorization_url_gives_its_sender_no_grant_however_often_he_asks() {
    let server = TestServer::start().await;
    let (token, app) = (server.mint(&json!({})).await, server.app.clone());
    // The attacker owns the session: he claims it with curl, consents, and sends the provider's URL to the victim.
    let mut attacker = TestBrowser::new();
    let sid = attacker.claim(&server, &app, &token).await;
    let authorize = attacker.approve(&server, &sid, "mock").await;
    spy(&server, &token).await;
    let mut victim = TestBrowser::new();
    let callback = victim.at_provider(&authorize).await;
    spy(&server, &token).await;
    let refused = victim.get(&server, &callback).await;
    assert_eq!((refused.status, refused.cookies().len()), (400, 0));
    spy(&server, &token).await;
    // Even if the attacker learns the callback's URL, it is too late.
    attacker.get(&server, &callback).await;
    spy(&server, &token).await;
    assert_ne!(poll(&server, &token).await["status"], "completed");
    assert_eq!(token_requests(&server), 0, "the code was not exchanged");
    assert!(server.grants(app.id).await.is_empty());
    let audit = server.store.list_audit(app.id, 50).await.unwrap();
    assert!(audit.iter().any(|(kind, _)| kind == "browser_mismatch"), "{audit:?}");
    TestBrowser::new().connect(&server).await;
}

#[tokio::test]
async fn t58_a_session_tells_of_its_own_grants_alone_and_never_of_a_token() {
    let server = TestServer::start().await;
    let (mine, theirs, app) =
        (server.mint(&json!({})).await, server.mint(&json!({})).await, server.app.clone());
    TestBrowser::new().claim(&server, &app, &theirs).await;
    let mut browser = TestBrowser::new();
    let (_, callback) = browser.up_to_callback(&server, &app, &mine).await;
    browser.get(&server, &callback).await;
    let told = status(&server, &mine, json!({})).await;
    let grant =
        told["connections"][0]["grant_id"].as_str().expect("control: the right session has it").to_owned();

    let foreign = status(&server, &theirs, json!({})).await;
    assert_eq!((foreign["status"].as_str(), &foreign["connections"]), (Some("open"), &Value::Null));
    assert!(!foreign.to_string().contains(&grant));
    let foreign = poll(&server, &theirs).await;
    assert_eq!(foreign["status"], "pending");
    assert!(!foreign.to_string().contains(&grant));

    let access = server.token(&grant).await.json()["access_token"].as_str().unwrap().to_owned();
    for text in [told.to_string(), poll(&server, &mine).await.to_string()] {
        assert!(text.contains(&grant) && !text.contains(&access));
        assert!(!text.contains("_token") && !text.contains("result_code"), "{text}");
    }
}
