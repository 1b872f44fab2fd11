//! `alter migrate`: brings the database to this version's schema. `serve` does the same at its start.

use serde_json::json;

use crate::{config::Config, database::Open, output::Output};

pub(crate) async fn run(config: &Config, output: Output) -> anyhow::Result<()> {
    config.database.open(Open::Existing).await?;
    let version = config.database.schema_version();
    output.answer(&format!("The database now has schema {version}."), &json!({ "schema": version }));
    Ok(())
}
