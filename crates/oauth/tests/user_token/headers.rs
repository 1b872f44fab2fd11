//! T66: the header only names a key of the configured identity provider.

use alter_mock_provider::{KEY_HEADER, MockProvider, Raw};
use alter_oauth::BadUserToken;
use serde_json::{Value, json};

use super::{AUDIENCE, Place, USER, is_unasked, keys_of, under};

#[tokio::test]
async fn t66_a_kid_is_compared_and_never_opened_run_or_fetched() {
    let place = Place::new().await;
    let evil = MockProvider::start().await;
    for kid in [
        "../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "' OR '1'='1",
        "x'; DROP TABLE apps; --",
        "$(id)",
        "%",
        "*",
        "ES256-0",
        "es256-0 ",
        "",
        "\u{0}",
        &evil.url("/jwks"),
        &"k".repeat(512),
    ] {
        let token = place.token(json!({ "kid": kid }), Value::Null);
        assert_eq!(place.refuse(&token, kid).await, BadUserToken::Key, "{kid:?}");
    }
    for kid in [json!(0), json!(["es256-0"]), json!({ "a": 1 }), json!(true), json!("k".repeat(513))] {
        let token = place.token(json!({ "kid": kid.clone() }), Value::Null);
        assert!(matches!(place.refuse(&token, "kid").await, BadUserToken::Malformed(_)), "{kid}");
    }
    let huge = place.token(json!({ "kid": "k".repeat(1_000_000) }), Value::Null);
    assert_eq!(place.refuse(&huge, "1 MB").await, BadUserToken::Malformed("it is too long"));
    assert!(is_unasked(&evil));
    place.control("kids").await;
}

#[tokio::test]
async fn t66_a_kid_twice_is_no_kid_in_the_header_and_two_keys_in_the_set() {
    let place = Place::new().await;
    let claims = place.claims().to_string();
    let sign = |header: &str| place.mock.sign_text(header, &claims);
    place.verify(&sign(r#"{"alg":"ES256","kid":"es256-0"}"#)).await.expect("control");
    for header in [
        r#"{"alg":"ES256","kid":"es256-0","kid":"es256-0"}"#,
        r#"{"alg":"ES256","kid":"other","kid":"es256-0"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"es256-0"}"#,
        r#"{"alg":"ES256","kid":"es256-0","\u006bid":"other"}"#,
    ] {
        let bad = place.refuse(&sign(header), header).await;
        assert_eq!(bad, BadUserToken::Malformed("its header"), "{header}");
    }
    // Two keys have one name: the key that signed is found, and a third key is not accepted.
    let other = MockProvider::start().await;
    let (one, two) = (keys_of(&place.mock).await, keys_of(&other).await);
    let both = json!({ "keys": [two["keys"][0], one["keys"][0]] });
    place.mock.set(|s| s.jwks = Some(Raw::json(200, &both)));
    let fresh = Place { cache: alter_oauth::JwksCache::new(), ..place };
    fresh.control("two keys of one kid").await;
    let foreign = fresh.token(json!({ KEY_HEADER: "foreign" }), Value::Null);
    assert_eq!(fresh.refuse(&foreign, "a third key").await, BadUserToken::Signature);
}

#[tokio::test]
async fn t66_keys_that_the_header_brings_along_are_not_looked_at() {
    let place = Place::new().await;
    let evil = MockProvider::start().await;
    let evil_key = keys_of(&evil).await["keys"][0].clone();
    evil.forget_seen();
    let offers = [
        json!({ "jku": evil.url("/jwks") }),
        json!({ "x5u": evil.url("/cert") }),
        json!({ "x5c": ["MIIB"] }),
        json!({ "jwk": evil_key }),
        json!({ "jku": evil.url("/jwks"), "x5u": evil.url("/c"), "x5t": "AAAA", "jwk": evil_key, "kid": null }),
        json!({ "jku": 7, "x5c": "no list", "jwk": [] }),
    ];
    for offer in offers {
        let iss = json!({ "iss": place.mock.issuer() });
        let forged = evil.user_token_with(USER, AUDIENCE, offer.clone(), iss);
        place.refuse(&forged, &offer.to_string()).await;
        // An honest token may carry these members: they are ignored, not believed.
        let honest = place.token(offer.clone(), Value::Null);
        place.verify(&honest).await.unwrap_or_else(|e| panic!("control: {offer}: {e}"));
    }
    assert!(is_unasked(&evil), "somebody fetched what a header named");
}

#[tokio::test]
async fn t66_crit_and_other_extensions_are_refused_however_good_the_signature() {
    let place = Place::new().await;
    for header in [
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": ["x-unknown"], "x-unknown": true }),
        json!({ "crit": "kid" }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "zip": "DEF" }),
        json!({ "enc": "A256GCM" }),
        json!({ "typ": "secevent+jwt" }),
        json!({ "typ": "application/logout+JWT" }),
        json!({ "typ": "dpop+jwt" }),
        json!({ "typ": "dc+sd-jwt" }),
        json!({ "typ": "vc+sd-jwt" }),
        json!({ "typ": "application/dc+sd-jwt" }),
        json!({ "typ": "vc+ld+json" }),
        json!({ "typ": "at" }),
        json!({ "cty": "JWT" }),
        json!({ "cty": "application/jwt" }),
    ] {
        let bad = place.refuse(&place.token(header.clone(), Value::Null), "an extension").await;
        assert!(matches!(bad, BadUserToken::Malformed(_)), "{header}: {bad}");
    }
    for header in [json!({ "typ": "at+jwt" }), json!({ "typ": "application/at+JWT" }), json!({ "typ": null })]
    {
        place.verify(&place.token(header, Value::Null)).await.expect("control: a kind that is meant");
    }
    let as_if = under(&json!({ "alg": "ES256", "kid": "es256-0", "typ": "jwt" }), &place.sound());
    assert_eq!(place.refuse(&as_if, "a changed header").await, BadUserToken::Signature);
}
