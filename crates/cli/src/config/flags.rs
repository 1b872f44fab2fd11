//! Settings on the command line. A flag wins over the environment.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;

/// The settings that are flags of every command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings (alter config explains all)")]
pub(crate) struct Flags {
    /// The settings file, as ALTER_CONFIG.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the root key and the database, as ALTER_DATA_DIR.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How browsers, app backends and providers reach the server, as ALTER_PUBLIC_URL.
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
}

impl Flags {
    /// Whether no flag is given.
    pub(crate) fn is_empty(&self) -> bool {
        self.config.is_none() && self.data_dir.is_none() && self.public_url.is_none()
    }

    /// Puts the flags, and that of `alter serve`, into the place of their variables.
    ///
    /// # Errors
    /// A path is not UTF-8.
    pub(crate) fn replace(
        &self,
        listen: Option<&str>,
        env: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let text = |flag: &str, path: &Option<PathBuf>| -> anyhow::Result<Option<String>> {
            let Some(path) = path else { return Ok(None) };
            let text = path.to_str().ok_or_else(|| anyhow::anyhow!("{flag} is not UTF-8"))?;
            Ok(Some(text.to_owned()))
        };
        for (name, value) in [
            ("ALTER_CONFIG", text("--config", &self.config)?),
            ("ALTER_DATA_DIR", text("--data-dir", &self.data_dir)?),
            ("ALTER_PUBLIC_URL", self.public_url.clone()),
            ("ALTER_LISTEN", listen.map(str::to_owned)),
        ] {
            if let Some(value) = value {
                env.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }
}
