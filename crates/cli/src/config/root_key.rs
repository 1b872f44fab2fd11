//! Reads the root key from the environment or from a file. There is no default key and no "off".

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use alter_vault::RootKey;
use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

/// Where the root key comes from.
#[derive(Debug, Clone)]
pub(crate) enum RootKeySource {
    /// `ALTER_ROOT_KEY`.
    Environment(SecretString),
    /// `ALTER_ROOT_KEY_FILE`, or `root.key` in the data directory.
    File(PathBuf),
}

impl RootKeySource {
    pub(super) fn new(environment: Option<String>, file: &str, data_dir: &Path) -> Self {
        match (environment, file) {
            (Some(key), _) => Self::Environment(SecretString::from(key)),
            (None, "") => Self::File(data_dir.join("root.key")),
            (None, path) => Self::File(PathBuf::from(path)),
        }
    }

    /// Reads the key. There is no fallback: without it the server does not start.
    ///
    /// # Errors
    /// The key is missing, unreadable, or not 32 bytes of base64.
    pub(crate) fn load(&self) -> anyhow::Result<RootKey> {
        match self {
            Self::Environment(text) => {
                RootKey::from_base64(text.expose_secret().trim()).context("ALTER_ROOT_KEY is not a root key")
            }
            Self::File(path) => {
                let text = std::fs::read_to_string(path).with_context(|| {
                    format!(
                        "the root key {} cannot be read (restore it from where you keep it, or point ALTER_ROOT_KEY_FILE \
                         at it; only a new installation gets a new one, from `alter init`)",
                        path.display()
                    )
                })?;
                let text = SecretString::from(text);
                RootKey::from_base64(text.expose_secret().trim())
                    .with_context(|| format!("{} is not a root key", path.display()))
            }
        }
    }

    /// Writes the key `text` to a new file, mode 0600. Never overwrites a file.
    pub(crate) fn create(path: &Path, text: &SecretString) -> anyhow::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("{} exists already: nothing was changed", path.display())
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be written", path.display())),
        };
        file.write_all(text.expose_secret().as_bytes()).and_then(|()| file.write_all(b"\n"))?;
        file.sync_all().with_context(|| format!("{} cannot be written", path.display()))
    }
}
