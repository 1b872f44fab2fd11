//! One app's data key: seals a value into its place, and opens it there and nowhere else.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretSlice;
use zeroize::Zeroizing;

use crate::envelope::{ALGORITHMS, BOUND, DataKeyId, Header, KEY_ID, Sealed, VERSION};
use crate::place::Fields;
use crate::primitives::{KEY, Key, NONCE, decrypt, derive, encrypt, same, unwrap, wrap};
use crate::{Fill, Place, VaultError, labels};

/// The opened data key of one app. Clones share one copy of the key, which is wiped when the last clone is dropped.
#[derive(Clone)]
pub struct DataKey(Arc<Inner>);

struct Inner {
    app: Box<str>,
    key_id: [u8; KEY_ID],
    key: Key,
}

impl DataKey {
    pub(crate) fn new(app: &str, key_id: [u8; KEY_ID], key: Key) -> Self {
        Self(Arc::new(Inner { app: app.into(), key_id, key }))
    }

    /// The key's id. It is not secret, and is part of every value sealed under the key.
    pub fn id(&self) -> DataKeyId {
        self.0.key_id
    }

    /// Encrypts `plaintext` for `place` under a fresh content key. The result is [`OVERHEAD`](crate::OVERHEAD) bytes
    /// longer.
    ///
    /// # Errors
    /// [`VaultError::WrongApp`] when the place is another app's; [`VaultError::TooLong`].
    pub fn seal(&self, place: &Place, plaintext: &[u8], fill: Fill) -> Result<Vec<u8>, VaultError> {
        if *place.app != *self.0.app {
            return Err(VaultError::WrongApp);
        }
        let (mut salt, mut content_key, mut nonce) = ([0; KEY], Key::default(), [0; NONCE]);
        fill(&mut salt);
        fill(content_key.as_mut_slice());
        fill(&mut nonce);
        let version = if place.bound_to.is_some() { BOUND } else { VERSION };
        let wrapped = wrap(&self.wrap_key(&salt), self.wrap_place(version, place)?.bytes(), &content_key);
        let commitment = commitment(&content_key);
        let header = Header {
            version,
            key_id: &self.0.key_id,
            salt: &salt,
            wrapped: &wrapped,
            commitment: &commitment,
            nonce: &nonce,
        };
        let mut out = header.write(plaintext.len());
        let header_length = out.len();
        out.extend_from_slice(plaintext);
        let place = value_place(version, place)?;
        let tag = encrypt(&value_key(&content_key), nonce, place.bytes(), &mut out[header_length..])?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Decrypts what [`DataKey::seal`] made for the same `place`. A value from before there was [`Place::bound_to`] opens
    /// whatever that says ([`is_bound`](crate::is_bound) tells).
    ///
    /// # Errors
    /// [`VaultError::Corrupt`] when `sealed` is no sealed value; [`VaultError::WrongKeyId`] when another data key
    /// sealed it; [`VaultError::Refused`] when it was altered or comes from another place;
    /// [`VaultError::BoundElsewhere`].
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<SecretSlice<u8>, VaultError> {
        let sealed = Sealed::read(sealed)?;
        let content_key = self.content_key(place, &sealed)?;
        // The buffer is exactly as long as the value: a vector that had to shrink would leave a copy behind.
        let mut plaintext = Zeroizing::new(vec![0; sealed.ciphertext.len()]);
        decrypt(
            &value_key(&content_key),
            *sealed.nonce,
            value_place(sealed.version, place)?.bytes(),
            sealed.ciphertext,
            sealed.tag,
            &mut plaintext,
        )
        // The content key was wrapped for this very cell.
        .map_err(|error| if sealed.version == BOUND { VaultError::BoundElsewhere } else { error })?;
        Ok(SecretSlice::from(std::mem::take(&mut *plaintext)))
    }

    /// Moves a value from this data key to `new`: wraps its content key again, leaves the ciphertext as it is, and
    /// never sees the plaintext. What the value is bound to besides its cell is in the ciphertext, and not looked at.
    ///
    /// # Errors
    /// As [`DataKey::open`]; [`VaultError::WrongApp`] when the place or `new` is another app's.
    pub fn rewrap(
        &self,
        new: &DataKey,
        place: &Place,
        sealed: &[u8],
        fill: Fill,
    ) -> Result<Vec<u8>, VaultError> {
        if *place.app != *self.0.app || new.0.app != self.0.app {
            return Err(VaultError::WrongApp);
        }
        let old = Sealed::read(sealed)?;
        let content_key = self.content_key(place, &old)?;
        let mut salt = [0; KEY];
        fill(&mut salt);
        let wrapped = wrap(&new.wrap_key(&salt), new.wrap_place(old.version, place)?.bytes(), &content_key);
        let header = Header {
            version: old.version,
            key_id: &new.0.key_id,
            salt: &salt,
            wrapped: &wrapped,
            commitment: old.commitment,
            nonce: old.nonce,
        };
        let mut out = header.write(old.ciphertext.len());
        out.extend_from_slice(old.ciphertext);
        out.extend_from_slice(old.tag);
        Ok(out)
    }

    /// Unwraps the value's content key and checks that it is the one to which the value commits.
    fn content_key(&self, place: &Place, sealed: &Sealed) -> Result<Key, VaultError> {
        if *sealed.key_id != self.0.key_id {
            return Err(VaultError::WrongKeyId);
        }
        let place = self.wrap_place(sealed.version, place)?;
        let content_key = unwrap(&self.wrap_key(sealed.salt), place.bytes(), sealed.wrapped)?;
        if same(commitment(&content_key).as_slice(), sealed.commitment) {
            Ok(content_key)
        } else {
            Err(VaultError::Refused)
        }
    }

    fn wrap_key(&self, salt: &[u8; KEY]) -> Key {
        derive(&self.0.key, salt, labels::WRAP_CONTENT_KEY)
    }

    fn wrap_place(&self, version: u8, place: &Place) -> Result<Fields, VaultError> {
        Fields::new(labels::WRAP_CONTENT_KEY, version, ALGORITHMS)?.add(&self.0.key_id)?.add_place(place)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("app", &self.0.app).finish_non_exhaustive()
    }
}

fn value_key(content_key: &Key) -> Key {
    derive(content_key, &[], labels::VALUE)
}

/// The commitment is not secret: it is stored in the clear.
fn commitment(content_key: &Key) -> Key {
    derive(content_key, &[], labels::COMMIT)
}

fn value_place(version: u8, place: &Place) -> Result<Fields, VaultError> {
    let cell = Fields::new(labels::VALUE, version, ALGORITHMS)?.add_place(place)?;
    match (version, place.bound_to) {
        (BOUND, Some(digest)) => cell.add(digest),
        (BOUND, None) => Err(VaultError::BoundElsewhere),
        _ => Ok(cell),
    }
}
