//! The purposes a key is derived for. One label per purpose, never reused with another meaning; a change of meaning
//! is a new number. Labels are bytes of format 1, so two of them keep older words: what is a data key now was the "app
//! key", and a content key the "data key".

/// Root key to the key that wraps one data key.
pub(crate) const WRAP_DATA_KEY: &[u8] = b"alter-vault/1/wrap-app-key";
/// Root key to the value that tells it from any other root key.
pub(crate) const KEY_CHECK: &[u8] = b"alter-vault/1/key-check";
/// Data key to the key that wraps one content key.
pub(crate) const WRAP_CONTENT_KEY: &[u8] = b"alter-vault/1/wrap-data-key";
/// Content key to the key that encrypts the value.
pub(crate) const VALUE: &[u8] = b"alter-vault/1/value";
/// Content key to its public commitment.
pub(crate) const COMMIT: &[u8] = b"alter-vault/1/commit";
