//! `alter key create|list|revoke APP`.

use alter_core::KeyId;
use alter_flows::operate;
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{find_app, operator};
use crate::{
    config::Config,
    output::{Output, Usage},
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
        KeyCommand::Revoke { app, key_id } => {
            let app = find_app(&flows, &app).await?;
            let id = KeyId::parse(&key_id)
                .ok_or_else(|| Usage(format!("{key_id} is not a key id (alter key list)")))?;
            operate::revoke_key(&flows, &operator(), app.id, id).await?;
            output.answer("Revoked.", &json!({ "key_id": id.to_string(), "state": "revoked" }));
        }
    }
    Ok(())
}

fn key_id(key: &alter_core::ApiKey) -> String {
    key.id.to_string()
}
