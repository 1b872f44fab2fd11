//! Every way the vault can refuse. No variant carries key bytes, plaintext or ciphertext.

/// Why the vault could not use a key, or not seal or open a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The root key is well formed but is not the one of this database. The operator's fault; the server must not
    /// start.
    #[error(
        "this root key does not belong to this database; restore the root key that was in use when the database was created"
    )]
    WrongRootKey,
    /// The given text is not a root key; the reason says what is wrong with it.
    #[error("the root key is unusable: {0}; expected 32 bytes in base64 (44 characters)")]
    BadRootKey(&'static str),
    /// The bytes are not a record of this kind: truncated, another kind of record, or a version that this program does
    /// not know.
    #[error("a sealed record is damaged or from a newer version: {0}")]
    Corrupt(&'static str),
    /// Authentication failed: the record was altered, moved from another place, or sealed under another key. Raise an
    /// alarm: this does not happen by accident.
    #[error("a sealed record failed authentication: it was altered or moved")]
    Refused,
    /// The value is in its place, but was sealed for another [`Place::bound_to`](crate::Place::bound_to): somebody changed
    /// what it is bound to, or the value itself.
    #[error("a sealed record failed authentication: it was altered, or what it is bound to was changed")]
    BoundElsewhere,
    /// The value was sealed under another data key (another app's, or a replaced one) than the one that should open it.
    #[error("a sealed record belongs to another data key")]
    WrongKeyId,
    /// The data key was asked to seal into another app's place. The caller's mistake.
    #[error("a data key may only seal values of its own app")]
    WrongApp,
    /// Too long to seal: a field of the place past 4 GiB or a plaintext past what AES-GCM takes (64 GiB).
    #[error("too long to seal")]
    TooLong,
}
