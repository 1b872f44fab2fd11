//! The port to storage as a whole. The noun-specific parts are in the nouns' files; the rest is here.
//!
//! Rules that keep two engines possible: single-statement upserts, ids and time passed in, coarse atomic commands,
//! text compared byte by byte, no NUL in text ([`crate::stored::storable`]), commands that may be retried whole.

use async_trait::async_trait;

use crate::{
    AgentStore, AppStore, AttemptStore, AuditStore, CallNonce, DataKeyStore, DelegationStore, GrantStore,
    KeyStore, Micros, ProviderStore, RefreshStore, RevocationStore, SessionStore, StoreError, UserStore,
};

/// Everything that storage must be able to do.
#[async_trait]
pub trait Store:
    AppStore
    + DataKeyStore
    + KeyStore
    + ProviderStore
    + SessionStore
    + AttemptStore
    + GrantStore
    + UserStore
    + AgentStore
    + DelegationStore
    + RevocationStore
    + RefreshStore
    + AuditStore
    + std::fmt::Debug
{
    /// Records the nonce of a signed call that writes nothing else.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`].
    async fn record_call(&self, call: CallNonce) -> Result<(), StoreError>;
    /// Refuses a call whose nonce is recorded. It only reads: of two calls at the same moment both may pass, and the commit
    /// that records the nonce decides.
    ///
    /// # Errors
    /// [`StoreError::NonceReplayed`].
    async fn refuse_known_call(&self, call: CallNonce) -> Result<(), StoreError>;
    /// Deletes nonces whose signed second is before that of `before`.
    async fn delete_old_nonces(&self, before: Micros) -> Result<u64, StoreError>;
    /// The key-check value of the root key, if the database has one.
    async fn key_check(&self) -> Result<Option<Vec<u8>>, StoreError>;
    /// Stores the key-check value, once.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one.
    async fn insert_key_check(&self, value: Vec<u8>) -> Result<(), StoreError>;
    /// One durable write and one read of it (`/readyz`).
    async fn probe(&self, now: Micros) -> Result<(), StoreError>;
}
