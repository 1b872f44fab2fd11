//! Judges every visit, by asking the last server that was started.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Site,
    campaign::{Seen, count_codes},
};
use crate::{
    client::{Connection, request},
    grant,
};

/// How long the last visit may take to end.
const END_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default, Serialize)]
pub(crate) struct Verdict {
    pub(crate) visits: usize,
    /// The status channel said `completed` before the kill.
    pub(crate) acknowledged: usize,
    /// Ended with a grant whose token the provider's API accepts.
    pub(crate) connected: usize,
    /// Reported as interrupted, and the code was never sent.
    pub(crate) interrupted_unsent: usize,
    /// Reported as interrupted, and the provider may have issued tokens: the unknown outcomes.
    pub(crate) interrupted_unknown: usize,
    /// Any other end.
    pub(crate) otherwise: Vec<String>,
    /// Acknowledged, or reported as connected, but not usable.
    pub(crate) lost: usize,
    pub(crate) codes_twice: usize,
    pub(crate) stuck: usize,
    /// Page, poll and status disagree.
    pub(crate) untrue: Vec<String>,
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.lost + self.codes_twice + self.stuck + self.untrue.len() + self.otherwise.len() == 0
    }
}

pub(super) async fn judge(
    site: &Site,
    people: &[Seen],
    codes: &mut HashMap<String, u32>,
) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict { visits: people.len(), ..Verdict::default() };
    verdict.acknowledged = people.iter().filter(|seen| seen.acknowledged).count();
    let deadline = Instant::now() + END_MAX;
    for seen in people {
        one(site, seen, codes, deadline, &mut verdict).await?;
    }
    count_codes(site, codes);
    verdict.codes_twice = codes.values().filter(|times| **times > 1).count();
    Ok(verdict)
}

async fn one(
    site: &Site,
    seen: &Seen,
    codes: &mut HashMap<String, u32>,
    deadline: Instant,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let mut server = Connection::open(site.alter.port).await?;
    let status = loop {
        let status = grant::status(&mut server, &site.alter, &seen.visit.token).await?;
        if status["status"] != "open" || Instant::now() > deadline {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    count_codes(site, codes);
    let poll = json!({ "session_token": seen.visit.token }).to_string();
    let poll = site.signer.post("/sdk/oauth/connect/session/poll", &poll);
    let poll = server.exchange(&poll).await?.expect(200)?.json()?;
    let page = seen.visit.page(&site.alter).await?;
    let connected = status["status"] == "completed";
    let interrupted = status["status"] == "failed" && status["error"] == "server_error";
    let agree = connected == (poll["status"] == "completed")
        && connected == page.contains("is connected")
        && interrupted == page.contains("The connection was interrupted");
    if !agree {
        verdict.untrue.push(format!("{} / {}", status["status"], poll["status"]));
    }
    let usable = connected && is_usable(site, &mut server, &status).await?;
    match () {
        () if status["status"] == "open" => verdict.stuck += 1,
        () if usable => verdict.connected += 1,
        () if connected || seen.acknowledged => {}
        () if interrupted && codes.contains_key(&seen.visit.code()) => verdict.interrupted_unknown += 1,
        () if interrupted => verdict.interrupted_unsent += 1,
        () => verdict.otherwise.push(format!("{} {}", status["error"], status["details"])),
    }
    if (connected || seen.acknowledged) && !usable {
        verdict.lost += 1;
    }
    Ok(())
}

/// Whether the token is released and the provider's API accepts it.
async fn is_usable(site: &Site, server: &mut Connection, status: &Value) -> anyhow::Result<bool> {
    let grant = status["connections"][0]["grant_id"].as_str().context("no grant")?;
    let wanted = json!({ "method": "GET", "url": site.provider.url("/api/me") });
    let body = json!({ "grant_id": grant, "reason": "bench", "request": wanted }).to_string();
    let reply = server.exchange(&site.signer.post("/sdk/token", &body)).await?;
    if reply.status != 200 {
        return Ok(false);
    }
    let released = reply.json()?;
    let token = released["access_token"].as_str().context("no token")?;
    let url = url::Url::parse(&site.provider.url("/api/me"))?;
    let port = url.port().context("the mock provider has a port")?;
    let bearer = format!("Bearer {token}");
    let ask = request("GET", "/api/me", &format!("127.0.0.1:{port}"), &[("authorization", &bearer)], "");
    let mut api = Connection::open(port).await?;
    Ok(api.exchange(&ask).await?.status == 200)
}
