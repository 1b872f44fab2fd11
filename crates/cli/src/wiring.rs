//! Puts the parts together.

use std::{path::Path, sync::Arc};

use alter_core::{Store, SystemClock, SystemRandom};
use alter_egress::{Egress, EgressConfig};
use alter_flows::{Flows, FlowsConfig, StartError, ready};
use alter_vault::Vault;
use anyhow::{Context, bail};

use crate::{config::Config, database::Open};

/// An existing, initialised database of this version's schema and the flows over it, for a command; the root key has
/// been checked against it (T93): a command must not write beside a server that holds another.
///
/// # Errors
/// In words for the operator.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Flows> {
    check_owner(&config.data_dir)?;
    config.database.refuse_older_schema().await?;
    checked(config, vault(config)?).await
}

/// The same for the server, which migrates an older schema, once the root key has been found to be this database's.
///
/// # Errors
/// In words for the operator.
pub(crate) async fn open_migrating(config: &Config) -> anyhow::Result<Flows> {
    check_owner(&config.data_dir)?;
    let vault = vault(config)?;
    let key_check = config.database.key_check().await?.ok_or(StartError::NotInitialised)?;
    vault.verify_key_check(&key_check).map_err(StartError::RootKey)?;
    checked(config, vault).await
}

async fn checked(config: &Config, vault: Vault) -> anyhow::Result<Flows> {
    let store = config.database.open(Open::Existing).await?;
    let flows = assemble(config, store, vault)?;
    ready::check_root_key(&flows).await?;
    Ok(flows)
}

/// The root key, and the one that is being replaced where there is one.
pub(crate) fn vault(config: &Config) -> anyhow::Result<Vault> {
    let vault = Vault::new(config.root_key.load()?);
    match &config.root_key_old {
        Some(old) => Ok(vault.accepting(old.load()?)),
        None => Ok(vault),
    }
}

/// Flows from parts, without any check.
pub(crate) fn assemble(config: &Config, store: Arc<dyn Store>, vault: Vault) -> anyhow::Result<Flows> {
    let egress = egress(config)?;
    let public = FlowsConfig { public_url: config.public_url.clone() };
    Ok(Flows::new(public, store, vault, egress, Arc::new(SystemClock), Arc::new(SystemRandom)))
}

/// The way out.
pub(crate) fn egress(config: &Config) -> anyhow::Result<Egress> {
    let settings = EgressConfig { allow: config.egress_allow.clone(), ..EgressConfig::default() };
    Egress::new(settings).context("the outgoing HTTP client did not start")
}

/// The command line writes to the server's database: only as the user who owns it, or the server could not read what
/// was written.
pub(crate) fn check_owner(data_dir: &Path) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(data_dir).map(|m| m.uid());
        let us = rustix::process::geteuid().as_raw();
        if let Ok(owner) = owner
            && owner != us
        {
            bail!(
                "{} belongs to user {owner}, and this is user {us}: run this command as its owner",
                data_dir.display()
            );
        }
    }
    Ok(())
}
