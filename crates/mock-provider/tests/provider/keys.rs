//! Key rotation, the identity-provider role, and arbitrary tokens for attack tests.

use alter_mock_provider::{KEY_HEADER, User};
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::client::*;
use crate::id_tokens::{key_set, part, verify};

#[tokio::test]
async fn a_user_token_verifies_for_its_audience_only() {
    let provider = provider(|_| {}).await;
    provider.add_user(User { sub: "u1".into(), email: "u1@x.example".into(), name: "U One".into() });
    let token = provider.user_token("u1", "my-app");
    let claims = verify(&provider, &token, "my-app", Algorithm::ES256).await.expect("it verifies");
    assert_eq!((&claims["sub"], &claims["name"]), (&json!("u1"), &json!("U One")));
    assert!(verify(&provider, &token, "other-app", Algorithm::ES256).await.is_err());
    let stranger = provider.user_token("not-registered", "my-app");
    assert!(verify(&provider, &stranger, "my-app", Algorithm::ES256).await.is_ok());
    provider.set(|s| s.clock_offset_s = -7200);
    let old = provider.user_token("u1", "my-app");
    assert!(verify(&provider, &old, "my-app", Algorithm::ES256).await.is_err());
}

#[tokio::test]
async fn rotation_replaces_the_key_and_may_show_the_old_one() {
    let provider = provider(|_| {}).await;
    let old = provider.user_token("acme-1001", "app");
    provider.set(|s| s.key_generation = 1);
    let new = provider.user_token("acme-1001", "app");
    assert_ne!(part(&old, 0)["kid"], part(&new, 0)["kid"]);
    assert!(verify(&provider, &new, "app", Algorithm::ES256).await.is_ok());
    assert!(verify(&provider, &old, "app", Algorithm::ES256).await.is_err());
    provider.set(|s| s.jwks_keep_old = true);
    assert_eq!(key_set(&provider).await.keys.len(), 2);
    assert!(verify(&provider, &old, "app", Algorithm::ES256).await.is_ok());
}

#[tokio::test]
async fn any_token_can_be_made() {
    let provider = provider(|_| {}).await;
    let claims = json!({ "iss": provider.issuer(), "sub": "s", "aud": "app", "exp": 4_000_000_000_u64 });
    let sound = provider.sign(json!(null), claims.clone());
    assert!(verify(&provider, &sound, "app", Algorithm::ES256).await.is_ok());
    let rsa = provider.sign(json!({ "alg": "RS256" }), claims.clone());
    assert!(verify(&provider, &rsa, "app", Algorithm::RS256).await.is_ok());
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "ES384" }),
        json!({ KEY_HEADER: "foreign" }),
        json!({ "alg": "RS256", KEY_HEADER: "foreign" }),
    ] {
        let token = provider.sign(header.clone(), claims.clone());
        assert!(part(&token, 0).get(KEY_HEADER).is_none());
        for alg in [Algorithm::ES256, Algorithm::RS256] {
            assert!(verify(&provider, &token, "app", alg).await.is_err(), "{header}");
        }
    }
    assert!(provider.sign(json!({ "alg": "none" }), claims.clone()).ends_with('.'));
    let dressed = provider.sign(json!({ "jku": "https://evil.example", "typ": null }), claims);
    assert_eq!(part(&dressed, 0)["jku"], "https://evil.example");
    assert!(part(&dressed, 0).get("typ").is_none());
}
