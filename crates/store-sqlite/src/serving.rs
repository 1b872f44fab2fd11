//! One server at a time. Two would each keep their own share of a provider, their own quotas and their own sweep, and
//! every commit of one would wait for the other. Commands may work on the file beside a server.
//!
//! The lock is the kernel's, on a file of its own beside the database: it ends with the process that holds it, however
//! that process ends. It cannot be on the database file: to close another handle of that file would drop SQLite's locks.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::OpenError;

/// Held for as long as this process may be the only server on a database.
#[derive(Debug)]
pub struct ServingLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Takes the lock of a database that exists.
///
/// # Errors
/// [`OpenError::Served`] when another process has it.
pub fn lock_for_serving(database: &Path) -> Result<ServingLock, OpenError> {
    crate::connection::ensure_file(database, crate::Open::Existing)?;
    // Two paths may lead to one file.
    let path = lock_of(&fs::canonicalize(database)?);
    let named = |error: io::Error| {
        let what = format!(
            "the lock file {}, which needs a local disk that this user can write: {error}",
            path.display()
        );
        OpenError::File(io::Error::new(error.kind(), what))
    };
    let mut file = open(&path).map_err(named)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Served {
                database: database.to_owned(),
                lock: path,
                by: holder(&mut file),
            });
        }
        Err(TryLockError::Error(error)) => return Err(named(error)),
    }
    file.set_len(0).map_err(named)?;
    file.write_all(std::process::id().to_string().as_bytes()).map_err(named)?;
    Ok(ServingLock(file))
}

fn lock_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The number that the holder has written into the file; it may not have come that far.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    Read::take(file, 16).read_to_string(&mut text).ok()?;
    text.parse().ok()
}
