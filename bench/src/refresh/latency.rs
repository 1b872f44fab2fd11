//! The time of a call that refreshes, beside the time of the same refresh at the provider alone.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::{Plan, Site};
use crate::{
    client::{Connection, request},
    grant::{CLIENT, CLIENT_SECRET},
    say,
};

/// So many grants take turns: a token that lives a second has ended when its grant's turn comes again.
const GRANTS: usize = 50;
/// The pause between two turns.
const TURN: Duration = Duration::from_millis(1200);

/// Times in microseconds, sorted.
#[derive(Debug, Default, Serialize)]
pub(super) struct Latency {
    /// A refresh request to the provider, over a connection that stays open.
    pub(super) provider_us: Vec<u32>,
    /// A call that needed no refresh.
    pub(super) plain_us: Vec<u32>,
    /// A call that refreshed before it was answered.
    pub(super) refreshing_us: Vec<u32>,
}

pub(super) async fn measure(plan: &Plan) -> anyhow::Result<Latency> {
    let site = Site::start(plan).await?;
    let mut server = Connection::open(site.alter.port).await?;
    let lasting = site.connect(GRANTS).await?;
    site.provider.set(|s| s.expires_in = Some(json!(1)));
    let mut brief = Vec::new();
    for number in 0..GRANTS {
        brief.push(site.connect(number).await?);
    }
    let mut provider = Provider::open(&site).await?;
    say(&format!("{} refreshes, one after another ...", plan.refreshes));
    let mut latency = Latency::default();
    while latency.refreshing_us.len() < plan.refreshes {
        let turn = Instant::now();
        tokio::time::sleep(TURN).await;
        for body in &brief {
            latency.provider_us.push(provider.refresh().await?);
            latency.plain_us.push(call(&site, &mut server, &lasting).await?);
            let before = site.provider.refresh_counts().honoured;
            let taken = call(&site, &mut server, body).await?;
            // The server may have refreshed this grant by its own clock meanwhile: then this call did not.
            if site.provider.refresh_counts().honoured == before + 1 {
                latency.refreshing_us.push(taken);
            }
        }
        crate::say(&format!("  {} after {:.1} s", latency.refreshing_us.len(), turn.elapsed().as_secs_f64()));
    }
    latency.sort();
    site.stop()?;
    Ok(latency)
}

impl Latency {
    fn sort(&mut self) {
        for times in [&mut self.provider_us, &mut self.plain_us, &mut self.refreshing_us] {
            times.sort_unstable();
        }
    }
}

async fn call(site: &Site, server: &mut Connection, body: &str) -> anyhow::Result<u32> {
    let request = site.signer.post("/sdk/token", body);
    let begun = Instant::now();
    server.exchange(&request).await?.expect(200)?;
    Ok(u32::try_from(begun.elapsed().as_micros())?)
}

/// A client of the provider that refreshes a grant of its own.
struct Provider {
    connection: Connection,
    host: String,
    refresh_token: String,
}

impl Provider {
    async fn open(site: &Site) -> anyhow::Result<Self> {
        let host = site.provider.issuer().trim_start_matches("http://").to_owned();
        let port = host.rsplit(':').next().context("the provider has a port")?.parse()?;
        let tokens = site.provider.make_grant(CLIENT, "person-0", "openid");
        let connection = Connection::open(port).await?;
        Ok(Self { connection, host, refresh_token: tokens.refresh_token })
    }

    async fn refresh(&mut self) -> anyhow::Result<u32> {
        let body = format!(
            "grant_type=refresh_token&refresh_token={}&client_id={CLIENT}&client_secret={CLIENT_SECRET}",
            self.refresh_token
        );
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
        let ask = request("POST", "/token", &self.host, &headers, &body);
        let begun = Instant::now();
        let answer = self.connection.exchange(&ask).await?.expect(200)?.json()?;
        let taken = u32::try_from(begun.elapsed().as_micros())?;
        if let Some(next) = answer["refresh_token"].as_str() {
            self.refresh_token = next.to_owned();
        }
        Ok(taken)
    }
}
