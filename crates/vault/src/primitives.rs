//! HKDF-SHA256 and AES-256-GCM as the envelope uses them, through aws-lc-rs. This file knows no format.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::{Zeroize, Zeroizing};

use crate::VaultError;

/// Length of every key, salt and commitment here, in bytes.
pub(crate) const KEY: usize = 32;
/// Length of an AES-GCM nonce, in bytes.
pub(crate) const NONCE: usize = 12;
/// Length of an AES-GCM tag, in bytes.
pub(crate) const TAG: usize = 16;

/// A key that is wiped when dropped.
pub(crate) type Key = Zeroizing<[u8; KEY]>;

/// The nonce for keys that encrypt exactly one message in their life.
pub(crate) const ONE_USE: [u8; NONCE] = [0; NONCE];

struct KeyLength;

impl KeyType for KeyLength {
    fn len(&self) -> usize {
        KEY
    }
}

/// HKDF-SHA256, extract and expand (RFC 5869): derives 32 bytes from `key` for the purpose `label`. An empty salt is
/// the RFC's "not provided".
pub(crate) fn derive(key: &[u8; KEY], salt: &[u8], label: &[u8]) -> Key {
    let mut out = Key::default();
    Salt::new(HKDF_SHA256, salt)
        .extract(key)
        .expand(&[label], KeyLength)
        .and_then(|okm| okm.fill(out.as_mut_slice()))
        .expect("32 bytes are within HKDF-SHA256's 255 blocks");
    out
}

/// HMAC-SHA256 (RFC 2104).
pub(crate) fn hmac(key: &Key, message: &[u8]) -> [u8; KEY] {
    use aws_lc_rs::hmac;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), message);
    tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Encrypts `buffer` in place and returns the tag.
///
/// # Errors
/// [`VaultError::TooLong`], the only reason for which AES-GCM can refuse to encrypt; the buffer is then wiped.
pub(crate) fn encrypt(
    key: &Key,
    nonce: [u8; NONCE],
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; TAG], VaultError> {
    let sealed =
        cipher(key).seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), buffer);
    match sealed {
        Ok(tag) => Ok(tag.as_ref().try_into().expect("an AES-GCM tag has 16 bytes")),
        Err(_) => {
            buffer.zeroize();
            Err(VaultError::TooLong)
        }
    }
}

/// Decrypts into `out`, which must be as long as `ciphertext`. After a refusal `out` is wiped.
///
/// # Errors
/// [`VaultError::Refused`] when the tag does not authenticate ciphertext, nonce and associated data.
pub(crate) fn decrypt(
    key: &Key,
    nonce: [u8; NONCE],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG],
    out: &mut [u8],
) -> Result<(), VaultError> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    cipher(key).open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, out).map_err(|_| {
        out.zeroize();
        VaultError::Refused
    })
}

fn cipher(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("AES-256 takes 32 bytes"))
}

/// Compares secrets in constant time, so that timing does not reveal where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Wraps `key` under a key that wraps nothing else.
pub(crate) fn wrap(under: &Key, aad: &[u8], key: &Key) -> [u8; KEY + TAG] {
    let mut out = [0; KEY + TAG];
    out[..KEY].copy_from_slice(key.as_slice());
    let tag = encrypt(under, ONE_USE, aad, &mut out[..KEY]).expect("32 bytes are never too long");
    out[KEY..].copy_from_slice(&tag);
    out
}

/// Undoes [`wrap`].
///
/// # Errors
/// [`VaultError::Refused`].
pub(crate) fn unwrap(under: &Key, aad: &[u8], wrapped: &[u8; KEY + TAG]) -> Result<Key, VaultError> {
    let (ciphertext, tag) = wrapped.split_last_chunk::<TAG>().expect("a wrapped key is longer than its tag");
    let mut key = Key::default();
    decrypt(under, ONE_USE, aad, ciphertext, tag, key.as_mut_slice())?;
    Ok(key)
}
