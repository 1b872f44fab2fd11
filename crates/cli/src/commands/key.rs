//! `alter key create|list|seal|revoke APP`.

use alter_core::{App, KeyId};
use alter_flows::{Flows, OperateError, operate};
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{find_app, operator};
use crate::{
    config::Config,
    output::{Output, Usage, in_a_line},
    wiring,
};

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key; it is printed only once.
    Create {
        /// App id, or its name.
        app: String,
        /// The key's name, for `alter key list`.
        #[arg(long, default_value = "key")]
        name: String,
    },
    /// List an app's keys.
    List {
        /// App id, or its name.
        app: String,
    },
    /// Seal a key that has no seal, because it is from before there were seals. Prints whose key it is; look at that first.
    Seal {
        /// App id, or its name.
        app: String,
        /// The key's id (alter key list).
        key_id: String,
        /// The key is one of yours: seal it.
        #[arg(long)]
        accept: bool,
    },
    /// Revoke a key: it is refused from now on.
    Revoke {
        /// App id, or its name.
        app: String,
        /// The key's id (alter key list).
        key_id: String,
    },
}

pub(crate) async fn run(command: KeyCommand, config: &Config, output: Output) -> anyhow::Result<()> {
    let flows = wiring::open(config).await?;
    match command {
        KeyCommand::Create { app, name } => {
            let app = find_app(&flows, &app).await?;
            let made = operate::create_key(&flows, &operator(), app.id, &name).await?;
            let (id, key) = (made.key.id, made.secret.expose_secret());
            let value = json!({ "app_id": app.id.to_string(), "key_id": id.to_string(), "api_key": key });
            output.answer(&format!("key_id   {id}\napi_key  {key}\n\nThis key is not shown again."), &value);
        }
        KeyCommand::List { app } => {
            let app = find_app(&flows, &app).await?;
            let keys = operate::list_keys(&flows, app.id).await?;
            let state = |k: &alter_core::ApiKey| if k.revoked_at.is_some() { "revoked" } else { "active" };
            let line = |k| format!("{}  {}…  {:<8} {}", key_id(k), k.prefix, state(k), k.name);
            let rows: Vec<_> = keys
                .iter()
                .map(|k| {
                    json!({ "key_id": key_id(k), "prefix": k.prefix, "name": k.name, "state": state(k),
                            "created_at": k.created_at.to_rfc3339() })
                })
                .collect();
            output.list(&keys.iter().map(line).collect::<Vec<_>>(), "No keys.", &json!({ "keys": rows }));
        }
        KeyCommand::Seal { app, key_id, accept } => {
            let app = find_app(&flows, &app).await?;
            seal(&flows, &app, parse(&key_id)?, accept, output).await?;
        }
        KeyCommand::Revoke { app, key_id } => {
            let (app, id) = (find_app(&flows, &app).await?, parse(&key_id)?);
            operate::revoke_key(&flows, &operator(), app.id, id).await?;
            output.answer("Revoked.", &json!({ "key_id": id.to_string(), "state": "revoked" }));
        }
    }
    Ok(())
}

async fn seal(flows: &Flows, app: &App, id: KeyId, accept: bool, output: Output) -> anyhow::Result<()> {
    let keys = operate::list_keys(flows, app.id).await?;
    let key = keys.into_iter().find(|key| key.id == id).ok_or(OperateError::NoSuchKey(id))?;
    if accept {
        operate::seal_key(flows, &operator(), app.id, id).await?;
    }
    let agent = key.agent_id.map(|agent| agent.to_string());
    let owner = agent.as_deref().map_or("the app".to_owned(), |agent| format!("agent {agent}"));
    let made = key.created_at.to_rfc3339();
    let line = in_a_line(&format!("{id}  {}…  of {owner}, made {made}: {}", key.prefix, key.name));
    let end = if accept {
        "Sealed."
    } else {
        "Nothing was changed. If no one else could write the database, and you made that key: --accept. Prefix and name prove \
         nothing; if in doubt, alter key create makes another, and alter key revoke ends this one."
    };
    let value = json!({ "key_id": id.to_string(), "prefix": key.prefix, "name": key.name, "agent_id": agent,
        "created_at": made, "sealed": accept });
    output.answer(&format!("{line}\n\n{end}"), &value);
    Ok(())
}

fn parse(key_id: &str) -> Result<KeyId, Usage> {
    KeyId::parse(key_id).ok_or_else(|| Usage(format!("{key_id} is not a key id (alter key list)")))
}

fn key_id(key: &alter_core::ApiKey) -> String {
    key.id.to_string()
}
