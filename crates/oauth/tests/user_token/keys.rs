//! T67 and T20: fetching the keys costs little, goes to no other place, and ends.

use std::time::Duration;

use alter_core::{AppId, IdentityProvider, SystemRandom};
use alter_egress::{Egress, EgressConfig, EgressError};
use alter_mock_provider::{MockProvider, Raw};
use alter_oauth::{DiscoveryError, IdpUnreachable, JwksCache, JwksError, UserTokenRefused};
use serde_json::{Value, json};

use super::{Place, Verdict, egress, is_unasked, keys_of, now};

fn unreachable(verdict: Verdict, why: &str) -> IdpUnreachable {
    match verdict {
        Err(UserTokenRefused::Unreachable(cause)) => cause,
        other => panic!("{why}: {other:?}"),
    }
}

fn is_blocked(cause: &IdpUnreachable) -> bool {
    match cause {
        IdpUnreachable::Metadata(DiscoveryError::Egress(error))
        | IdpUnreachable::Keys(JwksError::Egress(error)) => {
            error.is_blocked() || matches!(error, EgressError::BadUrl { .. })
        }
        _ => false,
    }
}

#[tokio::test]
async fn t67_addresses_inside_the_network_are_not_asked_for_keys() {
    let place = Place::new().await;
    let token = place.sound();
    for url in [
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/jwks",
        "https://192.168.1.1/jwks",
        "https://[::1]/jwks",
        "https://[::ffff:10.0.0.1]/jwks",
        "https://[fd00:ec2::254]/jwks",
        "https://0.0.0.0/jwks",
        "https://167772161/jwks",
        "http://169.254.169.254/jwks",
        "ftp://169.254.169.254/jwks",
    ] {
        // The URL comes from the operator, from an issuer, and from a document that an evil provider serves.
        let configured = IdentityProvider { jwks_url: Some(url.into()), ..place.idp.clone() };
        let fresh = AppId::new(&SystemRandom);
        let cause = unreachable(place.verify_as(fresh, &configured, &token, now()).await, url);
        assert!(is_blocked(&cause), "{url}: {cause}");
        place.mock.set(|s| s.discovery_fields = json!({ "jwks_uri": url }));
        let fresh = AppId::new(&SystemRandom);
        let cause = unreachable(place.verify_as(fresh, &place.idp, &token, now()).await, url);
        let refused = matches!(cause, IdpUnreachable::Metadata(DiscoveryError::Endpoint("jwks_uri")));
        assert!(refused || is_blocked(&cause), "{url}: {cause}");
    }
    assert!(place.mock.seen().jwks.is_empty());
    place.mock.set(|s| s.discovery_fields = Value::Null);
    place.control("addresses").await;
}

#[tokio::test]
async fn t67_loopback_is_inside_too_unless_the_operator_allowed_it() {
    let place = Place { egress: Egress::new(EgressConfig::default()).unwrap(), ..Place::new().await };
    let direct = IdentityProvider { jwks_url: Some(place.mock.url("/jwks")), ..place.idp.clone() };
    for idp in [&place.idp, &direct] {
        let cause = unreachable(place.verify_as(place.app, idp, &place.sound(), now()).await, "loopback");
        assert!(is_blocked(&cause), "{cause}");
    }
    assert!(is_unasked(&place.mock));
    Place { egress: egress(), cache: JwksCache::new(), ..place }.control("loopback").await;
}

#[tokio::test]
async fn t67_a_redirect_is_an_answer_and_is_not_followed() {
    let place = Place::new().await;
    let evil = MockProvider::start().await;
    for (path, to) in
        [("/jwks", "/jwks"), ("/.well-known/openid-configuration", "/.well-known/openid-configuration")]
    {
        for status in [301, 302, 303, 307, 308] {
            let (place, raw) = (Place::new().await, Some(Raw::new(status, "text/plain", "")));
            place.mock.set(|s| {
                s.headers = vec![(path.into(), "location".into(), evil.url(to))];
                if path == "/jwks" { s.jwks = raw } else { s.discovery = raw }
            });
            unreachable(place.verify(&place.sound()).await, path);
        }
    }
    assert!(is_unasked(&evil));
    place.control("redirects").await;
}

