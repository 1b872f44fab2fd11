//! The three uses of the root key: proving that it is the right one, wrapping the data keys, and proving who wrote a
//! record that lies outside the database.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::envelope::{ALGORITHMS, KEY_ID, KeyCheck, VERSION, WrappedDataKey};
use crate::place::Fields;
use crate::primitives::{KEY, Key, derive, hmac, same, unwrap, wrap};
use crate::{DataKey, Fill, RootKey, VaultError, labels};

/// The key ring: holds the root key while the program runs, and wraps and opens the data keys.
pub struct Vault {
    roots: Vec<RootKey>,
    /// Index of the root key that the database was under when [`Vault::verify_key_check`] last looked. New data keys
    /// are wrapped under this root key.
    active: AtomicUsize,
}

impl Vault {
    /// A key ring under `root`. Call [`Vault::verify_key_check`] before using it on an existing database.
    pub fn new(root: RootKey) -> Self {
        Self { roots: vec![root], active: AtomicUsize::new(0) }
    }

    /// Accepts another root key too: a data key wrapped under either opens. Used while a root key is replaced under
    /// running servers.
    #[must_use]
    pub fn accepting(mut self, other: RootKey) -> Self {
        self.roots.push(other);
        self
    }

    /// Whether the database was last seen under a root key other than the first.
    pub fn is_under_other(&self) -> bool {
        self.active.load(Ordering::Relaxed) != 0
    }

    /// Makes the record that is stored once, when the database is created. It distinguishes this root key from any
    /// other and reveals nothing about it.
    pub fn key_check(&self, fill: Fill) -> Vec<u8> {
        let mut salt = [0; KEY];
        fill(&mut salt);
        KeyCheck { salt: &salt, value: &check_value(self.root(), &salt) }.write()
    }

    /// Checks that `stored` was made with this root key or with one that is accepted (T93), and remembers which. A
    /// server that gets an error must not start.
    ///
    /// # Errors
    /// [`VaultError::WrongRootKey`]; [`VaultError::Corrupt`] when `stored` is not a key check record.
    pub fn verify_key_check(&self, stored: &[u8]) -> Result<(), VaultError> {
        let record = KeyCheck::read(stored)?;
        let fits = |root| same(check_value(root, record.salt).as_slice(), record.value);
        let active = self.roots.iter().position(fits).ok_or(VaultError::WrongRootKey)?;
        self.active.store(active, Ordering::Relaxed);
        Ok(())
    }

    /// Makes a data key for `app` and returns it wrapped, to be stored with the app. Wiping the stored record shreds
    /// every value sealed under the key.
    ///
    /// # Errors
    /// [`VaultError::TooLong`] for an app name past 4 GiB.
    pub fn new_data_key(&self, app: &str, fill: Fill) -> Result<Vec<u8>, VaultError> {
        let (mut key_id, mut salt, mut key) = ([0; KEY_ID], [0; KEY], Key::default());
        fill(&mut key_id);
        fill(&mut salt);
        fill(key.as_mut_slice());
        self.wrap_data_key(app, &key_id, &salt, &key)
    }

    /// Opens the data key that [`Vault::new_data_key`] made for the same `app`.
    ///
    /// # Errors
    /// [`VaultError::Corrupt`] when `wrapped` is not a wrapped data key; [`VaultError::Refused`] when it belongs to
    /// another app, was altered, or was wrapped under a root key that is not accepted.
    pub fn data_key(&self, app: &str, wrapped: &[u8]) -> Result<DataKey, VaultError> {
        let record = WrappedDataKey::read(wrapped)?;
        self.unwrap_data_key(app, &record).map(|key| DataKey::new(app, *record.key_id, key))
    }

    /// Wraps the same data key again, under the root key of `new`.
    ///
    /// # Errors
    /// As [`Vault::data_key`].
    pub fn rewrap_data_key(
        &self,
        new: &Vault,
        app: &str,
        wrapped: &[u8],
        fill: Fill,
    ) -> Result<Vec<u8>, VaultError> {
        let record = WrappedDataKey::read(wrapped)?;
        let key = self.unwrap_data_key(app, &record)?;
        let mut salt = [0; KEY];
        fill(&mut salt);
        new.wrap_data_key(app, record.key_id, &salt, &key)
    }

    /// Proves that who wrote `content` had the root key. `purpose` keeps a proof from being taken for another kind's.
    ///
    /// # Errors
    /// [`VaultError::TooLong`].
    pub fn prove(&self, purpose: &str, content: &[u8]) -> Result<[u8; 32], VaultError> {
        proof(self.root(), purpose, content)
    }

    /// Checks what [`Vault::prove`] made with this root key or with one that is accepted.
    ///
    /// # Errors
    /// [`VaultError::Refused`]: the content was altered, or proved with another root key.
    pub fn verify_proof(&self, purpose: &str, content: &[u8], stored: &[u8]) -> Result<(), VaultError> {
        for root in &self.roots {
            if same(&proof(root, purpose, content)?, stored) {
                return Ok(());
            }
        }
        Err(VaultError::Refused)
    }

    fn wrap_data_key(
        &self,
        app: &str,
        key_id: &[u8; KEY_ID],
        salt: &[u8; KEY],
        key: &Key,
    ) -> Result<Vec<u8>, VaultError> {
        let wrapped = wrap(&wrap_key(self.root(), salt), data_key_place(app, key_id)?.bytes(), key);
        Ok(WrappedDataKey { key_id, salt, wrapped: &wrapped }.write())
    }

    fn unwrap_data_key(&self, app: &str, record: &WrappedDataKey) -> Result<Key, VaultError> {
        let place = data_key_place(app, record.key_id)?;
        let open = |root| unwrap(&wrap_key(root, record.salt), place.bytes(), record.wrapped);
        let others = self.roots.iter().filter(|root| !std::ptr::eq(*root, self.root()));
        others.fold(open(self.root()), |opened, root| opened.or_else(|_| open(root)))
    }

    fn root(&self) -> &RootKey {
        &self.roots[self.active.load(Ordering::Relaxed)]
    }
}

fn check_value(root: &RootKey, salt: &[u8; KEY]) -> Key {
    derive(&root.0, salt, labels::KEY_CHECK)
}

fn wrap_key(root: &RootKey, salt: &[u8; KEY]) -> Key {
    derive(&root.0, salt, labels::WRAP_DATA_KEY)
}

fn proof(root: &RootKey, purpose: &str, content: &[u8]) -> Result<[u8; KEY], VaultError> {
    let fields = Fields::new(labels::PROOF, VERSION, ALGORITHMS)?.add(purpose.as_bytes())?.add(content)?;
    Ok(hmac(&derive(&root.0, &[], labels::PROOF), fields.bytes()))
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([hidden])")
    }
}

fn data_key_place(app: &str, key_id: &[u8; KEY_ID]) -> Result<Fields, VaultError> {
    Fields::new(labels::WRAP_DATA_KEY, VERSION, ALGORITHMS)?.add(key_id)?.add(app.as_bytes())
}
