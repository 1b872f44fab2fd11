//! `alter demo --check`: walks the whole flow without a browser, step by step, over real sockets.

use std::time::Duration;

use alter_core::{SystemRandom, secret, time::random_bytes};
use alter_egress::{Egress, Response};
use alter_mock_provider::MockProvider;
use anyhow::{Context, bail, ensure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::form_urlencoded;

use super::{
    PROVIDER, TOKEN_LIFE,
    client::{json_of, send},
};
use crate::output::Output;

/// Plays the browser: keeps the server's cookie, and follows no redirect by itself.
struct Walker<'a> {
    http: Egress,
    server: &'a str,
    app: &'a str,
    provider: &'a MockProvider,
    cookie: Option<String>,
}

/// How long the first access token works here, so that nobody has to wait for a minute.
const FIRST_TOKEN: Duration = Duration::from_secs(2);

pub(super) async fn walk(
    server: &str,
    app: &str,
    provider: &MockProvider,
    output: Output,
) -> anyhow::Result<()> {
    let http = Egress::new(super::local_egress()?)?;
    let mut walker = Walker { http, server, app, provider, cookie: None };
    let grant = match walker.connect(output).await {
        Ok(grant) => grant,
        Err(error) => bail!("the demo flow failed: {error:#}"),
    };
    output.answer("The whole flow works.", &json!({ "ok": true, "grant_id": grant }));
    Ok(())
}

