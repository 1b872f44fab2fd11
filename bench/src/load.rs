//! The closed loop: a number of keep-alive connections, each with exactly one request under way, for a bounded time and
//! a bounded number of requests. A closed loop shows how much the server can do, not how it behaves under more than
//! that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::task::JoinSet;

use crate::client::Connection;

/// The most requests of one run, over all connections.
const REQUESTS_MAX: usize = 5_000_000;
/// A run that has not ended this long after its time fails.
const GRACE: Duration = Duration::from_secs(15);

/// Makes the next request. Called for each request, because a signed call is accepted only once.
pub(crate) type Make = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;

/// Which request goes to which server.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) make: Make,
    /// The expected status. Any other ends the run, because a refusal is faster than the work.
    pub(crate) status: u16,
}

/// The result of a run.
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    /// Microseconds, one per request, in ascending order.
    pub(crate) latencies: Vec<u32>,
}

impl Outcome {
    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// The latency, microseconds, that `share` (0 to 1) of the requests did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> u32 {
        let last = self.latencies.len().saturating_sub(1);
        let index = (last as f64 * share).round() as usize;
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// Runs the load. All connections are open before the time begins.
pub(crate) async fn run(target: &Target, connections: usize, time: Duration) -> anyhow::Result<Outcome> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(target.port).await?);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for connection in open {
        tasks.spawn(repeat(connection, target.clone(), begun + time, REQUESTS_MAX / connections));
    }
    let mut latencies = Vec::new();
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            latencies.extend(ended??);
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(time + GRACE, all).await.context("the server stopped answering")??;
    let elapsed = begun.elapsed();
    latencies.sort_unstable();
    Ok(Outcome { elapsed, latencies })
}

async fn repeat(
    mut connection: Connection,
    target: Target,
    end: Instant,
    requests: usize,
) -> anyhow::Result<Vec<u32>> {
    let mut latencies = Vec::new();
    while latencies.len() < requests {
        let request = (target.make)();
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        let last = connection.exchange(&request).await?.expect(target.status)?.is_last();
        latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        if last {
            connection = Connection::open(target.port).await?;
        }
    }
    Ok(latencies)
}
