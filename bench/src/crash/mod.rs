//! The crash campaigns: a server is killed in the middle of callbacks, round after round on the same data, at the named
//! points of a test build and at random moments from outside. Afterwards every visit is checked.
//!
//! `death` draws from a seed how a round ends, `visit` is one person's connection, `campaign` runs the rounds,
//! `verdict` judges every visit afterwards, `window` measures an undisturbed server, `report` prints. A failed
//! expectation is a figure in the table and an exit status, and does not stop the campaign.
//!
//! The campaign needs a binary with failpoints: `bench/crash` builds one, apart from the released binary.

mod campaign;
mod death;
pub(crate) mod refresh;
mod report;
mod verdict;
mod visit;
mod window;

use std::path::PathBuf;

use alter_mock_provider::MockProvider;
use anyhow::ensure;
use clap::Args;

use crate::{
    alter::{Alter, new_database},
    grant, machine, say,
    signer::Signer,
};

/// What to kill and how often.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Plan {
    /// A build of `alter` with failpoints.
    #[arg(long, value_name = "FILE")]
    alter: PathBuf,
    /// Throw-away data goes below this folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where `DATE-crash.md` and `DATE-crash.json` are written.
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// The commit that was built, for the report.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// The seed that decides points and moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Kills per database; with refreshes, half of them at each kind of provider.
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Run on this PostgreSQL server, where databases may be made, in addition to SQLite.
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Leave SQLite out.
    #[arg(long, requires = "postgres")]
    without_sqlite: bool,
    /// Number of undisturbed connections, one after another, for measuring the crash window.
    #[arg(long, default_value_t = 500)]
    samples: u32,
}

impl Plan {
    fn engines(&self) -> Vec<Engine> {
        let sqlite = (!self.without_sqlite).then_some(Engine::Sqlite);
        sqlite.into_iter().chain(self.postgres.is_some().then_some(Engine::Postgres)).collect()
    }
}

/// A server on fresh data of one engine, with its app and its provider.
struct Site {
    alter: Alter,
    signer: Signer,
    provider: MockProvider,
}

impl Site {
    async fn new(plan: &Plan, engine: Engine) -> anyhow::Result<Self> {
        let database = match (engine, &plan.postgres) {
            (Engine::Postgres, Some(server)) => Some(new_database(server)?),
            _ => None,
        };
        let alter = Alter::init_on(&plan.alter, &plan.data, database)?;
        let provider = MockProvider::start().await;
        provider.set(|s| s.auto_approve = true);
        let signer = grant::make_app(&alter, &provider)?;
        Ok(Self { alter, signer, provider })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// Runs the campaign. Returns an error if anything was lost, used twice, stuck or untrue.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<()> {
    std::fs::create_dir_all(&plan.data)?;
    let load_before = machine::Load::now();
    let mut results = Vec::new();
    for engine in plan.engines() {
        say(&format!("{engine:?}: an undisturbed server ..."));
        let window = window::measure(plan, engine).await?;
        say(&format!("{engine:?}: {} kills ...", plan.rounds));
        let campaign = campaign::run(plan, engine).await?;
        results.push(report::Result { engine: format!("{engine:?}"), window, campaign });
    }
    let report = report::Report {
        at: crate::report::now(),
        commit: plan.commit.clone(),
        seed: plan.seed,
        machine: machine::describe(&plan.data)?,
        load_before,
        load_after: machine::Load::now(),
        results,
    };
    report.write(&plan.results)?;
    crate::print(&report.markdown());
    ensure!(report.is_good(), "something was lost, used twice, stuck or untrue");
    Ok(())
}