#[tokio::test]
async fn t67_a_key_set_of_more_than_256_kib_or_100_keys_is_not_read() {
    let (big, many) = (Place::new().await, Place::new().await);
    let real = keys_of(&big.mock).await;
    for (bytes, read) in [(256 * 1024, true), (256 * 1024 + 1, false), (10_000_000, false)] {
        let raw = Some(Raw::oversized(200, &real, bytes));
        big.mock.set(|s| s.jwks = raw);
        let place = AppId::new(&SystemRandom);
        let verdict = big.verify_as(place, &big.idp, &big.sound(), now()).await;
        assert_eq!(verdict.is_ok(), read, "{bytes}");
        assert!(read || matches!(verdict, Err(UserTokenRefused::Unreachable(_))));
    }
    let key = keys_of(&many.mock).await["keys"][0].clone();
    for (count, read) in [(99, true), (100, false), (10_000, false)] {
        let mut keys = vec![json!({ "kty": "oct" }); count];
        keys.push(key.clone());
        let raw = Some(Raw::json(200, &json!({ "keys": keys })));
        many.mock.set(|s| s.jwks = raw);
        let place = AppId::new(&SystemRandom);
        let verdict = many.verify_as(place, &many.idp, &many.sound(), now()).await;
        assert_eq!(verdict.is_ok(), read, "{count} and one");
    }
}

#[tokio::test]
async fn t67_slow_keys_cost_five_seconds_once_and_then_nothing_for_a_minute() {
    let place = Place::new().await;
    place.mock.set(|s| s.delays = vec![("/jwks".into(), Duration::from_secs(3600))]);
    let (token, start) = (place.sound(), now());
    let patience = Duration::from_secs(60);
    let verdict = tokio::time::timeout(patience, place.verify_at(&token, start)).await;
    let cause = unreachable(verdict.expect("it ends after five seconds"), "slow");
    assert!(matches!(cause, IdpUnreachable::Keys(JwksError::Egress(EgressError::Timeout { .. }))), "{cause}");
    unreachable(place.verify_at(&token, start.plus_seconds(59)).await, "slow again, from memory");
    assert_eq!(place.mock.seen().jwks.len(), 1);
    place.mock.set(|s| s.delays.clear());
    place.verify_at(&token, start.plus_seconds(61)).await.expect("control");
}

#[tokio::test]
async fn t67_a_storm_of_unknown_kids_reads_the_keys_twice_and_hurts_no_sound_token() {
    let place = Place::new().await;
    let at = now();
    let sound = place.sound();
    for n in 0..1000 {
        let unknown = place.token(json!({ "kid": format!("storm-{n}") }), Value::Null);
        place.verify_at(&unknown, at).await.expect_err("unknown");
        if n % 100 == 0 {
            place.verify_at(&sound, at).await.expect("control: in the middle of the storm");
        }
    }
    let seen = place.mock.seen();
    assert!(seen.jwks.len() <= 2, "{} reads", seen.jwks.len());
    assert_eq!(seen.discovery.len(), 1);
    // A minute later one more unknown key is a reason to look, and the look finds a rotation.
    place.mock.set(|s| s.key_generation = 1);
    place.verify_at(&place.sound(), at.plus_seconds(61)).await.expect("control: a rotation");
    assert_eq!(place.mock.seen().jwks.len(), seen.jwks.len() + 1);
}

