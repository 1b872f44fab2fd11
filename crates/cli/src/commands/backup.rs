//! `alter backup FILE`: a snapshot of the database in one file, made while the server runs. `FILE.json` describes it.
//! The command needs no root key: a backup is ciphertext, and the operator who makes it need not be able to open it.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use alter_core::{Anchor, AppId, Clock, SystemClock, secret::hex};
use alter_store_sqlite::backup;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::private_file;
use crate::{config::Config, output::Output, wiring};

/// Describes a backup; stored beside it in `FILE.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// Version of this format; always 1 so far.
    format: u32,
    /// RFC 3339, whole seconds.
    pub(super) made_at: String,
    /// The database's schema version.
    pub(super) schema: i64,
    /// SHA-256 of the backup file, lower-case hexadecimal.
    sha256: String,
    /// The newest audit entry of each app.
    heads: BTreeMap<AppId, Anchor>,
}

impl Manifest {
    /// Where the manifest of this backup lies: `FILE.json` beside it.
    pub(super) fn path(backup: &Path) -> PathBuf {
        let mut name = backup.as_os_str().to_owned();
        name.push(".json");
        PathBuf::from(name)
    }

    /// Reads the manifest and compares the backup with it.
    pub(super) fn check(backup: &Path) -> anyhow::Result<Self> {
        let path = Self::path(backup);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("{} cannot be read; a backup is two files: keep them together", path.display())
        })?;
        let manifest: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} does not describe a backup", path.display()))?;
        if manifest.format != 1 {
            bail!("{} is from a newer program (format {})", path.display(), manifest.format);
        }
        if sha256_of(backup)? != manifest.sha256 {
            bail!(
                "{} is not the file that {} describes: it was damaged or changed",
                backup.display(),
                path.display()
            );
        }
        Ok(manifest)
    }
}

pub(crate) fn run(file: &Path, config: &Config, output: Output) -> anyhow::Result<()> {
    wiring::check_owner(&config.data_dir)?;
    let Some(database) = config.database.file() else {
        bail!(
            "a PostgreSQL database is backed up with its own tools:\n\n  {}",
            on_postgres(&format!("pg_dump --format=custom --file={}", file.display()))
        )
    };
    let manifest_path = Manifest::path(file);
    if let Some(there) = [file, &manifest_path].into_iter().find(|path| path.exists()) {
        bail!("{} exists already: nothing was changed", there.display());
    }
    let copied = backup::copy(database, file).map_err(|error| config.database.of_file(error));
    copied.with_context(|| format!("{} was not backed up", database.display()))?;
    // Read back what is now on the disk: a backup that nobody has checked may be no backup.
    let checked = describe(file).and_then(|manifest| {
        let mut out = private_file(&manifest_path)?;
        out.write_all(serde_json::to_string_pretty(&manifest)?.as_bytes())?;
        out.sync_all()?;
        backup::sync_directory(file)?;
        Ok(manifest)
    });
    let manifest = match checked {
        Ok(manifest) => manifest,
        Err(error) => {
            let _nothing_unchecked_stays =
                std::fs::remove_file(file).and(std::fs::remove_file(&manifest_path));
            return Err(error.context("the copy did not pass its check and was removed"));
        }
    };
    let heads: Vec<_> = manifest.heads.iter().map(|(app, head)| format!("  {app}  {head}")).collect();
    let (path, beside) = (file.display().to_string(), manifest_path.display().to_string());
    let text = format!(
        "{path} and {beside}: checked, schema {}.\nIt opens only with the root key of today: keep that key apart from the backup.\n\
         Audit heads (worth keeping elsewhere):\n{}",
        manifest.schema,
        heads.join("\n")
    );
    let value = json!({ "file": path, "manifest": beside, "made_at": manifest.made_at, "schema": manifest.schema,
        "sha256": manifest.sha256, "heads": manifest.heads });
    output.answer(&text, &value);
    Ok(())
}

/// A command line for the operator's shell that runs a PostgreSQL tool.
pub(super) fn on_postgres(tool: &str) -> String {
    format!(
        "umask 077 && {tool} --dbname=\"$ALTER_DATABASE_URL\"\n\n(Keep the password in ~/.pgpass, not in that URL: other \
         users can see command lines.)"
    )
}

fn describe(file: &Path) -> anyhow::Result<Manifest> {
    let facts = backup::inspect(file)?;
    Ok(Manifest {
        format: 1,
        made_at: SystemClock.now().to_rfc3339(),
        schema: facts.schema,
        sha256: sha256_of(file)?,
        heads: facts.heads.into_iter().collect(),
    })
}

fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let mut file = std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(digest.finish().as_ref())),
            read => digest.update(&buffer[..read]),
        }
    }
}
