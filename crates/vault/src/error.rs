//! Every way the vault can refuse. No variant carries key bytes, plaintext or ciphertext.

/// Why a key could not be used or a value not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The root key is well formed but not the one this database was made with (the operator's fault; do not start).
    #[error(
        "this root key does not belong to this database; restore the root key that was in use when the database was created"
    )]
    WrongRootKey,
    /// The text given as a root key is not one; the reason says what is wrong with it.
    #[error("the root key is unusable: {0}; expected 32 bytes in base64 (44 characters)")]
    BadRootKey(&'static str),
    /// Not bytes of ours: truncated, another record, or a version this program does not know.
    #[error("a sealed record is damaged or from a newer version: {0}")]
    Corrupt(&'static str),
    /// Authentication failed: altered, moved from another place, or sealed under another key. Alarm: it does not
    /// happen by itself.
    #[error("a sealed record failed authentication: it was altered or moved")]
    Refused,
    /// Sealed under another data key (another app's, or a replaced one) than the one it was opened with.
    #[error("a sealed record belongs to another data key")]
    WrongKeyId,
    /// The data key was asked to seal into another app's place: a mistake of the caller's.
    #[error("a data key may only seal values of its own app")]
    WrongApp,
    /// Too long to seal: a field of the place past 4 GiB or a plaintext past what AES-GCM takes (64 GiB).
    #[error("too long to seal")]
    TooLong,
}
