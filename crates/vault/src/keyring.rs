//! What the root key is used for: proving that it is the right one, and wrapping the app keys.

use std::fmt;

use crate::envelope::{ALGORITHMS, KEY_ID, KeyCheck, VERSION, WrappedAppKey};
use crate::place::Fields;
use crate::primitives::{KEY, Key, derive, same, unwrap, wrap};
use crate::{AppKey, Fill, RootKey, VaultError, labels};

/// The keyring. Holds the root key for as long as the program runs.
pub struct Vault {
    root: RootKey,
}

impl Vault {
    /// A keyring under `root`. Call [`Vault::verify_key_check`] before using it on an existing database.
    pub fn new(root: RootKey) -> Self {
        Self { root }
    }

    /// The record to store once, when the database is created: it tells this root key from any other and reveals
    /// nothing of it.
    pub fn key_check(&self, fill: Fill) -> Vec<u8> {
        let mut salt = [0; KEY];
        fill(&mut salt);
        KeyCheck { salt: &salt, value: &self.check_value(&salt) }.write()
    }

    /// Whether this is the root key that `stored` was made with (T93). A server that gets an error must not start.
    ///
    /// # Errors
    /// [`VaultError::WrongRootKey`]; [`VaultError::Corrupt`] when `stored` is not a key check record.
    pub fn verify_key_check(&self, stored: &[u8]) -> Result<(), VaultError> {
        let record = KeyCheck::read(stored)?;
        let matches = same(self.check_value(record.salt).as_slice(), record.value);
        if matches { Ok(()) } else { Err(VaultError::WrongRootKey) }
    }

    /// Makes a key for `app` and returns it wrapped, to be stored in the app's row. Deleting that row shreds every
    /// value sealed under it.
    ///
    /// # Errors
    /// [`VaultError::TooLong`] for an app name past 4 GiB.
    pub fn new_app_key(&self, app: &str, fill: Fill) -> Result<Vec<u8>, VaultError> {
        let (mut key_id, mut salt, mut key) = ([0; KEY_ID], [0; KEY], Key::default());
        fill(&mut key_id);
        fill(&mut salt);
        fill(key.as_mut_slice());
        let wrapped = wrap(&self.wrap_key(&salt), app_key_place(app, &key_id)?.bytes(), &key);
        Ok(WrappedAppKey { key_id: &key_id, salt: &salt, wrapped: &wrapped }.write())
    }

    /// Opens the key that [`Vault::new_app_key`] made for the same `app`.
    ///
    /// # Errors
    /// [`VaultError::Corrupt`] when the record is not one; [`VaultError::Refused`] when it is another app's, altered,
    /// or made under another root key.
    pub fn app_key(&self, app: &str, wrapped: &[u8]) -> Result<AppKey, VaultError> {
        let record = WrappedAppKey::read(wrapped)?;
        let place = app_key_place(app, record.key_id)?;
        let key = unwrap(&self.wrap_key(record.salt), place.bytes(), record.wrapped)?;
        Ok(AppKey::new(app, *record.key_id, key))
    }

    fn check_value(&self, salt: &[u8; KEY]) -> Key {
        derive(&self.root.0, salt, labels::KEY_CHECK)
    }

    fn wrap_key(&self, salt: &[u8; KEY]) -> Key {
        derive(&self.root.0, salt, labels::WRAP_APP_KEY)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([hidden])")
    }
}

fn app_key_place(app: &str, key_id: &[u8; KEY_ID]) -> Result<Fields, VaultError> {
    Fields::new(labels::WRAP_APP_KEY, VERSION, ALGORITHMS)?.add(key_id)?.add(app.as_bytes())
}
