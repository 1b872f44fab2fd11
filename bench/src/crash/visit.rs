//! One person with their own account, whose callback meets a server that may die while handling it.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::Site;
use crate::{
    alter::Alter,
    client::{Connection, request},
    grant,
};

#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) token: String,
    pub(crate) sid: String,
    pub(crate) cookie: String,
    pub(crate) callback: String,
}

impl Visit {
    /// Goes up to the callback, which is not sent yet.
    pub(crate) async fn prepare(site: &Site, number: usize) -> anyhow::Result<Self> {
        let (alter, mut server) = (&site.alter, Connection::open(site.alter.port).await?);
        let mint = site.signer.post("/sdk/oauth/connect/session", grant::MINT);
        let minted = server.exchange(&mint).await?.expect(201)?.json()?;
        let token = minted["session_token"].as_str().context("no session token")?.to_owned();
        let (page, cookie) = grant::open(&mut server, alter, &token).await?;
        grant::status(&mut server, alter, &token).await?;
        let sid = page.split('?').next().and_then(|p| p.rsplit('/').next()).context("no sid")?.to_owned();
        let authorize = grant::approve(&mut server, alter, &sid, &cookie).await?;
        grant::sign_in(&site.provider, number);
        let callback = grant::at_provider(&authorize).await?;
        Ok(Self { token, sid, cookie, callback })
    }

    /// The authorization code in the callback.
    pub(crate) fn code(&self) -> String {
        let query = self.callback.split_once('?').map_or("", |(_, query)| query);
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == "code").map(|(_, code)| code.into_owned()).unwrap_or_default()
    }

    /// Sends the callback. Returns the time until its 303, or `None` if the server died.
    pub(crate) async fn callback(&self, port: u16, host: &str) -> Option<Duration> {
        let ask = request("GET", &self.callback, host, &[("cookie", &self.cookie)], "");
        let mut server = Connection::open(port).await.ok()?;
        let begun = Instant::now();
        server.exchange(&ask).await.ok()?.expect(303).ok()?;
        Some(begun.elapsed())
    }

    /// Asks the status channel until the channel says `completed` (acknowledged) or the server is gone.
    pub(crate) async fn acknowledged(&self, port: u16, host: &str) -> bool {
        let ask = grant::status_request(host, &self.token);
        let Ok(mut server) = Connection::open(port).await else { return false };
        loop {
            let Ok(reply) = server.exchange(&ask).await else { return false };
            match reply.json() {
                Ok(status) if status["status"] == "completed" => return true,
                Ok(status) if status["status"] == "open" => {}
                _ => return false,
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }

    /// Fetches our page as it is now.
    pub(crate) async fn page(&self, alter: &Alter) -> anyhow::Result<String> {
        let ask = request(
            "GET",
            &format!("/connect/s/{}", self.sid),
            &alter.host(),
            &[("cookie", &self.cookie)],
            "",
        );
        let mut server = Connection::open(alter.port).await?;
        let reply = server.exchange(&ask).await?;
        Ok(String::from_utf8_lossy(reply.body).into_owned())
    }
}
