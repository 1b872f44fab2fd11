//! `alter init`: makes the data directory (0700), the root key (0600) and the database. Overwrites nothing.

use alter_core::{Random, SystemRandom};
use alter_flows::ready;
use alter_vault::{RootKey, Vault};
use anyhow::{Context, bail};
use serde_json::json;

use crate::{
    config::{Config, RootKeySource, is_private},
    database::Open,
    output::Output,
    wiring,
};

pub(crate) async fn run(config: &Config, output: Output) -> anyhow::Result<()> {
    if config.database.is_initialised().await? {
        bail!("{} exists already: nothing was changed", config.database);
    }
    create_private_dir(&config.data_dir)?;
    let root_key = match &config.root_key {
        RootKeySource::Environment(_) => config.root_key.load()?,
        // A key that is there is used and never replaced: an `init` that was broken off made it, or its database is gone.
        RootKeySource::File(path) if path.exists() => config.root_key.load()?,
        RootKeySource::File(path) => {
            let (_, text) = RootKey::generate(&|buffer| SystemRandom.fill(buffer));
            RootKeySource::create(path, &text)?;
            config.root_key.load()?
        }
    };
    let store = config.database.open(Open::Create).await?;
    ready::initialise(&wiring::assemble(config, store, Vault::new(root_key))?).await?;
    let (dir, database) = (config.data_dir.display().to_string(), config.database.to_string());
    let key = match &config.root_key {
        RootKeySource::Environment(_) => "ALTER_ROOT_KEY".to_owned(),
        RootKeySource::File(path) => path.display().to_string(),
    };
    let text = format!(
        "Ready.\n  data directory  {dir}\n  database        {database}\n  root key        {key}\n\n\
         Back up the root key apart from the database: without this key nothing can be decrypted.\n\
         Next: alter app create NAME --website-url https://app.example.com"
    );
    output.answer(&text, &json!({ "data_dir": dir, "database": database, "root_key": key }));
    Ok(())
}

fn create_private_dir(path: &std::path::Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("cannot create {}", path.display()))?;
    wiring::check_owner(path)?;
    if !is_private(path) {
        bail!("{0} can be entered by other users: chmod 700 {0}", path.display());
    }
    Ok(())
}
