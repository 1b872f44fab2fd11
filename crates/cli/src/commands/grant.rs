//! `alter grant list|revoke APP`.

use alter_core::{GrantId, ListedGrant, Micros, RevocationOutcome};
use alter_flows::{Flows, grants};
use clap::Subcommand;
use serde_json::{Value, json};

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
        GrantCommand::List { app, limit, offset } => list(&flows, &app, (limit, offset), output).await,
        GrantCommand::Revoke { app, grant_id, reason } => {
            let app = find_app(&flows, &app).await?;
            let id = GrantId::parse(&grant_id)
                .ok_or_else(|| Usage(format!("{grant_id} is not a grant id (alter grant list)")))?;
            let revoked =
                grants::revoke_grant_as_operator(&flows, &operator(), app, id, reason.as_deref()).await?;
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
                "grant_id": grant_id, "status": "revoked", "revoked_at": revoked.at.to_rfc3339(),
                "revocation": revoked.outcome.as_str(),
            });
            output.answer(&format!("Revoked: its tokens are wiped, and {provider}."), &value);
            Ok(())
        }
    }
}

async fn list(flows: &Flows, app: &str, page: (u32, u32), output: Output) -> anyhow::Result<()> {
    let app = find_app(flows, app).await?;
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for (listed, user) in grants::list_grants_as_operator(flows, app.id, page).await? {
        lines.push(line(&listed, user.as_ref()));
        rows.push(row(&listed, user.as_ref()));
    }
    let text = if lines.is_empty() { "No grants.".to_owned() } else { lines.join("\n") };
    output.answer(&text, &json!({ "grants": rows }));
    Ok(())
}

fn line(ListedGrant { grant, .. }: &ListedGrant, user: Option<&alter_core::User>) -> String {
    let connected = grant.updated_at.to_rfc3339();
    let whose = user.map_or("the app", |user| &user.label);
    format!(
        "{}  {:<12} {:<8} {}  {connected}  {}  of {whose}",
        grant.id,
        grant.provider,
        grant.status().as_str(),
        grant.level.as_str(),
        grant.account_identifier
    )
}

fn row(ListedGrant { grant, agents, .. }: &ListedGrant, user: Option<&alter_core::User>) -> Value {
    json!({
        "grant_id": grant.id.to_string(), "provider_id": grant.provider, "status": grant.status().as_str(),
        "principal": user.map(|u| json!({ "app_user_id": u.id.to_string(), "iss": u.issuer, "sub": u.subject, "label": u.label })),
        "account_identifier": grant.account_identifier, "account_display_name": grant.account_display_name,
        "label": grant.label, "scopes": grant.scopes, "missing_scopes": grant.missing_scopes,
        "binding": grant.level.as_str(), "created_at": grant.created_at.to_rfc3339(),
        "updated_at": grant.updated_at.to_rfc3339(), "last_used_at": grant.last_used_at.map(Micros::to_rfc3339),
        "expires_at": grant.credential.expires_at.map(Micros::to_rfc3339),
        "delegated_agent_ids": agents.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "revoked_at": grant.revoked.as_ref().map(|r| r.at.to_rfc3339()),
        "revocation": grant.revoked.as_ref().map(|r| r.outcome.as_str()),
    })
}
