use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../tests/vectors/hmac_vectors.json")).unwrap()
}

fn parts<'a>(file: &'a Value, v: &'a Value) -> SignedParts<'a> {
    let text = |value: &'a Value| value.as_str().unwrap_or("");
    let extra = &v["extra_headers_signed"];
    SignedParts {
        method: text(&v["method"]),
        target: text(&v["path_as_built"]),
        timestamp: text(&file["timestamp"]),
        nonce: text(&file["nonce"]),
        body: text(&v["body_utf8"]).as_bytes(),
        scope_constraints: text(&v["scope_constraints"]),
        request_rule: text(&v["request_rule"]),
        caller: text(&extra["X-Alter-Caller"]),
        caller_type: text(&extra["X-Alter-Caller-Type"]),
        actor_id: text(&extra["X-Alter-Actor-ID"]),
        context: text(&extra["X-Alter-Context"]),
    }
}

#[test]
fn all_twenty_published_vectors_come_out_equal() {
    let file = vectors();
    let list = file["vectors"].as_array().unwrap();
    assert_eq!(list.len(), 20);
    for v in list {
        let parts = parts(&file, v);
        assert_eq!(string_to_sign(&parts), v["string_to_sign"].as_str().unwrap(), "{}", v["name"]);
        let headers = &v["emitted_headers"];
        let given = Signature {
            content_sha256: headers["X-Alter-Content-SHA256"].as_str().unwrap(),
            signature: headers["X-Alter-Signature"].as_str().unwrap(),
            signature_v2: headers["X-Alter-Signature-V2"].as_str(),
        };
        let key = file["api_key"].as_str().unwrap();
        assert_eq!(verify(key, &parts, &given), Some(Covers::Everything), "{}", v["name"]);
        let stripped = Signature { signature_v2: None, ..given };
        let added = Signature { signature_v2: Some(given.signature), ..given };
        assert_eq!(verify(key, &parts, &stripped).is_some(), given.signature_v2.is_none(), "{}", v["name"]);
        assert_eq!(verify(key, &parts, &added).is_some(), given.signature_v2.is_some(), "{}", v["name"]);
    }
}

#[test]
fn an_old_clients_signature_covers_all_but_the_identity_headers() {
    let named = SignedParts { scope_constraints: "", request_rule: "", ..full() };
    let first = sign("key", &named.without_identity());
    let content = hex(sha256(named.body).as_ref());
    let old = Signature { content_sha256: &content, signature: &first, signature_v2: None };
    assert_eq!(verify("key", &named, &old), Some(Covers::AllButIdentity));
    // Whoever can change these headers on the way can change them; everything else stays covered.
    assert_eq!(
        verify("key", &SignedParts { caller: "another", ..named }, &old),
        Some(Covers::AllButIdentity)
    );
    assert_eq!(verify("key", &SignedParts { body: b"{} ", ..named }, &old), None);
    assert_eq!(verify("key", &SignedParts { target: "/sdk/token", ..named }, &old), None);
    // A new client's call does not become an old one when its second signature is taken away.
    let both = sign("key", &named);
    let new = Signature { content_sha256: &content, signature: &both, signature_v2: Some(&both) };
    assert_eq!(verify("key", &named, &new), Some(Covers::Everything));
    assert_eq!(verify("key", &named, &Signature { signature_v2: None, ..new }), None);
    assert_eq!(verify("key", &named, &Signature { signature_v2: Some(&first), ..old }), None);
}

/// A request that uses every part.
fn full() -> SignedParts<'static> {
    SignedParts {
        method: "POST",
        target: "/sdk/token?a=1",
        timestamp: "1800000000",
        nonce: "bm9uY2U",
        body: b"{}",
        scope_constraints: "read",
        request_rule: "rule",
        caller: "caller",
        caller_type: "agent",
        actor_id: "actor",
        context: "context",
    }
}

fn content_hash(parts: &SignedParts<'_>) -> String {
    hex(sha256(parts.body).as_ref())
}

