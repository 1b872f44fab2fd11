//! Measures an undisturbed server: how long the provider's answer exists only in memory (the crash window), and what
//! fifty callbacks at once cost.

use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;

use super::{Engine, Plan, Site, visit::Visit};
use crate::{alter::Alter, client::Connection, grant};

/// How many callbacks come at once.
const AT_ONCE: usize = 50;
/// How often they come.
const TIMES: usize = 6;

#[derive(Debug, Serialize)]
pub(crate) struct Window {
    /// Microseconds from the provider's last byte until the answer is in the journal, one callback at a time.
    pub(crate) alone: Spread,
    /// As `alone`, while fifty callbacks are under way.
    pub(crate) crowded: Spread,
    /// Milliseconds from the callback to the stored grant, one at a time.
    pub(crate) callback_alone: Spread,
    /// As `callback_alone`, fifty at once: the first fifty of a server that has not fetched the provider's keys yet.
    pub(crate) callback_first: Spread,
    /// As `callback_first`, for the following fifties.
    pub(crate) callback_crowded: Spread,
    /// Milliseconds until all fifty grants were stored; median of the following fifties.
    pub(crate) all_fifty_ms: f64,
    /// Requests to the provider for the first fifty: token, keys, userinfo.
    pub(crate) calls_first: [usize; 3],
    /// The same per following fifty, on average.
    pub(crate) calls_following: [f64; 3],
}

#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) samples: usize,
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) highest: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
            values.get(index).copied().unwrap_or(f64::NAN)
        };
        Self { samples: values.len(), median: at(50), p99: at(99), highest: at(100) }
    }
}

pub(super) async fn measure(plan: &Plan, engine: Engine) -> anyhow::Result<Window> {
    let mut site = Site::new(plan, engine).await?;
    site.alter.serve().await?;
    let (mut first, mut following, mut walls) = (Vec::new(), Vec::new(), Vec::new());
    let (mut calls_first, mut calls_following) = ([0; 3], [0; 3]);
    for time in 0..TIMES {
        let visits = prepare(&site, AT_ONCE, time * AT_ONCE).await?;
        site.provider.forget_seen();
        let begun = Instant::now();
        let taken = all_at_once(&site, &visits).await?;
        let wall = millis(begun);
        let seen = site.provider.seen();
        let calls = [seen.token.len(), seen.jwks.len(), seen.userinfo.len()];
        are_connected(&site, &visits).await?;
        if time == 0 {
            (first, calls_first) = (taken, calls);
        } else {
            following.extend(taken);
            walls.push(wall);
            for (sum, calls) in calls_following.iter_mut().zip(calls) {
                *sum += calls;
            }
        }
    }
    let crowded = windows(&site.alter)?;
    let mut alone = Vec::new();
    for number in 0..plan.samples as usize {
        let visits = prepare(&site, 1, TIMES * AT_ONCE + number).await?;
        alone.extend(all_at_once(&site, &visits).await?);
        are_connected(&site, &visits).await?;
    }
    let windows_alone = windows(&site.alter)?.split_off(crowded.len());
    ensure!(crowded.len() == AT_ONCE * TIMES, "this build does not measure: it has no failpoints");
    Ok(Window {
        alone: Spread::of(windows_alone),
        crowded: Spread::of(crowded),
        callback_alone: Spread::of(alone),
        callback_first: Spread::of(first),
        callback_crowded: Spread::of(following),
        all_fifty_ms: Spread::of(walls).median,
        calls_first,
        calls_following: calls_following.map(|sum| sum as f64 / (TIMES - 1) as f64),
    })
}

async fn prepare(site: &Site, count: usize, from: usize) -> anyhow::Result<Vec<Visit>> {
    let mut visits = Vec::with_capacity(count);
    for number in from..from + count {
        visits.push(Visit::prepare(site, number).await?);
    }
    Ok(visits)
}

/// Sends all callbacks at once. Returns the milliseconds of each until its 303, which comes after the grant is stored.
async fn all_at_once(site: &Site, visits: &[Visit]) -> anyhow::Result<Vec<f64>> {
    let mut tasks = tokio::task::JoinSet::new();
    for visit in visits {
        let (visit, port, host) = (visit.clone(), site.alter.port, site.alter.host());
        tasks.spawn(async move { visit.callback(port, &host).await });
    }
    let taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    ensure!(taken.len() == visits.len(), "a callback was not answered");
    Ok(taken.iter().map(|t| t.as_secs_f64() * 1000.0).collect())
}

async fn are_connected(site: &Site, visits: &[Visit]) -> anyhow::Result<()> {
    let mut server = Connection::open(site.alter.port).await?;
    for visit in visits {
        let status = grant::status(&mut server, &site.alter, &visit.token).await?;
        ensure!(status["status"] == "completed", "a callback ended {status}");
    }
    Ok(())
}

/// Reads the crash windows that the server has logged, in microseconds.
fn windows(alter: &Alter) -> anyhow::Result<Vec<f64>> {
    let log = std::fs::read_to_string(alter.log())?;
    let lines = log.lines().filter(|line| line.contains("\"crash_window\""));
    let values = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    Ok(values.filter_map(|line| line["fields"]["microseconds"].as_f64()).collect())
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}
