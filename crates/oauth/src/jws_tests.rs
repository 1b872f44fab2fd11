//! Headers and shapes. What needs keys is tested against the mock provider, in `tests/id_token.rs`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use proptest::prelude::*;
use serde_json::json;

use alter_core::{recipe::SIGNATURE_ALGS, secret::base64url};

use super::*;

/// Maximum length of a token, in bytes.
const TOKEN_MAX: usize = 64 * 1024;

fn parts<'a>(algs: &[&str], token: &'a str) -> Result<Parts<'a>, JwsRefused> {
    let allows = |alg| algs.iter().any(|name| algorithm(name) == Some(alg));
    take_apart(token, &Rules { max: TOKEN_MAX, allows: &allows, kinds: &[] })
}

fn token(header: &str) -> String {
    format!("{}.{}.c2ln", base64url(header.as_bytes()), base64url(b"{}"))
}

fn header(header: &str) -> Result<(), JwsRefused> {
    parts(&["ES256", "HS256", "none"], &token(header)).map(|_| ())
}

#[test]
fn t24_algorithms_are_the_rules_and_ours_never_the_tokens() {
    assert!(header(r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#).is_ok());
    for alg in ["none", "NONE", "nOnE", "HS256", "RS256", "es256", "ES256K", ""] {
        let refused = header(&json!({ "alg": alg }).to_string()).unwrap_err();
        assert!(matches!(refused, JwsRefused::Algorithm), "{alg} {refused}");
    }
    assert!(matches!(header("{}").unwrap_err(), JwsRefused::Algorithm));
}

#[test]
fn t24_a_header_with_extensions_duplicates_or_another_type_is_malformed() {
    for bad in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","typ":"secevent+jwt"}"#,
        r#"{"alg":"ES256","typ":"application/logout+jwt"}"#,
        r#"{"alg":"ES256","typ":"dc+sd-jwt"}"#,
        r#"{"alg":"ES256","typ":"application/vc+sd-jwt"}"#,
        r#"{"alg":"ES256","typ":"example"}"#,
        r#"{"alg":"ES256","typ":""}"#,
        r#"{"alg":"ES256","typ":["JWT"]}"#,
        r#"{"alg":"ES256","cty":"JWT"}"#,
        r#"{"alg":"ES256","cty":"application/jwt"}"#,
        r#"{"alg":"ES256","cty":"Application/JWT; a=b"}"#,
        r#"{"alg":"ES256","cty":"kb+jwt"}"#,
        r#"{"alg":"ES256","cty":7}"#,
        r#"{"alg":"ES256","typ":"logout+JWT"}"#,
        "[]",
        "not json",
    ] {
        assert!(matches!(header(bad).unwrap_err(), JwsRefused::Malformed(_)), "{bad}");
    }
    for good in [
        r#"{"alg":"ES256","typ":"application/JWT"}"#,
        r#"{"alg":"ES256","typ":"jwt; charset=utf-8"}"#,
        r#"{"alg":"ES256","typ":null,"cty":null,"kid":null,"crit":null}"#,
        r#"{"alg":"ES256","cty":"json"}"#,
    ] {
        assert!(header(good).is_ok(), "positive control: {good}");
    }
    let long_kid = json!({"alg":"ES256","kid":"k".repeat(600)}).to_string();
    assert!(matches!(header(&long_kid).unwrap_err(), JwsRefused::Malformed(_)));
    assert!(
        header(r#"{"alg":"ES256","jku":"https://evil.example","jwk":{"kty":"oct"},"x5c":["x"],"x5u":"x"}"#)
            .is_ok()
    );
}

#[test]
fn what_has_not_three_parts_is_malformed() {
    let good = token(r#"{"alg":"ES256"}"#);
    let long = format!("{good}{}", "A".repeat(TOKEN_MAX));
    for bad in ["", "a", "a.b", "a.b.c.d.e", &format!("{good}.x"), &long, &good.replacen('e', "=", 1)] {
        let refused = parts(&["ES256"], bad).err();
        assert!(matches!(refused, Some(JwsRefused::Malformed(_))), "{bad:.60}");
    }
}

#[test]
fn a_token_of_the_greatest_length_is_taken_apart_and_one_byte_more_is_too_long() {
    let token = token(r#"{"alg":"ES256"}"#);
    let within = |max: usize| take_apart(&token, &Rules { max, allows: &|_| true, kinds: &[] });
    assert!(within(token.len()).is_ok());
    let refused = within(token.len() - 1).err();
    assert!(matches!(refused, Some(JwsRefused::Malformed("it is too long"))));
}

/// A header and claims under this algorithm, signed by `sign`.
fn signed(alg: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message =
        format!("{}.{}", base64url(json!({"alg":alg,"kid":"k"}).to_string().as_bytes()), base64url(b"{}"));
    let signature = base64url(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn is_verified(token: &str, keys: &KeySet) -> bool {
    verify(&parts(&SIGNATURE_ALGS, token).expect("well-formed"), keys).is_ok()
}

/// Checks that the token verifies under `alg`, and that the same signature does not under any other algorithm's name.
fn only_under(alg: &str, token: &str, keys: &KeySet) {
    assert!(is_verified(token, keys), "{alg}");
    let (_, rest) = token.split_once('.').expect("three parts");
    for other in SIGNATURE_ALGS.into_iter().filter(|name| algorithm(name) != algorithm(alg)) {
        let header = base64url(json!({"alg":other,"kid":"k"}).to_string().as_bytes());
        assert!(!is_verified(&format!("{header}.{rest}"), keys), "{alg} as {other}");
    }
    let message = token.rsplit_once('.').expect("three parts").0;
    for signature in ["", "AA", "!", "AA=="] {
        assert!(!is_verified(&format!("{message}.{signature}"), keys), "{alg} signed {signature:?}");
    }
}

#[test]
fn t24_rsa_signatures_verify_under_the_algorithm_that_made_them() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let jwk = json!({"keys":[{"kty":"RSA","kid":"k","n":base64url(&public.n),"e":base64url(&public.e)}]});
    let keys = KeySet::parse(jwk.to_string().as_bytes()).expect("a key set");
    let encodings: [(&str, &'static dyn RsaEncoding); 5] = [
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS256", &RSA_PSS_SHA256),
        ("PS384", &RSA_PSS_SHA384),
        ("PS512", &RSA_PSS_SHA512),
    ];
    for (alg, encoding) in encodings {
        let token = signed(alg, |message| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("a signature");
            signature
        });
        only_under(alg, &token, &keys);
    }
}

#[test]
fn t24_p384_and_ed25519_signatures_verify_under_the_algorithm_that_made_them() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let (x, y) = pair.public_key().as_ref()[1..].split_at(48);
    let jwk = json!({"keys":[{"kty":"EC","crv":"P-384","kid":"k","x":base64url(x),"y":base64url(y)}]});
    let keys = KeySet::parse(jwk.to_string().as_bytes()).expect("a key set");
    let sign =
        |message: &[u8]| pair.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec();
    only_under("ES384", &signed("ES384", sign), &keys);

    let pair = Ed25519KeyPair::generate().expect("a key");
    let jwk =
        json!({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":base64url(pair.public_key().as_ref())}]});
    let keys = KeySet::parse(jwk.to_string().as_bytes()).expect("a key set");
    let sign = |message: &[u8]| pair.sign(message).as_ref().to_vec();
    only_under("EdDSA", &signed("EdDSA", sign), &keys);
    only_under("Ed25519", &signed("Ed25519", sign), &keys);
}

#[test]
fn t24_claims_with_a_member_twice_are_no_claims() {
    assert!(object(&base64url(br#"{"sub":"a","aud":"c"}"#)).is_some());
    for bad in [&br#"{"sub":"a","sub":"b"}"#[..], br#"{"sub":"a","s\u0075b":"b"}"#, b"[]", b"1", b""] {
        assert!(object(&base64url(bad)).is_none());
    }
    assert!(object(&format!("{}=", base64url(b"{}a"))).is_none());
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "[A-Za-z0-9_.=-]{0,200}", other in "\\PC{0,60}") {
        prop_assert!(parts(&["ES256"], &text).is_err());
        prop_assert!(parts(&["ES256"], &other).is_err());
    }
}
