//! T68 and T69: what a token must claim at the time of the check.

use alter_core::{IdentityProvider, Micros};
use alter_oauth::{BadUserClaim, BadUserToken, UserTokenRefused};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AUDIENCE, Place, USER, now};

/// 31 December 9999, 23:59:59.
const YEAR_9999: i64 = 253_402_300_799;

async fn claim(place: &Place, changes: Value) -> BadUserToken {
    let token = place.token(Value::Null, changes.clone());
    place.refuse(&token, &changes.to_string()).await
}

#[tokio::test]
async fn t68_every_claim_that_is_wrong_missing_or_of_another_type_is_named() {
    use BadUserClaim::{Aud, Endless, Event, Exp, Expired, Iat, Iss, Nbf, Sub};
    let place = Place::new().await;
    let (at, iss) = (now().as_seconds(), place.mock.issuer());
    for (changes, why) in [
        (json!({ "iss": null }), Iss),
        (json!({ "iss": "" }), Iss),
        (json!({ "iss": format!("{iss}/") }), Iss),
        (json!({ "iss": iss.to_uppercase() }), Iss),
        (json!({ "iss": iss.replace("127.0.0.1", "localhost") }), Iss),
        (json!({ "iss": [iss] }), Iss),
        (json!({ "iss": 7 }), Iss),
        (json!({ "aud": null }), Aud),
        (json!({ "aud": "" }), Aud),
        (json!({ "aud": "another-app" }), Aud),
        (json!({ "aud": "My-App" }), Aud),
        (json!({ "aud": format!("{AUDIENCE} other") }), Aud),
        (json!({ "aud": [] }), Aud),
        (json!({ "aud": ["another-app"] }), Aud),
        (json!({ "aud": [AUDIENCE, 7] }), Aud),
        (json!({ "aud": [[AUDIENCE]] }), Aud),
        (json!({ "aud": { AUDIENCE: true } }), Aud),
        (json!({ "aud": 7 }), Aud),
        (json!({ "sub": null }), Sub),
        (json!({ "sub": "" }), Sub),
        (json!({ "sub": "  " }), Sub),
        (json!({ "sub": 1001 }), Sub),
        (json!({ "sub": [USER] }), Sub),
        (json!({ "sub": "x".repeat(256) }), Sub),
        (json!({ "sub": "a\u{0}b" }), Sub),
        (json!({ "sub": "a\nb" }), Sub),
        (json!({ "sub": "a\u{202e}b" }), Sub),
        (json!({ "exp": null }), Exp),
        (json!({ "exp": (at + 300).to_string() }), Exp),
        (json!({ "exp": [at + 300] }), Exp),
        (json!({ "exp": "NaN" }), Exp),
        (json!({ "exp": true }), Exp),
        (json!({ "exp": 0 }), Expired),
        (json!({ "exp": -1 }), Expired),
        (json!({ "exp": at - 61 }), Expired),
        (json!({ "exp": YEAR_9999 }), Endless),
        (json!({ "exp": (at + 300) * 1000 }), Endless), // milliseconds, a common mistake
        (json!({ "exp": 1e300 }), Endless),
        (json!({ "nbf": at + 90 }), Nbf),
        (json!({ "nbf": YEAR_9999 }), Nbf),
        (json!({ "nbf": "0" }), Nbf),
        (json!({ "nbf": [0] }), Nbf),
        (json!({ "iat": at + 90 }), Iat),
        (json!({ "iat": YEAR_9999 }), Iat),
        (json!({ "iat": "0" }), Iat),
        (json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }), Event),
    ] {
        assert_eq!(claim(&place, changes.clone()).await, BadUserToken::Claim(why), "{changes}");
        place.control("a claim").await;
    }
}

#[tokio::test]
async fn t68_what_is_unusual_and_right_is_believed() {
    let place = Place::new().await;
    let at = now().as_seconds();
    for changes in [
        json!({ "aud": [AUDIENCE] }),
        json!({ "aud": ["https://id.example/userinfo", AUDIENCE] }),
        json!({ "iat": null }),
        json!({ "iat": at + 30, "nbf": at + 30 }),
        json!({ "exp": 1.9e9_f64.min(at as f64 + 500.5), "iat": 1.5e9 }),
        json!({ "sub": "x".repeat(255) }),
        json!({ "sub": "auth0|5f7c8ec7c33c6c004bbafe82" }),
        json!({ "nonce": "somebody's", "azp": "another-client" }),
        json!({ "unknown": { "a": [1, null] } }),
    ] {
        let token = place.token(Value::Null, changes.clone());
        place.verify(&token).await.unwrap_or_else(|e| panic!("{changes}: {e}"));
    }
}

