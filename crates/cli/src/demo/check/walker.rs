//! Plays the browser: keeps each server's cookie, and follows no redirect by itself.

use std::collections::HashMap;

use alter_core::{SystemRandom, secret, time::random_bytes};
use alter_egress::{Egress, Response};
use alter_mock_provider::MockProvider;
use anyhow::{Context, ensure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::{
    demo::{
        PROVIDER,
        client::{json_of, send},
    },
    output::Output,
};

pub(super) struct Walker<'a> {
    http: Egress,
    pub(super) server: &'a str,
    pub(super) app: &'a str,
    pub(super) provider: &'a MockProvider,
    /// By origin. A port here has a cookie jar of its own, as the hosts of a real app and its server have.
    cookies: HashMap<String, String>,
    output: Output,
    steps: usize,
}

/// A flow that a form has opened.
pub(super) struct Opened {
    /// The session's page at the server.
    pub(super) page: String,
    pub(super) v: String,
    pub(super) cb: String,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        http: Egress,
        server: &'a str,
        app: &'a str,
        provider: &'a MockProvider,
        output: Output,
    ) -> Self {
        Self { http, server, app, provider, cookies: HashMap::new(), output, steps: 0 }
    }

    /// Prints a step that was taken.
    pub(super) fn step(&mut self, what: &str) {
        self.steps += 1;
        self.output.note(&format!("{:<3}{what}", self.steps));
    }

    /// Sends the form with which the SDK opens a flow (door A): in a popup (`p`), or with the whole page (`r`).
    pub(super) async fn open(&mut self, token: &str, mode: &str) -> anyhow::Result<Opened> {
        let verifier = random_bytes::<32>(&SystemRandom);
        let (v, cb) = (secret::base64url(&verifier), secret::base64url(&secret::sha256(&verifier)));
        let fields = [("session", token), ("cb", cb.as_str()), ("m", mode)];
        let opened = self.post_form(&format!("{}/connect/open", self.server), self.app, &fields).await?;
        ensure!(self.cookies.contains_key(self.server), "the claim set no cookie");
        let page = location(&opened)?.split('?').next().unwrap_or_default().to_owned();
        Ok(Opened { page, v, cb })
    }

    /// Reads the consent page and approves. Returns the provider's address.
    pub(super) async fn consent(&mut self, page: &str) -> anyhow::Result<String> {
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
        Ok(approved["location"].as_str().context("no authorization URL")?.to_owned())
    }

    /// Approves at the provider. Returns the callback's address.
    pub(super) async fn approve_at_provider(&mut self, authorize: &str) -> anyhow::Result<String> {
        let page = self.get(authorize).await?;
        let html = String::from_utf8_lossy(&page.body).into_owned();
        let field = |name: &str| -> Option<String> {
            let rest = html.split(name).nth(1)?;
            Some(rest.split("value=\"").nth(1)?.split('"').next()?.to_owned())
        };
        let request = field("name=\"request\"").context("the provider showed no consent form")?;
        let user = field("name=\"user\"").context("the provider offers no user")?;
        let form = [("request", request.as_str()), ("user", user.as_str()), ("decision", "approve")];
        let provider = origin(authorize)?;
        location(&self.post_form(&format!("{provider}/authorize/decide"), &provider, &form).await?)
    }

    /// From the consent page over the provider to the app's address, to which the server leads back.
    pub(super) async fn there_and_back(&mut self, page: &str) -> anyhow::Result<String> {
        let authorize = self.consent(page).await?;
        let callback = self.approve_at_provider(&authorize).await?;
        let done = self.get(&callback).await?;
        ensure!(location(&done)? == page, "the callback led to {}", location(&done)?);
        let back = self.get(&format!("{}{page}/return", self.server)).await?;
        location(&back)
    }

    pub(super) async fn read(&mut self, path: &str) -> anyhow::Result<()> {
        let read = self.post_json(self.app, path, self.app, &json!({})).await?;
        ensure!(
            !read["read"]["me"].is_null() && !read["read"]["notes"].is_null(),
            "the API returned neither profile nor notes"
        );
        Ok(())
    }

    pub(super) async fn get(&mut self, url: &str) -> anyhow::Result<Response> {
        let mut headers = HeaderMap::new();
        self.add_cookie(&mut headers, url)?;
        self.send(Method::GET, url, headers, Vec::new()).await
    }

    pub(super) async fn post_form(
        &mut self,
        url: &str,
        from: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Response> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = self.headers(url, from, "application/x-www-form-urlencoded")?;
        self.send(Method::POST, url, headers, form.into_bytes()).await
    }

    pub(super) async fn post_json(
        &mut self,
        base: &str,
        path: &str,
        from: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let url = format!("{base}{path}");
        let headers = self.headers(&url, from, "application/json")?;
        json_of(&self.send(Method::POST, &url, headers, body.to_string().into()).await?)
    }

    /// Asks the server as the app's page does: without cookies, and without a preflight.
    pub(super) async fn ask(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.server);
        let mut headers = self.headers(&url, self.app, "text/plain")?;
        headers.remove(header::COOKIE);
        json_of(&self.send(Method::POST, &url, headers, body.to_string().into()).await?)
    }

    async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> anyhow::Result<Response> {
        let answer = send(&self.http, method, url, headers, body).await?;
        let set = answer.headers.get(header::SET_COOKIE).and_then(|value| value.to_str().ok());
        if let Some(pair) = set.and_then(|value| value.split(';').next()) {
            self.cookies.insert(origin(url)?, pair.to_owned());
        }
        Ok(answer)
    }

    fn headers(&self, url: &str, from: &str, content_type: &'static str) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| -> anyhow::Result<()> {
            headers.insert(name, HeaderValue::from_str(value)?);
            Ok(())
        };
        add(header::ORIGIN, from)?;
        add(header::CONTENT_TYPE, content_type)?;
        self.add_cookie(&mut headers, url)?;
        Ok(headers)
    }

    fn add_cookie(&self, headers: &mut HeaderMap, url: &str) -> anyhow::Result<()> {
        if let Some(cookie) = self.cookies.get(&origin(url)?) {
            headers.insert(header::COOKIE, HeaderValue::from_str(cookie)?);
        }
        Ok(())
    }

    /// Another person's browser is at the same place: without these cookies.
    pub(super) fn without_cookies(&self) -> Walker<'a> {
        Walker::new(self.http.clone(), self.server, self.app, self.provider, self.output)
    }
}

pub(super) fn origin(url: &str) -> anyhow::Result<String> {
    Ok(Url::parse(url)?.origin().ascii_serialization())
}

pub(super) fn location(answer: &Response) -> anyhow::Result<String> {
    let value = answer.headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    value.map(str::to_owned).with_context(|| format!("expected a redirect, got {}", answer.status))
}
