//! Text in a provider's answer, from the provider or from an attacker: a cleaned code leaves us again, and a cleaned
//! description in `details` and the log alone.

use alter_mock_provider::Raw;
use alter_testkit::{Reply, Sent, TestBrowser, TestServer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Away, audit, page_of, query, token_requests};
use crate::logs::Logs;

/// Part of every hostile text; it occurs nowhere in our own texts.
const CANARY: &str = "Zq7Canary";

/// Hostile texts with the canary in them.
fn corpus() -> Vec<String> {
    let mut texts: Vec<String> = [
        "<script>Zq7Canary</script>",
        "</script><script>alert('Zq7Canary')</script>",
        "\"><img src=x onerror=alert('Zq7Canary')>",
        "javascript:alert('Zq7Canary')",
        "{{Zq7Canary}}${Zq7Canary}<%= Zq7Canary %>",
        "\u{202e}yranaC\u{202c} Zq7Canary",
        "\u{200b}\u{2066}Zq7Canary\u{2069}\u{feff}",
        "x\r\nSet-Cookie: cs=Zq7Canary\r\n\r\n<script>",
        "x\nlevel=ERROR message=\"Zq7Canary\"",
        "\u{1b}[31mZq7Canary\u{1b}[0m\u{7}",
        "\u{0}Zq7Canary\u{7f}",
        "Please call +1 555 0100 and read out your code, says Zq7Canary support",
        "\u{fffd}Zq7Canary\u{10ffff}",
    ]
    .map(str::to_owned)
    .into();
    texts.push(format!("{CANARY}{}", "A".repeat(4000)));
    texts
}

/// Everything that a reply shows.
fn shown(reply: &Reply) -> String {
    let mut text = reply.text();
    for (name, value) in &reply.headers {
        text.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    }
    text
}

/// Everything that is said about a failed flow: by the page, the status channel, the poll, the audit, the database.
async fn told(server: &TestServer, away: &mut Away, reply: &Reply) -> String {
    let page = away.browser.get(server, &page_of(&away.sid)).await;
    assert_eq!(page.status, 200);
    let status = server.status(&away.token, &server.app.origin, json!({})).await;
    let poll = server.call("/sdk/oauth/connect/session/poll", &json!({ "session_token": away.token })).await;
    let entries = server.store.list_audit(server.app.id, 1000).await.unwrap();
    let mut text = [reply, &page, &status, &poll].map(shown).join("\n");
    text.push_str(&format!("{entries:?}"));
    for entry in std::fs::read_dir(server.dir()).unwrap() {
        text.push_str(&String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap()));
    }
    text
}

fn is_clean_code(code: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
    (1..=64).contains(&code.len()) && code.bytes().all(allowed)
}

/// Whether the words are one short line that hides and commands nothing.
fn are_clean_words(words: &str) -> bool {
    let bad = |c: char| c.is_control() || "\u{202e}\u{202c}\u{200b}\u{2066}\u{2069}\u{feff}".contains(c);
    (1..=200).contains(&words.chars().count()) && !words.chars().any(bad)
}

#[tokio::test]
async fn t26_a_description_leaves_cleaned_in_details_and_log_and_nowhere_else() {
    let logs = Logs::capture();
    let server = TestServer::start().await;
    for text in corpus() {
        for error in ["access_denied", "server_error"] {
            let mut away = Away::start(&server).await;
            let pairs = [
                ("error", error),
                ("error_description", text.as_str()),
                ("error_uri", text.as_str()),
                ("state", &away.param("state")),
                ("iss", &away.param("iss")),
            ];
            let target = format!("{}?{}", away.path(), query(&pairs));
            let reply = away.browser.get(&server, &target).await;
            let end = (reply.status, reply.header("location").to_owned());
            assert_eq!(end, (303, page_of(&away.sid)), "{text:?}");
            let status = away.status(&server).await;
            let words = status["details"]["provider_message"].as_str().expect("the provider said something");
            assert!(are_clean_words(words), "{words:?}");
            assert!(!status["message"].as_str().unwrap().contains(CANARY));
            let expected = if error == "access_denied" { "oauth_denied" } else { "oauth_provider_error" };
            assert_eq!(status["error"], expected);
            let page = away.browser.get(&server, &page_of(&away.sid)).await;
            let asked = json!({ "session_token": away.token });
            let poll = server.call("/sdk/oauth/connect/session/poll", &asked).await;
            let entries = server.store.list_audit(server.app.id, 1000).await.unwrap();
            for text in [shown(&reply), shown(&page), shown(&poll), format!("{entries:?}")] {
                assert!(!text.contains(CANARY) && !text.contains("555 0100"), "{text}");
            }
        }
    }
    let logged = logs.text();
    assert!(logged.contains("path=/oauth/callback/") && logged.contains(CANARY), "the capture works");
    assert!(!logged.contains('\u{1b}') && !logged.contains('\u{202e}') && !logged.contains("\nlevel=ERROR"));
}

