//! Runs the contract suite, which is the same for every engine.

use std::sync::Arc;

use alter_core::Store;
use alter_store_postgres::{Open, PostgresStore};
use alter_test_postgres::{Database, filled_database};

pub(crate) async fn open(database: &Database<'_>) -> Arc<dyn Store> {
    Arc::new(PostgresStore::open(&database.url, Open::Create).await.unwrap())
}

pub(crate) async fn make() -> (Database<'static>, Arc<dyn Store>) {
    let database = filled_database(async |url| drop(PostgresStore::open(&url, Open::Create).await.unwrap()));
    let store = open(&database).await;
    (database, store)
}

alter_store_contract::store_contract_tests!(crate::contract::make);
