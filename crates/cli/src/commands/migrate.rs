//! `alter migrate`: brings the database to this version's schema. `serve` does the same at start.

use alter_store_sqlite::{Open, SqliteStore};
use anyhow::Context;
use serde_json::json;

use crate::{config::Config, output::Output};

pub(crate) fn run(config: &Config, output: Output) -> anyhow::Result<()> {
    SqliteStore::open(&config.database, Open::Existing)
        .with_context(|| format!("the database {} did not open", config.database.display()))?;
    let version = SqliteStore::schema_version();
    output.answer(&format!("The database has schema {version}."), &json!({ "schema": version }));
    Ok(())
}