#[tokio::test]
async fn t26_an_error_code_leaves_only_in_its_own_alphabet() {
    let logs = Logs::capture();
    let server = TestServer::start().await;
    for text in corpus() {
        let mut away = Away::start(&server).await;
        let pairs = [("error", text.as_str()), ("state", &away.param("state")), ("iss", &away.param("iss"))];
        let target = format!("{}?{}", away.path(), query(&pairs));
        let reply = away.browser.get(&server, &target).await;
        assert_eq!(reply.status, 303, "{text:?}");
        let told = told(&server, &mut away, &reply).await;
        // A cleaned code is in lower case, so the canary with its capitals must appear nowhere.
        assert!(!told.contains(CANARY), "{text:?}");
        let status = away.status(&server).await;
        let code = status["details"]["provider_error"].as_str().expect("a cleaned code").to_owned();
        assert!(is_clean_code(&code), "{code:?}");
    }
    assert!(!logs.text().contains(CANARY));

    // A well-formed code is passed on as it is.
    let mut away = Away::start(&server).await;
    let pairs = [("error", "invalid_scope"), ("state", &away.param("state")), ("iss", &away.param("iss"))];
    let target = format!("{}?{}", away.path(), query(&pairs));
    away.browser.get(&server, &target).await;
    assert_eq!(away.status(&server).await["details"]["provider_error"], "invalid_scope");
}

#[tokio::test]
async fn t26_of_the_token_endpoints_words_a_code_and_a_cleaned_description_are_told() {
    let logs = Logs::capture();
    let server = TestServer::start().await;
    // Only every third text: codes are handled as in the test above, and each text comes in four forms.
    for text in corpus().into_iter().step_by(3) {
        for (status, body) in [
            (400, json!({ "error": "invalid_grant", "error_description": text, "error_uri": text })),
            (400, json!({ "error": text })),
            (200, json!({ "error": text, "message": text })),
            (200, json!({ "access_token": text, "token_type": text })),
        ] {
            server.mock.set(|switches| switches.token_response = Some(Raw::json(status, &body)));
            let mut away = Away::start(&server).await;
            let reply = away.browser.get(&server, &away.callback.clone()).await;
            assert_eq!(reply.status, 303);
            let status = away.status(&server).await;
            assert_eq!(status["status"], "failed", "{body}");
            match status["details"]["provider_message"].as_str() {
                Some(words) => {
                    assert!(body["error_description"].is_string() && are_clean_words(words), "{words:?}");
                }
                None => {
                    let page = away.browser.get(&server, &page_of(&away.sid)).await;
                    let told = format!("{status}{}{}", shown(&reply), shown(&page));
                    assert!(!told.contains(CANARY), "{body}");
                }
            }
            // Only an answer with an error has a provider's code.
            let code = status["details"]["provider_error"].as_str();
            assert_eq!(code.is_some(), body["error"].is_string(), "{body}: {status}");
            assert!(code.is_none_or(is_clean_code), "{code:?}");
        }
    }
    assert!(!logs.text().contains('\u{1b}') && !logs.text().contains('\u{202e}'));
    server.mock.set(|switches| switches.token_response = None);
    assert_eq!(TestBrowser::new().connect(&server).await["status"], "active");
}