impl Walker<'_> {
    async fn connect(&mut self, output: Output) -> anyhow::Result<String> {
        let session = self.post_json(self.app, "/api/session", self.app, &json!({})).await?;
        let token = session["sessionToken"].as_str().context("no session token")?.to_owned();
        output.note("1  the app's backend minted a session for its user and an agent");

        let verifier = random_bytes::<32>(&SystemRandom);
        let cb = secret::base64url(&secret::sha256(&verifier));
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("session", token.as_str()), ("cb", cb.as_str()), ("m", "p")])
            .finish();
        let opened = self.post_form(&format!("{}/connect/open", self.server), self.app, form).await?;
        let page = location(&opened)?;
        self.cookie = opened
            .headers
            .get(header::SET_COOKIE)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.split(';').next())
            .map(str::to_owned);
        ensure!(self.cookie.is_some(), "the claim set no cookie");
        output.note("2  the popup proved its origin and claimed the session (L2)");

        let status = self.status(&token, &cb).await?;
        ensure!(status["status"] == "open", "the status is {}", status["status"]);
        let page = page.split('?').next().unwrap_or_default().to_owned();
        let consent = self.get(&format!("{}{page}", self.server)).await?;
        ensure!(consent.status.is_success(), "the consent page answered {}", consent.status);
        let text = String::from_utf8_lossy(&consent.body);
        ensure!(
            text.contains("Robin Vale") && text.contains("Notes helper"),
            "the consent page does not name user and agent"
        );
        let sid = page.rsplit('/').next().unwrap_or_default();
        let approve = format!("/connect/api/s/{sid}/approve");
        let approved =
            self.post_json(self.server, &approve, self.server, &json!({ "provider": PROVIDER })).await?;
        let authorize = approved["location"].as_str().context("no authorization URL")?.to_owned();
        output.note("3  the consent page named user and agent, and was approved");

        let callback = self.approve_at_provider(&authorize).await?;
        output.note("4  the provider's consent form was shown and approved");
        self.provider.set(|switches| switches.access_token_life = FIRST_TOKEN);
        let back = self.get(&callback).await?;
        ensure!(location(&back)? == page, "the callback led to {}", location(&back)?);
        output.note("5  the code was exchanged, the credential sealed, the grant stored");

        let done = self.status(&token, &cb).await?;
        ensure!(done["status"] == "completed", "the status is {}", done["status"]);
        let grant = done["connections"][0]["grant_id"].as_str().context("no grant id")?.to_owned();
        self.provider.set(|switches| switches.access_token_life = TOKEN_LIFE);
        let over = Instant::now() + FIRST_TOKEN;
        output.note("6  the status channel told the app page");

        self.read("/api/notes").await?;
        output.note("7  the app's backend read the provider's API for its user");
        self.read("/api/agent").await?;
        output.note("8  the agent read it with its own key");
        tokio::time::sleep_until(over).await;
        self.read("/api/notes").await?;
        ensure!(self.provider.refresh_counts().honoured > 0, "the provider has refreshed no token");
        output.note("9  the access token ran out, and the next call got a refreshed one");

        self.post_json(self.app, "/api/disconnect", self.app, &json!({ "grant_id": grant })).await?;
        let Err(refused) = self.read("/api/agent").await else {
            bail!("the agent can still read after the disconnect")
        };
        ensure!(format!("{refused:#}").contains("no_delegated_grant"), "the agent was told {refused:#}");
        output.note("10 the user disconnected the account, and the agent is refused");
        Ok(grant)
    }

    async fn read(&self, path: &str) -> anyhow::Result<()> {
        let read = self.post_json(self.app, path, self.app, &json!({})).await?;
        ensure!(
            !read["read"]["me"].is_null() && !read["read"]["notes"].is_null(),
            "the API returned neither profile nor notes"
        );
        Ok(())
    }

    async fn approve_at_provider(&self, authorize: &str) -> anyhow::Result<String> {
        let page = self.get(authorize).await?;
        let html = String::from_utf8_lossy(&page.body).into_owned();
        let field = |name: &str| -> Option<String> {
            let rest = html.split(name).nth(1)?;
            Some(rest.split("value=\"").nth(1)?.split('"').next()?.to_owned())
        };
        let request = field("name=\"request\"").context("the provider showed no consent form")?;
        let user = field("name=\"user\"").context("the provider offers no user")?;
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("request", request.as_str()), ("user", user.as_str()), ("decision", "approve")])
            .finish();
        let provider = url::Url::parse(authorize)?.origin().ascii_serialization();
        location(&self.post_form(&format!("{provider}/authorize/decide"), &provider, form).await?)
    }

    async fn status(&self, token: &str, cb: &str) -> anyhow::Result<Value> {
        let body = json!({ "session_token": token, "cb": cb, "cursor": 0 }).to_string();
        let headers = self.headers(self.app, "text/plain")?;
        let url = format!("{}/connect/status", self.server);
        json_of(&send(&self.http, Method::POST, &url, headers, body.into()).await?)
    }

    async fn get(&self, url: &str) -> anyhow::Result<Response> {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = self.cookie.as_ref().filter(|_| url.starts_with(self.server)) {
            headers.insert(header::COOKIE, HeaderValue::from_str(cookie)?);
        }
        send(&self.http, Method::GET, url, headers, Vec::new()).await
    }

    async fn post_form(&self, url: &str, origin: &str, form: String) -> anyhow::Result<Response> {
        let headers = self.headers(origin, "application/x-www-form-urlencoded")?;
        send(&self.http, Method::POST, url, headers, form.into_bytes()).await
    }

    async fn post_json(&self, base: &str, path: &str, origin: &str, body: &Value) -> anyhow::Result<Value> {
        let headers = self.headers(origin, "application/json")?;
        json_of(
            &send(&self.http, Method::POST, &format!("{base}{path}"), headers, body.to_string().into())
                .await?,
        )
    }

    fn headers(&self, origin: &str, content_type: &'static str) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| -> anyhow::Result<()> {
            headers.insert(name, HeaderValue::from_str(value)?);
            Ok(())
        };
        add(header::ORIGIN, origin)?;
        add(header::CONTENT_TYPE, content_type)?;
        if let Some(cookie) = &self.cookie {
            add(header::COOKIE, cookie)?;
        }
        Ok(headers)
    }
}

fn location(answer: &Response) -> anyhow::Result<String> {
    let value = answer.headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    value.map(str::to_owned).with_context(|| format!("expected a redirect, got {}", answer.status))
}
