//! The limit on concurrent requests to one host. HTTP/1.1 carries one request per connection, so this is also the
//! number of busy connections; the pool keeps at most as many idle ones. Without the limit, one slow provider would end
//! up holding every socket that the process may open.
//!
//! Slots count requests and not sockets on purpose: when another connection becomes free first, hyper's pool finishes
//! the dial in the background. Dials that queued for a socket would pile up there and reach the provider long after
//! their requests were answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::Uri;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of all hosts. A host without requests or waiters is forgotten.
#[derive(Debug)]
pub(crate) struct Slots {
    per_host: usize,
    hosts: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Slots {
    pub(crate) fn new(per_host: usize) -> Self {
        Self { per_host, hosts: Mutex::default() }
    }

    /// Waits for a free slot of this destination, first come, first served. Dropping the future cancels the wait.
    pub(crate) async fn take(&self, uri: &Uri) -> OwnedSemaphorePermit {
        self.of(key(uri)).acquire_owned().await.expect("slots are never closed")
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

/// Scheme, host and port, which are also the key of hyper's pool.
fn key(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_without_requests_are_forgotten_and_others_keep_their_count() {
        let slots = Slots::new(1);
        let busy = Uri::from_static("https://busy.example/a");
        let held = slots.take(&busy).await;
        for n in 0..1000 {
            drop(slots.take(&format!("https://host{n}.example/").parse().unwrap()).await);
        }
        assert!(slots.hosts.lock().unwrap().len() <= 2);
        assert_eq!(slots.of(key(&Uri::from_static("https://busy.example/b"))).available_permits(), 0);
        assert_eq!(slots.of(key(&Uri::from_static("https://busy.example:444/"))).available_permits(), 1);
        drop(held);
        assert_eq!(slots.of(key(&busy)).available_permits(), 1);
    }
}
