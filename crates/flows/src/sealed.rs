//! Sealing and opening secrets, for every story. Each secret has a place ([`SealedPlace`], made by the noun it belongs
//! to). This module joins place, data key and randomness, and finds the right key for a value under an older key.
//!
//! Not here: which columns are sealed (`core::sealed`), what the bytes look like (`vault`).

use std::sync::Arc;

use alter_core::{
    App, AppId, Credential, CredentialPlace, GrantSecret, Micros, ProviderConfig, Random, SealedPlace, Store,
    StoreError,
};
use alter_oauth::TokenSet;
use alter_vault::{DataKey, Place, Vault, VaultError};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::{
    digests::Digests,
    fault::{FlowFault, Unproven},
    proofs::Proofs,
};

/// The vault with what it needs: storage for data keys, and randomness. And what was digested and proven,
/// remembered.
pub(crate) struct Sealer {
    vault: Vault,
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    pub(crate) digests: Digests,
    pub(crate) proofs: Proofs,
}

impl Sealer {
    pub(crate) fn new(vault: Vault, store: Arc<dyn Store>, random: Arc<dyn Random>) -> Self {
        Self { vault, store, random, digests: Digests::default(), proofs: Proofs::default() }
    }

    /// The vault itself, for work on the root key.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Fills a buffer with random bytes, in the form the vault asks for.
    pub(crate) fn fill(&self, buffer: &mut [u8]) {
        self.random.fill(buffer);
    }

    /// The current data key of an app that was just read.
    pub(crate) fn data_key(&self, app: &App) -> Result<DataKey, VaultError> {
        self.vault.data_key(&app.id.to_string(), &app.wrapped_key)
    }

    /// Reads the app again and returns its current data key.
    pub(crate) async fn current_key(&self, app: AppId) -> Result<DataKey, FlowFault> {
        let app = self.store.get_app(app).await?;
        let app = app.ok_or(StoreError::Corrupt("a row names an app that is not there"))?;
        Ok(self.data_key(&app)?)
    }

    /// Seals `plaintext` for `place`.
    ///
    /// # Errors
    /// [`VaultError`]: the place belongs to another app, or the value is too long.
    pub(crate) fn seal(
        &self,
        key: &DataKey,
        place: &SealedPlace,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let app = place.app.to_string();
        key.seal(&vault_place(place, &app), plaintext, &|buffer| self.fill(buffer))
    }

    /// Like [`Self::seal`], for text.
    pub(crate) fn seal_text(
        &self,
        key: &DataKey,
        place: &SealedPlace,
        text: &SecretString,
    ) -> Result<Vec<u8>, VaultError> {
        self.seal(key, place, text.expose_secret().as_bytes())
    }

    /// Opens a value. During a key rotation the value may be under another of the app's data keys than `key`; only then
    /// is that other key read.
    ///
    /// # Errors
    /// [`StoreError::KeyRetired`] when the value was put under a new key since it was read and its old key is wiped:
    /// read the value again.
    pub(crate) async fn open(
        &self,
        key: &DataKey,
        place: &SealedPlace,
        sealed: &[u8],
    ) -> Result<SecretSlice<u8>, FlowFault> {
        let app = place.app.to_string();
        match key.open(&vault_place(place, &app), sealed) {
            Err(VaultError::WrongKeyId) => {
                let other = self.key_of(place.app, sealed).await?;
                Ok(other.open(&vault_place(place, &app), sealed)?)
            }
            opened => Ok(opened?),
        }
    }

    /// Like [`Self::open`], for text.
    pub(crate) async fn open_text(
        &self,
        key: &DataKey,
        place: &SealedPlace,
        sealed: &[u8],
    ) -> Result<SecretString, FlowFault> {
        let bytes = self.open(key, place, sealed).await?;
        let text = std::str::from_utf8(bytes.expose_secret()).map_err(|_| FlowFault::NotText)?;
        Ok(SecretString::from(text.to_owned()))
    }

    /// Opens one of a grant's tokens. Its seal is bound to the grant's holder, so a token that opens proves the row, too.
    ///
    /// # Errors
    /// [`Unproven::Grant`]; as [`Self::open`].
    pub(crate) async fn open_token(
        &self,
        key: &DataKey,
        place: &SealedPlace,
        sealed: &[u8],
    ) -> Result<SecretString, FlowFault> {
        match self.open_text(key, place, sealed).await {
            Err(FlowFault::Vault(VaultError::BoundElsewhere)) => {
                Err(Unproven::Grant { app: place.app, grant: place.row.clone() }.into())
            }
            opened => opened,
        }
    }

    /// Opens the provider configuration's client secret; returns `None` for a public client.
    pub(crate) async fn client_secret(
        &self,
        key: &DataKey,
        config: &ProviderConfig,
    ) -> Result<Option<SecretString>, FlowFault> {
        match &config.client_secret {
            Some(sealed) => self.open_text(key, &config.place(), sealed).await.map(Some),
            None => Ok(None),
        }
    }

    /// Seals the tokens of an answer as one generation of a grant. `refresh_token` is a separate argument because an answer
    /// without one keeps the grant's old one. `received_at` is when the answer came; lifetimes count from then.
    pub(crate) fn seal_tokens(
        &self,
        key: &DataKey,
        place: CredentialPlace,
        tokens: &TokenSet,
        refresh_token: Option<&SecretString>,
        received_at: Micros,
    ) -> Result<Credential, VaultError> {
        let seal = |secret, text: &SecretString| self.seal_text(key, &place.of(secret), text);
        Ok(Credential {
            generation: place.generation,
            token_type: tokens.token_type.clone(),
            issued_at: received_at,
            expires_at: tokens.expiry.and_then(|expiry| expiry.moment(received_at)),
            access_token: seal(GrantSecret::AccessToken, &tokens.access_token)?,
            refresh_token: refresh_token.map(|text| seal(GrantSecret::RefreshToken, text)).transpose()?,
            id_token: tokens.id_token.as_ref().map(|text| seal(GrantSecret::IdToken, text)).transpose()?,
        })
    }

    /// Puts a sealed value under the data key `new`.
    ///
    /// # Errors
    /// [`VaultError`]: the value does not open under `old`.
    pub(crate) fn rewrap(
        &self,
        old: &DataKey,
        new: &DataKey,
        place: &SealedPlace,
        sealed: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let app = place.app.to_string();
        old.rewrap(new, &vault_place(place, &app), sealed, &|buffer| self.fill(buffer))
    }

    async fn key_of(&self, app: AppId, sealed: &[u8]) -> Result<DataKey, FlowFault> {
        let id = alter_vault::sealed_under(sealed)?;
        let key = self.store.get_data_key(app, id).await?.ok_or(VaultError::WrongKeyId)?;
        let wrapped = key.wrapped.ok_or(StoreError::KeyRetired)?;
        Ok(self.vault.data_key(&app.to_string(), &wrapped)?)
    }
}

fn vault_place<'a>(place: &'a SealedPlace, app: &'a str) -> Place<'a> {
    Place {
        app,
        table: place.column.sealed_table(),
        column: place.column.column(),
        row: &place.row,
        generation: place.generation,
        bound_to: place.bound_to.as_ref().map(|digest| digest.as_slice()),
    }
}
