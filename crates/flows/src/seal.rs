//! The seal over a row that steers secrets: the row's digest, sealed into its own column. Whoever can write the database
//! but has no root key can make no seal, so what such a person changed is refused before anything is sent with it.
//!
//! Sealed is what is stored. What the catalog has learnt since ([`crate::facts`]) comes on top of a row that was checked.
//!
//! Not covered: an older version of the same row, put back whole with its seal (and with the row of its data key, if that
//! was replaced since). Only a new root key ends that.

use alter_core::{
    AgentId, ApiKey, App, AppId, ConfigId, Grant, Hash, KeyType, NewKey, ProviderConfig, SealedPlace,
    StoreError,
};
use alter_vault::{DataKey, VaultError};
use secrecy::ExposeSecret;

use crate::{
    Flows,
    fault::{FlowFault, Unproven},
    grants::list::owner,
    proofs::Proof,
    sealed::Sealer,
};

impl Flows {
    /// A configuration that a secret may be sent with: as it is stored, and as somebody with the root key wrote it.
    ///
    /// # Errors
    /// [`FlowFault::Unproven`].
    pub(crate) async fn proven_provider(
        &self,
        app: AppId,
        id: &ConfigId,
    ) -> Result<Option<ProviderConfig>, FlowFault> {
        // The row may be put under a new data key between the two reads.
        match self.read_proven(app, id).await {
            Err(fault) if fault.is_overtaken() => self.read_proven(app, id).await,
            read => read,
        }
    }

    async fn read_proven(&self, app: AppId, id: &ConfigId) -> Result<Option<ProviderConfig>, FlowFault> {
        let Some(config) = self.stored_provider(app, id).await? else { return Ok(None) };
        let app = self.app_of(config.app_id).await?;
        self.check_provider(&app, &config).await?;
        Ok(Some(config))
    }

    /// A configuration of this app as it is stored. A grant, an attempt or a request that names another app's was changed
    /// by somebody: to them it is not there, although its own seal is right.
    pub(crate) async fn stored_provider(
        &self,
        app: AppId,
        id: &ConfigId,
    ) -> Result<Option<ProviderConfig>, StoreError> {
        Ok(self.store().get_provider(id).await?.filter(|config| config.app_id == app))
    }

    /// Checks the seal of a configuration that was just read.
    ///
    /// # Errors
    /// [`FlowFault::Unproven`]; overtaken as [`Sealer::open`] has it.
    pub(crate) async fn check_provider(&self, app: &App, config: &ProviderConfig) -> Result<(), FlowFault> {
        let (place, id) = (config.place_of_seal(), &config.recipe.id);
        let row = || format!("providers {} ({id})", config.config_id);
        let Some(seal) = &config.seal else {
            let mend = format!("alter provider seal {} {id}", config.app_id);
            return Err(Unproven::Missing { row: row(), mend }.into());
        };
        if self.sealer().proves(app, &place, seal, &self.sealer().digests.of(config)).await? {
            return Ok(());
        }
        let mend = format!("alter provider set {} {id} --client-id ... --client-secret-stdin", config.app_id);
        Err(Unproven::Changed { row: row(), mend }.into())
    }
}

impl Flows {
    /// What a grant's tokens are bound to, as the database has it now.
    ///
    /// # Errors
    /// [`Unproven::Grant`]: its user is not there.
    pub(crate) async fn holder(&self, grant: &Grant) -> Result<Hash, FlowFault> {
        match owner(self, grant.app_id, grant.principal).await {
            Err(StoreError::Corrupt(_)) => {
                Err(Unproven::Grant { app: grant.app_id, grant: grant.id.to_string() }.into())
            }
            user => Ok(grant.holder(user?.as_ref()).digest()),
        }
    }
}

impl Flows {
    /// Makes a key of an app or of one of its agents, with its seal.
    pub(crate) fn new_key(
        &self,
        kind: KeyType,
        app: &App,
        agent: Option<AgentId>,
        name: &str,
    ) -> Result<NewKey, FlowFault> {
        let mut new = NewKey::mint(kind, (app.id, agent), name, self.now(), self.random());
        new.key.seal = Some(self.seal_of_key(app, &new.key)?);
        Ok(new)
    }

    /// The seal over a key that an operator has just made or looked at.
    pub(crate) fn seal_of_key(&self, app: &App, key: &ApiKey) -> Result<Vec<u8>, FlowFault> {
        let data_key = self.sealer().data_key(app)?;
        Ok(self.sealer().seal(&data_key, &key.place_of_seal(), &key.digest())?)
    }

    /// Checks the seal of a key that was just read.
    ///
    /// # Errors
    /// As [`Self::check_provider`].
    pub(crate) async fn check_key(&self, app: &App, key: &ApiKey) -> Result<(), FlowFault> {
        let (row, id) = (format!("api_keys {}", key.id), app.id);
        let Some(seal) = &key.seal else {
            return Err(Unproven::Missing { row, mend: format!("alter key seal {id} {}", key.id) }.into());
        };
        if self.sealer().proves(app, &key.place_of_seal(), seal, &key.digest()).await? {
            return Ok(());
        }
        Err(Unproven::Changed { row, mend: format!("alter key revoke {id} {}, and make another", key.id) }
            .into())
    }
}

impl Sealer {
    /// Puts the seal over a configuration that an operator has just written or looked at.
    pub(crate) fn seal_provider(
        &self,
        key: &DataKey,
        config: &ProviderConfig,
    ) -> Result<Vec<u8>, VaultError> {
        self.seal(key, &config.place_of_seal(), &config.digest())
    }

    /// Whether the seal opens in its place and contains this digest.
    async fn proves(
        &self,
        app: &App,
        place: &SealedPlace,
        seal: &[u8],
        digest: &Hash,
    ) -> Result<bool, FlowFault> {
        let proof = Proof { wrapped_key: &app.wrapped_key, place, seal, digest };
        if self.proofs.contains(&proof) {
            return Ok(true);
        }
        let key = self.data_key(app)?;
        match self.open(&key, place, seal).await {
            Ok(sealed) if sealed.expose_secret() != digest.as_slice() => Ok(false),
            Ok(_) => {
                // Under an older key of the app it is proven each time: that key may be wiped.
                if alter_vault::sealed_under(seal)? == key.id() {
                    self.proofs.remember(&proof);
                }
                Ok(true)
            }
            Err(FlowFault::Vault(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}
