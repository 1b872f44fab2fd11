//! A client as a customer would write it, against the wire: signed calls to the Connect server, and calls to the
//! provider's API with the token that the server released.

use std::{collections::HashMap, sync::Arc};

use alter_core::{
    Clock, SystemClock, SystemRandom,
    secret::{hex, sha256},
    time::random_bytes,
};
use alter_egress::{Egress, Limits, Request, Response};
use alter_signing::{SignedParts, sign};
use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

/// How a backend shows that the user who is back is the one who left.
pub(super) enum Proof<'a> {
    /// The token of the user who is signed in at the app now.
    User(&'a str),
    /// What that user's own session has kept since the start.
    Verifier(&'a str),
}

/// A backend's or an agent's client, with its API key.
#[derive(Clone)]
pub(super) struct AlterClient {
    http: Egress,
    base: String,
    api_key: Arc<SecretString>,
}

impl AlterClient {
    pub(super) fn new(http: Egress, base: &str, api_key: Arc<SecretString>) -> Self {
        Self { http, base: base.to_owned(), api_key }
    }

    /// The Connect server's public URL.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Creates a session in which this user connects an account for the app and for an agent, and comes back to
    /// `return_url` where the page leaves. With a `challenge`, only its verifier confirms the flow at the end. The
    /// session token goes to the browser.
    pub(super) async fn create_session(
        &self,
        return_url: &str,
        user_token: &str,
        agent: &str,
        challenge: Option<&str>,
    ) -> anyhow::Result<Value> {
        let mut body = json!({ "return_url": return_url, "user_token": user_token, "agent": agent });
        if let Some(challenge) = challenge {
            body["code_challenge"] = challenge.into();
            body["code_challenge_method"] = "S256".into();
        }
        self.signed("/sdk/oauth/connect/session", &body).await
    }

    /// Confirms a flow that waits for the app's word. Returns the grant that is made.
    pub(super) async fn finalize(&self, result_code: &str, proof: Proof<'_>) -> anyhow::Result<Value> {
        let body = match proof {
            Proof::User(token) => json!({ "result_code": result_code, "user_token": token }),
            Proof::Verifier(verifier) => json!({ "result_code": result_code, "code_verifier": verifier }),
        };
        let done = self.signed("/sdk/oauth/connect/session/finalize", &body).await?;
        done["grants"].get(0).cloned().context("the answer has no grant")
    }

    /// Calls the provider's API: as the app for this user, or as an agent (no user) through a grant delegated to it.
    /// Returns the API's answer, and what may be told about the token that it got.
    pub(super) async fn call_api(
        &self,
        provider: &str,
        user_token: Option<&str>,
        url: &str,
    ) -> anyhow::Result<(Value, Value)> {
        let body = json!({
            "provider_id": provider, "user_token": user_token, "reason": "demo",
            "request": { "method": "GET", "url": url },
        });
        let released = self.signed("/sdk/token", &body).await?;
        let token = released["access_token"].as_str().context("the answer has no access_token")?;
        let mut headers = HeaderMap::new();
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        value.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, value);
        let answer = send(&self.http, Method::GET, url, headers, Vec::new()).await?;
        let token =
            json!({ "generation": released["token_generation"], "expires_at": released["expires_at"] });
        Ok((json_of(&answer)?, token))
    }

    /// Revokes a grant, here and at the provider.
    pub(super) async fn revoke(&self, grant_id: &str, user_token: &str) -> anyhow::Result<Value> {
        let body = json!({ "user_token": user_token, "reason": "The user pressed Disconnect." });
        self.signed(&format!("/sdk/oauth/grants/{grant_id}/revoke"), &body).await
    }

    async fn signed(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let (key, body) = (self.api_key.expose_secret(), body.to_string());
        let timestamp = SystemClock.now().as_seconds().to_string();
        let nonce = hex(&random_bytes::<16>(&SystemRandom));
        let parts = SignedParts {
            method: "POST",
            target: path,
            timestamp: &timestamp,
            nonce: &nonce,
            body: body.as_bytes(),
            ..SignedParts::default()
        };
        let fields = HashMap::from([
            ("x-api-key", key.to_owned()),
            ("x-alter-timestamp", timestamp.clone()),
            ("x-alter-nonce", nonce.clone()),
            ("x-alter-content-sha256", hex(&sha256(body.as_bytes()))),
            ("x-alter-signature", sign(key, &parts)),
            ("content-type", "application/json".to_owned()),
        ]);
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value)?);
        }
        let answer =
            send(&self.http, Method::POST, &format!("{}{path}", self.base), headers, body.into_bytes())
                .await?;
        json_of(&answer)
    }
}

/// A call that was answered, but not done.
#[derive(Debug, thiserror::Error)]
#[error("{status}: {code} {message}")]
pub(super) struct Refused {
    status: StatusCode,
    code: String,
    pub(super) message: String,
}

pub(super) async fn send(
    http: &Egress,
    method: Method,
    url: &str,
    headers: HeaderMap,
    body: Vec<u8>,
) -> anyhow::Result<Response> {
    let request =
        Request { method, url: Url::parse(url)?, headers, body: body.into(), limits: Limits::default() };
    http.send(request)
        .await
        .with_context(|| format!("{} did not answer", url.split('?').next().unwrap_or(url)))
}

pub(super) fn json_of(answer: &Response) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if !answer.status.is_success() {
        let text = |field: &str, otherwise: &str| value[field].as_str().unwrap_or(otherwise).to_owned();
        bail!(Refused { status: answer.status, code: text("error", "?"), message: text("message", "") });
    }
    Ok(value)
}
