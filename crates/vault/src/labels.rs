//! The purposes for which a key is derived. Each purpose has one label, never reused with another meaning; a change of
//! meaning takes a new number. The labels are bytes of format 1, so two of them keep older words: today's data key was
//! called "app key", and today's content key "data key".

/// From the root key to the key that wraps one data key.
pub(crate) const WRAP_DATA_KEY: &[u8] = b"alter-vault/1/wrap-app-key";
/// From the root key to the value that distinguishes it from any other root key.
pub(crate) const KEY_CHECK: &[u8] = b"alter-vault/1/key-check";
/// From a data key to the key that wraps one content key.
pub(crate) const WRAP_CONTENT_KEY: &[u8] = b"alter-vault/1/wrap-data-key";
/// From a content key to the key that encrypts the value.
pub(crate) const VALUE: &[u8] = b"alter-vault/1/value";
/// From a content key to its public commitment.
pub(crate) const COMMIT: &[u8] = b"alter-vault/1/commit";
/// From the root key to the key that proves who wrote a record outside the database.
pub(crate) const PROOF: &[u8] = b"alter-vault/1/proof";
