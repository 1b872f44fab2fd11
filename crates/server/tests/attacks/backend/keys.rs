//! API keys: stored, looked up, revoked, malformed (T59, T60).

use alter_core::{
    SystemRandom,
    key::{mint_key, parse_key},
    secret::{base64url, hex, sha256},
};
use alter_flows::operate;
use alter_testkit::{Sent, TestServer, operator};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{MINT, grant, wanted};

/// Every stored byte: the database, its write-ahead log, and all other files beside them.
fn stored(server: &TestServer) -> Vec<u8> {
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(server.dir()).expect("the data folder is there") {
        bytes.extend(std::fs::read(file.expect("it lists").path()).expect("its files can be read"));
    }
    bytes
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn t59_no_api_key_and_nothing_that_signs_is_stored() {
    let server = TestServer::start_sqlite().await;
    // The planted canary: names are stored in clear, so the scan must find this one.
    let made =
        operate::create_key(&server.flows, &operator(), server.app.id, "canary-name-7f3a").await.unwrap();
    let released =
        server.send(server.signed(&made.secret, "/sdk/token", &wanted(&server, &grant(&server).await))).await;
    assert_eq!(released.status, 200);
    let bytes = stored(&server);
    assert!(contains(&bytes, b"canary-name-7f3a"), "control: the scan finds what is there");
    for key in [&server.app.key, &made.secret] {
        let text = key.expose_secret();
        assert!(contains(&bytes, &sha256(text.as_bytes())), "control: the hash is there");
        let random = text.split('_').nth(2).expect("the random part");
        let hmac = |key: &[u8], message: &[u8]| {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
            aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
        };
        let signing = hmac(text.as_bytes(), b"alter-signing-v1");
        for secret in [text.as_bytes(), random.as_bytes(), &signing] {
            for form in [secret.to_vec(), hex(secret).into_bytes(), base64url(secret).into_bytes()] {
                assert!(!contains(&bytes, &form), "a form of the key of {} bytes is stored", form.len());
            }
        }
    }
}

#[test]
fn t60_a_key_is_found_by_its_hash_and_compared_nowhere() {
    let source =
        |path: &str| std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let keys = source("store-sqlite/src/key.rs");
    let conditions: Vec<String> = keys
        .split("WHERE ")
        .skip(1)
        .map(|rest| {
            rest.split('"').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert!(conditions.contains(&"k.hash = ?1".to_owned()), "{conditions:?}");
    for condition in &conditions {
        let by_hash = condition == "k.hash = ?1";
        assert!(by_hash || (!condition.contains("hash") && !condition.contains("prefix")), "{condition}");
    }
    let schema = source("store-sqlite/migrations/0001_connect.sql");
    let table = schema.split("CREATE TABLE api_keys").nth(1).and_then(|t| t.split(';').next()).unwrap();
    assert!(table.contains("hash       BLOB    NOT NULL UNIQUE"), "{table}");
    let words: Vec<&str> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for column in ["key", "secret", "api_key", "token", "value"] {
        assert!(!words.contains(&column), "{column}");
    }
    // Signatures are compared in constant time, never with `==`.
    let signing = source("signing/src/lib.rs");
    let verify = signing.split("pub fn verify(").nth(1).and_then(|v| v.split("\nfn ").next()).unwrap();
    assert!(verify.contains("same(") && !verify.contains("==") && !verify.contains("!="), "{verify}");
    let same = signing.split("\nfn same(").nth(1).and_then(|same| same.split("\n}").next()).unwrap();
    assert!(same.contains("verify_slices_are_equal"), "{same}");
    let authenticate = source("flows/src/callers/authenticate.rs");
    assert!(authenticate.contains("find_key(&key::key_hash("), "looked up by hash");
    assert!(!authenticate.contains("list_keys"), "no search through keys");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_at_every_server_and_its_sister_is_not() {
    let server = TestServer::start().await;
    let (_, second) = server.replica(None).await;
    let made = operate::create_key(&server.flows, &operator(), server.app.id, "second").await.unwrap();
    let mint = || server.signed(&made.secret, MINT, &json!({})).header("host", &server.host);
    assert_eq!(server.send(mint()).await.status, 201);
    assert_eq!(alter_testkit::http::send(&second, mint()).await.status, 201);
    assert!(operate::revoke_key(&server.flows, &operator(), server.app.id, made.key.id).await.is_ok());
    for reply in [server.send(mint()).await, alter_testkit::http::send(&second, mint()).await] {
        assert_eq!((reply.status, reply.error().as_str()), (401, "key_revoked"));
        assert!(reply.text().contains("makes another key: alter key create"), "{}", reply.text());
    }
    assert_eq!(server.call(MINT, &json!({})).await.status, 201, "the first key still works");
}

#[tokio::test]
async fn a_key_that_is_none_of_ours_is_told_as_much_as_any_other() {
    let server = TestServer::start().await;
    let unknown = mint_key(alter_core::KeyType::App, &SystemRandom);
    let right = server.app.key.expose_secret().to_owned();
    let mut keys = vec![
        unknown.expose_secret().to_owned(),
        String::new(),
        "x".into(),
        right.to_uppercase(),
        right[..right.len() - 1].into(),
        format!("{right}a"),
        "alter_ak_abcdefghijklmnopqrstuv_v7lnv3".into(),
        "alter_dk_abcdefghijklmnopqrstuv_ai5awu".into(),
        "alter_pk_abcdefghijklmnopqrstuv_vegumf".into(),
        format!("alter_key_{}", "a".repeat(40)),
        "' OR 1=1 --".into(),
        format!("Bearer {right}"),
    ];
    keys.push(right.replace("_rk_", "_ak_"));
    let mut first: Option<String> = None;
    for key in &keys {
        let signed = server.signed(&SecretString::from(key.clone()), MINT, &json!({}));
        let reply = server.send(signed).await;
        assert_eq!((reply.status, reply.error().as_str()), (401, "invalid_key"), "{key}");
        let same = first.get_or_insert_with(|| reply.fingerprint());
        assert_eq!(&reply.fingerprint(), same, "{key}");
    }
    let without = server.send(server.signed(&server.app.key, MINT, &json!({})).without("x-api-key")).await;
    assert_eq!(without.error(), "invalid_key");
    let in_query = Sent::new("POST", &format!("{MINT}?x-api-key={right}&api_key={right}")).body("{}");
    assert_eq!(server.send(in_query).await.error(), "invalid_key");
    let bearer = Sent::new("POST", MINT).header("authorization", &format!("Bearer {right}")).body("{}");
    assert_eq!(server.send(bearer).await.error(), "invalid_key");
    assert!(parse_key(&right).is_some());
    assert_eq!(server.call(MINT, &json!({})).await.status, 201, "control");
}
