//! `alter doctor`: looks for what operators most often get wrong, and says what to do. It changes nothing except one
//! probe row. The exit status is 1 when something must be mended; what may be intended is only a warning.
//!
//! `problem` lists every problem with its id and its remedy (docs/reference/doctor.md is generated from it);
//! `settings`, `files`, `database`, `apps`, `grants` and `network` look for them. To add one: a line in `problems!`, a check
//! beside similar ones, a test that makes the problem happen, and `UPDATE_DOCTOR=1 cargo test -p alter-cli doctor`.

mod apps;
mod database;
mod files;
mod grants;
mod network;
mod problem;
mod settings;

use clap::Args;
use problem::{Finding, Severity};
use serde_json::json;

use crate::{config::Config, output::Output};

/// The flags of `alter doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Send no request over the network, neither to this server's public address nor to any provider.
    #[arg(long)]
    offline: bool,
}

pub(crate) async fn run(doctor: &Doctor, config: &Config, output: Output) -> anyhow::Result<()> {
    let mut findings = settings::look(config);
    findings.extend(files::look(config));
    let (seen, database) = database::look(config).await;
    findings.extend(seen);
    if let Some(database) = &database {
        findings.extend(apps::look(database, config));
        findings.extend(apps::seals(database).await);
        findings.extend(grants::look(database).await);
    }
    if !doctor.offline {
        findings.extend(network::look(database.as_ref(), config).await);
    }
    report(&findings, output)
}

fn report(findings: &[Finding], output: Output) -> anyhow::Result<()> {
    let lines: Vec<_> = findings.iter().map(Finding::line).collect();
    let rows: Vec<_> = findings.iter().map(Finding::row).collect();
    output.answer(&lines.join("\n"), &json!({ "findings": rows }));
    let bad = findings.iter().filter(|f| f.severity == Severity::Mend).count();
    if bad > 0 {
        anyhow::bail!("{bad} of {} findings need mending", findings.len());
    }
    Ok(())
}
