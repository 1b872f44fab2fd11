//! id_tokens, verified by an independent library with the published key set.

use alter_mock_provider::{Alg, IdTokenFault, MockProvider};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::client::*;

pub(crate) async fn key_set(provider: &MockProvider) -> JwkSet {
    serde_json::from_str(&get(provider, "/jwks").await.body).expect("the key set is readable")
}

/// The verdict of a careful relying party; `Ok` holds the claims.
pub(crate) async fn verify(
    provider: &MockProvider,
    token: &str,
    audience: &str,
    alg: Algorithm,
) -> Result<Value, String> {
    let header = decode_header(token).map_err(|e| e.to_string())?;
    let keys = key_set(provider).await;
    let jwk = match &header.kid {
        Some(kid) => keys.find(kid),
        None => keys.keys.first(),
    };
    let key = DecodingKey::from_jwk(jwk.ok_or("unknown kid")?).map_err(|e| e.to_string())?;
    let mut rules = Validation::new(alg);
    rules.set_audience(&[audience]);
    rules.set_issuer(&[provider.issuer()]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.validate_nbf = true;
    decode::<Value>(token, &key, &rules).map(|token| token.claims).map_err(|e| e.to_string())
}

async fn id_token(provider: &MockProvider, fault: IdTokenFault) -> String {
    provider.set(|s| s.id_token = fault);
    text(&connect(provider).await, "id_token")
}

pub(crate) fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).expect("a JWT has three parts");
    let json = URL_SAFE_NO_PAD.decode(part).expect("the part is base64url");
    serde_json::from_slice(&json).expect("the part is JSON")
}

#[tokio::test]
async fn a_sound_id_token_verifies_and_carries_the_nonce() {
    for (switch, alg) in [(Alg::Es256, Algorithm::ES256), (Alg::Rs256, Algorithm::RS256)] {
        let provider = provider(|s| s.id_token_alg = switch).await;
        let token = id_token(&provider, IdTokenFault::None).await;
        let claims = verify(&provider, &token, CLIENT, alg).await.expect("it verifies");
        assert_eq!(claims["nonce"], "the-nonce");
        assert_eq!(claims["sub"], "acme-1001");
        assert_eq!(claims["email"], "alex@acme.example");
    }
}

#[tokio::test]
async fn there_is_an_id_token_only_for_openid() {
    let provider = provider(|_| {}).await;
    let code = authorize(&provider, &[("scope", "notes.read")]).await.param("code").unwrap();
    assert!(redeem(&provider, &code, &[]).await.json().get("id_token").is_none());
    provider.set(|s| s.id_token = IdTokenFault::Absent);
    assert!(connect(&provider).await.json().get("id_token").is_none());
    provider.set(|s| s.id_token = IdTokenFault::None);
    assert!(connect(&provider).await.json().get("id_token").is_some());
}

#[tokio::test]
async fn t24_every_spoilt_id_token_fails_where_a_sound_one_passes() {
    let provider = provider(|_| {}).await;
    for fault in [
        IdTokenFault::AlgNone,
        IdTokenFault::Hs256WithPublicKey,
        IdTokenFault::ForeignKey,
        IdTokenFault::BadSignature,
        IdTokenFault::Expired,
        IdTokenFault::FromTheFuture,
        IdTokenFault::WrongIss,
        IdTokenFault::WrongAud,
        IdTokenFault::MissingExp,
        IdTokenFault::MissingSub,
        IdTokenFault::MissingIss,
        IdTokenFault::MissingAud,
        IdTokenFault::KidUnknown,
    ] {
        let token = id_token(&provider, fault.clone()).await;
        assert!(verify(&provider, &token, CLIENT, Algorithm::ES256).await.is_err(), "{fault:?}");
    }
    for fault in [IdTokenFault::None, IdTokenFault::AudArray, IdTokenFault::KidAbsent] {
        let token = id_token(&provider, fault.clone()).await;
        assert!(verify(&provider, &token, CLIENT, Algorithm::ES256).await.is_ok(), "{fault:?}");
    }
}

#[tokio::test]
async fn the_faults_that_a_signature_check_cannot_see_are_in_the_claims() {
    let provider = provider(|_| {}).await;
    let wrong = part(&id_token(&provider, IdTokenFault::NonceWrong).await, 1);
    assert_eq!(wrong["nonce"], "another-nonce");
    assert!(part(&id_token(&provider, IdTokenFault::NonceMissing).await, 1).get("nonce").is_none());
    assert!(part(&id_token(&provider, IdTokenFault::MissingIat).await, 1).get("iat").is_none());
    let secondary = part(&id_token(&provider, IdTokenFault::AudArrayWithSecondary).await, 1);
    assert_eq!(secondary["aud"], json!([CLIENT, "another-client"]));
    assert!(part(&id_token(&provider, IdTokenFault::KidAbsent).await, 0).get("kid").is_none());
}

#[tokio::test]
async fn hs256_is_keyed_with_the_public_key_so_that_a_confused_verifier_would_accept() {
    let provider = provider(|_| {}).await;
    let token = id_token(&provider, IdTokenFault::Hs256WithPublicKey).await;
    let key = DecodingKey::from_secret(provider.public_key_pem().as_bytes());
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&[CLIENT]);
    assert!(decode::<Value>(&token, &key, &rules).is_ok());
    assert!(DecodingKey::from_ec_pem(provider.public_key_pem().as_bytes()).is_ok());
}

#[tokio::test]
async fn claims_can_be_merged_and_removed() {
    let claims = json!({ "team": "T1", "email": null });
    let provider = provider(|s| s.id_token_claims = claims).await;
    let claims = part(&id_token(&provider, IdTokenFault::None).await, 1);
    assert_eq!(claims["team"], "T1");
    assert!(claims.get("email").is_none());
}
