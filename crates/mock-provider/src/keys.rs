//! Signing keys by generation, the key set that publishes them, and good and bad JWTs.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::quirks::Alg;

/// The pseudo header of [`crate::MockProvider::sign`] that chooses the key; it never gets into the token.
/// The only value with a meaning is `"foreign"`: a key that is in no key set of this provider.
pub const KEY_HEADER: &str = "mock:key";

/// The generation under which the foreign keys are kept; never published in a key set.
const FOREIGN: u32 = u32::MAX;

/// One generation: an ES256 key, and an RSA key once it is needed.
struct Generation {
    ec: EcdsaKeyPair,
    rsa: OnceCell<RsaKeyPair>,
}

impl Generation {
    fn new() -> Self {
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self { ec: ec.expect("P-256 keys can be generated"), rsa: OnceCell::new() }
    }

    fn rsa(&self) -> &RsaKeyPair {
        self.rsa.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("RSA keys can be generated"))
    }

    fn sign_ec(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.ec.sign(&SystemRandom::new(), message);
        signature.expect("a P-256 key signs").as_ref().to_vec()
    }

    fn sign_rsa(&self, message: &[u8]) -> Vec<u8> {
        let rsa = self.rsa();
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .expect("an RSA key signs into a buffer of its size");
        signature
    }

    fn public_pem(&self, alg: Alg) -> String {
        let der: Result<PublicKeyX509Der<'_>, _> = match alg {
            Alg::Es256 => self.ec.public_key().as_der(),
            Alg::Rs256 => self.rsa().public_key().as_der(),
        };
        let text = STANDARD.encode(der.expect("a public key has a DER form").as_ref());
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn ec_jwk(&self, kid: &str) -> Value {
        // 0x04, x, y: the uncompressed point of SEC 1 section 2.3.3.
        let point = self.ec.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y })
    }

    fn rsa_jwk(&self, kid: &str) -> Value {
        // RSAPublicKey (RFC 8017 appendix A.1.1): a SEQUENCE of the modulus and the exponent.
        let (sequence, _) = der_value(self.rsa().public_key().as_ref());
        let (modulus, rest) = der_value(sequence);
        let (exponent, _) = der_value(rest);
        let unsigned = |number: &[u8]| {
            let zeros = number.iter().take_while(|&&byte| byte == 0).count();
            URL_SAFE_NO_PAD.encode(&number[zeros..])
        };
        let (n, e) = (unsigned(modulus), unsigned(exponent));
        json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": n, "e": e })
    }
}

/// Returns the value of the first DER element, and what follows it. Only for keys that this crate made.
fn der_value(der: &[u8]) -> (&[u8], &[u8]) {
    let first = usize::from(der[1]);
    let (start, length) = if first < 0x80 {
        (2, first)
    } else {
        let end = 2 + (first & 0x7f);
        (end, der[2..end].iter().fold(0, |length, &byte| (length << 8) | usize::from(byte)))
    };
    der[start..].split_at(length)
}

/// All keys of one provider, made at first use.
#[derive(Default)]
pub(crate) struct Keys(BTreeMap<u32, Generation>);

impl Keys {
    fn generation(&mut self, number: u32) -> &Generation {
        self.0.entry(number).or_insert_with(Generation::new)
    }

    pub(crate) fn public_key_pem(&mut self, generation: u32, alg: Alg) -> String {
        self.generation(generation).public_pem(alg)
    }

    /// Returns the key set. It contains a generation's RSA key if RS256 is switched on or was used in that
    /// generation.
    pub(crate) fn jwks(&mut self, generations: RangeInclusive<u32>, alg: Alg) -> Value {
        let mut keys = Vec::new();
        for number in generations {
            let generation = self.generation(number);
            keys.push(generation.ec_jwk(&kid(Alg::Es256, number)));
            if alg == Alg::Rs256 || generation.rsa.get().is_some() {
                keys.push(generation.rsa_jwk(&kid(Alg::Rs256, number)));
            }
        }
        json!({ "keys": keys })
    }

    /// See [`crate::MockProvider::sign`].
    pub(crate) fn sign(&mut self, number: u32, alg: Alg, overrides: Value, claims: &Value) -> String {
        let named = overrides.get("alg").and_then(Value::as_str);
        let own = match named {
            Some("RS256") => Alg::Rs256,
            Some("ES256") => Alg::Es256,
            _ => alg,
        };
        let mut header = json!({ "alg": own.name(), "kid": kid(own, number), "typ": "JWT" });
        merge(&mut header, &overrides);
        let foreign = header.as_object_mut().and_then(|header| header.remove(KEY_HEADER));
        let generation = self.generation(if foreign == Some(json!("foreign")) { FOREIGN } else { number });

        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = match header.get("alg").and_then(Value::as_str) {
            Some("none") => Vec::new(),
            Some("HS256") => hmac(generation.public_pem(alg).as_bytes(), message.as_bytes()),
            Some("RS256") => generation.sign_rsa(message.as_bytes()),
            _ => generation.sign_ec(message.as_bytes()),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// See [`crate::MockProvider::sign_text`].
    pub(crate) fn sign_text(&mut self, number: u32, alg: Alg, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let generation = self.generation(number);
        let signature = match alg {
            Alg::Es256 => generation.sign_ec(message.as_bytes()),
            Alg::Rs256 => generation.sign_rsa(message.as_bytes()),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn kid(alg: Alg, generation: u32) -> String {
    format!("{}-{generation}", alg.name().to_lowercase())
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
}

/// Puts the members of `over` into the object `base`; a null removes a member. Values other than objects do
/// nothing.
pub(crate) fn merge(base: &mut Value, over: &Value) {
    if let (Some(base), Some(over)) = (base.as_object_mut(), over.as_object()) {
        for (name, value) in over {
            if value.is_null() {
                base.remove(name);
            } else {
                base.insert(name.clone(), value.clone());
            }
        }
    }
}
