//! User tokens, with the mock provider as identity provider: T15, T65 to T69 and T73. Each attack is tested beside the
//! sound token from which it was made.
#![allow(clippy::unwrap_used, reason = "these are tests, although not marked as such")]

mod algorithms;
mod claims;
mod headers;
mod keys;
mod tenants;

use alter_core::{AppId, Clock, IdentityProvider, Micros, SystemClock, SystemRandom, secret::base64url};
use alter_egress::{Egress, EgressConfig, Limits, Request};
use alter_mock_provider::MockProvider;
use alter_oauth::{BadUserToken, JwksCache, UserClaims, UserTokenRefused, verify_user_token};
use serde_json::{Value, json};

const AUDIENCE: &str = "my-app";
const USER: &str = "acme-1001";

/// An identity provider, and an app that trusts it.
struct Place {
    mock: MockProvider,
    egress: Egress,
    cache: JwksCache,
    app: AppId,
    idp: IdentityProvider,
}

type Verdict = Result<UserClaims, UserTokenRefused>;

impl Place {
    async fn new() -> Self {
        let mock = MockProvider::start().await;
        let idp = idp_at(&mock);
        Self { mock, egress: egress(), cache: JwksCache::new(), app: AppId::new(&SystemRandom), idp }
    }

    /// A sound token with these changes.
    fn token(&self, header: Value, claims: Value) -> String {
        self.mock.user_token_with(USER, AUDIENCE, header, claims)
    }

    fn sound(&self) -> String {
        self.token(Value::Null, Value::Null)
    }

    /// A sound token's claims.
    fn claims(&self) -> Value {
        let seconds = now().as_seconds();
        json!({ "iss": self.mock.issuer(), "sub": USER, "aud": AUDIENCE, "iat": seconds, "exp": seconds + 3600 })
    }

    async fn verify(&self, token: &str) -> Verdict {
        self.verify_at(token, now()).await
    }

    async fn verify_at(&self, token: &str, at: Micros) -> Verdict {
        self.verify_as(self.app, &self.idp, token, at).await
    }

    async fn verify_as(&self, app: AppId, idp: &IdentityProvider, token: &str, at: Micros) -> Verdict {
        verify_user_token(&self.cache, &self.egress, app, idp, None, &token.into(), at).await
    }

    /// The positive control: a sound token is believed.
    async fn control(&self, beside: &str) {
        let user = self.verify(&self.sound()).await;
        assert_eq!(user.unwrap_or_else(|e| panic!("control beside {beside}: {e}")).subject, USER);
    }

    /// Expects that the token is refused by its own fault, and returns the fault.
    async fn refuse(&self, token: &str, why: &str) -> BadUserToken {
        match self.verify(token).await {
            Err(UserTokenRefused::Token(bad)) => bad,
            other => panic!("{why}: {other:?}"),
        }
    }
}

fn idp_at(mock: &MockProvider) -> IdentityProvider {
    IdentityProvider { issuer: mock.issuer(), audience: Some(AUDIENCE.into()), ..Default::default() }
}

fn egress() -> Egress {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    Egress::new(EgressConfig { allow, ..EgressConfig::default() }).unwrap()
}

fn now() -> Micros {
    SystemClock.now()
}

/// The key set as the provider publishes it.
async fn keys_of(mock: &MockProvider) -> Value {
    let request = Request {
        method: http::Method::GET,
        url: mock.url("/jwks").parse().unwrap(),
        headers: http::HeaderMap::new(),
        body: Default::default(),
        limits: Limits::default(),
    };
    serde_json::from_slice(&egress().send(request).await.unwrap().body).unwrap()
}

/// Whether nobody asked this provider for keys or metadata.
fn is_unasked(mock: &MockProvider) -> bool {
    let seen = mock.seen();
    seen.discovery.is_empty() && seen.jwks.is_empty() && seen.other.is_empty()
}

/// The same payload and signature under another header.
fn under(header: &Value, token: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", base64url(header.to_string().as_bytes()))
}

/// A header and claims, with the signature that `sign` makes.
fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |part: &Value| base64url(part.to_string().as_bytes());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = base64url(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}
