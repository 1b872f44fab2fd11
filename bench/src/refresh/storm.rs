//! Grants whose access tokens all end in the same second, at a provider that limits how often it is asked. Nobody calls but
//! a few apps now and then: the server's own clock has to bring everybody over in time.

use std::time::{Duration, Instant};

use alter_core::{Clock, SystemClock};
use anyhow::ensure;
use serde::Serialize;

use super::{Plan, Site};
use crate::{client::Connection, say};

/// Seconds that the tokens have left when the server starts: a little more than the early window of tokens that live an
/// hour, which is six minutes.
const LEFT: i64 = 380;
/// The pause between two calls.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Default, Serialize)]
pub(super) struct Storm {
    pub(super) grants: usize,
    pub(super) limit: u32,
    /// Seconds from the first refresh until the last.
    pub(super) seconds: f64,
    /// Seconds that the old tokens had left after the last.
    pub(super) to_spare: f64,
    /// Refreshes that the provider carried out.
    pub(super) refreshed: u64,
    /// Requests that the provider turned away because of its limit.
    pub(super) over_limit: u64,
    pub(super) most_in_a_second: u64,
    /// The largest number of times that one refresh token was sent and judged.
    pub(super) most_sent: u64,
    /// Calls meanwhile, and how long each took, in microseconds; sorted. Every one of them got a token.
    pub(super) calls_us: Vec<u32>,
    /// The largest number of refreshes of one grant.
    pub(super) most_of_one: u64,
}

pub(super) async fn measure(plan: &Plan) -> anyhow::Result<Storm> {
    let mut site = Site::start(plan).await?;
    say(&format!("a storm: connecting {} people ...", plan.storm));
    let mut bodies = Vec::new();
    for number in 0..plan.storm {
        bodies.push(site.connect(number).await?);
    }
    site.alter.stop()?;
    let end = SystemClock.now().plus_seconds(LEFT);
    end_together(&site, end.0)?;
    site.provider.set(|s| s.refresh.limit_a_second = Some(plan.limit));
    site.alter.serve().await?;
    let mut storm = Storm { grants: plan.storm, limit: plan.limit, ..Storm::default() };
    watch(&site, &bodies, &mut storm).await?;
    storm.to_spare = (end.0 - SystemClock.now().0) as f64 / 1e6;
    let counts = site.provider.refresh_counts();
    (storm.refreshed, storm.over_limit) = (counts.honoured, counts.over_limit);
    (storm.most_in_a_second, storm.most_sent) = (counts.most_in_a_second, counts.most_sent);
    storm.most_of_one = site.provider.grants().iter().map(|grant| grant.refreshes).max().unwrap_or(0);
    site.stop()?;
    Ok(storm)
}

/// Calls for one grant after another until all are refreshed.
async fn watch(site: &Site, bodies: &[String], storm: &mut Storm) -> anyhow::Result<()> {
    let mut server = Connection::open(site.alter.port).await?;
    let (mut begun, mut said) = (None, 0);
    for number in (0..).map(|n: usize| n * 37 % bodies.len()) {
        let honoured = site.provider.refresh_counts().honoured;
        if honoured > 0 {
            let begun = *begun.get_or_insert_with(Instant::now);
            storm.seconds = begun.elapsed().as_secs_f64();
        }
        if honoured >= u64::try_from(bodies.len())? {
            break;
        }
        ensure!(storm.seconds < 600.0, "{honoured} refreshed after ten minutes");
        if honoured / 1000 > said {
            said = honoured / 1000;
            say(&format!("  {honoured} after {:.0} s", storm.seconds));
        }
        let asked = Instant::now();
        server.exchange(&site.signer.post("/sdk/token", &bodies[number])).await?.expect(200)?;
        storm.calls_us.push(u32::try_from(asked.elapsed().as_micros())?);
        tokio::time::sleep(PAUSE).await;
    }
    storm.calls_us.sort_unstable();
    Ok(())
}

/// Moves all times of the grants' tokens, so that the tokens end at one moment. The server is down.
fn end_together(site: &Site, end: i64) -> anyhow::Result<()> {
    let file = rusqlite::Connection::open(site.alter.file())?;
    let moved = file.execute(
        "UPDATE grants SET refresh_at = refresh_at - (credential_expires_at - ?1),
                           credential_issued_at = credential_issued_at - (credential_expires_at - ?1),
                           credential_expires_at = ?1",
        [end],
    )?;
    ensure!(moved > 0, "there are no grants");
    Ok(())
}
