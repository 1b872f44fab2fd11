//! One server at a time on one file.

use alter_store_sqlite::{Open, OpenError, SqliteStore, lock_for_serving};

use crate::directory::Directory;

#[test]
fn a_second_server_is_refused_by_the_number_of_the_first() {
    let directory = Directory::new();
    let missing = lock_for_serving(&directory.file()).unwrap_err();
    assert!(matches!(missing, OpenError::Missing(_)), "{missing}");
    let _beside = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    let first = lock_for_serving(&directory.file()).unwrap();
    let other_way = directory.path().join("link.db");
    std::os::unix::fs::symlink(directory.file(), &other_way).unwrap();
    for path in [directory.file(), other_way] {
        let refused = lock_for_serving(&path).unwrap_err().to_string();
        let holder = format!("in use by process {}, which holds", std::process::id());
        assert!(refused.contains(&holder) && refused.contains("alter.db.lock"), "{refused}");
    }
    // Commands work beside a server.
    SqliteStore::open(&directory.file(), Open::Existing).unwrap();
    drop(first);
    drop(lock_for_serving(&directory.file()).unwrap());
    // What an ended process has left is not in the way.
    std::fs::write(directory.path().join("alter.db.lock"), "4711").unwrap();
    lock_for_serving(&directory.file()).unwrap();
}
