//! The binary `alter`: reads the settings, wires the parts, prints the results. No rule lives here.
//!
//! Rooms: `config` (settings), `database` (SQLite or PostgreSQL), `wiring` (store, vault, egress, flows), `commands`
//! (one file per command), `demo` (`alter demo`), `input` (secrets, consent), `limits` (open files), `logging`, `metrics`
//! (`/metrics`), `output` (text or `--json`). Exit status: 0 ok, 1 failed, 2 wrong usage, 3 could not be judged (`audit
//! verify`).

mod commands;
mod config;
mod database;
mod demo;
mod input;
mod limits;
mod logging;
mod metrics;
mod output;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::{commands::Command, output::Output};

/// glibc's allocator keeps what a rush of connections has used (`docs/decisions/0001`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Users connect their accounts with one button; your backend calls on their behalf and never holds a token.
#[derive(Debug, Parser)]
#[command(name = "alter", version, propagate_version = true)]
struct Cli {
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    settings: config::Flags,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            return output.failed(&anyhow::Error::new(error).context("the async runtime did not start"));
        }
    };
    let result = runtime.block_on(commands::run(cli.command, &cli.settings, &output));
    // A DNS look-up holds a thread until it is answered. Nobody needs its answer now.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output.failed(&error),
    }
}
