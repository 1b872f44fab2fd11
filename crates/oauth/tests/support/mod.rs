//! One provider, our client there, and the steps of a flow; each step calls the product's own function.
#![allow(dead_code, reason = "every test file uses another part")]
#![allow(clippy::unwrap_used, reason = "these are tests, although not marked as such")]

use alter_core::{AppId, Clock, Micros, Recipe, SystemClock, SystemRandom, secret, time};
use alter_egress::{Egress, EgressConfig, Limits, Request};
use alter_mock_provider::MockProvider;
use alter_oauth::{
    AuthorizationRequest, Callback, CallbackOutcome, Client, ExchangeError, IdTokenRefused, JwksCache, Pkce,
    RawAnswer, TokenRefused, TokenSet, authorize_url, discover, exchange, parse_callback, parse_token_answer,
};
use http::{HeaderMap, Method};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

pub(crate) const CLIENT: &str = "client-1";
pub(crate) const SECRET: &str = "s:e c/r+et";
pub(crate) const CALLBACK: &str = "https://alter.example/oauth/callback/pc_1";

/// The provider, and its configuration by the operator.
pub(crate) struct World {
    pub(crate) provider: MockProvider,
    pub(crate) egress: Egress,
    pub(crate) recipe: Recipe,
    pub(crate) keys: JwksCache,
    pub(crate) app: AppId,
}

/// What an attempt keeps between the request and the response.
pub(crate) struct Flow {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) pkce: Pkce,
    pub(crate) scopes: Vec<String>,
}

impl Flow {
    pub(crate) fn new(scopes: &[&str]) -> Self {
        let random = || secret::base64url(&time::random_bytes::<32>(&SystemRandom));
        let scopes = scopes.iter().map(ToString::to_string).collect();
        Self { state: random(), nonce: random(), pkce: Pkce::new(&SystemRandom), scopes }
    }
}

pub(crate) fn egress() -> Egress {
    let allow = vec!["127.0.0.0/8".parse().unwrap()];
    Egress::new(EgressConfig { allow, ..EgressConfig::default() }).unwrap()
}

pub(crate) fn now() -> Micros {
    SystemClock.now()
}

impl World {
    /// A provider that approves at once, configured by discovery.
    pub(crate) async fn new() -> Self {
        let (provider, egress) = (MockProvider::start().await, egress());
        provider.register_client(CLIENT, Some(SECRET), &[CALLBACK]);
        provider.set(|s| s.auto_approve = true);
        let found = discover(&egress, &provider.issuer()).await.unwrap();
        let recipe = json!({
            "id": "acme", "name": "Acme", "issuer": found.issuer,
            "authorize_url": found.authorization_endpoint, "token_url": found.token_endpoint,
            "userinfo_url": found.userinfo_endpoint, "jwks_url": found.jwks_uri,
            "iss_parameter": found.iss_parameter,
        });
        let recipe = serde_json::from_value(recipe).unwrap();
        Self { provider, egress, recipe, keys: JwksCache::new(), app: AppId::new(&SystemRandom) }
    }

    /// Sends the browser to the provider, and returns the query with which it comes back.
    pub(crate) async fn browse(&self, flow: &Flow) -> String {
        let url = authorize_url(&AuthorizationRequest {
            recipe: &self.recipe,
            client_id: CLIENT,
            redirect_uri: CALLBACK,
            scopes: &flow.scopes,
            state: &flow.state,
            nonce: &flow.nonce,
            challenge: &flow.pkce.challenge,
        });
        let request = Request {
            method: Method::GET,
            url: url.unwrap(),
            headers: HeaderMap::new(),
            body: Default::default(),
            limits: Limits::default(),
        };
        let response = self.egress.send(request).await.unwrap();
        assert_eq!(response.status.as_u16(), 303, "{}", String::from_utf8_lossy(&response.body));
        let location = Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
        assert!(location.as_str().starts_with(CALLBACK));
        location.query().unwrap_or_default().to_owned()
    }

    pub(crate) async fn callback(&self, flow: &Flow) -> Callback {
        parse_callback(&self.browse(flow).await).unwrap()
    }

    pub(crate) async fn code(&self, flow: &Flow) -> SecretString {
        match self.callback(flow).await.outcome {
            CallbackOutcome::Code(code) => code,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&self, code: &SecretString, flow: &Flow) -> Result<RawAnswer, ExchangeError> {
        self.send_from(code, flow, CALLBACK).await
    }

    pub(crate) async fn send_from(
        &self,
        code: &SecretString,
        flow: &Flow,
        uri: &str,
    ) -> Result<RawAnswer, ExchangeError> {
        let secret = SecretString::from(SECRET);
        let client = Client { id: CLIENT, secret: Some(&secret) };
        exchange(&self.egress, &self.recipe, &client, code, &flow.pkce.verifier, uri).await
    }

    pub(crate) fn read(&self, answer: &RawAnswer) -> Result<TokenSet, TokenRefused> {
        parse_token_answer(&self.recipe, answer)
    }

    /// The whole flow, from the first request to the tokens.
    pub(crate) async fn tokens(&self, flow: &Flow) -> Result<TokenSet, TokenRefused> {
        let code = self.code(flow).await;
        self.read(&self.send(&code, flow).await.unwrap())
    }

    pub(crate) async fn verify(
        &self,
        tokens: &TokenSet,
        nonce: &str,
        at: Micros,
    ) -> Result<Value, IdTokenRefused> {
        let id_token = tokens.id_token.as_ref().expect("an id_token");
        let access = Some(&tokens.access_token);
        self.keys
            .of(self.app)
            .verify_id_token(&self.egress, &self.recipe, id_token, CLIENT, nonce, access, at, at)
            .await
    }

    /// A fresh flow up to the verified claims.
    pub(crate) async fn sign_in(&self) -> Result<Value, IdTokenRefused> {
        let flow = Flow::new(&["openid", "email"]);
        let tokens = self.tokens(&flow).await.unwrap();
        self.verify(&tokens, &flow.nonce, now()).await
    }
}
