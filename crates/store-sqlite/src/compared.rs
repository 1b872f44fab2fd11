//! The replaced database of a restore, as it is compared with the copy.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    OpenError,
    backup::{copy, files_of},
    connection, migrate,
};

/// A database with this program's schema, to compare with.
pub(crate) enum Compared<'a> {
    AsItIs(&'a Path),
    /// A migrated copy; it goes when the comparison is over.
    Copy(PathBuf),
}

impl Compared<'_> {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::AsItIs(path) => path,
            Self::Copy(path) => path,
        }
    }
}

impl Drop for Compared<'_> {
    fn drop(&mut self) {
        if let Self::Copy(path) = self {
            for file in files_of(path) {
                let _nothing_stays = fs::remove_file(file);
            }
        }
    }
}

/// A replaced database with an older schema is compared by a migrated copy: until the restore is decided, and also when it
/// is refused, the program that it belongs to can go on with it.
pub(crate) fn of_todays_schema<'a>(replaced: &'a Path, beside: &Path) -> Result<Compared<'a>, OpenError> {
    if migrate::version(&connection::open(replaced)?)? == migrate::known() {
        return Ok(Compared::AsItIs(replaced));
    }
    let mut name = beside.as_os_str().to_owned();
    name.push("-compared");
    let compared = Compared::Copy(PathBuf::from(name));
    // Left by a restore that was killed.
    let _nothing_there = fs::remove_file(compared.path());
    copy(replaced, compared.path())?;
    migrate::forward(&mut connection::open(compared.path())?)?;
    Ok(compared)
}
