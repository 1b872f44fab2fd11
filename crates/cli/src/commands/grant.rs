//! `alter grant list APP`. Revoking is not built yet.

use alter_core::GrantFilter;
use clap::Subcommand;
use serde_json::json;

use super::{find_app, store_of};
use crate::{config::Config, output::Output};

#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// Grants of an app, newest first.
    List {
        /// App id, or its name.
        app: String,
        /// How many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Skip this many.
        #[arg(long, default_value_t = 0)]
        offset: u32,
    },
}

pub(crate) async fn run(command: GrantCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    let GrantCommand::List { app, limit, offset } = command;
    let store = store_of(config).await?;
    let app = find_app(store.as_ref(), &app).await?;
    let grants = store.list_grants(app.id, &GrantFilter::default(), limit, offset).await?;
    let grants: Vec<_> = grants.into_iter().map(|listed| listed.grant).collect();
    let line = |g: &alter_core::Grant| {
        let connected = g.updated_at.to_rfc3339();
        format!("{}  {:<12} {}  {connected}  {}", g.id, g.provider, g.level.as_str(), g.account_identifier)
    };
    let rows: Vec<_> = grants
        .iter()
        .map(|g| {
            json!({
                "grant_id": g.id.to_string(), "provider_id": g.provider, "account_identifier": g.account_identifier,
                "account_display_name": g.account_display_name, "scopes": g.scopes, "missing_scopes": g.missing_scopes,
                "binding": g.level.as_str(), "created_at": g.created_at.to_rfc3339(),
                "updated_at": g.updated_at.to_rfc3339(),
                "expires_at": g.credential.expires_at.map(alter_core::Micros::to_rfc3339),
            })
        })
        .collect();
    let text = if grants.is_empty() {
        "No grants.".to_owned()
    } else {
        grants.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    output.answer(&text, &json!({ "grants": rows }));
    Ok(())
}
