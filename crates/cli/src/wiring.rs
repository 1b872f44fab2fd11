//! Wires store, vault, egress and flows together as the settings say.

use std::{path::Path, sync::Arc};

use alter_core::{Store, SystemClock, SystemRandom};
use alter_egress::{Egress, EgressConfig};
use alter_flows::{Flows, FlowsConfig, REFRESH_PAUSE, StartError, ready};
use alter_vault::Vault;
use anyhow::{Context, bail};

use crate::{config::Config, database::Open};

/// Opens the database for a command, with flows over it. The database must exist, be initialised and have this
/// version's schema. The root key must fit it (T93): a command must not write beside a server that holds another key.
///
/// # Errors
/// The error is a sentence for the operator.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Flows> {
    check_owner(&config.data_dir)?;
    config.database.refuse_older_schema().await?;
    checked(config, vault(config)?).await
}

/// The same as [`open`] for the server, which migrates an older schema, but only after the root key was found to fit.
///
/// # Errors
/// The error is a sentence for the operator.
pub(crate) async fn open_migrating(config: &Config) -> anyhow::Result<Flows> {
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

/// Makes a vault from the root key, and from the one that is being replaced if there is one.
pub(crate) fn vault(config: &Config) -> anyhow::Result<Vault> {
    let vault = Vault::new(config.root_key.load()?);
    match &config.root_key_old {
        Some(old) => Ok(vault.accepting(old.load()?)),
        None => Ok(vault),
    }
}

/// Assembles the flows; checks nothing.
pub(crate) fn assemble(config: &Config, store: Arc<dyn Store>, vault: Vault) -> anyhow::Result<Flows> {
    let egress = egress(config)?;
    let public = FlowsConfig { public_url: config.public_url.clone(), refresh_pause: REFRESH_PAUSE };
    Ok(Flows::new(public, store, vault, egress, Arc::new(SystemClock), Arc::new(SystemRandom)))
}

/// Makes the client for outgoing HTTP, with the networks of `ALTER_EGRESS_ALLOW`.
pub(crate) fn egress(config: &Config) -> anyhow::Result<Egress> {
    let settings = EgressConfig { allow: config.egress_allow.clone(), ..EgressConfig::default() };
    Egress::new(settings).context("the outgoing HTTP client did not start")
}

/// Refuses any user but the owner of the data directory. Commands write to the server's database, and the server could
/// not read what another user wrote.
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