#[tokio::test]
async fn a_key_that_was_replaced_under_its_name_is_found_within_a_minute() {
    let place = Place::new().await;
    let at = now();
    place.verify_at(&place.sound(), at).await.expect("the first key");
    place.mock.set(|s| s.key_generation = 1);
    let keys = keys_of(&place.mock).await.to_string().replace("256-1\"", "256-0\"");
    let raw = Some(Raw::json(200, &serde_json::from_str::<Value>(&keys).expect("JSON")));
    place.mock.set(|s| s.jwks = raw);
    let kid = if keys.contains("es256-0") { "es256-0" } else { "rs256-0" };
    let replaced = place.token(json!({ "kid": kid }), Value::Null);
    place.verify_at(&replaced, at.plus_seconds(5)).await.expect("the keys were read again");
    // Whoever sends a wrong signature makes the keys be read once a minute and no more.
    let reads = place.mock.seen().jwks.len();
    let wrong = place.token(json!({ "kid": kid, "alg": "RS256" }), Value::Null);
    for second in 6..60 {
        place.verify_at(&wrong, at.plus_seconds(second)).await.expect_err("wrong");
    }
    assert_eq!(place.mock.seen().jwks.len(), reads);
}

#[tokio::test]
async fn t67_a_storm_at_once_reads_the_keys_twice() {
    let place = std::sync::Arc::new(Place::new().await);
    let at = now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (place, kid) = (place.clone(), json!({ "kid": format!("storm-{n}") }));
        let unknown = place.token(kid, Value::Null);
        tasks.spawn(async move { place.verify_at(&unknown, at).await.is_err() });
    }
    while let Some(refused) = tasks.join_next().await {
        assert!(refused.unwrap());
    }
    assert!(place.mock.seen().jwks.len() <= 2);
    place.control("a storm").await;
}

#[tokio::test]
async fn t67_keys_and_metadata_that_cannot_be_read_again_stay_good_for_a_day() {
    let place = Place::new().await;
    let start = now();
    let exp = start.as_seconds() + 10 * 86_400;
    let token = place.token(Value::Null, json!({ "exp": exp }));
    place.verify_at(&token, start).await.expect("control");
    let broken = Some(Raw::new(500, "text/plain", ""));
    place.mock.set(|s| (s.jwks, s.discovery) = (broken.clone(), broken));
    for hours in [2, 12, 23] {
        let at = start.plus_seconds(hours * 3600);
        assert!(place.verify_at(&token, at).await.is_ok(), "{hours}");
    }
    let late = start.plus_seconds(25 * 3600);
    unreachable(place.verify_at(&token, late).await, "a day later");
    place.mock.set(|s| (s.jwks, s.discovery) = (None, None));
    unreachable(place.verify_at(&token, late.plus_seconds(30)).await, "a failure is not repeated");
    place.verify_at(&token, late.plus_seconds(61)).await.expect("control: it is there again");
}

#[tokio::test]
async fn t20_metadata_of_another_issuer_name_no_keys() {
    let place = Place::new().await;
    let evil = MockProvider::start().await;
    for fields in [
        json!({ "issuer": evil.issuer(), "jwks_uri": evil.url("/jwks") }),
        json!({ "issuer": format!("{}/", place.mock.issuer()) }),
        json!({ "issuer": null }),
        json!({ "issuer": [place.mock.issuer()] }),
        json!({ "jwks_uri": null }),
        json!({ "jwks_uri": evil.url("/jwks") }), // plain http at another origin than the issuer's
    ] {
        place.mock.set(|s| s.discovery_fields = fields.clone());
        let app = AppId::new(&SystemRandom);
        let verdict = place.verify_as(app, &place.idp, &place.sound(), now()).await;
        let cause = unreachable(verdict, "another issuer");
        assert!(matches!(cause, IdpUnreachable::Metadata(_)), "{fields}: {cause}");
    }
    assert!(is_unasked(&evil) && place.mock.seen().jwks.is_empty());
    place.mock.set(|s| s.discovery_fields = Value::Null);
    place.control("metadata").await;
}

#[tokio::test]
async fn an_issuer_that_does_nothing_but_sign_has_all_that_is_needed() {
    let place = Place::new().await;
    place.mock.set(|s| {
        s.discovery_fields = json!({
            "authorization_endpoint": null, "token_endpoint": null, "response_types_supported": ["id_token"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        });
    });
    place.control("Firebase and its like").await;
}
