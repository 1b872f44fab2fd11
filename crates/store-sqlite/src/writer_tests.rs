use super::*;
use crate::statement::{one, run};

fn memory() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY, payload BLOB);
             CREATE TABLE parts (thing TEXT NOT NULL REFERENCES things (name) DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
    connection
}

fn put(c: &Connection, name: &str) -> Result<(), Fault> {
    run(c, "INSERT INTO things (name) VALUES (?1)", [name]).map(|_| ())
}

async fn names(writer: &Writer) -> i64 {
    writer.run(|c| one(c, "SELECT COUNT(*) AS n FROM things", [], |row| row.get("n"))).await.unwrap().unwrap()
}

/// Holds the writer inside a first job, so that all jobs sent in the meantime share one batch.
fn held(writer: &Writer) -> (std::sync::mpsc::Sender<()>, impl Future<Output = Result<(), StoreError>>) {
    let (go, wait) = std::sync::mpsc::channel();
    let job = writer.run(move |c| {
        let _released = wait.recv();
        put(c, "first")
    });
    (go, job)
}

/// Runs three jobs in one batch: a first, `middle`, and a last.
async fn three(
    writer: &Writer,
    middle: impl FnOnce(&Connection) -> Result<(), Fault> + Send + 'static,
) -> [Result<(), StoreError>; 3] {
    let (go, first) = held(writer);
    let release = async {
        // The joined futures are polled in order: all three are queued when this one is.
        go.send(()).unwrap();
    };
    let (first, middle, last, ()) =
        tokio::join!(first, writer.run(middle), writer.run(|c| put(c, "last")), release);
    [first, middle, last]
}

#[tokio::test]
async fn one_bad_job_does_not_sink_its_batch() {
    let writer = Writer::start(memory()).unwrap();
    let outcomes = three(&writer, |c| {
        put(c, "undone")?;
        put(c, "undone")
    })
    .await;
    assert!(matches!(outcomes, [Ok(()), Err(StoreError::Exists), Ok(())]), "{outcomes:?}");
    assert_eq!(names(&writer).await, 2);
}

#[tokio::test]
async fn a_panicking_job_is_undone_alone_and_answered() {
    let writer = Writer::start(memory()).unwrap();
    let outcomes = three(&writer, |c| {
        put(c, "undone")?;
        panic!("on purpose")
    })
    .await;
    assert!(matches!(outcomes, [Ok(()), Err(StoreError::Unavailable(_)), Ok(())]), "{outcomes:?}");
    assert_eq!(names(&writer).await, 2);
}

#[tokio::test]
async fn a_commit_that_fails_fails_every_job_of_its_batch_and_the_next_batch_works() {
    let writer = Writer::start(memory()).unwrap();
    // A deferred reference is checked by COMMIT itself.
    let orphan = |c: &Connection| run(c, "INSERT INTO parts (thing) VALUES (?1)", ["nothing"]).map(|_| ());
    let outcomes = three(&writer, orphan).await;
    assert!(outcomes.iter().all(|o| matches!(o, Err(StoreError::Unavailable(_)))), "{outcomes:?}");
    assert_eq!(names(&writer).await, 0);
    writer.run(|c| put(c, "later")).await.unwrap();
    assert_eq!(names(&writer).await, 1);
}

#[tokio::test]
async fn f32_a_full_disk_refuses_the_write_that_did_not_fit_and_goes_on() {
    let connection = memory();
    let _pages: i64 = connection.query_row("PRAGMA max_page_count = 20", [], |row| row.get(0)).unwrap();
    let writer = Writer::start(connection).unwrap();
    let outcomes = three(&writer, |c| {
        run(c, "INSERT INTO things (name, payload) VALUES ('big', zeroblob(1000000))", []).map(|_| ())
    })
    .await;
    assert!(matches!(outcomes[1], Err(StoreError::Unavailable(_))), "{outcomes:?}");
    writer.run(|c| put(c, "small")).await.unwrap();
}

#[tokio::test]
async fn f33_after_a_failed_fsync_nothing_is_written_any_more() {
    fn dead_disk(_: &Connection) -> rusqlite::Result<()> {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None))
    }
    let writer = Writer::start_with(memory(), dead_disk).unwrap();
    for _ in 0..2 {
        let outcome = writer.run(|c| put(c, "a")).await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    let ran = writer.run(|_| -> Result<(), Fault> { panic!("it was run") }).await;
    assert!(matches!(&ran, Err(StoreError::Unavailable(why)) if why.contains("restart")), "{ran:?}");
}

#[tokio::test]
async fn an_io_error_inside_a_job_stops_writing_too() {
    let writer = Writer::start(memory()).unwrap();
    let io = |_: &Connection| -> Result<(), Fault> {
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_WRITE), None).into())
    };
    let outcomes = three(&writer, io).await;
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    let later = writer.run(|c| put(c, "later")).await;
    assert!(matches!(&later, Err(StoreError::Unavailable(why)) if why.contains("restart")), "{later:?}");
}

#[tokio::test]
async fn more_jobs_than_queue_and_batch_hold_are_all_done() {
    let writer = std::sync::Arc::new(Writer::start(memory()).unwrap());
    let mut jobs = tokio::task::JoinSet::new();
    for i in 0..(QUEUE + 2 * BATCH) {
        let writer = writer.clone();
        jobs.spawn(async move { writer.run(move |c| put(c, &i.to_string())).await });
    }
    assert!(jobs.join_all().await.iter().all(Result::is_ok));
    assert_eq!(names(&writer).await, i64::try_from(QUEUE + 2 * BATCH).unwrap());
}

#[tokio::test]
async fn dropping_the_writer_does_what_was_queued_first() {
    let path = std::env::temp_dir()
        .join(format!("alter-writer-{}.db", alter_core::AppId::new(&alter_core::SystemRandom)));
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE things (name TEXT NOT NULL PRIMARY KEY, payload BLOB)").unwrap();
    let writer = Writer::start(connection).unwrap();
    {
        let (go, first) = held(&writer);
        let second = writer.run(|c| put(c, "second"));
        let queued_and_forgotten = async {
            tokio::select! { biased; _ = first => {}, _ = second => {}, () = std::future::ready(()) => {} }
        };
        queued_and_forgotten.await;
        go.send(()).unwrap();
    }
    drop(writer);
    let count: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT COUNT(*) FROM things", [], |row| row.get(0))
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(count, 2);
}
