//! Bytes in, sealed bytes out: the key ring and the envelope that every secret at rest lives in.
//!
//! Not here: which nouns are secret and where their rows are (`flows`, `store-*`), reading the root key from its file
//! or variable (`cli`), randomness (an argument, [`Fill`]). This crate knows no noun of the product. Encryption cannot
//! be turned off.
//!
//! # Keys
//!
//! ```text
//! root key (32 bytes, kept apart from the database)
//!   └─ data key, one per app (32 bytes, wrapped under the root key; its row deleted = the app's values shredded)
//!        └─ content key, one per sealed value version (32 bytes, wrapped under the data key; encrypts exactly once)
//! ```
//!
//! No key has two uses: each use derives its own key with HKDF-SHA256 and its own label (RFC 5869; the labels are
//! listed in `labels.rs`).
//!
//! # A sealed value, byte by byte
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 4 | magic `ALTV` |
//! | 4 | 1 | format version: 1, or 2 for a value that is bound to more than its cell |
//! | 5 | 1 | algorithms, 1 = HKDF-SHA256 and AES-256-GCM for wrapping and for the value |
//! | 6 | 16 | id of the data key |
//! | 22 | 32 | wrap salt, random |
//! | 54 | 48 | the content key, wrapped: 32 bytes and the 16-byte tag |
//! | 102 | 32 | commitment to the content key |
//! | 134 | 12 | nonce, random |
//! | 146 | n | ciphertext, as long as the plaintext |
//! | 146 + n | 16 | tag |
//!
//! - wrap key = HKDF(salt = wrap salt, key = data key, info = `alter-vault/1/wrap-data-key`). It wraps one content key
//!   and never anything else, so its AES-GCM nonce is twelve zero bytes, and there is no nonce budget to run out of.
//! - value key = HKDF(no salt, key = content key, info = `alter-vault/1/value`).
//! - commitment = HKDF(no salt, key = content key, info = `alter-vault/1/commit`). AES-GCM does not commit to its key:
//!   an attacker can make one ciphertext that opens under two keys. The vault compares the commitment, in constant
//!   time, before it decrypts anything with the content key.
//!
//! # The place of a value (additional authenticated data)
//!
//! A sealed value opens only where it was sealed. Each field is preceded by its length (four bytes, big-endian);
//! numbers are big-endian, version and algorithm take one byte each, the generation eight:
//!
//! - wrapping the content key: label, version, algorithm, data key id, app, table, column, row, generation;
//! - the value: the same with its own label, and without the data key id, so that a data key can be replaced by
//!   wrapping the content keys again and leaving the ciphertexts untouched. The wrap still authenticates the id;
//! - a value of version 2: one more field at the end, the digest of what else it is bound to (such as whose row it is
//!   in). The wrap has no such field, so keys are replaced without it.
//!
//! The version is authenticated by both: nobody can make a value of version 1 of one of version 2.
//!
//! # The two small records
//!
//! | wrapped data key | key check |
//! |---|---|
//! | magic `ALTK`, version, algorithm | magic `ALTC`, version, algorithm |
//! | data key id (16) | salt (32, random) |
//! | wrap salt (32, random) | HKDF(salt, root key, `alter-vault/1/key-check`) (32) |
//! | data key, wrapped (32 + 16) | |
//! | 102 bytes | 70 bytes |
//!
//! The data key's wrap key is HKDF(wrap salt, root key, `alter-vault/1/wrap-app-key`). Its nonce is zero as above, and
//! it authenticates label, version, algorithm, data key id and app.
//!
//! The vault asks for randomness in a fixed order, on which the test vectors depend. For a data key: id, salt, key. For
//! a value: salt, content key, nonce.
//!
//! # A proof
//!
//! [`Vault::prove`] proves who wrote a record outside the database, such as a backup's description: HMAC-SHA256 under
//! HKDF(no salt, root key, `alter-vault/1/proof`), over label, version, algorithm, purpose and content, each after its
//! length as above. Its 32 bytes are stored in the record.
//!
//! # Replacing keys
//!
//! - A data key: [`DataKey::rewrap`] for each value; bytes 6 to 101 change, the rest stays. Both data keys are needed
//!   until the last value is rewrapped.
//! - The root key: [`Vault::rewrap_data_key`] for every data key, and a new key check. A vault may accept the other
//!   root key beside its own ([`Vault::accepting`]), so that servers can be restarted one after the other.
//!
//! A rewrap takes one random value, the salt.
//!
//! # What this does not protect against
//!
//! An attacker who can write the database can put back an older row as a whole, generation included. Only a copy of
//! the audit log's head, kept elsewhere, shows that.

#![warn(missing_docs)] // others build on it

mod data_key;
mod envelope;
mod error;
mod key;
mod key_ring;
mod labels;
mod place;
mod primitives;

pub use data_key::DataKey;
pub use envelope::{DataKeyId, OVERHEAD, is_bound, sealed_under, wrapped_key_id};
pub use error::VaultError;
pub use key::RootKey;
pub use key_ring::Vault;
pub use place::Place;

/// The caller's random generator; fills a buffer with random bytes. In production it must ask the operating system on
/// every call (safe across forks and snapshots of a virtual machine); tests pass a fixed one.
pub type Fill<'a> = &'a dyn Fn(&mut [u8]);
