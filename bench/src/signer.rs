//! Plays an app's backend: signs every call anew, with a nonce of its own.

use alter_core::{
    Clock, SystemClock, SystemRandom,
    secret::{hex, sha256},
    time::random_bytes,
};
use alter_signing::{SignedParts, sign};
use secrecy::{ExposeSecret, SecretString};

use crate::client::request;

#[derive(Debug, Clone)]
pub(crate) struct Signer {
    /// The `Host` of every request.
    pub(crate) host: String,
    pub(crate) key: SecretString,
}

impl Signer {
    /// A signed POST, as bytes.
    pub(crate) fn post(&self, target: &str, body: &str) -> Vec<u8> {
        let (timestamp, nonce) = (timestamp(), hex(&random_bytes::<16>(&SystemRandom)));
        let parts = SignedParts {
            method: "POST",
            target,
            timestamp: &timestamp,
            nonce: &nonce,
            body: body.as_bytes(),
            ..SignedParts::default()
        };
        self.with_signature(target, body, &timestamp, &nonce, &sign(self.key.expose_secret(), &parts))
    }

    /// A POST with this signature, as bytes.
    pub(crate) fn post_with(&self, target: &str, body: &str, signature: &str) -> Vec<u8> {
        let nonce = hex(&random_bytes::<16>(&SystemRandom));
        self.with_signature(target, body, &timestamp(), &nonce, signature)
    }

    fn with_signature(
        &self,
        target: &str,
        body: &str,
        timestamp: &str,
        nonce: &str,
        signature: &str,
    ) -> Vec<u8> {
        let headers = [
            ("x-api-key", self.key.expose_secret()),
            ("x-alter-timestamp", timestamp),
            ("x-alter-nonce", nonce),
            ("x-alter-content-sha256", &hex(&sha256(body.as_bytes()))),
            ("x-alter-signature", signature),
            ("content-type", "application/json"),
        ];
        request("POST", target, &self.host, &headers, body)
    }
}

fn timestamp() -> String {
    SystemClock.now().as_seconds().to_string()
}
