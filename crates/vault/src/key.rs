//! The root key: read from its base64 form, or generated. Where the text is kept is the caller's business.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::primitives::{KEY, Key};
use crate::{Fill, VaultError};

/// The key above all keys: 32 bytes, wiped on drop, never printed.
pub struct RootKey(pub(crate) Key);

impl RootKey {
    /// Reads standard base64 (RFC 4648 section 4, padded), as kept in the key file or variable. White space around the
    /// text is ignored: files end in a newline.
    ///
    /// # Errors
    /// [`VaultError::BadRootKey`] when the text is empty, not base64, or not 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, VaultError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(VaultError::BadRootKey("it is empty"));
        }
        let mut decoded = Zeroizing::new(vec![0; text.len()]);
        let length = STANDARD
            .decode_slice(text, &mut decoded)
            .map_err(|_| VaultError::BadRootKey("it is not base64"))?;
        let bytes: &[u8; KEY] =
            decoded[..length].try_into().map_err(|_| VaultError::BadRootKey("it has the wrong length"))?;
        let mut key = Key::default();
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// Generates a key; returns it with its base64 form for the key file.
    pub fn generate(fill: Fill) -> (Self, SecretString) {
        let mut key = Key::default();
        fill(key.as_mut_slice());
        let text = STANDARD.encode(key.as_slice());
        (Self(key), SecretString::from(text))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey([hidden])")
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn reason(text: &str) -> VaultError {
        RootKey::from_base64(text).expect_err("must be refused")
    }

    #[test]
    fn t93_a_missing_truncated_or_foreign_text_is_no_root_key() {
        let good = STANDARD.encode([7; 32]);
        assert!(RootKey::from_base64(&good).is_ok(), "positive control");
        assert!(
            RootKey::from_base64(&format!("  {good}\r\n")).is_ok(),
            "a file's newline is not part of the key"
        );
        assert_eq!(reason(""), VaultError::BadRootKey("it is empty"));
        assert_eq!(reason(" \n"), VaultError::BadRootKey("it is empty"));
        for bad in
            ["not base64!", &good[..43], &good[..42], &good.replace('=', "-"), &format!("{good}{good}")]
        {
            assert_eq!(reason(bad), VaultError::BadRootKey("it is not base64"), "{bad}");
        }
        for bytes in [0, 1, 16, 31, 33, 64] {
            let text = STANDARD.encode(vec![7; bytes]);
            let expected = if bytes == 0 { "it is empty" } else { "it has the wrong length" };
            assert_eq!(reason(&text), VaultError::BadRootKey(expected), "{bytes} bytes");
        }
    }

    #[test]
    fn a_generated_key_reads_back_from_its_text() {
        let (key, text) = RootKey::generate(&|buffer| buffer.fill(9));
        let again = RootKey::from_base64(text.expose_secret()).expect("its own text");
        assert_eq!(key.0, again.0);
        assert_eq!(*key.0, [9; 32]);
    }
}
