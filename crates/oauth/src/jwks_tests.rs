//! Key sets, and which of their keys verify what.

use alter_core::secret::base64url;
use serde_json::json;

use super::*;

fn ec_key(kid: &str) -> Value {
    let half = base64url(&[7; 32]);
    json!({"kty":"EC","crv":"P-256","kid":kid,"x":half,"y":half})
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a key set")
}

fn count(set: &KeySet, alg: Algorithm, kid: Option<&str>) -> usize {
    match set.candidates(alg, kid) {
        // An empty list would be no reason to look for newer keys.
        Candidates::These(keys) => Some(keys.len()).filter(|count| *count > 0).expect("a key"),
        Candidates::None => 0,
        Candidates::Ambiguous => usize::MAX,
    }
}

#[test]
fn a_key_is_found_by_its_kid_and_without_one_only_when_it_is_alone() {
    let one = set(&[ec_key("a")]);
    assert_eq!(count(&one, Algorithm::ES256, Some("a")), 1);
    assert_eq!(count(&one, Algorithm::ES256, Some("b")), 0);
    assert_eq!(count(&one, Algorithm::ES256, None), 1);
    let two = set(&[ec_key("a"), ec_key("b")]);
    assert_eq!(count(&two, Algorithm::ES256, Some("b")), 1);
    assert_eq!(count(&two, Algorithm::ES256, None), usize::MAX);
}

#[test]
fn t24_a_key_verifies_the_algorithms_of_its_type_and_purpose_only() {
    let keys = set(&[ec_key("a")]);
    for alg in [Algorithm::RS256, Algorithm::ES384, Algorithm::HS256] {
        assert_eq!(count(&keys, alg, Some("a")), 0, "{alg:?}");
    }
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(1)),
        ("key_ops", json!(["encrypt"])),
        ("key_ops", json!("verify")),
        ("alg", json!("ES384")),
        ("alg", json!("ECDH-ES")),
        ("kty", json!("RSA")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("x", json!(base64url(&[7; 31]))),
        ("y", json!("not base64url!")),
    ] {
        let keys = set(&[with(ec_key("a"), name, value.clone())]);
        assert_eq!(count(&keys, Algorithm::ES256, Some("a")), 0, "{name} {value}");
    }
    for (name, value) in [("use", json!("sig")), ("key_ops", json!(["verify"])), ("alg", json!("ES256"))] {
        let keys = set(&[with(ec_key("a"), name, value)]);
        assert_eq!(count(&keys, Algorithm::ES256, Some("a")), 1, "{name}");
    }
}

#[test]
fn a_key_for_one_name_of_ed25519_verifies_both() {
    let ed = |alg: &str| json!({"kty":"OKP","crv":"Ed25519","kid":"a","alg":alg,"x":base64url(&y(4, 0, 0))});
    for name in ["EdDSA", "Ed25519"] {
        assert_eq!(count(&set(&[ed(name)]), Algorithm::EdDSA, Some("a")), 1, "{name}");
    }
}

#[test]
fn secret_and_weak_keys_are_no_keys() {
    let rsa = |bytes: usize| json!({"kty":"RSA","n":base64url(&vec![0xc1; bytes]),"e":"AQAB","kid":"r"});
    let keys = set(&[json!({"kty":"oct","k":"c2VjcmV0","kid":"r"}), rsa(128), rsa(2048)]);
    assert_eq!(count(&keys, Algorithm::RS256, Some("r")), 0);
    assert_eq!(count(&keys, Algorithm::HS256, Some("r")), 0);
    assert_eq!(count(&set(&[rsa(256)]), Algorithm::PS256, Some("r")), 1);
}

#[test]
fn t24_a_point_of_small_order_is_no_key() {
    let ed = |x: &[u8; 32]| json!({"kty":"OKP","crv":"Ed25519","kid":"a","x":base64url(x)});
    for point in SMALL_ORDER {
        for sign in [0, 0x80] {
            let mut point = point;
            point[31] |= sign;
            assert_eq!(set(&[ed(&point)]).len(), 0, "{point:02x?}");
        }
    }
    assert_eq!(set(&[ed(&y(4, 0, 0))]).len(), 1, "positive control");
}

#[test]
fn the_keys_of_a_set_are_those_that_can_verify() {
    assert_eq!(set(&[]).len(), 0);
    let secret = json!({"kty":"oct","k":"c2VjcmV0"});
    assert_eq!(set(&[ec_key("a"), secret, ec_key("b")]).len(), 2);
}

#[test]
fn what_is_no_key_set_or_too_large_a_one_is_refused() {
    let many: Vec<Value> = (0..101).map(|n| ec_key(&n.to_string())).collect();
    for body in [
        "<html>".to_owned(),
        "{}".to_owned(),
        r#"{"keys":{}}"#.to_owned(),
        r#"{"keys":[],"keys":[]}"#.to_owned(),
        json!({ "keys": many }).to_string(),
    ] {
        assert!(KeySet::parse(body.as_bytes()).is_err(), "{body:.40}");
    }
    assert!(KeySet::parse(json!({ "keys": &many[1..] }).to_string().as_bytes()).is_ok());
}
