//! The one writer: a thread that owns the connection, and a queue of jobs.
//!
//! Group commit: `BEGIN IMMEDIATE`, up to 256 waiting jobs, each inside its own savepoint, `COMMIT`, and only then the
//! callers get their results. If a job fails, only that job is undone. If COMMIT fails, every job of the batch fails, also
//! those that had been refused, because the reason for their refusal may have been undone. When the disk or the file itself
//! has failed ([`is_fatal`]), nothing is written any more until the program starts again; only then is it known whether that
//! last batch survived.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
};

use alter_core::StoreError;
use rusqlite::{Connection, ffi};
use tokio::sync::{mpsc, oneshot};

use crate::{
    fault::{Fault, is_fatal},
    metrics,
};

/// How many jobs the queue holds; further callers wait for room in it.
const QUEUE: usize = 1024;
/// The most jobs in one commit.
const BATCH: usize = 256;

/// The handle. Dropping it waits until the queue is empty and the connection is closed.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        Self::start_with(connection, commit)
    }

    /// `commit` is an argument because no test can make a disk fail.
    fn start_with(connection: Connection, commit: Commit) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let mut engine = Engine { connection, jobs, commit, broken: None };
        let thread = std::thread::Builder::new()
            .name("alter-store-writer".into())
            .spawn(move || while engine.batch() {})?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `work` in a batch. Once queued, it runs even if the caller stops waiting.
    pub(crate) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let stopped = || StoreError::Unavailable("the writer has stopped".into());
        let (reply, answer) = oneshot::channel();
        let task = Task { work: Some(work), outcome: None, reply };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Box::new(task)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the storage writer died");
        }
    }
}

/// A job as the thread sees it.
trait Job: Send {
    /// Does the work; returns `Err` when it must be undone.
    fn run(&mut self, connection: &Connection) -> Result<(), Undo>;
    /// Sends the caller the work's own result, or the reason why the batch is lost.
    fn answer(self: Box<Self>, lost: Option<&str>);
}

/// The job must be undone. Content: SQLite's error, if that was the reason and leaves the batch in doubt.
struct Undo(Option<rusqlite::Error>);

struct Task<T, F> {
    work: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Fault> + Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), Undo> {
        let Some(work) = self.work.take() else { return Ok(()) };
        // Unwind-safe: the savepoint is rolled back, and nothing else is shared.
        let (outcome, undo) = match catch_unwind(AssertUnwindSafe(|| work(connection))) {
            Ok(Ok(value)) => (Ok(value), Ok(())),
            Ok(Err(Fault::Engine(e))) if is_fatal(&e) || connection.is_autocommit() => {
                (Err(StoreError::Unavailable(e.to_string())), Err(Undo(Some(e))))
            }
            Ok(Err(fault)) => (Err(fault.into()), Err(Undo(None))),
            Err(_) => {
                tracing::error!("a storage command panicked; it was undone");
                (Err(StoreError::Unavailable("a storage command panicked".into())), Err(Undo(None)))
            }
        };
        self.outcome = Some(outcome);
        undo
    }

    fn answer(self: Box<Self>, lost: Option<&str>) {
        let outcome = match (lost, self.outcome) {
            (None, Some(outcome)) => outcome,
            (reason, _) => Err(StoreError::Unavailable(reason.unwrap_or("not run").to_owned())),
        };
        // The caller may have stopped waiting; the work is done all the same.
        let _unread = self.reply.send(outcome);
    }
}

fn commit(connection: &Connection) -> rusqlite::Result<()> {
    if alter_failpoint::fails("fsync") {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None));
    }
    connection.execute_batch("COMMIT")
}

type Commit = fn(&Connection) -> rusqlite::Result<()>;

struct Engine {
    connection: Connection,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    commit: Commit,
    /// Why nothing is written any more.
    broken: Option<String>,
}

impl Engine {
    /// Waits for work and does one batch; returns `false` when there will be no more.
    fn batch(&mut self) -> bool {
        let Some(first) = self.jobs.blocking_recv() else { return false };
        if let Some(reason) = &self.broken {
            first.answer(Some(reason));
            return true;
        }
        let since = std::time::Instant::now();
        let mut batch = vec![first];
        let lost = self.commit_all(&mut batch).err().map(|error| self.give_up(&error));
        metrics::batch(since, batch.len(), self.jobs.len(), lost.is_some());
        for job in batch {
            job.answer(lost.as_deref());
        }
        true
    }

    fn commit_all(&mut self, batch: &mut Vec<Box<dyn Job>>) -> rusqlite::Result<()> {
        if let Err(error) = self.connection.execute_batch("BEGIN IMMEDIATE") {
            // Fail the waiting jobs too: otherwise each of them would wait for the busy timeout again.
            while batch.len() < BATCH
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.push(job);
            }
            return Err(error);
        }
        let mut next = 0;
        while let Some(job) = batch.get_mut(next) {
            in_savepoint(&self.connection, job.as_mut())?;
            next += 1;
            if batch.len() < BATCH
                && let Ok(job) = self.jobs.try_recv()
            {
                batch.push(job);
            }
        }
        (self.commit)(&self.connection)
    }

    /// Undoes the batch, and returns the reason to give its callers.
    fn give_up(&mut self, error: &rusqlite::Error) -> String {
        tracing::error!(%error, "a batch of writes was not committed");
        let undone = self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        let reason = format!("the batch was not committed: {error}");
        if is_fatal(error) || !undone {
            tracing::error!("nothing is written any more until this program is started again");
            self.broken = Some(format!("writing has stopped until a restart: {error}"));
        }
        reason
    }
}

/// Runs one job; its failure affects no other job. Returns `Err` when the whole batch is lost.
fn in_savepoint(connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<()> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(|_| ());
    run("SAVEPOINT job")?;
    match job.run(connection) {
        Ok(()) => {}
        Err(Undo(Some(error))) => return Err(error),
        Err(Undo(None)) => run("ROLLBACK TO job")?,
    }
    run("RELEASE job")
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
