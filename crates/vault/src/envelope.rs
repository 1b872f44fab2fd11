//! The three records as bytes. Reading checks the shape only; writing concatenates the fields. The layouts are drawn in
//! the crate's documentation.

use crate::VaultError;
use crate::primitives::{KEY, NONCE, TAG};

/// The format of every record but a bound value.
pub(crate) const VERSION: u8 = 1;
/// The format of a value that is bound to more than its place ([`crate::Place::bound_to`]).
pub(crate) const BOUND: u8 = 2;
/// HKDF-SHA256 and AES-256-GCM.
pub(crate) const ALGORITHMS: u8 = 1;
/// Length of a data key's id, in bytes.
pub(crate) const KEY_ID: usize = 16;
/// The id of a data key: 16 random bytes, stored in the clear.
pub type DataKeyId = [u8; KEY_ID];
/// Length of a wrapped key, in bytes: the key and the tag.
pub(crate) const WRAPPED: usize = KEY + TAG;

const VALUE: [u8; 4] = *b"ALTV";
const DATA_KEY: [u8; 4] = *b"ALTK";
const KEY_CHECK: [u8; 4] = *b"ALTC";

const VALUE_HEADER: usize = 6 + KEY_ID + KEY + WRAPPED + KEY + NONCE;

/// How much longer a sealed value is than its plaintext, in bytes.
pub const OVERHEAD: usize = VALUE_HEADER + TAG;

/// Returns the id of the data key under which a value was sealed.
///
/// # Errors
/// [`VaultError::Corrupt`] when `sealed` is no sealed value.
pub fn sealed_under(sealed: &[u8]) -> Result<DataKeyId, VaultError> {
    Sealed::read(sealed).map(|sealed| *sealed.key_id)
}

/// Whether a value is bound to more than its place ([`crate::Place::bound_to`]).
///
/// # Errors
/// [`VaultError::Corrupt`] when `sealed` is no sealed value.
pub fn is_bound(sealed: &[u8]) -> Result<bool, VaultError> {
    Sealed::read(sealed).map(|sealed| sealed.version == BOUND)
}

/// Returns the id of a wrapped data key.
///
/// # Errors
/// [`VaultError::Corrupt`] when `wrapped` is no wrapped data key.
pub fn wrapped_key_id(wrapped: &[u8]) -> Result<DataKeyId, VaultError> {
    WrappedDataKey::read(wrapped).map(|record| *record.key_id)
}

/// Consumes a record from its front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn start(bytes: &'a [u8], magic: [u8; 4]) -> Result<Self, VaultError> {
        match Self::start_any(bytes, magic)? {
            (reader, VERSION) => Ok(reader),
            _ => Err(VaultError::Corrupt("unknown version")),
        }
    }

    /// Returns the version, too.
    fn start_any(bytes: &'a [u8], magic: [u8; 4]) -> Result<(Self, u8), VaultError> {
        let mut reader = Self(bytes);
        if *reader.take::<4>()? != magic {
            return Err(VaultError::Corrupt("not the expected record"));
        }
        match *reader.take::<2>()? {
            [version @ (VERSION | BOUND), ALGORITHMS] => Ok((reader, version)),
            [VERSION | BOUND, _] => Err(VaultError::Corrupt("unknown algorithms")),
            _ => Err(VaultError::Corrupt("unknown version")),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], VaultError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(VaultError::Corrupt("too short"))?;
        self.0 = rest;
        Ok(field)
    }

    fn end(self) -> Result<(), VaultError> {
        if self.0.is_empty() { Ok(()) } else { Err(VaultError::Corrupt("too long")) }
    }
}

fn start(magic: [u8; 4], version: u8, capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(capacity);
    out.extend_from_slice(&magic);
    out.extend_from_slice(&[version, ALGORITHMS]);
    out
}

/// A sealed value, taken apart.
pub(crate) struct Sealed<'a> {
    pub(crate) version: u8,
    pub(crate) key_id: &'a [u8; KEY_ID],
    pub(crate) salt: &'a [u8; KEY],
    pub(crate) wrapped: &'a [u8; WRAPPED],
    pub(crate) commitment: &'a [u8; KEY],
    pub(crate) nonce: &'a [u8; NONCE],
    pub(crate) ciphertext: &'a [u8],
    pub(crate) tag: &'a [u8; TAG],
}

impl<'a> Sealed<'a> {
    /// # Errors
    /// [`VaultError::Corrupt`].
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, VaultError> {
        let (mut reader, version) = Reader::start_any(bytes, VALUE)?;
        let (key_id, salt) = (reader.take()?, reader.take()?);
        let (wrapped, commitment, nonce) = (reader.take()?, reader.take()?, reader.take()?);
        let (ciphertext, tag) = reader.0.split_last_chunk().ok_or(VaultError::Corrupt("too short"))?;
        Ok(Self { version, key_id, salt, wrapped, commitment, nonce, ciphertext, tag })
    }
}

/// The part of a sealed value before its ciphertext.
pub(crate) struct Header<'a> {
    pub(crate) version: u8,
    pub(crate) key_id: &'a [u8; KEY_ID],
    pub(crate) salt: &'a [u8; KEY],
    pub(crate) wrapped: &'a [u8; WRAPPED],
    pub(crate) commitment: &'a [u8; KEY],
    pub(crate) nonce: &'a [u8; NONCE],
}

impl Header<'_> {
    /// Writes the header into a buffer with room for the whole value, so that appending never moves plaintext in
    /// memory.
    pub(crate) fn write(&self, plaintext_length: usize) -> Vec<u8> {
        let mut out = start(VALUE, self.version, OVERHEAD + plaintext_length);
        out.extend_from_slice(self.key_id);
        out.extend_from_slice(self.salt);
        out.extend_from_slice(self.wrapped);
        out.extend_from_slice(self.commitment);
        out.extend_from_slice(self.nonce);
        out
    }
}

/// A data key wrapped under the root key.
pub(crate) struct WrappedDataKey<'a> {
    pub(crate) key_id: &'a [u8; KEY_ID],
    pub(crate) salt: &'a [u8; KEY],
    pub(crate) wrapped: &'a [u8; WRAPPED],
}

impl<'a> WrappedDataKey<'a> {
    /// # Errors
    /// [`VaultError::Corrupt`].
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, VaultError> {
        let mut reader = Reader::start(bytes, DATA_KEY)?;
        let record = Self { key_id: reader.take()?, salt: reader.take()?, wrapped: reader.take()? };
        reader.end()?;
        Ok(record)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = start(DATA_KEY, VERSION, 6 + KEY_ID + KEY + WRAPPED);
        out.extend_from_slice(self.key_id);
        out.extend_from_slice(self.salt);
        out.extend_from_slice(self.wrapped);
        out
    }
}

/// The record that distinguishes the right root key from a wrong one.
pub(crate) struct KeyCheck<'a> {
    pub(crate) salt: &'a [u8; KEY],
    pub(crate) value: &'a [u8; KEY],
}

impl<'a> KeyCheck<'a> {
    /// # Errors
    /// [`VaultError::Corrupt`].
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, VaultError> {
        let mut reader = Reader::start(bytes, KEY_CHECK)?;
        let record = Self { salt: reader.take()?, value: reader.take()? };
        reader.end()?;
        Ok(record)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = start(KEY_CHECK, VERSION, 6 + KEY + KEY);
        out.extend_from_slice(self.salt);
        out.extend_from_slice(self.value);
        out
    }
}
