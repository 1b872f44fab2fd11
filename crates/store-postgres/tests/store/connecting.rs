//! Which connections are refused, and with which words: never with the password.

use alter_core::{AppStore as _, Store as _, StoreError};
use alter_store_contract::operator::insert_app;
use alter_store_contract::sample::{T0, app};
use alter_store_postgres::{Open, OpenError, PostgresStore};
use alter_test_postgres::database;

fn with_password(url: &str) -> String {
    url.replace("postgres://postgres@", "postgres://postgres:s3cret@")
}

#[tokio::test]
async fn the_password_is_in_no_error_and_no_debug_text() {
    let database = database();
    let store = PostgresStore::open(&with_password(&database.url), Open::Create).await.unwrap();
    let text = format!("{store:?}");
    assert!(!text.contains("s3cret") && text.contains(database.name()), "{text}");

    for url in [
        with_password(&database.url).replace(database.name(), "no_such_database"),
        "postgres://postgres:s3cret@127.0.0.1:1/nothing".into(),
        "postgres://postgres:s3cret@no-such-host.invalid/nothing".into(),
        "postgres://postgres:s3cret@localhost/nothing?host=/no/such/directory".into(),
    ] {
        let refused = PostgresStore::open(&url, Open::Create).await;
        assert!(matches!(refused, Err(OpenError::Engine(_))), "{refused:?}");
        let error = refused.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_database_that_does_not_wait_for_the_disk_is_refused() {
    let database = database();
    let store = PostgresStore::open(&database.url, Open::Create).await.unwrap();
    database.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name()));
    let refused = PostgresStore::open(&database.url, Open::Create).await;
    assert!(
        matches!(&refused, Err(OpenError::Server(why)) if why.contains("synchronous_commit")),
        "{refused:?}"
    );
    // A running program refuses new connections too.
    let refused = insert_app(&store, app()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn settings_of_the_database_do_not_change_what_statements_mean() {
    let database = database();
    database.sql(&format!(
        "ALTER DATABASE {name} SET default_transaction_isolation = 'serializable';
         ALTER DATABASE {name} SET TimeZone = 'Asia/Kathmandu'",
        name = database.name()
    ));
    let store = PostgresStore::open(&database.url, Open::Create).await.unwrap();
    store.probe(T0).await.unwrap();
    assert!(store.list_apps().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_of_several_hosts_that_can_be_written_to_is_used() {
    let database = database();
    let directory = url::Url::parse(&database.url).unwrap();
    let directory = directory.query_pairs().find(|(name, _)| name == "host").unwrap().1.into_owned();
    let hosts = format!("host=/no/such/directory,{directory}");
    let url = format!(
        "postgres://postgres@localhost/{}?{hosts}&connect_timeout=20&channel_binding=require",
        database.name()
    );
    let store = PostgresStore::open(&url, Open::Create).await.unwrap();
    insert_app(&store, app()).await.unwrap();

    database.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name()));
    for url in [url, format!("{}&target_session_attrs=read-write", database.url)] {
        let refused = PostgresStore::open(&url, Open::Existing).await;
        assert!(
            matches!(&refused, Err(OpenError::Server(why)) if why.contains("does not write")),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_respond_is_waited_for_as_long_as_the_url_says() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let url = format!("postgres://u:s3cret@{address}/db?connect_timeout=1");
    let refused = PostgresStore::open(&url, Open::Create).await;
    assert!(
        matches!(&refused, Err(OpenError::Engine(why)) if why.contains("no answer in 1s")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_call_reaches_the_second_host_while_the_first_is_silent_however_long_the_url_waits() {
    let database = database();
    let url = url::Url::parse(&database.url).unwrap();
    let named = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned());
    let (directory, port) =
        (named("host").unwrap(), named("port").or(url.port().map(|port| port.to_string())));
    let port = port.unwrap_or("5432".into());
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hosts = format!("host=127.0.0.1,{directory}&port={},{port}", silent.local_addr().unwrap().port());
    // Half of twelve seconds is longer than a call waits for a connection.
    let url = format!("postgres://postgres@localhost/{}?{hosts}&connect_timeout=12", database.name());
    let store = PostgresStore::open(&url, Open::Create).await.unwrap();
    insert_app(&store, app()).await.unwrap();
    assert_eq!(store.list_apps().await.unwrap().len(), 1);
}
