//! What refreshing costs: the time that a call which refreshes spends beyond the provider's own answer, and a storm of
//! grants whose tokens end in the same second at a provider that limits how often it is asked.
//!
//! `latency` and `storm` measure, `report` prints. On SQLite.

mod latency;
mod report;
mod storm;

use std::path::PathBuf;

use alter_mock_provider::MockProvider;
use clap::Args;

use crate::{alter::Alter, grant, machine, signer::Signer};

/// What to measure.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Plan {
    /// The release build of `alter`.
    #[arg(long, value_name = "FILE")]
    alter: PathBuf,
    /// Throw-away data goes below this folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where `DATE-refresh.md` and `DATE-refresh.json` are written.
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// The commit that was built, for the report.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Refreshes whose time is taken.
    #[arg(long, default_value_t = 1000)]
    refreshes: usize,
    /// Grants in the storm; 0 leaves it out.
    #[arg(long, default_value_t = 10_000)]
    storm: usize,
    /// Refreshes that the provider allows in one second of the storm.
    #[arg(long, default_value_t = 200)]
    limit: u32,
}

/// A server with an app, at a provider of its own.
struct Site {
    alter: Alter,
    signer: Signer,
    provider: MockProvider,
}

impl Site {
    async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let mut alter = Alter::init(&plan.alter, &plan.data)?;
        let provider = MockProvider::start().await;
        let signer = grant::make_app(&alter, &provider)?;
        alter.serve().await?;
        Ok(Self { alter, signer, provider })
    }

    fn stop(mut self) -> anyhow::Result<()> {
        self.alter.stop()
    }

    /// Connects a person. Returns the body of a call for the grant.
    async fn connect(&self, number: usize) -> anyhow::Result<String> {
        grant::sign_in(&self.provider, number);
        grant::connect(&self.alter, &self.signer, &self.provider).await
    }
}

pub(crate) async fn run(plan: &Plan) -> anyhow::Result<()> {
    std::fs::create_dir_all(&plan.data)?;
    let load_before = machine::Load::now();
    let report = report::Report {
        at: crate::report::now(),
        commit: plan.commit.clone(),
        machine: machine::describe(&plan.data)?,
        latency: latency::measure(plan).await?,
        storm: if plan.storm == 0 { None } else { Some(storm::measure(plan).await?) },
        load_before,
        load_after: machine::Load::now(),
    };
    report.write(&plan.results)?;
    crate::print(&report.markdown());
    Ok(())
}
