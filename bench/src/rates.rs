//! Measures throughput, latency and processor time per request. Each repetition has fresh data and a fresh floor.
//! Within it the workloads take turns, so that other work on the machine affects all of them alike.

use std::{path::Path, sync::Arc, time::Duration};

use alter_mock_provider::MockProvider;
use clap::ValueEnum;
use serde::Serialize;

use crate::{
    Plan,
    alter::Alter,
    client::request,
    floor::Floor,
    grant::{self, MINT},
    load::{self, Make, Target},
    process, say,
    signer::Signer,
};

/// An unmeasured run before each measured one, so that connections, caches and prepared statements are warm.
const WARM_UP: Duration = Duration::from_millis(500);

/// The request of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Workload {
    /// The floor: GET without headers, five bytes back.
    Hello,
    /// The floor with the same bytes as a `/sdk/token` call. The generator signs them; nobody verifies them.
    HelloSameBytes,
    /// `POST /sdk/oauth/connect/session`: signature verified; session, nonce and index rows durable.
    Mint,
    /// `POST /sdk/token`: signature verified, credential opened; nonce and audit entry durable.
    Token,
}

impl Workload {
    const ALL: [Self; 4] = [Self::Hello, Self::HelloSameBytes, Self::Mint, Self::Token];

    /// The workload's name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hello => "floor: hello",
            Self::HelloSameBytes => "floor: hello, bytes of a token call",
            Self::Mint => "session mint",
            Self::Token => "/sdk/token",
        }
    }

    /// Whether targets apply: they are set for the product, not for its floor.
    pub(crate) fn is_product(self) -> bool {
        matches!(self, Self::Mint | Self::Token)
    }
}

/// One run of one workload.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) workload: Workload,
    pub(crate) connections: usize,
    pub(crate) repetition: u32,
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    /// The server's own processor time per request, in microseconds.
    pub(crate) cpu_us: f64,
    /// The share of the machine's processor time that neither server nor generator used, in percent.
    pub(crate) others_percent: f64,
}

/// All runs, and the server's memory after the last run of each repetition.
#[derive(Debug, Serialize)]
pub(crate) struct Rates {
    pub(crate) runs: Vec<Run>,
    pub(crate) loaded_kib: Vec<u64>,
    pub(crate) highest_kib: Vec<u64>,
}

/// A server with a grant, and a floor.
struct Site {
    alter: Alter,
    floor: Floor,
    signer: Signer,
    token_body: String,
    _provider: MockProvider,
}

impl Site {
    async fn start(mut alter: Alter) -> anyhow::Result<Self> {
        let provider = MockProvider::start().await;
        let signer = grant::make_app(&alter, &provider)?;
        alter.serve().await?;
        let token_body = grant::connect(&alter, &signer, &provider).await?;
        Ok(Self { alter, floor: Floor::start()?, signer, token_body, _provider: provider })
    }

    fn pid(&self, workload: Workload) -> anyhow::Result<u32> {
        if workload.is_product() { self.alter.pid() } else { Ok(self.floor.pid()) }
    }

    fn target(&self, workload: Workload) -> Target {
        let (signer, body) = (self.signer.clone(), self.token_body.clone());
        let (port, status, make): (u16, u16, Make) = match workload {
            Workload::Hello => {
                let plain = request("GET", "/", &format!("localhost:{}", self.floor.port), &[], "");
                (self.floor.port, 200, Arc::new(move || plain.clone()))
            }
            Workload::HelloSameBytes => {
                (self.floor.port, 200, Arc::new(move || signer.post("/sdk/token", &body)))
            }
            Workload::Mint => {
                (self.alter.port, 201, Arc::new(move || signer.post("/sdk/oauth/connect/session", MINT)))
            }
            Workload::Token => (self.alter.port, 200, Arc::new(move || signer.post("/sdk/token", &body))),
        };
        Target { port, make, status }
    }

    async fn run(&self, workload: Workload, connections: usize, seconds: u64) -> anyhow::Result<Run> {
        let (target, server, us) = (self.target(workload), self.pid(workload)?, std::process::id());
        load::run(&target, connections, WARM_UP).await?;
        let ticks =
            || anyhow::Ok([process::cpu_ticks(server)?, process::cpu_ticks(us)?, process::machine_ticks()?]);
        let before = ticks()?;
        let outcome = load::run(&target, connections, Duration::from_secs(seconds)).await?;
        let after = ticks()?;
        let [server, us, machine] = [0, 1, 2].map(|i| as_f64(after[i].saturating_sub(before[i])));
        let (tick, elapsed) = (process::tick_us()?, outcome.elapsed.as_secs_f64());
        let available = elapsed * 1_000_000.0 / tick * as_f64(processors());
        let requests = outcome.requests();
        let count = as_f64(u64::try_from(requests)?).max(1.0);
        Ok(Run {
            workload,
            connections,
            repetition: 0,
            requests,
            per_second: count / elapsed,
            p50_us: outcome.percentile(0.5),
            p99_us: outcome.percentile(0.99),
            cpu_us: server * tick / count,
            others_percent: (machine - server - us).max(0.0) * 100.0 / available,
        })
    }
}

pub(crate) async fn measure(plan: &Plan) -> anyhow::Result<Rates> {
    let mut rates = Rates { runs: Vec::new(), loaded_kib: Vec::new(), highest_kib: Vec::new() };
    for repetition in 1..=plan.repetitions {
        let mut site = Site::start(plan.init()?).await?;
        for &connections in &plan.connections {
            for workload in Workload::ALL {
                let run = Run { repetition, ..site.run(workload, connections, plan.seconds).await? };
                say(&format!(
                    "{repetition}/{} {:<36} {connections:>3} connections  {:>8.0}/s  p99 {:>7} us  {:>6.1} us CPU",
                    plan.repetitions,
                    workload.name(),
                    run.per_second,
                    run.p99_us,
                    run.cpu_us
                ));
                rates.runs.push(run);
            }
        }
        rates.loaded_kib.push(process::memory_kib(site.alter.pid()?, "VmRSS")?);
        rates.highest_kib.push(process::memory_kib(site.alter.pid()?, "VmHWM")?);
        site.alter.stop()?;
    }
    Ok(rates)
}

/// Loads one workload, for a profiler to watch the server.
pub(crate) async fn hold(
    binary: &Path,
    data: &Path,
    workload: Workload,
    connections: usize,
    seconds: u64,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)?;
    let site = Site::start(Alter::init(binary, data)?).await?;
    crate::print(&site.pid(workload)?.to_string());
    let run = site.run(workload, connections, seconds).await?;
    say(&format!("{:.0}/s, {:.1} us CPU per request, p99 {} us", run.per_second, run.cpu_us, run.p99_us));
    Ok(())
}

fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}

/// Converts exactly: ticks and counts here stay far below 2^53.
fn as_f64(count: u64) -> f64 {
    count as f64
}
