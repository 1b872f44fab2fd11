//! Opening a database: what is created, what is migrated, what is refused.

use std::{sync::Arc, time::Duration};

use alter_core::{
    AppStore as _, AttemptStore as _, AuditKind, AuditStore as _, Clock as _, GrantStore as _,
    SessionStore as _, Store as _, SystemClock,
    audit::{chain, chain_start},
};
use alter_store_contract::{
    operator::insert_app,
    sample::{T0, app, attempt, audit, started, stored_app, stored_grant, underway},
};
use alter_store_postgres::{Open, OpenError, PostgresStore};
use alter_test_postgres::{Cluster, Database, database};

const TABLES: &str =
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1";

fn version(database: &Database<'_>) -> i64 {
    database.sql("SELECT version FROM schema_version").parse().unwrap()
}

async fn create(database: &Database<'_>) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(&database.url, Open::Create).await
}

#[tokio::test]
async fn the_servers_clock_is_told_before_there_are_tables() {
    let database = database();
    let before = SystemClock.now();
    let theirs = PostgresStore::clock_of(&database.url).await.unwrap();
    assert!(theirs.since(before) < 60_000_000 && SystemClock.now().since(theirs) > -1_000_000);
}

#[tokio::test]
async fn a_new_database_is_migrated() {
    let database = database();
    let store = create(&database).await.unwrap();
    store.probe(T0).await.unwrap();
    assert_eq!(version(&database), PostgresStore::schema_version());
}

#[tokio::test]
async fn a_database_without_our_tables_is_refused_where_they_must_be_there() {
    let database = database();
    let refused = PostgresStore::open(&database.url, Open::Existing).await;
    assert!(matches!(refused, Err(OpenError::Missing(_))), "{refused:?}");
    assert_eq!(database.sql(TABLES), "");
}

