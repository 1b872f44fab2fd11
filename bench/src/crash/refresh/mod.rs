//! The crash campaign of refreshes: a server is killed while calls keep refreshing the tokens of a few grants, round after
//! round on the same data, once at a provider with a reuse window and once at one that ends everything when a refresh
//! token comes back.
//!
//! `death` draws how a round ends, `people` connects and calls, `stored` reads the database of the dead server, `stock`
//! counts after each kill, `campaign` runs the rounds, `report` prints. As with callbacks, a failed expectation is a
//! figure in the table and an exit status.

mod campaign;
mod death;
mod people;
mod report;
mod stock;
mod stored;

use std::time::Duration;

use alter_mock_provider::MockProvider;
use anyhow::ensure;
use serde_json::json;

use super::{Plan, Site};
use crate::{machine, say};

/// What the provider does with a refresh token that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reuse {
    /// Honours it for an hour.
    Window,
    /// Refuses it, and ends the grant.
    Ends,
}

impl Reuse {
    fn name(self) -> &'static str {
        match self {
            Self::Window => "reuse window",
            Self::Ends => "reuse ends the grant",
        }
    }

    /// Rotates, and says that access tokens live two seconds: then every call of the second half refreshes. They really
    /// work longer, so that the provider's coarser clock refuses none that was released in time.
    fn prepare(self, provider: &MockProvider) {
        provider.set(|s| {
            s.expires_in = Some(json!(2));
            s.refresh.reuse_ends_grant = true;
            s.refresh.reuse_window = match self {
                Self::Window => Duration::from_secs(3600),
                Self::Ends => Duration::ZERO,
            };
        });
    }
}

/// Runs the campaign. Returns an error if anything was lost that must not be, sent too often, or stuck.
pub(crate) async fn run(plan: &Plan) -> anyhow::Result<()> {
    std::fs::create_dir_all(&plan.data)?;
    let mut report = report::Report {
        at: crate::report::now(),
        commit: plan.commit.clone(),
        seed: plan.seed,
        machine: machine::describe(&plan.data)?,
        load_before: machine::Load::now(),
        load_after: machine::Load::now(),
        results: Vec::new(),
    };
    for engine in plan.engines() {
        for reuse in [Reuse::Window, Reuse::Ends] {
            let name = format!("{engine:?}, {}", reuse.name());
            say(&format!("{name}: {} kills ...", plan.rounds / 2));
            let site = Site::new(plan, engine).await?;
            reuse.prepare(&site.provider);
            report.results.push(report::Result { name, campaign: campaign::run(plan, site, reuse).await? });
            report.load_after = machine::Load::now();
            // A long campaign that is stopped leaves what it has.
            report.write(&plan.results)?;
        }
    }
    crate::print(&report.markdown());
    ensure!(report.is_good(), "a refresh token was lost or sent too often, or a call was left waiting");
    Ok(())
}
