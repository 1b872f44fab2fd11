//! What other users of the machine can enter, read or write, although it is the server's alone: its data directory, its
//! database with the log and the index beside it, its root keys.

use std::path::{Path, PathBuf};

use super::{Config, RootKeySource};
use crate::output::shell_word;

/// A directory or a file that is open to other users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exposed {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    /// The permission bits.
    mode: u32,
}

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    DataDir,
    /// The directory of a database that is not in the data directory.
    DatabaseDir,
    RootKey,
    /// The database, or another file beside it.
    File,
}

impl Exposed {
    /// What it is, and how far it is open.
    pub(crate) fn text(&self) -> String {
        let (path, mode) = (self.path.display(), self.mode);
        match self.kind {
            Kind::DatabaseDir => {
                format!("{path} (mode {mode:04o}): other users can replace the database in it")
            }
            _ => format!("{path} (mode {mode:04o})"),
        }
    }

    /// The command that mends it.
    pub(crate) fn mend(&self) -> String {
        let path = shell_word(&self.path.display().to_string());
        match self.kind {
            Kind::DataDir => format!("chmod 700 {path}"),
            Kind::DatabaseDir => {
                format!("chmod go-w {path}, or move the database into a directory of its own")
            }
            Kind::RootKey | Kind::File => format!("chmod 600 {path}"),
        }
    }
}

impl Config {
    /// Finds what is open to other users; what is not there is left out.
    pub(crate) fn exposed(&self) -> Vec<Exposed> {
        let mut found: Vec<Exposed> = open_to(&self.data_dir, 0o077, Kind::DataDir).into_iter().collect();
        if let Some(database) = self.database.file() {
            let dir = database.parent().filter(|dir| !is_same(dir, &self.data_dir));
            found.extend(dir.and_then(|dir| open_to(dir, 0o022, Kind::DatabaseDir)));
        }
        found.extend(self.root_keys().filter(|path| !is_private(path)).filter_map(key));
        let keys: Vec<_> = self.root_keys().collect();
        let files = self.files().into_iter().filter(|file| !keys.iter().any(|key| is_same(key, file)));
        found.extend(files.filter_map(|file| open_to(&file, 0o077, Kind::File)));
        found
    }

    fn root_keys(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.root_key), self.root_key_old.as_ref()].into_iter().flatten().filter_map(|key| match key {
            RootKeySource::File(path) => Some(path.as_path()),
            RootKeySource::Environment(_) => None,
        })
    }

    /// The files in the data directory, a backup that was put there among them, and those of a database elsewhere.
    fn files(&self) -> Vec<PathBuf> {
        let inside = std::fs::read_dir(&self.data_dir).into_iter().flatten().flatten();
        let mut files: Vec<_> = inside.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        if let Some(database) = self.database.file() {
            let beside =
                alter_store_sqlite::backup::files_of(database).into_iter().filter(|path| path.is_file());
            let elsewhere: Vec<_> =
                beside.filter(|path| !files.iter().any(|known| is_same(known, path))).collect();
            files.extend(elsewhere);
        }
        files.sort();
        files
    }
}

fn key(path: &Path) -> Option<Exposed> {
    open_to(path, 0o077, Kind::RootKey)
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// Whether only the owner can read a file. A systemd credential counts as private: it lies in a folder that only the
/// service can enter, and an access list there may look like group bits.
pub(crate) fn is_private(path: &Path) -> bool {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    path.parent().is_some_and(|folder| Some(folder) == credentials.as_deref())
        || mode_of(path).is_some_and(|mode| mode & 0o077 == 0)
}

fn open_to(path: &Path, bits: u32, kind: Kind) -> Option<Exposed> {
    let mode = mode_of(path).filter(|mode| mode & bits != 0)?;
    Some(Exposed { kind, path: path.to_owned(), mode })
}

/// The permission bits; `None` when the path is not there. A system without such bits counts as private.
fn mode_of(path: &Path) -> Option<u32> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Some(metadata.permissions().mode() & 0o7777)
    }
    #[cfg(not(unix))]
    {
        let _has_no_such_bits = metadata;
        Some(0)
    }
}
