//! `alter grant list|show|refresh|revoke APP`.

mod list;
mod refresh;
mod show;
mod words;

use alter_core::{App, GrantId, RevocationOutcome};
use alter_flows::{Flows, grants};
use clap::Subcommand;
use serde_json::json;

use super::{find_app, operator};
use crate::{
    config::Config,
    output::{Output, Usage},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// List an app's grants, newest first.
    List {
        /// App id, or its name.
        app: String,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Skip this many.
        #[arg(long, default_value_t = 0)]
        offset: u32,
    },
    /// Show a grant: its state, its token's end, and how refreshing it went.
    Show {
        /// App id, or its name.
        app: String,
        /// The grant's id (alter grant list).
        grant_id: String,
    },
    /// Refresh a grant's access token now, whatever its age.
    Refresh {
        /// App id, or its name.
        app: String,
        /// The grant's id (alter grant list).
        grant_id: String,
    },
    /// Revoke a grant: its tokens are wiped here at once, and the provider is asked to revoke them.
    Revoke {
        /// App id, or its name.
        app: String,
        /// The grant's id (alter grant list).
        grant_id: String,
        /// The reason; kept with the grant and in the audit.
        #[arg(long)]
        reason: Option<String>,
    },
}

pub(crate) async fn run(command: GrantCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    match command {
        GrantCommand::List { app, limit, offset } => list::run(&flows, &app, (limit, offset), output).await,
        GrantCommand::Show { app, grant_id } => {
            let app = find_app(&flows, &app).await?;
            show::run(&flows, &app, parse(&grant_id)?, output).await
        }
        GrantCommand::Refresh { app, grant_id } => {
            let app = find_app(&flows, &app).await?;
            refresh::run(&flows, &app, parse(&grant_id)?, output).await
        }
        GrantCommand::Revoke { app, grant_id, reason } => {
            let app = find_app(&flows, &app).await?;
            revoke(&flows, app, parse(&grant_id)?, reason.as_deref(), output).await
        }
    }
}

fn parse(given: &str) -> Result<GrantId, Usage> {
    GrantId::parse(given).ok_or_else(|| Usage(format!("{given} is not a grant id (alter grant list)")))
}

async fn revoke(
    flows: &Flows,
    app: App,
    id: GrantId,
    reason: Option<&str>,
    output: Output,
) -> anyhow::Result<()> {
    let revoked = grants::revoke_grant_as_operator(flows, &operator(), app, id, reason).await?;
    let provider = match revoked.outcome {
        RevocationOutcome::Confirmed => "the provider has confirmed the revocation",
        RevocationOutcome::Pending => {
            "the provider has not confirmed yet; `alter serve` keeps asking for a day"
        }
        RevocationOutcome::Shared => {
            "the provider was not asked, because it would end other active grants of this account"
        }
        RevocationOutcome::GivenUp => "the provider did not confirm within a day",
        RevocationOutcome::NotOffered => "the provider offers no revocation",
    };
    let value = json!({
        "grant_id": id.to_string(), "status": "revoked", "revoked_at": revoked.at.to_rfc3339(),
        "revocation": revoked.outcome.as_str(),
    });
    output.answer(&format!("Revoked: its tokens are wiped, and {provider}."), &value);
    Ok(())
}
