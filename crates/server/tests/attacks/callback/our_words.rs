//! A provider that sends one of our own cause words as its error: the word is reported as the provider's and has no
//! other effect.

use alter_core::Cause;
use alter_flows::operate;
use alter_mock_provider::Raw;
use alter_testkit::{TestServer, operator};
use serde_json::{Value, json};

use super::{Away, page_of, query};

/// Earlier versions told our own causes apart by these words.
const WORDS: [&str; 13] = [
    "agent_revoked",
    "http_400",
    "id_token_invalid",
    "id_token_missing",
    "identity_unreadable",
    "interrupted",
    "iss_mismatch",
    "mix_up",
    "provider_not_configured",
    "token_answer_not_understood",
    "token_endpoint_503",
    "token_endpoint_unreachable",
    "userinfo_failed",
];
/// An error that nobody knows.
const STRANGE: &str = "strange_error";

/// The earlier versions' words, and today's.
fn words() -> Vec<&'static str> {
    WORDS.into_iter().chain(Cause::one_of_each().iter().map(Cause::as_str)).collect()
}

/// What page, status channel and poll say about a failed flow, without the provider's word.
#[derive(Debug, PartialEq)]
struct Told {
    page: String,
    sdk: Value,
    poll: Value,
}

async fn told(server: &TestServer, mut away: Away, word: &str) -> Told {
    let page = away.browser.get(server, &page_of(&away.sid)).await.text();
    let heading = page.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).expect("a heading");
    let mut sdk = away.status(server).await;
    let details = sdk["details"].as_object_mut().expect("details");
    assert_eq!(details.remove("provider_error"), Some(json!(word)), "{details:?}");
    details.remove("request_id");
    let poll = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": away.token })).await;
    let poll = poll.text().replace(word, "WORD");
    let sdk = json!({ "error": sdk["error"], "details": sdk["details"] });
    Told { page: heading.to_owned(), sdk, poll: serde_json::from_str(&poll).expect("JSON") }
}

async fn at_the_callback(server: &TestServer, word: &str) -> Told {
    let mut away = Away::start(server).await;
    let pairs = [("error", word), ("state", &away.param("state")), ("iss", &away.param("iss"))];
    let target = format!("{}?{}", away.path(), query(&pairs));
    away.browser.get(server, &target).await;
    told(server, away, word).await
}

async fn in_the_token_answer(server: &TestServer, status: u16, word: &str) -> Told {
    server.mock.set(|s| s.token_response = Some(Raw::json(status, &json!({ "error": word }))));
    let mut away = Away::start(server).await;
    let callback = away.callback.clone();
    away.browser.get(server, &callback).await;
    told(server, away, word).await
}

#[tokio::test]
async fn t25_a_word_of_ours_in_a_providers_error_chooses_neither_page_nor_code() {
    let server = TestServer::start().await;
    let strange = at_the_callback(&server, STRANGE).await;
    for word in words() {
        assert_eq!(at_the_callback(&server, word).await, strange, "{word}");
    }
    // Control: the provider's own words do make a difference.
    assert_ne!(at_the_callback(&server, "temporarily_unavailable").await, strange);

    // Control: if the cause really is ours, page and code are different.
    let mut away = Away::start(&server).await;
    assert!(operate::remove_provider(&server.flows, &operator(), server.app.id, "mock").await.is_ok());
    let callback = away.callback.clone();
    away.browser.get(&server, &callback).await;
    let poll = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": away.token })).await;
    assert_eq!(poll.json()["error"]["error_code"], "provider_configuration_unavailable");
    assert_ne!(poll.json()["error"]["error_code"], strange.poll["error"]["error_code"]);
}

#[tokio::test]
async fn t25_a_word_of_ours_in_a_token_answer_chooses_neither_page_nor_code() {
    let server = TestServer::start().await;
    for status in [200, 400] {
        let strange = in_the_token_answer(&server, status, STRANGE).await;
        for word in words() {
            assert_eq!(in_the_token_answer(&server, status, word).await, strange, "{status} {word}");
        }
        // Control: the provider's own words do make a difference.
        assert_ne!(in_the_token_answer(&server, status, "invalid_client").await, strange, "{status}");
    }
}