#[test]
fn t62_every_part_of_a_request_is_signed() {
    let signed = sign("key", &full());
    let verified = |key: &str, parts: SignedParts<'_>| {
        let content_sha256 = content_hash(&parts);
        let given =
            Signature { content_sha256: &content_sha256, signature: &signed, signature_v2: Some(&signed) };
        verify(key, &parts, &given).is_some()
    };
    assert!(verified("key", full()), "positive control");
    assert!(!verified("kez", full()), "another key");
    for (part, other) in [
        ("method", SignedParts { method: "PUT", ..full() }),
        ("target", SignedParts { target: "/sdk/token?a=2", ..full() }),
        ("timestamp", SignedParts { timestamp: "1800000001", ..full() }),
        ("nonce", SignedParts { nonce: "bm9uY2V", ..full() }),
        ("body", SignedParts { body: b"[]", ..full() }),
        ("scope constraints", SignedParts { scope_constraints: "", ..full() }),
        ("request rule", SignedParts { request_rule: "", ..full() }),
        ("caller", SignedParts { caller: "", ..full() }),
        ("caller type", SignedParts { caller_type: "", ..full() }),
        ("actor", SignedParts { actor_id: "", ..full() }),
        ("context", SignedParts { context: "", ..full() }),
    ] {
        assert!(!verified("key", other), "{part}");
    }
}

#[test]
fn t63_each_of_the_three_headers_must_fit() {
    let parts = full();
    let (content, signed) = (content_hash(&parts), sign("key", &parts));
    let verified = |content_sha256: &str, signature: &str, second: &str| {
        let given = Signature { content_sha256, signature, signature_v2: Some(second) };
        verify("key", &parts, &given).is_some()
    };
    assert!(verified(&content, &signed, &signed), "positive control");
    for wrong in ["", &signed[1..], &format!("g{}", &signed[1..])] {
        assert!(!verified(&content, wrong, &signed), "{wrong:?} as the first signature");
        assert!(!verified(&content, &signed, wrong), "{wrong:?} as the second");
        assert!(!verified(wrong, &signed, &signed), "{wrong:?} as the hash of the content");
    }
}

#[test]
fn t62_a_plus_is_a_space_in_a_query_and_itself_in_a_path() {
    let signed = |target| string_to_sign(&SignedParts { method: "GET", target, ..Default::default() });
    assert_eq!(signed("/sdk/x?a+b=c+d"), signed("/sdk/x?a%20b=c%20d"));
    assert_ne!(signed("/sdk/a+b"), signed("/sdk/a%20b"));
    assert_eq!(signed("/sdk/a+b"), signed("/sdk/a%2Bb"));
}

#[test]
fn t62_ambiguous_targets_are_refused_before_the_signature() {
    for good in ["/sdk/token", "/sdk/agents?name=a%2Fb", "/sdk/x/goo%20gle", "/sdk/scopes?", "/a.b/..c"] {
        assert_eq!(check_target(good), Ok(()), "{good}");
    }
    for bad in [
        "/sdk/a%2Fb",
        "/sdk/x%3Fa=1",
        "/sdk/x%23a",
        "/sdk/a%2fb",
        "/sdk/a%5Cb",
        "/sdk/a\\b",
        "/sdk/%0A",
        "/sdk/%00",
        "/sdk/%7f",
        "/sdk/../token",
        "/sdk/./token",
        "/sdk/%2e%2e/token",
        "/sdk/%2E/token",
        "/sdk/%ff",
        "/sdk/%c0%af",
        "/sdk/%zz",
        "/sdk/%",
        "/sdk/a%2",
        "/sdk/x?a=\n",
    ] {
        assert_eq!(check_target(bad), Err(AmbiguousTarget), "{bad}");
    }
}

proptest! {
    /// Two targets that pass the check and are routed differently (another path) never share a string to sign.
    #[test]
    fn t62_accepted_targets_with_other_paths_sign_differently(
        a in "/sdk/[a-z%0-9A-F./+ ]{0,12}(\\?[a-z=&+%0-9A-F;]{0,12})?",
        b in "/sdk/[a-z%0-9A-F./+ ]{0,12}(\\?[a-z=&+%0-9A-F;]{0,12})?",
    ) {
        let routed = |t: &str| lossy(percent_decode(t.split('?').next().unwrap(), false));
        if check_target(&a).is_ok() && check_target(&b).is_ok() && routed(&a) != routed(&b) {
            let text = |t| string_to_sign(&SignedParts { method: "GET", target: t, ..Default::default() });
            prop_assert_ne!(text(&a), text(&b));
        }
    }
}
