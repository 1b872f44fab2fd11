//! What the server runs with, for the commands beside it. Settings are often given to `alter serve` alone, in front of the
//! command. A command without them would print a callback URL on localhost, ask providers under other rules, or work on
//! another database.
//!
//! `alter serve` leaves a file in the data directory. A setting that a command was not given itself comes from there.

use std::{io::Write, path::Path};

use anyhow::{Context, bail};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::database::Database;

const FILE: &str = "served.json";

/// The settings of the server that was last started on a data directory. None is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Served {
    public_url: String,
    /// [`place`] of its database.
    database: String,
    egress_allow: Vec<String>,
}

/// Leaves the server's settings for other commands.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn record(config: &Config) -> anyhow::Result<()> {
    let served = Served {
        public_url: config.public_url.clone(),
        database: place(&config.database, &config.data_dir),
        egress_allow: config.egress_allow.iter().map(ToString::to_string).collect(),
    };
    let (file, fresh) = (config.data_dir.join(FILE), config.data_dir.join(format!("{FILE}.new")));
    let _left_by_a_crash = std::fs::remove_file(&fresh);
    crate::commands::private_file(&fresh)?.write_all(serde_json::to_string_pretty(&served)?.as_bytes())?;
    std::fs::rename(&fresh, &file).with_context(|| format!("{} cannot be written", file.display()))
}

/// Reads what the server left. A file that cannot be read counts as none.
fn recorded(data_dir: &Path) -> Option<Served> {
    serde_json::from_str(&std::fs::read_to_string(data_dir.join(FILE)).ok()?).ok()
}

impl Config {
    /// The settings of a command other than `serve`.
    ///
    /// # Errors
    /// The server has another database than this command, which was not told of any.
    pub(crate) fn beside_the_server(mut self) -> anyhow::Result<Self> {
        let Some(served) = recorded(&self.data_dir) else { return Ok(self) };
        let here = place(&self.database, &self.data_dir);
        if !self.given.database_url && served.database != here {
            bail!(
                "the server with this data directory uses the database {}, and this command would use {here}: give it the \
                 server's ALTER_DATABASE_URL (or ALTER_DATABASE_URL=sqlite: for {here})",
                served.database
            );
        }
        if !self.given.public_url {
            self.public_url = served.public_url;
            self.given.public_url = true;
        }
        if !self.given.egress_allow {
            let networks = served.egress_allow.iter().filter_map(|text| text.parse::<IpNet>().ok());
            self.egress_allow = networks.collect();
        }
        Ok(self)
    }

    /// The public URL; `None` if nobody has told this command, and no server has run that could have.
    pub(crate) fn known_public_url(&self) -> Option<&str> {
        self.given.public_url.then_some(self.public_url.as_str())
    }
}

/// Which database it is, without a password, and wherever the command is called. A file in the data directory is named
/// from there, so that the directory may be moved, mounted elsewhere or reached by a link.
fn place(database: &Database, data_dir: &Path) -> String {
    let Some(path) = database.file() else { return database.to_string() };
    let found = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    let (path, data_dir) = (
        found(path).unwrap_or_else(|_| path.to_owned()),
        found(data_dir).unwrap_or_else(|_| data_dir.to_owned()),
    );
    path.strip_prefix(&data_dir).unwrap_or(&path).display().to_string()
}