#[tokio::test]
async fn what_was_stored_is_there_after_opening_again() {
    let database = database();
    let app = app();
    insert_app(&create(&database).await.unwrap(), app.clone()).await.unwrap();
    for mode in [Open::Existing, Open::Create] {
        let store = PostgresStore::open(&database.url, mode).await.unwrap();
        assert!(store.get_app(app.id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn t93_the_key_check_of_an_older_schema_is_read_and_nothing_is_migrated() {
    let database = database();
    let store = create(&database).await.unwrap();
    let older = PostgresStore::schema_version() - 1;
    database.sql(&format!("UPDATE schema_version SET version = {older}"));
    assert_eq!(PostgresStore::key_check_of(&database.url).await.unwrap(), None, "before alter init");
    store.insert_key_check(vec![7; 40]).await.unwrap();
    assert_eq!(PostgresStore::key_check_of(&database.url).await.unwrap(), Some(vec![7; 40]));
    assert_eq!(version(&database), older);
}

#[tokio::test]
async fn f38_a_newer_schema_is_refused_and_left_as_it_is() {
    let database = database();
    create(&database).await.unwrap();
    let (known, newer) = (PostgresStore::schema_version(), PostgresStore::schema_version() + 1);
    database.sql(&format!("UPDATE schema_version SET version = {newer}"));
    let before = database.sql(TABLES);
    for mode in [Open::Existing, Open::Create] {
        let refused = PostgresStore::open(&database.url, mode).await;
        assert!(
            matches!(&refused, Err(OpenError::NewerSchema { found, known: k }) if (*found, *k) == (newer, known)),
            "{refused:?}"
        );
    }
    assert_eq!((version(&database), database.sql(TABLES)), (newer, before));
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    for statement in ["CREATE TABLE notes (text TEXT)", "CREATE TABLE schema_version (version TEXT)"] {
        let database = database();
        database.sql(statement);
        let before = database.sql(TABLES);
        let refused = create(&database).await;
        assert!(matches!(refused, Err(OpenError::NotOurs(_))), "{statement}: {refused:?}");
        assert_eq!(database.sql(TABLES), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f37_eight_processes_may_open_a_new_database_at_once() {
    let database = database();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = database.url.clone();
        opening.spawn(async move { PostgresStore::open(&url, Open::Create).await });
    }
    for store in opening.join_all().await {
        store.unwrap().probe(T0).await.unwrap();
    }
    assert_eq!(version(&database), PostgresStore::schema_version());
    assert_eq!(database.sql("SELECT expires_at FROM migration_lease"), "0", "it was given back");
}

/// Makes the server do `what` as soon as the `n`th table from now on has been created.
fn at_table(database: &Database<'_>, n: u32, what: &str) {
    database.sql(&format!(
        "CREATE SEQUENCE made;
         CREATE FUNCTION broken() RETURNS event_trigger LANGUAGE plpgsql AS
             $$ BEGIN IF nextval('made') = {n} THEN PERFORM {what}; END IF; END $$;
         CREATE EVENT TRIGGER broken ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION broken()"
    ));
}

/// The number of a table that is created in the middle of a migration, and the schema version before that migration.
/// Two bookkeeping tables come first, then the eleven tables of the first migration.
const IN_THE_MIDDLE_OF: [(u32, i64); 2] = [(7, 0), (15, 1)];

#[tokio::test]
async fn f37_a_migration_whose_connection_is_cut_leaves_the_version_before_it() {
    for (table, left) in IN_THE_MIDDLE_OF {
        let database = database();
        at_table(&database, table, "pg_terminate_backend(pg_backend_pid())");
        let broken = create(&database).await;
        assert!(matches!(broken, Err(OpenError::Engine(_))), "{broken:?}");
        assert_eq!(version(&database), left);
        let tables = database.sql(TABLES).lines().count();
        assert_eq!(tables, if left == 0 { 2 } else { 13 }, "nothing of the broken migration is there");

        database.sql("DROP EVENT TRIGGER broken");
        let store = create(&database).await.unwrap();
        store.probe(T0).await.unwrap();
        assert_eq!(version(&database), PostgresStore::schema_version());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f37_a_server_that_is_killed_between_two_statements_of_a_migration_goes_on_from_the_version_before() {
    let cluster = Arc::new(Cluster::new());
    for (table, left) in IN_THE_MIDDLE_OF {
        let database = cluster.database();
        at_table(&database, table, "pg_sleep(60)");
        let url = database.url.clone();
        let opening = tokio::spawn(async move { PostgresStore::open(&url, Open::Create).await });
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        while database.sql(asleep) != "1" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cluster.crash();
        let broken = opening.await.unwrap();
        assert!(matches!(broken, Err(OpenError::Engine(_))), "{broken:?}");
        cluster.start();
        assert_eq!(version(&database), left);
        database.sql("DROP EVENT TRIGGER broken");
        // Waits until the lease of the program that died has run out.
        create(&database).await.unwrap().probe(T0).await.unwrap();
        assert_eq!(version(&database), PostgresStore::schema_version());
    }
}

#[tokio::test]
async fn rows_of_the_first_schema_are_read_after_the_second() {
    let database = database();
    create(&database).await.unwrap();
    // The first schema again, as an older program left it.
    database.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    database.sql(include_str!("../../migrations/0001_connect.sql"));
    database.sql(
        r"INSERT INTO apps VALUES ('a1000000-0000-4000-8000-000000000000', '{}', '\x00', 1);
          INSERT INTO grants VALUES ('b1000000-0000-4000-8000-000000000000', 'a1000000-0000-4000-8000-000000000000',
              'google', 'pc', 'subject', 'me', NULL, '[]', '[]', 'L2', 1, 1, 3, 'Bearer', NULL, '\x01', NULL, NULL);
          INSERT INTO audit_heads VALUES ('a1000000-0000-4000-8000-000000000000', 4)",
    );
    database.sql(include_str!("../../migrations/0002_users_and_agents.sql"));
    let grant = database.sql("SELECT principal, status, generation, revoked_at IS NULL FROM grants");
    assert_eq!(grant, "app|active|3|t");
    let head = database.sql("SELECT seq, chained_after, length(hash) FROM audit_heads");
    assert_eq!(head, "4|4|32");
}

#[tokio::test]
async fn grants_and_requests_from_before_the_sixth_schema_are_there_after_it() {
    let database = database();
    for migration in [
        include_str!("../../migrations/0001_connect.sql"),
        include_str!("../../migrations/0002_users_and_agents.sql"),
        include_str!("../../migrations/0003_app_keys.sql"),
        include_str!("../../migrations/0004_grant_lookups.sql"),
        include_str!("../../migrations/0005_words.sql"),
    ] {
        database.sql(migration);
    }
    database.sql(
        r"INSERT INTO apps VALUES ('app', '{}', '\x00', 1);
          INSERT INTO grants (id, app_id, principal, provider, config_id, subject, account_identifier, scopes,
              missing_scopes, level, created_at, updated_at, status, generation, token_type, access_token, refresh_token)
          SELECT n, 'app', 'app', 'google', 'c', n, n, '[]', '[]', 'L2', 1, n, status, 1, 'Bearer', '\x01', token::BYTEA
          FROM (VALUES (5, 'active', '\x02'), (6, 'active', NULL), (7, 'revoked', NULL)) AS g(n, status, token);
          INSERT INTO revocations VALUES ('7', 'app', 'c', TRUE, '\x03', 0, 9, 9)",
    );
    database.sql(include_str!("../../migrations/0006_refresh.sql"));
    let grants = database.sql(
        "SELECT id, credential_issued_at, refresh_at, refresh, ends_at, reconnect FROM grants ORDER BY id",
    );
    assert_eq!(grants, "5|5|5|{}||\n6|6||{}||\n7|7||{}||");
    assert_eq!(database.sql("SELECT id, grant_id, token FROM revocations"), "7|7|\\x03");
}

#[tokio::test]
async fn t96_a_chain_that_begins_after_older_entries_says_where_in_its_first_value() {
    let database = database();
    let (store, app) = (create(&database).await.unwrap(), app());
    insert_app(&store, app.clone()).await.unwrap();
    database.sql(
        r"UPDATE audit SET hash = NULL;
          UPDATE audit_heads SET hash = decode(repeat('00', 32), 'hex'), chained_after = seq",
    );
    for _ in 0..2 {
        store.append_audit(audit(app.id, AuditKind::TokenReleased)).await.unwrap();
    }
    let rows = store.read_audit(app.id, 1, 9).await.unwrap();
    let first = chain(app.id, &chain_start(1), &rows[0]);
    assert_eq!(rows[0].hash, Some(first));
    assert_eq!(rows[1].hash, Some(chain(app.id, &first, &rows[1])));
}

#[tokio::test]
async fn the_attempts_of_a_session_from_before_the_seventh_schema_are_counted() {
    let database = database();
    let store = create(&database).await.unwrap();
    let app = app();
    insert_app(&store, app.clone()).await.unwrap();
    let (mut session, first) = started(&store, app.id).await.unwrap();
    let second = attempt(&session);
    session.start(underway(&second));
    assert!(store.start_attempt(&session, second).await.unwrap().is_done());
    // As an older program left it: without the number, and with a list of events that had no room for attempts.
    database.sql(
        "UPDATE sessions SET data = jsonb_set(data::JSONB - 'attempts', '{events}', '[]')::TEXT;
         DROP INDEX grants_unbound; ALTER TABLE providers DROP COLUMN seal; ALTER TABLE api_keys DROP COLUMN seal;
         DROP INDEX grants_by_subject; ALTER TABLE grants DROP COLUMN account_verified;
         ALTER TABLE sessions DROP COLUMN user_token; ALTER TABLE grants DROP COLUMN signed_in; DROP INDEX attempts_staged; ALTER TABLE attempts DROP COLUMN staged; ALTER TABLE attempts DROP COLUMN filled; ALTER TABLE attempts DROP COLUMN brought;
         ALTER TABLE grants DROP COLUMN filled; ALTER TABLE grants DROP COLUMN metadata;
         ALTER TABLE apps DROP COLUMN deleted_at;
         ALTER TABLE providers DROP COLUMN opener_kept; ALTER TABLE providers DROP COLUMN opener_severed;
         UPDATE schema_version SET version = 6",
    );

    let store = PostgresStore::open(&database.url, Open::Existing).await.unwrap();
    let read = store.get_session(&first.sid).await.unwrap().unwrap();
    assert_eq!((read.data.attempts, read.data.events.len()), (2, 0));
    assert_eq!(read.data.user, session.data.user, "the rest stays");
}

#[tokio::test]
async fn a_grant_from_before_the_ninth_schema_counts_as_not_verified() {
    let database = database();
    let store = create(&database).await.unwrap();
    let grant = stored_grant(&store, stored_app(&store).await.unwrap()).await.unwrap();
    database.sql(
        "DROP INDEX grants_by_subject; ALTER TABLE grants DROP COLUMN account_verified;
         DROP INDEX grants_unbound; ALTER TABLE sessions DROP COLUMN user_token; ALTER TABLE grants DROP COLUMN signed_in; DROP INDEX attempts_staged; ALTER TABLE attempts DROP COLUMN staged; ALTER TABLE attempts DROP COLUMN filled; ALTER TABLE attempts DROP COLUMN brought;
         ALTER TABLE grants DROP COLUMN filled; ALTER TABLE grants DROP COLUMN metadata;
         ALTER TABLE apps DROP COLUMN deleted_at;
         ALTER TABLE providers DROP COLUMN opener_kept; ALTER TABLE providers DROP COLUMN opener_severed;
         UPDATE schema_version SET version = 8",
    );

    let store = PostgresStore::open(&database.url, Open::Existing).await.unwrap();
    let read = store.get_grant(grant.app_id, grant.id).await.unwrap().unwrap();
    assert_eq!((read.account_identifier, read.account_verified), (grant.account_identifier, false));
}

#[tokio::test]
async fn t94_a_database_with_a_trigger_a_rule_or_the_like_is_refused_by_its_name() {
    let acts = "CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;";
    let calls = "CREATE FUNCTION calls(BIGINT) RETURNS BIGINT IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;";
    for (what, name) in [
        (
            format!("{acts} CREATE TRIGGER undone BEFORE UPDATE ON api_keys EXECUTE FUNCTION undo()"),
            "trigger undone on api_keys",
        ),
        ("CREATE RULE kept AS ON UPDATE TO api_keys DO INSTEAD NOTHING".into(), "rule kept on api_keys"),
        ("ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY".into(), "row security on api_keys"),
        ("CREATE TABLE more () INHERITS (api_keys)".into(), "inherits from api_keys"),
        (format!("{calls} CREATE INDEX called ON apps (calls(created_at))"), "in the index called"),
        (format!("{calls} ALTER TABLE apps ADD CHECK (calls(created_at) > 0)"), "in a constraint of apps"),
        (format!("{calls} ALTER TABLE apps ALTER created_at SET DEFAULT calls(1)"), "in a default of apps"),
        (
            "ALTER TABLE api_keys ADD FOREIGN KEY (app_id) REFERENCES apps (id) ON DELETE CASCADE".into(),
            "of api_keys, which changes rows",
        ),
        (
            "ALTER TABLE probes RENAME TO hidden; CREATE VIEW probes AS SELECT * FROM hidden".into(),
            "probes, which is not a table",
        ),
    ] {
        let database = database();
        drop(create(&database).await.unwrap());
        database.sql(&what);
        let refused = PostgresStore::open(&database.url, Open::Existing).await;
        assert!(
            matches!(&refused, Err(OpenError::Foreign(found)) if found.contains(name)),
            "{what}: {refused:?}"
        );
        assert!(matches!(PostgresStore::key_check_of(&database.url).await, Err(OpenError::Foreign(_))));
    }
}

#[tokio::test]
async fn what_lies_beside_our_tables_is_named_and_not_refused() {
    let database = database();
    drop(create(&database).await.unwrap());
    assert_eq!(PostgresStore::foreign_of(&database.url).await.unwrap(), [""; 0]);
    database.sql(
        "CREATE VIEW seen AS SELECT id FROM apps; CREATE INDEX quick ON apps (created_at);
         CREATE TABLE notes (id TEXT)",
    );
    PostgresStore::open(&database.url, Open::Existing).await.unwrap();
    let found = PostgresStore::foreign_of(&database.url).await.unwrap();
    assert_eq!(found, ["index quick", "table notes", "view seen"]);
}
