//! Writing a copy of the file, and keeping hold of it.

use std::{fs, path::Path};

use crate::{
    OpenError,
    backup::{sync_directory, text_of},
    connection, migrate,
};

/// A copy that was just written. Keeps hold of the file: who may write its directory can put another one in its place.
#[derive(Debug)]
pub struct Written(fs::File);

impl Written {
    /// The file itself, whatever has its name by now.
    pub fn file(&self) -> &fs::File {
        &self.0
    }

    /// Refuses another file under the copy's name.
    ///
    /// # Errors
    /// [`OpenError::File`].
    pub fn is_at(&self, target: &Path) -> Result<(), OpenError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let (ours, there) = (self.0.metadata()?, fs::symlink_metadata(target)?);
            if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
                let text = format!("{} was exchanged while the copy was written", target.display());
                return Err(std::io::Error::other(text).into());
            }
        }
        Ok(())
    }
}

/// Writes a copy into a new file that only its owner can read.
///
/// # Errors
/// [`OpenError`]; no file is left behind.
pub fn copy(database: &Path, target: &Path) -> Result<Written, OpenError> {
    connection::ensure_file(database, crate::Open::Existing)?;
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = Written(options.open(target)?);
    let synced = || Ok(file.0.sync_all()?);
    let written = copy_into(database, target).and_then(|()| synced()).and_then(|()| file.is_at(target));
    if written.is_err() {
        let _nothing_half_written_stays = fs::remove_file(target);
    }
    written.map(|()| file)
}

fn copy_into(database: &Path, target: &Path) -> Result<(), OpenError> {
    let source = connection::open(database)?;
    migrate::refuse_unknown(&source, database)?;
    source.execute("VACUUM INTO ?1", [text_of(target)?])?;
    sync_directory(target)
}
