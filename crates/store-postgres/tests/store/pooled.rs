//! The store through a pooler that gives each transaction to another server process.

use std::sync::Arc;

use alter_core::Store;
use alter_store_contract::operator::insert_app;
use alter_store_contract::sample::app;
use alter_store_postgres::{Open, OpenError, PostgresStore};
use alter_test_postgres::{Database, database};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};

/// Some cases of the contract: at least one for each noun, and those where many write at once. All of it passes, but each
/// case costs a database.
macro_rules! contract {
    ($($noun:ident: [$($case:ident),* $(,)?],)*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (_guard, store) = make().await;
                alter_store_contract::$noun::$case(store).await.unwrap();
            }
        )*)*
    };
}

contract! {
    app: [apps_are_listed_by_creation],
    data_key: [
        t92_a_value_in_any_column_is_counted_listed_and_put_under_another_key,
        of_many_new_keys_at_once_exactly_one_counts,
    ],
    key: [a_key_is_found_by_its_hash_with_its_app],
    provider: [saving_again_keeps_the_config_id_and_the_first_time],
    session: [of_many_saves_of_one_version_exactly_one_counts, t61_a_replayed_nonce_stores_no_session],
    attempt: [t17_of_fifty_concurrent_callbacks_exactly_one_consumes],
    attempt_end: [of_many_concurrent_ends_exactly_one_counts],
    grant: [a_filter_finds_what_fits_in_every_part, a_release_leaves_an_audit_entry_and_uses_the_nonce],
    user: [of_many_concurrent_saves_of_one_user_all_get_the_same_id],
    agent: [t98_an_agent_gets_a_credential_with_a_live_delegation_alone],
    refresh: [f58_of_many_that_want_to_refresh_one_gets_the_lease],
    revocation: [due_requests_are_taken_once_and_end_with_the_grant_knowing],
    audit: [t96_entries_form_a_chain_that_ends_in_the_head],
    store: [t61_of_fifty_concurrent_replays_exactly_one_counts],
}

/// A database behind a pooler that has several server processes for it.
async fn make_database() -> Database<'static> {
    let database = database();
    let mut others = Vec::new();
    for _ in 0..4 {
        let mut other = other(&database).await;
        sqlx::raw_sql("BEGIN").execute(&mut other).await.unwrap();
        others.push(other);
    }
    for mut other in others {
        sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    }
    database
}

async fn make() -> (Database<'static>, Arc<dyn Store>) {
    let database = make_database().await;
    let url = format!("{}&pgbouncer=true", database.pooled_url());
    let store = PostgresStore::open(&url, Open::Create).await.unwrap();
    (database, Arc::new(store))
}

/// Another program behind the same pooler.
async fn other(database: &Database<'_>) -> PgConnection {
    let options: PgConnectOptions = database.pooled_url().parse().unwrap();
    options.extra_float_digits(None).connect().await.unwrap()
}

async fn show(other: &mut PgConnection, sql: &'static str) -> String {
    use sqlx::Row as _;
    sqlx::raw_sql(sql).fetch_one(other).await.unwrap().get(0)
}

/// Writes down a setting as each audit entry is written.
fn note(database: &Database<'_>, setting: &str) {
    database.sql(&format!(
        "CREATE TABLE noted (value TEXT);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO noted VALUES (current_setting('{setting}')); RETURN NEW; END $$;
         CREATE TRIGGER noting BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION note()"
    ));
}

#[tokio::test]
async fn behind_a_pooler_each_transaction_has_its_limits_and_leaves_nothing_behind() {
    let (database, store) = make().await;
    note(&database, "statement_timeout");
    for _ in 0..8 {
        insert_app(&*store, app()).await.unwrap();
    }
    assert_eq!(database.sql("SELECT DISTINCT value FROM noted"), "10s");
    let mut other = other(&database).await;
    for _ in 0..8 {
        assert_eq!(show(&mut other, "SHOW statement_timeout").await, "0");
        assert_eq!(show(&mut other, "SELECT count(*)::TEXT FROM pg_prepared_statements").await, "0");
    }
}

#[tokio::test]
async fn behind_a_pooler_what_another_program_set_costs_no_durability() {
    let (database, store) = make().await;
    note(&database, "synchronous_commit");
    let mut other = other(&database).await;
    for _ in 0..8 {
        sqlx::raw_sql("SET synchronous_commit = off").execute(&mut other).await.unwrap();
    }
    assert_eq!(show(&mut other, "SHOW synchronous_commit").await, "off", "the process was used before");
    for _ in 0..8 {
        insert_app(&*store, app()).await.unwrap();
    }
    assert_eq!(database.sql("SELECT DISTINCT value FROM noted"), "on");
    // A database with a trigger of somebody's does not open.
    database.sql("DROP TRIGGER noting ON audit");
    let url = format!("{}&pgbouncer=true", database.pooled_url());
    PostgresStore::open(&url, Open::Existing).await.unwrap();
}

#[tokio::test]
async fn behind_a_pooler_a_database_that_does_not_wait_for_the_disk_is_refused() {
    let database = database();
    database.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name()));
    let url = format!("{}&pgbouncer=true", database.pooled_url());
    let refused = PostgresStore::open(&url, Open::Create).await;
    assert!(
        matches!(&refused, Err(OpenError::Server(why)) if why.contains("synchronous_commit")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn behind_a_pooler_that_the_url_does_not_tell_of_the_error_names_the_parameter() {
    let database = make_database().await;
    let refused = PostgresStore::open(&database.pooled_url(), Open::Create).await;
    let error = refused.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("pgbouncer=true"), "{error}");
}

#[tokio::test]
async fn the_capacity_for_statements_of_none_says_that_there_is_a_pooler() {
    let database = make_database().await;
    let url = format!("{}&statement-cache-capacity=0", database.pooled_url());
    let store = PostgresStore::open(&url, Open::Create).await.unwrap();
    insert_app(&store, app()).await.unwrap();
    assert_eq!(PostgresStore::schema_of(&url).await.unwrap().0, PostgresStore::schema_version());
    assert!(PostgresStore::key_check_of(&url).await.unwrap().is_none());
    PostgresStore::clock_of(&url).await.unwrap();
}

#[tokio::test]
async fn f28_behind_a_pooler_too_what_meets_an_ended_connection_is_done_on_a_fresh_one() {
    let (database, store) = make().await;
    crate::outage::each_survives(&*store, async || crate::outage::end_connections(&database)).await;
}
