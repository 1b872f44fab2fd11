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
        assert!(verify(key, &parts, &given), "{}", v["name"]);
        let stripped = Signature { signature_v2: None, ..given };
        let added = Signature { signature_v2: Some(given.signature), ..given };
        assert_eq!(verify(key, &parts, &stripped), given.signature_v2.is_none(), "{}", v["name"]);
        assert_eq!(verify(key, &parts, &added), given.signature_v2.is_some(), "{}", v["name"]);
    }
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
