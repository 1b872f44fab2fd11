//! Every call of the published backend client is answered: by the call, or by 501 that names it.

use alter_testkit::{Sent, TestServer};

/// Method and path of each call in the description of what the published client sends.
fn calls() -> Vec<(String, String)> {
    let wire = include_str!("../../../../../docs/spec/wire.md");
    let endpoints = wire.split("\n## ").find(|part| part.starts_with("3. Endpoints")).expect("section 3");
    let words: Vec<&str> =
        endpoints.split([' ', '\n', '`', '|', ',', '+']).filter(|w| !w.is_empty()).collect();
    let named = words
        .windows(2)
        .filter(|pair| ["GET", "POST", "PATCH", "DELETE"].contains(&pair[0]) && pair[1].starts_with("/sdk/"));
    let path = |text: &str| {
        let path = text.split(['?', '[']).next().unwrap_or_default().trim_end_matches('.');
        let filled = path
            .split('/')
            .map(|part| if part.starts_with('{') { "0198a5c2-0000-7000-8000-000000000000" } else { part });
        filled.collect::<Vec<_>>().join("/")
    };
    named.map(|pair| (pair[0].to_owned(), path(pair[1]))).collect()
}

#[tokio::test]
async fn each_call_of_the_published_client_is_known_and_what_is_not_built_says_so_by_its_name() {
    let server = TestServer::start().await;
    let calls = calls();
    assert!(calls.len() > 30, "the description was read: {calls:?}");
    let mut not_built = 0;
    for (method, target) in calls {
        let reply = server.send(Sent::new(&method, &target)).await;
        let said = reply.json();
        assert_ne!(said["error"], "not_found", "{method} {target}");
        if said["error"] == "not_built" {
            not_built += 1;
            let message = said["message"].as_str().unwrap_or_default();
            assert_eq!(reply.status, 501, "{method} {target}");
            assert!(message.starts_with(&format!("{method} /sdk/")), "{message}");
        }
    }
    assert!(not_built >= 18, "{not_built}");
}
