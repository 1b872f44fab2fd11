//! T65: the token chooses neither the algorithm nor the kind of key.

use alter_core::secret::{base64url, from_base64url};
use alter_mock_provider::{Alg, Raw};
use alter_oauth::BadUserToken;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use serde_json::{Value, json};

use super::{Place, keys_of, signed, under};

/// A place whose identity provider signs with RSA and also publishes an EC key.
async fn rsa_place() -> Place {
    let place = Place::new().await;
    place.mock.set(|s| s.id_token_alg = Alg::Rs256);
    place.control("the first use of RSA").await;
    place
}

#[tokio::test]
async fn t65_hs256_keyed_with_the_public_key_in_any_of_its_forms_is_refused() {
    let place = rsa_place().await;
    let pem = place.mock.public_key_pem();
    let der: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    let set = keys_of(&place.mock).await;
    let jwk = set["keys"].as_array().unwrap().iter().find(|key| key["kty"] == "RSA").unwrap();
    let n = jwk["n"].as_str().unwrap();
    let keys: [Vec<u8>; 8] = [
        pem.clone().into(),
        pem.trim_end().into(),
        der.clone().into(),
        from_base64url(der.replace('+', "-").replace('/', "_").trim_end_matches('=')).unwrap(),
        n.into(),
        from_base64url(n).unwrap(),
        jwk.to_string().into(),
        Vec::new(),
    ];
    for key in keys {
        for kid in [jwk["kid"].clone(), json!("es256-0")] {
            let header = json!({ "alg": "HS256", "typ": "JWT", "kid": kid });
            let token = signed(&header, &place.claims(), |message| {
                sign(&Key::new(HMAC_SHA256, &key), message).as_ref().to_vec()
            });
            assert_eq!(place.refuse(&token, "HS256").await, BadUserToken::Algorithm);
        }
    }
    place.control("HS256").await;
}

#[tokio::test]
async fn t65_none_in_any_spelling_is_refused_with_and_without_a_signature() {
    let place = rsa_place().await;
    for alg in [
        json!("none"),
        json!("None"),
        json!("nOnE"),
        json!("NONE"),
        json!("none "),
        json!(""),
        json!(null),
        json!(["RS256"]),
        json!(0),
    ] {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": "rs256-0" });
        let unsigned = signed(&header, &place.claims(), |_| Vec::new());
        assert_eq!(place.refuse(&unsigned, "none").await, BadUserToken::Algorithm, "{alg}");
        let relabelled = under(&header, &place.sound());
        assert_eq!(place.refuse(&relabelled, "none").await, BadUserToken::Algorithm, "{alg}");
    }
    let without = under(&json!({ "typ": "JWT", "kid": "rs256-0" }), &place.sound());
    assert_eq!(place.refuse(&without, "no alg").await, BadUserToken::Algorithm);
    place.control("none").await;
}

#[tokio::test]
async fn t65_a_signature_counts_under_its_own_algorithm_and_the_key_of_its_kind_alone() {
    let place = rsa_place().await;
    let by_rsa = place.sound();
    let by_ec = place.token(json!({ "alg": "ES256" }), Value::Null);
    place.verify(&by_ec).await.expect("control: the EC key of the same provider");
    for (token, own) in [(&by_rsa, "RS256"), (&by_ec, "ES256")] {
        for alg in [
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "rs256", "es256",
        ] {
            for kid in ["rs256-0", "es256-0"] {
                if alg == own && kid.starts_with(&own.to_lowercase()) {
                    continue;
                }
                let swapped = under(&json!({ "alg": alg, "typ": "JWT", "kid": kid }), token);
                place.refuse(&swapped, &format!("{own} as {alg} with {kid}")).await;
            }
        }
    }
    place.control("swapped algorithms").await;
}

#[tokio::test]
async fn t65_a_key_for_rs256_verifies_no_ps256_although_its_owner_signed() {
    let place = Place::new().await;
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let (n, e) = (base64url(&public.n), base64url(&public.e));
    let set = json!({ "keys": [
        { "kty": "RSA", "kid": "for-rs256", "alg": "RS256", "use": "sig", "n": n, "e": e },
        { "kty": "RSA", "kid": "for-any", "n": n, "e": e },
        { "kty": "RSA", "kid": "for-secrets", "use": "enc", "n": n, "e": e },
    ] });
    place.mock.set(|s| s.jwks = Some(Raw::json(200, &set)));
    let token = |alg: &str, kid: &str, encoding: &'static dyn RsaEncoding| {
        signed(&json!({ "alg": alg, "kid": kid }), &place.claims(), |message| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        })
    };
    for (alg, kid, encoding) in [
        ("RS256", "for-rs256", &RSA_PKCS1_SHA256 as &'static dyn RsaEncoding),
        ("PS256", "for-any", &RSA_PSS_SHA256),
    ] {
        place.verify(&token(alg, kid, encoding)).await.expect("control");
    }
    for (alg, kid, encoding) in [
        ("PS256", "for-rs256", &RSA_PSS_SHA256 as &'static dyn RsaEncoding),
        ("RS256", "for-secrets", &RSA_PKCS1_SHA256),
        ("RS256", "for-any", &RSA_PSS_SHA256),
        ("PS256", "for-any", &RSA_PKCS1_SHA256),
    ] {
        place.refuse(&token(alg, kid, encoding), &format!("{alg} with {kid}")).await;
    }
}

#[tokio::test]
async fn t65_a_key_of_small_order_verifies_no_token_that_anybody_can_write() {
    let place = Place::new().await;
    let identity: Vec<u8> = [&[1][..], &[0; 31]].concat();
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "small", "x": base64url(&identity) });
    place.mock.set(|s| s.jwks = Some(Raw::json(200, &json!({ "keys": [key] }))));
    // R = the identity and S = 0 fit every message under this key.
    let header = json!({ "alg": "EdDSA", "kid": "small" });
    let forged = signed(&header, &place.claims(), |_| [&identity[..], &[0; 32]].concat());
    assert_eq!(place.refuse(&forged, "a key of small order").await, BadUserToken::Key);
    place.mock.set(|s| s.jwks = None);
    Place { cache: alter_oauth::JwksCache::new(), ..place }.control("a key of small order").await;
}
