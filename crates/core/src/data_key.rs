//! An app's data keys and the values sealed under them, as storage sees them: as bytes.
//!
//! An app seals under one key, the current one ([`crate::App::wrapped_key`]). A replaced key stays for reading until no
//! value is under it any more; then it is wiped. Its row remains as a mark: a writer that still holds the key gets
//! [`StoreError::KeyRetired`] and seals again (every command that stores sealed values checks this in its own
//! transaction). So nothing can ever be stored under a key that is gone.
//!
//! Storage finds the id of a value's key in the bytes at [`KEY_ID_AT`], at the same place in a sealed value and in a
//! wrapped key. That much of the vault's format is part of this port. A wiped value (empty) is under no key.

use std::ops::Range;

use async_trait::async_trait;

use crate::{AppId, AuditEntry, Micros, Saved, SealedColumn, SealedValue, StoreError};

/// A data key's id: random, not secret.
pub type DataKeyId = [u8; 16];

/// The bytes of a sealed value that hold the id of its key, and of a wrapped key that hold its own id.
pub const KEY_ID_AT: Range<usize> = 6..22;

/// A data key as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDataKey {
    /// The app that seals under it.
    pub app_id: AppId,
    /// The same as in the bytes of `wrapped`.
    pub key_id: DataKeyId,
    /// The key wrapped by the root key; `None` when it was retired and wiped.
    pub wrapped: Option<Vec<u8>>,
    /// When it became the current key.
    pub created_at: Micros,
    /// When it was wiped; `None` = it was not.
    pub retired_at: Option<Micros>,
}

/// A new current key for an app.
#[derive(Debug, Clone)]
pub struct AddDataKey {
    /// The app that will seal under it.
    pub app_id: AppId,
    /// The new key, wrapped.
    pub wrapped: Vec<u8>,
    /// The wrapped key that was current when the new one was made.
    pub replaces: Vec<u8>,
    /// The time of the commit.
    pub at: Micros,
    /// What the audit records.
    pub audit: AuditEntry,
}

/// Puts every data key under another root key, and replaces the root key's check value.
#[derive(Debug, Clone)]
pub struct ReplaceRootKey {
    /// The check value that is stored now.
    pub old_check: Vec<u8>,
    /// The check value of the new root key.
    pub new_check: Vec<u8>,
    /// Every key that is not retired: as it is stored, and wrapped by the new root key.
    pub keys: Vec<(StoredDataKey, Vec<u8>)>,
    /// What the audit records, one entry per app.
    pub audit: Vec<AuditEntry>,
}

/// The result of [`DataKeyStore::retire_data_key`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// The key is wiped now.
    Done,
    /// The key stays as it is: it is the current one, it was wiped before, or a value is under it.
    Kept,
}

impl Retired {
    /// Whether the key is wiped now.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// What storage must be able to do for data keys.
#[async_trait]
pub trait DataKeyStore: Send + Sync {
    /// Lists an app's keys, oldest first, including retired ones.
    async fn list_data_keys(&self, app: AppId) -> Result<Vec<StoredDataKey>, StoreError>;
    /// Finds one of an app's keys.
    async fn get_data_key(&self, app: AppId, key: DataKeyId) -> Result<Option<StoredDataKey>, StoreError>;
    /// Makes a key the current one; returns [`Saved::Moved`] when another key became current first.
    async fn add_data_key(&self, add: AddDataKey) -> Result<Saved, StoreError>;
    /// Counts an app's values that are sealed under a key, over all [`SealedColumn`]s.
    async fn count_sealed(&self, app: AppId, key: DataKeyId) -> Result<u64, StoreError>;
    /// Lists an app's values in one column that are under a key, by row, from the rows after `after`.
    async fn list_sealed(
        &self,
        app: AppId,
        key: DataKeyId,
        column: SealedColumn,
        after: &str,
        limit: u32,
    ) -> Result<Vec<SealedValue>, StoreError>;
    /// Replaces values by the same values under another key, in one commit; each only where the row still holds exactly
    /// those bytes in that generation. A value that a writer changed in the meantime stays. Returns how many were replaced.
    async fn replace_sealed(
        &self,
        app: AppId,
        values: Vec<(SealedValue, Vec<u8>)>,
    ) -> Result<u64, StoreError>;
    /// Wipes a key, if no value is under it any more.
    async fn retire_data_key(
        &self,
        app: AppId,
        key: DataKeyId,
        at: Micros,
        audit: AuditEntry,
    ) -> Result<Retired, StoreError>;
    /// Puts all data keys under another root key in one commit. Returns [`Saved::Moved`] when the stored check value or any
    /// key is not the one that was read, or when there is a key that `replace` does not name.
    async fn replace_root_key(&self, replace: ReplaceRootKey) -> Result<Saved, StoreError>;
}
