//! Runs the contract suite, which is the same for every engine.

use std::sync::Arc;

use alter_core::Store;
use alter_store_sqlite::{Open, SqliteStore};

use crate::directory::Directory;

pub(crate) async fn make() -> (Directory, Arc<dyn Store>) {
    let directory = Directory::new();
    let store = SqliteStore::open(&directory.file(), Open::Create).unwrap();
    (directory, Arc::new(store))
}

alter_store_contract::store_contract_tests!(crate::contract::make);
