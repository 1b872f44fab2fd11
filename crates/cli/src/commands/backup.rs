//! `alter backup FILE`: a snapshot of the database in one file, made while the server runs. `FILE.json` describes it.
//! A backup is ciphertext, but whoever can write it could plant an API key in it: so its description carries a proof made
//! with the root key, and `alter restore` asks for that proof.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use alter_core::{
    Anchor, AppId, Clock, SystemClock,
    secret::{from_hex, hex},
};
use alter_store_sqlite::backup::{self, Written};
use alter_vault::Vault;
use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::private_file;
use crate::{config::Config, output::Output, wiring};

/// What the proof in a description is about.
const PURPOSE: &str = "backup";

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// A new file; FILE.json beside it describes the backup.
    file: PathBuf,
    /// Make the backup without the root key: nothing proves later that it is ours, and it is restored only with
    /// --accept-unsealed.
    #[arg(long)]
    unsealed: bool,
}

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
    /// The root key's proof over everything above, lower-case hexadecimal. Backups from before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
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
        manifest.describes(backup)?;
        Ok(manifest)
    }

    /// Refuses a file that is not the described one.
    pub(super) fn describes(&self, file: &Path) -> anyhow::Result<()> {
        if sha256_of(file)? == self.sha256 {
            return Ok(());
        }
        bail!("{} is not the file that its description is about: it was damaged or changed", file.display())
    }

    /// Refuses a description that nobody with the root key wrote (T94). One without a proof passes when the operator
    /// says so: backups from before have none. A wrong proof never does.
    pub(super) fn check_seal(&self, vault: &Vault, accept_unsealed: bool) -> anyhow::Result<()> {
        match &self.seal {
            None if accept_unsealed => Ok(()),
            None => bail!(
                "the backup has no seal: whoever could write it may have put an API key or a provider's URL into it. If you \
                 know that nobody could (a backup from before seals, or one made with --unsealed): --accept-unsealed"
            ),
            Some(seal) => vault.verify_proof(PURPOSE, &self.sealed_part()?, &from_hex::<32>(seal).unwrap_or_default()).context(
                "the backup's seal is wrong: somebody changed the backup or its description, or it was made under another \
                 root key (for a while after a change, ALTER_ROOT_KEY_FILE_OLD names the old one)",
            ),
        }
    }

    fn sealed(mut self, vault: &Vault) -> anyhow::Result<Self> {
        self.seal = Some(hex(&vault.prove(PURPOSE, &self.sealed_part()?)?));
        Ok(self)
    }

    /// Everything but the proof, as it is written. Fields that a later version adds must be left out where they are empty.
    fn sealed_part(&self) -> anyhow::Result<Vec<u8>> {
        let Self { format, made_at, schema, sha256, heads, seal: _ } = self;
        let (made_at, sha256, heads) = (made_at.clone(), sha256.clone(), heads.clone());
        let part = Self { format: *format, made_at, schema: *schema, sha256, heads, seal: None };
        Ok(serde_json::to_vec(&part)?)
    }
}

pub(crate) fn run(args: &BackupArgs, config: &Config, output: Output) -> anyhow::Result<()> {
    let file = args.file.as_path();
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
    // Where there is no database, that is what is wrong.
    let seals = !args.unsealed && database.exists();
    let vault = seals.then(|| sealing(config)).transpose()?;
    let copied = backup::copy(database, file).map_err(|error| config.database.of_file(error));
    let written = copied.with_context(|| format!("{} was not backed up", database.display()))?;
    // Read back what is now on the disk: a backup that nobody has checked may be no backup.
    let checked = describe(&written, file, vault.as_ref()).and_then(|manifest| {
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
        "{path} and {beside}: checked, schema {}{}.\nIt opens only with the root key of today: keep that key apart from the backup.\n\
         Audit heads (worth keeping elsewhere):\n{}",
        manifest.schema,
        if manifest.seal.is_some() { ", sealed" } else { "; NOT sealed (restore it with --accept-unsealed)" },
        heads.join("\n")
    );
    let value = json!({ "file": path, "manifest": beside, "made_at": manifest.made_at, "schema": manifest.schema,
        "sha256": manifest.sha256, "heads": manifest.heads, "sealed": manifest.seal.is_some() });
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

/// The root key, for the proof.
fn sealing(config: &Config) -> anyhow::Result<Vault> {
    wiring::vault(config).context("a backup is sealed with the root key (--unsealed makes one without)")
}

/// The digest is of the file that was written. If another one has its name by now, no proof is made for that one.
fn describe(written: &Written, file: &Path, vault: Option<&Vault>) -> anyhow::Result<Manifest> {
    let facts = backup::inspect(file)?;
    if let Some(vault) = vault {
        vault.verify_key_check(&facts.key_check)?;
    }
    let manifest = Manifest {
        format: 1,
        made_at: SystemClock.now().to_rfc3339(),
        schema: facts.schema,
        sha256: sha256(written.file())?,
        heads: facts.heads.into_iter().collect(),
        seal: None,
    };
    written.is_at(file)?;
    match vault {
        Some(vault) => manifest.sealed(vault),
        None => Ok(manifest),
    }
}

fn sha256_of(path: &Path) -> anyhow::Result<String> {
    sha256(&std::fs::File::open(path).with_context(|| format!("{} cannot be read", path.display()))?)
}

fn sha256(mut file: &std::fs::File) -> anyhow::Result<String> {
    file.rewind()?;
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(digest.finish().as_ref())),
            read => digest.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use alter_core::{Random as _, Store as _, SystemRandom};
    use alter_store_sqlite::{Open, SqliteStore};
    use alter_vault::RootKey;

    use super::*;

    #[tokio::test]
    async fn t94_a_file_that_took_the_place_of_the_copy_gets_no_seal() {
        let directory = std::env::temp_dir().join(format!("alter-backup-{}", AppId::new(&SystemRandom)));
        std::fs::create_dir(&directory).unwrap();
        let [database, copy, theirs] = ["alter.db", "copy.db", "theirs.db"].map(|name| directory.join(name));
        let fill = |buffer: &mut [u8]| SystemRandom.fill(buffer);
        let vault = Vault::new(RootKey::generate(&fill).0);
        let store = SqliteStore::open(&database, Open::Create).unwrap();
        store.insert_key_check(vault.key_check(&fill)).await.unwrap();

        let written = backup::copy(&database, &copy).unwrap();
        let manifest = describe(&written, &copy, Some(&vault)).unwrap();
        manifest.describes(&copy).unwrap();
        // Even with the same bytes: what is under the name now is not what was written.
        std::fs::copy(&copy, &theirs).unwrap();
        std::fs::rename(&theirs, &copy).unwrap();
        let refused = describe(&written, &copy, Some(&vault)).unwrap_err().to_string();
        assert!(refused.contains("was exchanged while"), "{refused}");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