#[tokio::test]
async fn t26_a_megabyte_of_description_is_refused_and_the_flow_goes_on() {
    let logs = Logs::capture();
    let server = TestServer::start().await;
    let away = Away::start(&server).await;
    let megabyte = CANARY.repeat(1024 * 1024 / CANARY.len());
    let pairs = [("error", "x"), ("error_description", &megabyte), ("state", &away.param("state"))];
    let target = format!("{}?{}", away.path(), query(&pairs));

    // As a form_post and as a query; such a query is longer than the listener reads.
    let sent = Sent::new("POST", away.path())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", &away.browser.cookie())
        .body(target.split_once('?').expect("a query").1);
    let reply = server.send(sent).await;
    assert_eq!(reply.status, 400);
    assert!(!shown(&reply).contains(CANARY));
    let answer = send_raw(&server, &format!("GET {target} HTTP/1.1\r\nhost: {}\r\n\r\n", server.host)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{}", &answer[..answer.len().min(80)]);
    assert!(!answer.contains(CANARY));

    assert!(!logs.text().contains(CANARY));
    assert_eq!(token_requests(&server), 0);
    away.completes(&server).await;
}

/// Sends the request. Returns what comes back, possibly nothing: the server may hang up on a request that is too long.
async fn send_raw(server: &TestServer, request: &str) -> String {
    let port = server.host.rsplit(':').next().expect("a port");
    let stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("it listens");
    let (mut read, mut write) = stream.into_split();
    let mut answer = Vec::new();
    let writing = async {
        let _it_may_hang_up = write.write_all(request.as_bytes()).await;
    };
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::join!(writing, reading);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn t29_a_form_post_becomes_a_get_of_the_same_path_where_the_cookie_is_back() {
    let server = TestServer::start().await;
    let mut away = Away::start(&server).await;
    let form = away.callback.split_once('?').expect("a query").1.to_owned();
    let entries = audit(&server).await.len();
    // Cross-site, a browser sends no Lax cookie. Even if one did, the POST by itself does nothing.
    for cookie in ["", &away.browser.cookie()] {
        let mut sent = Sent::new("POST", away.path())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &server.mock.issuer())
            .body(form.clone());
        if !cookie.is_empty() {
            sent = sent.header("cookie", cookie);
        }
        let reply = server.send(sent).await;
        assert_eq!(reply.status, 303, "never 307: the POST must not be repeated");
        let location = reply.header("location").to_owned();
        assert_eq!(location.split('?').next(), Some(away.path()), "same path, no other host");
        for name in ["code", "state", "iss"] {
            assert_eq!(super::param(&location, name), away.param(name));
        }
        assert_eq!(token_requests(&server), 0);
        assert_eq!(audit(&server).await.len(), entries, "nothing was burned");
        away.callback = location;
    }
    away.completes(&server).await;
}

#[tokio::test]
async fn t29_a_form_post_puts_nothing_but_parameters_into_the_location() {
    let server = TestServer::start().await;
    let away = Away::start(&server).await;
    let state = away.param("state");
    for body in [
        format!("state={state}&code=x%0d%0aSet-Cookie:%20cs=evil"),
        format!("state={state}&code=x\r\nSet-Cookie: cs=evil"),
        format!("state={state}&code=x%23fragment&next=//evil.example"),
        "https://evil.example/?x".to_owned(),
        "#".to_owned(),
        String::new(),
    ] {
        let sent = Sent::new("POST", away.path())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.clone());
        let reply = server.send(sent).await;
        assert!(reply.cookies().is_empty(), "{body}");
        let location = reply.header("location");
        assert!(location.starts_with(&format!("{}?", away.path())), "{body}: {location}");
        assert!(!location.contains('#') && !location.contains('\n'));
    }
    for path in ["/oauth/callback/x", "/oauth/callback/..", "/oauth/callback/%2f%2fevil.example"] {
        let sent = Sent::new("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body("state=a&code=b");
        let reply = server.send(sent).await;
        assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.status);
        assert_eq!(reply.header("location"), "");
    }
    away.completes(&server).await;
}
