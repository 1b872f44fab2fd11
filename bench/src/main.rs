//! Measures a release build of `alter` from the outside: over sockets, with the operating system's own accounting.
//!
//! Rooms: `client` (HTTP/1.1 on one connection), `signer` (a backend's signed calls), `alter` (a server on throw-away
//! data), `grant` (one connect flow, for a grant to release), `load` (the closed loop), `process` (figures from /proc),
//! `floor` (the bare server to compare with), `rates`, `start`, `timing`, `sizes`, `refresh`, `crash` (one kind of measurement
//! each), `machine` (where it was measured), `scale` (many grants), `report` (markdown and JSON). Nothing here asserts:
//! targets are printed beside the figures, and a missed target is a fact, not a failure. To add a measurement: a file
//! that returns a serialisable value, a field in `report::Report`, a section in its markdown.

mod alter;
mod client;
mod crash;
mod floor;
mod grant;
mod load;
mod machine;
mod process;
mod rates;
mod refresh;
mod report;
mod scale;
mod signer;
mod sizes;
mod start;
mod timing;

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

/// The measurements of Alter Connect.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure everything; print a table and write it to files.
    Run(Plan),
    /// Compare the same calls with many grants and with few.
    Scale(scale::Plan),
    /// Run the bare server: it prints its port and answers `hello`.
    Floor,
    /// Kill a server over and over in the middle of callbacks, and look for what was lost.
    Crash(crash::Plan),
    /// Kill a server over and over while calls refresh, and look for what was lost or sent too often.
    CrashRefresh(crash::Plan),
    /// Measure what a refresh adds to a call, and a storm of tokens that end together.
    Refresh(refresh::Plan),
    /// Load one workload for a while, for a profiler to watch; prints the server's process id first.
    Hold(Hold),
}

/// What to measure and for how long.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Plan {
    /// The release build of `alter`.
    #[arg(long, value_name = "FILE")]
    alter: PathBuf,
    /// Throw-away data goes below this folder. It must be on a real disk: elsewhere durable writes cost nothing.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where `DATE.md` and `DATE.json` are written.
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// The browser SDK's built files.
    #[arg(long, value_name = "DIR")]
    sdk: PathBuf,
    /// The commit that was built, for the report.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Seconds of each measured run, 1 to 60.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Number of repetitions, each on fresh data; the medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=15))]
    repetitions: u32,
    /// Numbers of keep-alive connections; each connection always has one request under way.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
    /// Measure on this PostgreSQL server, where databases may be made, instead of SQLite (`bench/with-postgres` starts
    /// one).
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Number of starts; their median is reported.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    starts: u32,
}

impl Plan {
    /// Initialises a server's data: a file, or a new database on PostgreSQL.
    fn init(&self) -> anyhow::Result<alter::Alter> {
        let database = self.postgres.as_deref().map(alter::new_database).transpose()?;
        alter::Alter::init_on(&self.alter, &self.data, database)
    }

    fn engine(&self) -> &'static str {
        if self.postgres.is_some() { "PostgreSQL" } else { "SQLite" }
    }
}

#[derive(Debug, Args)]
struct Hold {
    /// The build of `alter` to load.
    #[arg(long, value_name = "FILE")]
    alter: PathBuf,
    /// Throw-away data goes below this folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The workload: which request to send.
    #[arg(long, value_enum)]
    workload: rates::Workload,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds to load the server.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("alter-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The floor has a runtime like the server's own. The load generator has one worker, so that on a small machine it
/// takes at most one processor.
fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Floor => tokio::runtime::Runtime::new()?.block_on(floor::serve()),
        Command::Crash(plan) => one_worker()?.block_on(crash::run(&plan)),
        Command::CrashRefresh(plan) => one_worker()?.block_on(crash::refresh::run(&plan)),
        Command::Run(plan) => one_worker()?.block_on(measure(&plan)),
        Command::Refresh(plan) => one_worker()?.block_on(refresh::run(&plan)),
        Command::Scale(plan) => one_worker()?.block_on(scale::run(&plan)),
        Command::Hold(hold) => one_worker()?.block_on(rates::hold(
            &hold.alter,
            &hold.data,
            hold.workload,
            hold.connections,
            hold.seconds,
        )),
    }
}

fn one_worker() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

async fn measure(plan: &Plan) -> anyhow::Result<()> {
    std::fs::create_dir_all(&plan.data)?;
    let before = machine::Load::now();
    say("start-up and idle memory ...");
    let start = start::measure(plan).await?;
    say("rates ...");
    let rates = rates::measure(plan).await?;
    let report = report::Report {
        at: report::now(),
        commit: plan.commit.clone(),
        seconds: plan.seconds,
        repetitions: plan.repetitions,
        engine: plan.engine(),
        machine: machine::describe(&plan.data)?,
        load_before: before,
        load_after: machine::Load::now(),
        sizes: sizes::measure(&plan.alter, &plan.sdk)?,
        start,
        rates,
    };
    report.write(&plan.results)?;
    print(&report.markdown());
    Ok(())
}

/// Progress goes to standard error, the table to standard output.
pub(crate) fn say(text: &str) {
    let _reader_may_be_gone = writeln!(std::io::stderr(), "{text}");
}

pub(crate) fn print(text: &str) {
    let _reader_may_be_gone = writeln!(std::io::stdout(), "{text}");
}