#[tokio::test]
async fn t68_payloads_that_two_parsers_read_differently_are_read_by_none() {
    let place = Place::new().await;
    let header = r#"{"alg":"ES256","kid":"es256-0"}"#;
    let sound = place.claims().to_string();
    let opened = sound.trim_start_matches('{');
    let inner = place.sound();
    place.verify(&place.mock.sign_text(header, &sound)).await.expect("control: the same, sound");
    for payload in [
        format!(r#"{{"sub":"victim",{opened}"#),
        format!(r#"{{"s\u0075b":"victim",{opened}"#),
        format!(r#"{{"exp":1,{opened}"#),
        format!(r#"{{"x":{{"a":1,"a":2}},{opened}"#),
        format!(r#"{{"nbf":NaN,{opened}"#),
        format!(r#"{{"nbf":Infinity,{opened}"#),
        format!(r#"{{"nbf":1e999,{opened}"#),
        format!(r#"{{"nbf":0x10,{opened}"#),
        format!("{sound}{sound}"),
        format!("[{sound}]"),
        json!(sound).to_string(),
        json!(inner).to_string(),
        inner.clone(),
        "null".to_owned(),
        String::new(),
    ] {
        let bad = place.refuse(&place.mock.sign_text(header, &payload), &payload).await;
        assert_eq!(bad, BadUserToken::Malformed("its claims"), "{payload}");
    }
    let nested = place.mock.sign_text(r#"{"alg":"ES256","kid":"es256-0","cty":"JWT"}"#, &inner);
    assert!(matches!(place.refuse(&nested, "nested").await, BadUserToken::Malformed(_)));
    let unencoded = place.mock.sign_text(r#"{"alg":"ES256","kid":"es256-0","b64":false}"#, &sound);
    assert!(matches!(place.refuse(&unencoded, "b64=false").await, BadUserToken::Malformed(_)));
}

#[tokio::test]
async fn t68_a_token_of_more_than_32_kib_is_not_looked_at() {
    let place = Place::new().await;
    let padded = |bytes: usize| place.token(Value::Null, json!({ "pad": "x".repeat(bytes) }));
    let least = padded(0).len();
    let most = (32_768 - least) / 4 * 3;
    let fits = padded(most);
    assert!((32_756..=32_768).contains(&fits.len()), "{}", fits.len());
    place.verify(&fits).await.expect("control: it just fits");
    let bad = place.refuse(&padded(most + 12), "too long").await;
    assert_eq!(bad, BadUserToken::Malformed("it is too long"));
    for text in ["", ".", "..", "...", "a.b.c", "Bearer x", &"a.".repeat(4000)] {
        assert!(matches!(place.refuse(text, text).await, BadUserToken::Malformed(_)), "{text:.20}");
    }
    place.refuse(&format!("{} ", place.sound()), "a space").await;
    place.refuse(&format!("Bearer {}", place.sound()), "a scheme").await;
}

#[tokio::test]
async fn t68_an_authorized_party_is_demanded_where_tokens_have_no_audience() {
    let place = Place::new().await;
    let idp =
        IdentityProvider { audience: None, authorized_party: Some("client-1".into()), ..place.idp.clone() };
    let ask = async |changes: Value| {
        place.verify_as(place.app, &idp, &place.token(Value::Null, changes), now()).await
    };
    for changes in [
        json!({ "aud": null, "client_id": "client-1" }),
        json!({ "aud": null, "azp": "client-1" }),
        json!({ "aud": "https://api.example", "azp": "client-1", "client_id": "another" }),
    ] {
        ask(changes.clone()).await.unwrap_or_else(|e| panic!("control: {changes}: {e}"));
    }
    for changes in [
        json!({ "aud": null }),
        json!({ "aud": "client-1" }),
        json!({ "aud": null, "client_id": "Client-1" }),
        json!({ "aud": null, "client_id": ["client-1"] }),
        json!({ "aud": null, "azp": "another", "client_id": "client-1" }),
        json!({ "aud": 7, "azp": "client-1" }),
    ] {
        assert!(matches!(ask(changes.clone()).await, Err(UserTokenRefused::Token(_))), "{changes}");
    }
}

#[tokio::test]
async fn t15_an_issuer_template_is_the_tokens_tenant_and_the_keys_own_issuer() {
    let place = Place::new().await;
    let idp = IdentityProvider {
        issuer: "https://login.example/{tenant}/v2.0".into(),
        jwks_url: Some(place.mock.url("/jwks")),
        tenants: vec!["t-1".into(), "t-2".into()],
        ..place.idp.clone()
    };
    let of = |iss: &str, tid: &str| json!({ "iss": format!("https://login.example/{iss}/v2.0"), "tid": tid });
    let ask = async |claims: Value| {
        // Another app each time, so that the keys are read anew.
        let app = alter_core::AppId::new(&alter_core::SystemRandom);
        place.verify_as(app, &idp, &place.token(Value::Null, claims), now()).await
    };
    let refused = async |claims: Value| match ask(claims).await {
        Err(UserTokenRefused::Token(BadUserToken::Claim(why))) => why,
        other => panic!("{other:?}"),
    };
    let user = ask(of("t-1", "t-1")).await.expect("control");
    assert_eq!(user.issuer, "https://login.example/t-1/v2.0", "users of two tenants are two users");
    assert_eq!(refused(of("t-1", "t-2")).await, BadUserClaim::Iss);
    assert_eq!(refused(of("t-3", "t-3")).await, BadUserClaim::Iss, "not on the list");

    for (key_issuer, believed) in [
        ("https://login.example/{tenantid}/v2.0", true),
        ("https://login.example/t-1/v2.0", true),
        ("https://login.example/t-2/v2.0", false),
        ("https://other.example/{tenantid}/v2.0", false),
    ] {
        place.mock.set(|s| s.jwks = None);
        let mut keys = super::keys_of(&place.mock).await;
        for key in keys["keys"].as_array_mut().expect("keys") {
            key["issuer"] = key_issuer.into();
        }
        place.mock.set(|s| s.jwks = Some(alter_mock_provider::Raw::json(200, &keys)));
        match believed {
            true => drop(ask(of("t-1", "t-1")).await.unwrap_or_else(|e| panic!("{key_issuer}: {e}"))),
            false => assert_eq!(refused(of("t-1", "t-1")).await, BadUserClaim::KeyIssuer, "{key_issuer}"),
        }
    }
}

#[tokio::test]
async fn an_issuer_that_is_no_url_is_believed_with_the_keys_that_the_operator_named() {
    let place = Place::new().await;
    let idp = IdentityProvider {
        issuer: "project-live-1234".into(),
        jwks_url: Some(place.mock.url("/jwks")),
        ..place.idp.clone()
    };
    let token = place.token(Value::Null, json!({ "iss": "project-live-1234" }));
    let user = place.verify_as(place.app, &idp, &token, now()).await.expect("believed");
    assert_eq!((user.issuer.as_str(), user.subject.as_str()), ("project-live-1234", USER));
    assert!(place.verify_as(place.app, &idp, &place.sound(), now()).await.is_err(), "another issuer's");
}

#[tokio::test]
async fn t68_any_audience_waives_the_audience_and_nothing_else() {
    let place = Place::new().await;
    let idp = IdentityProvider { audience: None, ..place.idp.clone() };
    let ask = async |changes: Value| {
        place.verify_as(place.app, &idp, &place.token(Value::Null, changes), now()).await
    };
    for aud in [json!("anything"), json!(["a", "b"]), json!([]), Value::Null] {
        ask(json!({ "aud": aud })).await.expect("control: waived");
    }
    for changes in
        [json!({ "aud": 7 }), json!({ "aud": ["a", 7] }), json!({ "iss": "x" }), json!({ "exp": null })]
    {
        assert!(matches!(ask(changes.clone()).await, Err(UserTokenRefused::Token(_))), "{changes}");
    }
}

#[tokio::test]
async fn t68_a_label_is_the_first_name_that_can_be_shown_and_the_subject_is_kept_as_it_is() {
    let place = Place::new().await;
    for (changes, label) in [
        (json!({ "name": "  Alex \u{202e}Winter\n", "email": "a@x.example" }), "Alex Winter"),
        (json!({ "name": " \u{200b}", "email": "a@x.example" }), "a@x.example"),
        (json!({ "name": 7, "email": ["a"], "preferred_username": "alex" }), "alex"),
        (json!({ "name": null, "email": null, "preferred_username": null }), USER),
    ] {
        let user = place.verify(&place.token(Value::Null, changes.clone())).await.unwrap();
        assert_eq!((user.label.as_str(), user.subject.as_str()), (label, USER), "{changes}");
        assert_eq!(user.issuer, place.mock.issuer());
    }
}

#[tokio::test]
async fn t69_a_token_is_believed_until_a_minute_after_its_end_and_not_a_second_longer() {
    let place = Place::new().await;
    let start = Micros(now().as_seconds() * 1_000_000);
    let exp = start.as_seconds() + 300;
    let token = place.token(Value::Null, json!({ "exp": exp }));
    for (seconds, believed) in
        [(0, true), (299, true), (300, true), (359, true), (360, false), (361, false), (86_400, false)]
    {
        let verdict = place.verify_at(&token, start.plus_seconds(seconds)).await;
        assert_eq!(verdict.is_ok(), believed, "{seconds}: {verdict:?}");
        if let Err(refused) = verdict {
            let expired = UserTokenRefused::Token(BadUserToken::Claim(BadUserClaim::Expired));
            assert_eq!(refused.to_string(), expired.to_string());
        }
    }
    let user = place.verify_at(&token, start).await.unwrap();
    assert_eq!(user.expires_at, Micros(exp * 1_000_000));
    let early = place.token(Value::Null, json!({ "nbf": start.as_seconds() + 300, "iat": null }));
    assert!(place.verify_at(&early, start.plus_seconds(239)).await.is_err());
    place.verify_at(&early, start.plus_seconds(240)).await.expect("control: a minute before its beginning");
}

#[tokio::test]
async fn t69_a_token_may_live_for_366_days_and_not_a_second_longer() {
    let place = Place::new().await;
    let start = Micros(now().as_seconds() * 1_000_000);
    for (life, believed) in [(366 * 86_400, true), (366 * 86_400 + 1, false)] {
        let token = place.token(Value::Null, json!({ "exp": start.as_seconds() + life }));
        let verdict = place.verify_at(&token, start).await;
        assert_eq!(verdict.is_ok(), believed, "{life}: {verdict:?}");
    }
}

/// A place, and a runtime to run it on.
fn world() -> (tokio::runtime::Runtime, Place) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    runtime.block_on(place.control("a storm of nonsense"));
    (runtime, place)
}

#[test]
fn t68_arbitrary_bytes_never_verify() {
    let (runtime, place) = world();
    let mut runner = proptest::test_runner::TestRunner::default();
    let header = prop_oneof![
        Just(r#"{"alg":"ES256","kid":"es256-0"}"#.to_owned()),
        Just(r#"{"alg":"ES256"}"#.to_owned()),
        Just(r#"{"alg":"none"}"#.to_owned()),
        "[ -~]{0,60}",
    ];
    let bytes = proptest::collection::vec(any::<u8>(), 0..120);
    let signature = proptest::collection::vec(any::<u8>(), 0..80);
    let cases = (bytes, header, signature, any::<bool>());
    runner
        .run(&cases, |(bytes, header, signature, sound)| {
            let plain = String::from_utf8_lossy(&bytes).into_owned();
            prop_assert!(runtime.block_on(place.verify(&plain)).is_err());
            let payload = if sound { place.claims().to_string().into_bytes() } else { bytes };
            let encode = alter_core::secret::base64url;
            let token = format!("{}.{}.{}", encode(header.as_bytes()), encode(&payload), encode(&signature));
            prop_assert!(runtime.block_on(place.verify(&token)).is_err());
            Ok(())
        })
        .unwrap();
    runtime.block_on(place.control("nonsense"));
}

#[test]
fn t68_a_sound_token_with_any_one_character_changed_never_verifies() {
    let (runtime, place) = world();
    let sound = place.sound();
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&(0..sound.len(), "[A-Za-z0-9_.=-]"), |(at, other)| {
            let changed = format!("{}{other}{}", &sound[..at], &sound[at + 1..]);
            let believed = runtime.block_on(place.verify(&changed)).is_ok();
            prop_assert_eq!(believed, changed == sound, "at {}", at);
            Ok(())
        })
        .unwrap();
}
