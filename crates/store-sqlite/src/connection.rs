//! Opening the file: its permissions, and the settings that every connection needs.

use std::{fs, io, path::Path, time::Duration};

use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::opening::{Open, OpenError};

/// How long a connection waits for another process: the command line may write while the server runs.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection; there are fewer.
const PREPARED: usize = 96;

/// Makes the file if asked to, with access only for its owner. SQLite gives its log and index the same mode.
pub(crate) fn ensure_file(path: &Path, mode: Open) -> Result<(), OpenError> {
    if mode == Open::Existing {
        return if path.try_exists()? { Ok(()) } else { Err(OpenError::Missing(path.to_owned())) };
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// A connection that may write; none of its settings writes yet.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

/// A connection that may not write.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// `trusted_schema`: a tampered file cannot call functions. `temp_store`: nothing is written to temporary files.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "memory")
}

/// Settings for writing. `synchronous=FULL`: in WAL mode, NORMAL may lose the last commits in a power failure, and here a
/// lost commit is a lost credential. `secure_delete`: wiped values do not stay in free pages.
pub(crate) fn prepare_writer(connection: &Connection) -> Result<(), OpenError> {
    // SQLite opens a file that it may not write for reading, and says nothing; even BEGIN IMMEDIATE succeeds.
    if connection.is_readonly(MAIN_DB)? {
        return Err(OpenError::ReadOnly(connection.path().unwrap_or_default().into()));
    }
    let journal: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if journal != "wal" {
        return Err(OpenError::NoLog(journal));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS, fsync leaves the data in the drive's cache; on other systems these two settings do nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let _on: i64 = connection.query_row("PRAGMA secure_delete = ON", [], |row| row.get(0))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, OpenFlags};

    use crate::{Open, OpenError, SqliteStore, fault::Fault};

    fn pragma(c: &Connection, name: &str) -> Result<String, Fault> {
        let value = c.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?;
        Ok(format!("{value:?}"))
    }

    #[test]
    fn f34_a_database_that_cannot_be_written_does_not_open() {
        let path = std::env::temp_dir()
            .join(format!("alter-read-only-{}.db", alter_core::AppId::new(&alter_core::SystemRandom)));
        drop(SqliteStore::open(&path, Open::Create).unwrap());
        // What SQLite makes of a file without write permission, which the tests' user may have none of.
        let reader = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let refused = super::prepare_writer(&reader).unwrap_err();
        assert!(matches!(&refused, OpenError::ReadOnly(_)), "{refused}");
        assert!(refused.to_string().contains("alter-read-only-"), "{refused}");
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn f36_every_setting_that_safety_rests_on_is_in_force() {
        let path = std::env::temp_dir()
            .join(format!("alter-pragmas-{}.db", alter_core::AppId::new(&alter_core::SystemRandom)));
        let store = SqliteStore::open(&path, Open::Create).unwrap();
        for (name, expected) in [
            ("synchronous", "Integer(2)"),
            ("journal_mode", "Text(\"wal\")"),
            ("foreign_keys", "Integer(1)"),
            ("secure_delete", "Integer(1)"),
            ("trusted_schema", "Integer(0)"),
            ("temp_store", "Integer(2)"),
            ("busy_timeout", "Integer(5000)"),
            ("query_only", "Integer(0)"),
            ("wal_autocheckpoint", "Integer(1000)"),
        ] {
            assert_eq!(
                store.write(move |c| pragma(c, name)).await.unwrap(),
                expected,
                "{name} of the writer"
            );
        }
        for (name, expected) in [
            ("query_only", "Integer(1)"),
            ("trusted_schema", "Integer(0)"),
            ("busy_timeout", "Integer(5000)"),
        ] {
            assert_eq!(store.read(|c| pragma(c, name)).await.unwrap(), expected, "{name} of a reader");
        }
        let written = store.read(|c| Ok(c.execute("DELETE FROM probes", [])?)).await;
        assert!(written.is_err(), "a reader cannot write");
        drop(store);
        std::fs::remove_file(&path).unwrap();
    }
}
