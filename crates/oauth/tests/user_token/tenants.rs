//! T73 and T15: what happens to one app does not affect another, even one with the same identity provider.

use alter_core::{AppId, IdentityProvider, SystemRandom};
use alter_mock_provider::{MockProvider, Raw};
use alter_oauth::{BadUserToken, UserTokenRefused};
use serde_json::{Value, json};

use super::{AUDIENCE, Place, USER, idp_at, now};

fn other_app() -> AppId {
    AppId::new(&SystemRandom)
}

#[tokio::test]
async fn t73_a_storm_on_one_app_does_not_keep_another_from_finding_a_rotation() {
    let (place, other, at) = (Place::new().await, other_app(), now());
    place.verify_as(other, &place.idp, &place.sound(), at).await.expect("control: both apps are served");
    for n in 0..50 {
        let unknown = place.token(json!({ "kid": format!("storm-{n}") }), Value::Null);
        place.verify_at(&unknown, at).await.expect_err("unknown");
    }
    place.mock.set(|s| s.key_generation = 1);
    let rotated = place.sound();
    // The busy app has used its one look of this minute; the quiet one has not.
    let verdict = place.verify_at(&rotated, at).await;
    assert!(matches!(verdict, Err(UserTokenRefused::Token(BadUserToken::Key))), "{verdict:?}");
    place.verify_as(other, &place.idp, &rotated, at).await.expect("the other app is not throttled");
    place.verify_at(&rotated, at.plus_seconds(61)).await.expect("control: a minute later");
}

#[tokio::test]
async fn t73_a_failure_that_one_app_met_is_not_answered_to_another() {
    let (place, other, at) = (Place::new().await, other_app(), now());
    for broken in ["/jwks", "/.well-known/openid-configuration"] {
        let (place, raw) = (Place::new().await, Some(Raw::new(500, "text/plain", "")));
        place.mock.set(|s| if broken == "/jwks" { s.jwks = raw } else { s.discovery = raw });
        let verdict = place.verify_at(&place.sound(), at).await;
        assert!(matches!(verdict, Err(UserTokenRefused::Unreachable(_))), "{broken}: {verdict:?}");
        place.mock.set(|s| (s.jwks, s.discovery) = (None, None));
        place.verify_as(other, &place.idp, &place.sound(), at).await.expect("the other app asks for itself");
        let verdict = place.verify_at(&place.sound(), at).await;
        assert!(matches!(verdict, Err(UserTokenRefused::Unreachable(_))), "its own pause goes on");
    }
    place.control("failures").await;
}

#[tokio::test]
async fn t73_keys_and_metadata_that_one_app_was_given_verify_nothing_for_another() {
    let (place, other, at) = (Place::new().await, other_app(), now());
    let evil = MockProvider::start().await;
    // One app's operator gives the issuer's name other keys: they count for this app only.
    let own = IdentityProvider { jwks_url: Some(evil.url("/jwks")), ..place.idp.clone() };
    let forged = evil.user_token_with(USER, AUDIENCE, Value::Null, json!({ "iss": place.mock.issuer() }));
    place.verify_as(place.app, &own, &forged, at).await.expect("control: what he asked for");
    let verdict = place.verify_as(other, &place.idp, &forged, at).await;
    assert!(matches!(verdict, Err(UserTokenRefused::Token(BadUserToken::Signature))), "{verdict:?}");
    // The same with one URL: its key set has changed when the other app reads it.
    let poisoned = json!({ "keys": super::keys_of(&evil).await["keys"] });
    let (shared, quiet) = (Place::new().await, other_app());
    shared.mock.set(|s| s.jwks = Some(Raw::json(200, &poisoned)));
    let forged = evil.user_token_with(USER, AUDIENCE, Value::Null, json!({ "iss": shared.mock.issuer() }));
    shared.verify_at(&forged, at).await.expect("control: the set of that moment");
    shared.mock.set(|s| s.jwks = None);
    let verdict = shared.verify_as(quiet, &shared.idp, &forged, at).await;
    assert!(matches!(verdict, Err(UserTokenRefused::Token(BadUserToken::Signature))), "{verdict:?}");
    shared.verify_as(quiet, &shared.idp, &shared.sound(), at).await.expect("control: the other app's users");
}

#[tokio::test]
async fn t15_one_subject_of_two_issuers_is_two_users_and_neither_is_believed_as_the_other() {
    let (one, two) = (Place::new().await, Place::new().await);
    let (by_one, by_two) = (one.sound(), two.sound());
    let ask = async |idp: &IdentityProvider, token: &str| one.verify_as(one.app, idp, token, now()).await;
    let (first, second) =
        (ask(&one.idp, &by_one).await.unwrap(), ask(&idp_at(&two.mock), &by_two).await.unwrap());
    assert_eq!(first.subject, second.subject);
    assert_ne!(first.issuer, second.issuer, "who the user is: issuer and subject together");
    assert!(ask(&one.idp, &by_two).await.is_err() && ask(&idp_at(&two.mock), &by_one).await.is_err());
}
