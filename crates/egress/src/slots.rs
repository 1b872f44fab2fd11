//! How many connections one host may have. A slot is taken before dialling and travels inside the connection, so the
//! count is of sockets (idle ones in the pool included), not of requests.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::{io, io::IoSlice};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of all hosts. A host without connections or waiters is forgotten.
#[derive(Debug)]
pub(crate) struct Slots {
    per_host: usize,
    hosts: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Slots {
    pub(crate) fn new(per_host: usize) -> Self {
        Self { per_host, hosts: Mutex::default() }
    }

    /// Waits for a free slot of `host`. Cancel by dropping.
    pub(crate) async fn take(&self, host: String) -> OwnedSemaphorePermit {
        self.of(host).acquire_owned().await.expect("slots are never closed")
    }

    fn of(&self, host: String) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slots) = hosts.get(&host).and_then(Weak::upgrade) {
            return slots;
        }
        hosts.retain(|_, slots| slots.strong_count() > 0);
        let slots = Arc::new(Semaphore::new(self.per_host));
        hosts.insert(host, Arc::downgrade(&slots));
        slots
    }
}

/// A connection that gives its slot back when it is dropped.
pub(crate) struct Held<T> {
    io: T,
    _slot: OwnedSemaphorePermit,
}

impl<T> Held<T> {
    pub(crate) fn new(io: T, slot: OwnedSemaphorePermit) -> Self {
        Self { io, _slot: slot }
    }
}

impl<T: Connection> Connection for Held<T> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl<T: Read + Unpin> Read for Held<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Held<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_without_connections_are_forgotten() {
        let slots = Slots::new(1);
        let held = slots.take("a".to_owned()).await;
        for n in 0..1000 {
            drop(slots.take(format!("host{n}")).await);
        }
        assert!(slots.hosts.lock().unwrap().len() <= 3);
        assert_eq!(slots.of("a".to_owned()).available_permits(), 0, "a live host keeps its count");
        drop(held);
        assert_eq!(slots.of("a".to_owned()).available_permits(), 1);
    }
}
