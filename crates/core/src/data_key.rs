//! The data keys of an app, and the values sealed under them, as far as storage sees either: bytes.
//!
//! An app seals under one key, the current one ([`crate::App::wrapped_key`]). A key that was replaced stays for reading
//! until no value is under it any more; then it is wiped, and its row remains as a mark: a writer that still holds it
//! gets [`StoreError::KeyRetired`] and seals again (every command that stores sealed values checks this in its own
//! transaction). So nothing can ever be stored under a key that is gone.
//!
//! Storage finds a value's key in its bytes: those from [`KEY_ID_AT`] on, the same in a sealed value and in a wrapped
//! key. That much of the vault's format is part of this port; a wiped value (empty) is under no key.

use std::ops::Range;

use async_trait::async_trait;

use crate::{AppId, AuditEntry, Micros, Saved, SealedColumn, SealedValue, StoreError};

/// The id of a data key: random, not secret.
pub type DataKeyId = [u8; 16];

/// Where the id of its key stands in a sealed value, and its own in a wrapped key.
pub const KEY_ID_AT: Range<usize> = 6..22;

/// A data key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDataKey {
    /// Whose.
    pub app_id: AppId,
    /// Which.
    pub key_id: DataKeyId,
    /// Wrapped by the root key; `None` when it was retired and wiped.
    pub wrapped: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: Micros,
    /// When it was wiped.
    pub retired_at: Option<Micros>,
}

/// A new current key of an app.
#[derive(Debug, Clone)]
pub struct AddDataKey {
    /// Whose.
    pub app_id: AppId,
    /// The new key, wrapped.
    pub wrapped: Vec<u8>,
    /// The wrapped key that was current when the new one was made.
    pub replaces: Vec<u8>,
    /// When.
    pub at: Micros,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// Every data key under another root key, and the root key's check.
#[derive(Debug, Clone)]
pub struct ReplaceRootKey {
    /// The check that is stored now.
    pub old_check: Vec<u8>,
    /// The new root key's.
    pub new_check: Vec<u8>,
    /// Every key that is not retired: as it is stored, and wrapped again.
    pub keys: Vec<(StoredDataKey, Vec<u8>)>,
    /// What the audits record.
    pub audit: Vec<AuditEntry>,
}

/// What became of wiping a data key.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// It is wiped now.
    Done,
    /// It stays as it is: it is the current one, it was wiped before, or a value is under it.
    Kept,
}

impl Retired {
    /// Whether it is wiped now.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// What storage must be able to do for data keys.
#[async_trait]
pub trait DataKeyStore: Send + Sync {
    /// All of an app, retired ones too, oldest first.
    async fn list_data_keys(&self, app: AppId) -> Result<Vec<StoredDataKey>, StoreError>;
    /// One of an app's.
    async fn get_data_key(&self, app: AppId, key: DataKeyId) -> Result<Option<StoredDataKey>, StoreError>;
    /// Makes a key the current one; [`Saved::Moved`] when another one has become so first.
    async fn add_data_key(&self, add: AddDataKey) -> Result<Saved, StoreError>;
    /// How many values of an app are sealed under a key, over all [`SealedColumn`]s.
    async fn count_sealed(&self, app: AppId, key: DataKeyId) -> Result<u64, StoreError>;
    /// Values of one column of an app under a key, by row, of rows after `after`.
    async fn list_sealed(
        &self,
        app: AppId,
        key: DataKeyId,
        column: SealedColumn,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SealedValue>, StoreError>;
    /// Puts the same values under another key, in one commit: each only where the row still holds those very bytes of
    /// that generation. What a writer has changed meanwhile stays as the writer left it. Answers how many were put.
    async fn replace_sealed(
        &self,
        app: AppId,
        values: Vec<(SealedValue, Vec<u8>)>,
    ) -> Result<u64, StoreError>;
    /// Wipes a key that nothing is under any more.
    async fn retire_data_key(
        &self,
        app: AppId,
        key: DataKeyId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Retired, StoreError>;
    /// Puts everything under another root key in one commit; [`Saved::Moved`] when the stored check or any
    /// key is not the one that was read, or there is one that is not named.
    async fn replace_root_key(&self, replace: ReplaceRootKey) -> Result<Saved, StoreError>;
}
