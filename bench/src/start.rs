//! Measures the time from `alter serve` to the first 200 of `/readyz` (which writes, reads and checks the key), and the
//! memory of an idle server.

use std::time::Duration;

use alter_mock_provider::MockProvider;
use serde::Serialize;

use crate::{
    Plan, grant, process,
    timing::{self, Timing},
};

/// How long the server is idle before its memory is read.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
pub(crate) struct Start {
    /// Milliseconds of each start.
    pub(crate) ready_ms: Vec<f64>,
    /// `VmRSS` of a server that has answered `/readyz` and nothing else.
    pub(crate) idle_kib: u64,
    pub(crate) timing: Vec<Timing>,
}

pub(crate) async fn measure(plan: &Plan) -> anyhow::Result<Start> {
    let provider = MockProvider::start().await;
    let mut alter = plan.init()?;
    let signer = grant::make_app(&alter, &provider)?;
    let mut ready_ms = Vec::new();
    for _ in 0..plan.starts {
        ready_ms.push(alter.serve().await?.as_secs_f64() * 1000.0);
        alter.stop()?;
    }
    alter.serve().await?;
    tokio::time::sleep(QUIET).await;
    let idle_kib = process::memory_kib(alter.pid()?, "VmRSS")?;
    let timing = timing::look(&alter, &signer).await?;
    alter.stop()?;
    Ok(Start { ready_ms, idle_kib, timing })
}
