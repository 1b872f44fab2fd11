//! `alter agent create|list|suspend|resume|delete APP ...`: an agent uses the grants that users delegate to it.

use alter_core::{Agent, AgentId};
use alter_flows::{AgentError, Flows, NewAgent, callers};
use anyhow::Context;
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{find_app, operator};
use crate::{
    config::Config,
    output::{Output, Usage},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Create an agent; its key is printed only once.
    Create {
        /// App id, or its name.
        app: String,
        /// The agent's name; unique within the app.
        name: String,
        /// What people read on the consent page instead of the name.
        #[arg(long)]
        display_name: Option<String>,
    },
    /// List an app's agents.
    List {
        /// App id, or its name.
        app: String,
        /// Include deleted agents.
        #[arg(long)]
        all: bool,
    },
    /// Suspend an agent: its keys are refused until it is resumed.
    Suspend {
        /// App id, or its name.
        app: String,
        /// Agent id, or its name.
        agent: String,
    },
    /// Resume a suspended agent.
    Resume {
        /// App id, or its name.
        app: String,
        /// Agent id, or its name.
        agent: String,
    },
    /// Delete an agent for good: its keys and everything delegated to it end.
    Delete {
        /// App id, or its name.
        app: String,
        /// Agent id, or its name.
        agent: String,
    },
}

pub(crate) async fn run(command: AgentCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    match command {
        AgentCommand::Create { app, name, display_name } => {
            let app = find_app(&flows, &app).await?;
            let new = NewAgent { name, display_name, ..NewAgent::default() };
            let made = callers::create_agent_as_operator(&flows, &operator(), app, new).await;
            let made = made.map_err(by_flag)?;
            let key = made.key.context("a new agent has a key")?;
            let (id, key_id, secret) = (made.agent.id, key.key.id, key.secret.expose_secret());
            let mut value = described(&made.agent);
            (value["key_id"], value["api_key"]) = (json!(key_id.to_string()), json!(secret));
            let text = format!(
                "agent_id  {id}\nkey_id    {key_id}\napi_key   {secret}\n\nThis key is not shown again."
            );
            output.answer(&text, &value);
        }
        AgentCommand::List { app, all } => {
            let app = find_app(&flows, &app).await?;
            let agents = callers::list_agents_as_operator(&flows, app.id, all).await?;
            let line = |a: &Agent| format!("{}  {:<8}  {}", a.id, a.status.as_str(), a.name);
            let lines: Vec<_> = agents.iter().map(line).collect();
            let value = json!({ "agents": agents.iter().map(described).collect::<Vec<_>>() });
            output.list(&lines, "No agents.", &value);
        }
        AgentCommand::Suspend { app, agent } => {
            let (app, id) = named(&flows, &app, &agent).await?;
            let changed = callers::set_agent_active_as_operator(&flows, &operator(), app, id, false).await?;
            output.answer("Suspended: its keys are refused.", &described(&changed));
        }
        AgentCommand::Resume { app, agent } => {
            let (app, id) = named(&flows, &app, &agent).await?;
            let changed = callers::set_agent_active_as_operator(&flows, &operator(), app, id, true).await?;
            output.answer("Resumed.", &described(&changed));
        }
        AgentCommand::Delete { app, agent } => {
            let (app, id) = named(&flows, &app, &agent).await?;
            let deleted = callers::delete_agent_as_operator(&flows, &operator(), app, id).await?;
            output.answer("Deleted, with its keys and delegations.", &described(&deleted));
        }
    }
    Ok(())
}

/// A refused value has the name of its field on the wire; here it came from a flag or an argument.
fn by_flag(error: AgentError) -> anyhow::Error {
    let AgentError::Invalid(text) = &error else { return error.into() };
    let flags = [("display_name", "--display-name"), ("name", "NAME")];
    let named = flags.iter().find_map(|(field, flag)| Some(format!("{flag}{}", text.strip_prefix(field)?)));
    Usage(named.unwrap_or_else(|| text.clone())).into()
}

/// Finds an app, and an agent of that app. Each is given by id or by name.
async fn named(flows: &Flows, app: &str, agent: &str) -> anyhow::Result<(alter_core::App, AgentId)> {
    let app = find_app(flows, app).await?;
    match callers::find_agent_as_operator(flows, app.id, agent).await {
        Ok(found) => Ok((app, found.id)),
        Err(AgentError::NotFound) => anyhow::bail!("the app has no agent \"{agent}\" (alter agent list)"),
        Err(error) => Err(error.into()),
    }
}

fn described(agent: &Agent) -> Value {
    json!({
        "agent_id": agent.id.to_string(), "name": agent.name, "display_name": agent.data.display_name,
        "status": agent.status.as_str(), "type": agent.data.kind.as_str(), "scopes": agent.data.scopes,
        "created_at": agent.created_at.to_rfc3339(),
    })
}
