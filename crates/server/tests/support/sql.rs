//! SQL in the server's own database, for tests that play an attacker with the database, or a fault of it.

use alter_testkit::TestServer;
use rusqlite::{Connection, Params};

/// A second connection to the server's own file.
pub(crate) fn open(server: &TestServer) -> Connection {
    assert!(server.postgres().is_none(), "this test looks into SQLite's file: TestServer::start_sqlite()");
    let connection = Connection::open(server.db_path()).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    connection
}

/// Translates SQLite's literal for no bytes into PostgreSQL's.
fn in_its_words(statement: &str) -> String {
    statement.replace("X''", "''::bytea")
}

/// Runs one statement. Returns the number of changed rows. Takes values on SQLite only.
pub(crate) fn run(server: &TestServer, statement: &str, values: impl Params) -> usize {
    if let Some(database) = server.postgres() {
        let statement = in_its_words(statement);
        if statement.starts_with("UPDATE") || statement.starts_with("DELETE") {
            let counted = format!("WITH changed AS ({statement} RETURNING 1) SELECT count(*) FROM changed");
            return database.sql(&counted).trim().parse().unwrap();
        }
        database.sql(&statement);
        return 0;
    }
    open(server).execute(statement, values).unwrap()
}

/// Runs several statements, or none of them.
pub(crate) fn batch(server: &TestServer, statements: &str) {
    match server.postgres() {
        Some(database) => drop(database.sql(&format!("BEGIN; {statements}; COMMIT"))),
        None => open(server).execute_batch(&format!("BEGIN; {statements}; COMMIT")).unwrap(),
    }
}

/// A literal for bytes.
pub(crate) fn bytes(server: &TestServer, bytes: &[u8]) -> String {
    let hex = alter_core::secret::hex(bytes);
    if server.postgres().is_some() { format!("'\\x{hex}'::bytea") } else { format!("X'{hex}'") }
}

/// The one number that a query returns.
pub(crate) fn number(server: &TestServer, query: &str) -> i64 {
    if let Some(database) = server.postgres() {
        return database.sql(&in_its_words(query)).trim().parse().unwrap();
    }
    open(server).query_row(query, [], |row| row.get(0)).unwrap()
}

/// The one text that a query returns.
pub(crate) fn text(server: &TestServer, query: &str) -> String {
    if let Some(database) = server.postgres() {
        return database.sql(&in_its_words(query)).trim().to_owned();
    }
    open(server).query_row(query, [], |row| row.get(0)).unwrap()
}

/// How many rows a table has, by the words after `FROM`.
pub(crate) fn count(server: &TestServer, from: &str) -> i64 {
    number(server, &format!("SELECT count(*) FROM {from}"))
}

/// Makes every write that `event` names fail (`INSERT ON audit`), as a full disk or a broken sink would.
pub(crate) fn block(server: &TestServer, event: &str) {
    let statement = format!(
        "CREATE TRIGGER blocked BEFORE {event} BEGIN SELECT RAISE(ABORT, 'blocked by the test'); END"
    );
    open(server).execute_batch(&statement).unwrap();
}

/// Lifts [`block`].
pub(crate) fn unblock(server: &TestServer) {
    open(server).execute_batch("DROP TRIGGER blocked").unwrap();
}
