//! A server with another root key than its database's, or with none (T93).

use alter_core::{SystemRandom, time::Random};
use alter_flows::{StartError, ready};
use alter_testkit::{TestServer, http::send};
use alter_vault::{RootKey, VaultError};
use secrecy::ExposeSecret;
use serde_json::json;

use super::{MINT, grant, wanted};

#[tokio::test]
async fn t93_another_root_key_is_found_out_before_anything_is_served() {
    let server = TestServer::start().await;
    let (_, other) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
    let (wrong, _) = server.replica(Some(&other)).await;
    assert!(matches!(
        ready::check_root_key(&wrong).await,
        Err(StartError::RootKey(VaultError::WrongRootKey))
    ));
    assert!(ready::initialise(&wrong).await.is_err(), "the key check of the database is never replaced");
    assert!(ready::ready(&wrong).await.is_err());
    let (right, _) = server.replica(None).await;
    ready::check_root_key(&right).await.expect("control: the right key still fits");
    ready::ready(&right).await.expect("control");
}

/// If somebody served with such a key all the same, nothing is released and no sealed value is touched.
#[tokio::test]
async fn t93_a_server_with_another_root_key_releases_and_connects_nothing() {
    let server = TestServer::start().await;
    let grant = grant(&server).await;
    let (_, other) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
    let (_, wrong) = server.replica(Some(&other)).await;
    let ask =
        server.signed(&server.app.key, "/sdk/token", &wanted(&server, &grant)).header("host", &server.host);
    let reply = send(&wrong, ask).await;
    assert!(reply.status >= 500, "{}", reply.text());
    assert!(!reply.text().contains("access_token"));
    let ready = send(&wrong, alter_testkit::Sent::new("GET", "/readyz").header("host", &server.host)).await;
    assert_eq!(ready.status, 503, "a load balancer must see it");
    let audit = server.store.list_audit(server.app.id, 100).await.unwrap();
    assert!(
        audit.iter().all(|(kind, _)| kind != "token_released"),
        "nothing left, nothing is recorded as released"
    );
    assert_eq!(server.token(&grant).await.status, 200, "control: the right server");
    assert_eq!(server.get("/readyz").await.status, 200);
    server.call(MINT, &json!({})).await;
}

#[test]
fn t93_a_missing_truncated_or_padded_root_key_is_no_key() {
    let (_, text) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
    let text = text.expose_secret();
    let bad = [
        String::new(),
        " \n".into(),
        text[..text.len() - 1].into(),
        text[..text.len() - 4].into(),
        text[4..].into(),
        format!("{text}{text}"),
        format!("AAAA{text}"),
        "0".repeat(64),
        "changeme".into(),
        format!("{text}=="),
        text.replace('=', ""),
        "AAAA".into(),
    ];
    for key in bad {
        assert!(
            matches!(RootKey::from_base64(&key), Err(VaultError::BadRootKey(_))),
            "{} characters",
            key.len()
        );
    }
    assert!(RootKey::from_base64(&format!("{text}\n")).is_ok(), "control: a file ends in a newline");
}

/// The command line's wiring checks the key before it returns flows, and `serve` gets flows in no other way.
#[test]
fn t93_serve_has_no_way_around_the_check() {
    let source = |path: &str| {
        std::fs::read_to_string(format!("{}/../cli/src/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let wiring = source("wiring.rs");
    let body = |name: &str| {
        let after = wiring.split(&format!("async fn {name}(")).nth(1);
        after.and_then(|f| f.split("\n}").next()).unwrap_or_else(|| panic!("{name}: {wiring}"))
    };
    let checked = body("checked");
    assert!(checked.contains("check_root_key(&flows).await?"), "{checked}");
    assert!(!wiring.replace(checked, "").contains(".database.open("), "{wiring}");
    let migrating = body("open_migrating");
    let compared = migrating.find("verify_key_check(").expect("compared");
    assert!(compared < migrating.find("checked(").expect("opened"), "{migrating}");
    let serve = source("commands/serve.rs");
    assert!(serve.contains("wiring::open_migrating(") && !serve.contains("assemble("), "{serve}");
    assert!(
        !serve.contains("generate(") && !wiring.contains("RootKey::generate("),
        "a key is never made up at start"
    );
}
