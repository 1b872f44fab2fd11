//! People whose grants are called all the time, and what the calls are told.

use std::{collections::BTreeMap, time::Duration};

use alter_mock_provider::MockProvider;
use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::super::Site;
use crate::{
    client::{Connection, request},
    grant,
    signer::Signer,
};

/// The pause between two calls for one grant.
const PAUSE: Duration = Duration::from_millis(5);

/// One person's connection.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// The `sub` at the provider.
    pub(super) sub: String,
    pub(super) grant: String,
    /// The body of the call that releases the grant's token.
    body: String,
}

impl Person {
    pub(super) async fn connect(site: &Site, number: usize) -> anyhow::Result<Self> {
        let sub = grant::sign_in(&site.provider, number);
        let body = grant::connect(&site.alter, &site.signer, &site.provider).await?;
        let call: Value = serde_json::from_str(&body)?;
        let grant = call["grant_id"].as_str().context("no grant")?.to_owned();
        Ok(Self { sub, grant, body })
    }
}

/// What calls were told.
#[derive(Debug, Default, Serialize)]
pub(super) struct Told {
    /// A token.
    pub(super) token: u64,
    /// That the user has to connect again.
    pub(super) reconnect: u64,
    /// To try again later.
    pub(super) later: u64,
    /// Anything else, by its code.
    pub(super) otherwise: BTreeMap<String, u64>,
    /// A token that the provider's API does not take.
    pub(super) bad_token: u64,
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.token += other.token;
        self.reconnect += other.reconnect;
        self.later += other.later;
        self.bad_token += other.bad_token;
        for (code, count) in other.otherwise {
            *self.otherwise.entry(code).or_default() += count;
        }
    }

    fn count(&mut self, heard: Heard) {
        match heard {
            Heard::Token => self.token += 1,
            Heard::BadToken => self.bad_token += 1,
            Heard::Reconnect(_) => self.reconnect += 1,
            Heard::Later(_) => self.later += 1,
            Heard::Otherwise(code) => *self.otherwise.entry(code).or_default() += 1,
        }
    }
}

/// What one call was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Token,
    BadToken,
    /// The reason.
    Reconnect(String),
    /// In so many seconds.
    Later(u64),
    Otherwise(String),
}

/// Where calls go.
#[derive(Debug, Clone)]
pub(super) struct Line {
    signer: Signer,
    port: u16,
    /// The port of the provider's API.
    api: u16,
}

impl Line {
    pub(super) fn to(site: &Site) -> anyhow::Result<Self> {
        Ok(Self { signer: site.signer.clone(), port: site.alter.port, api: api_port(&site.provider)? })
    }

    pub(super) async fn open(&self) -> anyhow::Result<Connection> {
        Connection::open(self.port).await
    }

    /// Calls again and again until the server is gone.
    pub(super) async fn call_on(self, person: Person) -> Told {
        let mut told = Told::default();
        let Ok(mut server) = self.open().await else { return told };
        while let Ok(heard) = self.call(&mut server, &person).await {
            told.count(heard);
            tokio::time::sleep(PAUSE).await;
        }
        told
    }

    /// Asks for the token once, and calls the provider's API with it.
    pub(super) async fn call(&self, server: &mut Connection, person: &Person) -> anyhow::Result<Heard> {
        let reply = server.exchange(&self.signer.post("/sdk/token", &person.body)).await?;
        let (status, told) = (reply.status, reply.json()?);
        let code = told["error"].as_str().unwrap_or_default();
        Ok(match (status, code) {
            (200, _) if self.api_takes(told["access_token"].as_str().unwrap_or_default()).await? => {
                Heard::Token
            }
            (200, _) => Heard::BadToken,
            (_, "credential_revoked") => {
                Heard::Reconnect(told["details"]["reason"].as_str().unwrap_or_default().to_owned())
            }
            (_, "token_refresh_in_progress" | "provider_unavailable") => {
                Heard::Later(told["retry_after_seconds"].as_u64().unwrap_or(1))
            }
            (_, code) => Heard::Otherwise(code.to_owned()),
        })
    }

    async fn api_takes(&self, token: &str) -> anyhow::Result<bool> {
        let (bearer, host) = (format!("Bearer {token}"), format!("127.0.0.1:{}", self.api));
        let ask = request("GET", "/api/me", &host, &[("authorization", &bearer)], "");
        Ok(Connection::open(self.api).await?.exchange(&ask).await?.status == 200)
    }
}

fn api_port(provider: &MockProvider) -> anyhow::Result<u16> {
    url::Url::parse(&provider.issuer())?.port().context("the mock provider has a port")
}
