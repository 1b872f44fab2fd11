//! A few read-only connections, used on the calling thread: reading one row by its key takes microseconds, less than a
//! switch to another thread and back. In WAL mode, readers do not wait for writers. Callers limit the length of lists.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alter_core::StoreError;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{connection, fault::Fault};

/// The most connections. Each read occupies the thread it runs on, so more connections than threads never help.
const CAP: usize = 8;

pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()), permits: Semaphore::new(CAP) }
    }

    /// Runs one read. While all connections are in use, it waits without blocking the thread.
    pub(crate) async fn run<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let _permit = self.permits.acquire().await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(self.run_now(work)?)
    }

    /// A connection that failed, or whose work panicked, is not used again: opening another one is cheap.
    fn run_now<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::open_reader(&self.path)?,
        };
        let result = work(&connection);
        if !matches!(result, Err(Fault::Engine(_))) {
            self.idle().push(connection);
        }
        result
    }

    /// The lock is held only for a push or a pop, which cannot fail half-way, so behind a poisoned lock the list is sound.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
