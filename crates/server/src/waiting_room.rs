//! Room for answers that wait for news (protocol 5). Each holds its connection meanwhile, so that there is room for a part of
//! the connections alone; whoever finds none is answered immediately, and asks again later. A stop empties the room.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::metrics::Waiting;

/// One of how many connections may wait. With [`crate::Limits`] as they are that is a thousand pages. The other three stay for
/// people and backends; a listener is crowded when half are open. Our recipes for proxies pass on 2,000 at once.
const SHARE: usize = 4;

/// The room of a listener.
#[derive(Debug)]
pub(crate) struct WaitingRoom {
    places: Arc<Semaphore>,
    closed: CancellationToken,
}

impl WaitingRoom {
    /// For a listener with so many connections.
    pub(crate) fn beside(connections: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new((connections / SHARE).max(1)));
        Arc::new(Self { places, closed: CancellationToken::new() })
    }

    /// Takes a place; returns `None` when there is none, and during a stop.
    pub(crate) fn enter(&self) -> Option<Place> {
        if self.closed.is_cancelled() {
            return None;
        }
        let permit = self.places.clone().try_acquire_owned().ok()?;
        Some(Place { closed: self.closed.clone(), _counted: Waiting::now(), _permit: permit })
    }

    /// Sends everybody away, for good.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }
}

/// A place in the room, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    closed: CancellationToken,
    _counted: Waiting,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Returns after this time, or when the room is closed.
    pub(crate) async fn over(self, wait: Duration) {
        tokio::select! {
            () = self.closed.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_quarter_of_the_connections_may_wait_and_a_place_is_given_back() {
        let room = WaitingRoom::beside(8);
        let (first, _second) = (room.enter().unwrap(), room.enter().unwrap());
        assert!(room.enter().is_none());
        let from = Instant::now();
        first.over(Duration::from_secs(25)).await;
        assert_eq!(from.elapsed().as_secs(), 25);
        assert!(room.enter().is_some());
        assert!(WaitingRoom::beside(1).enter().is_some(), "even the smallest listener");
    }

    #[tokio::test(start_paused = true)]
    async fn f54_a_stop_sends_away_who_waits_and_lets_nobody_in() {
        let room = WaitingRoom::beside(4096);
        let place = room.enter().unwrap();
        let from = Instant::now();
        let (closing, waiting) = (async { room.close() }, place.over(Duration::from_secs(25)));
        tokio::join!(waiting, closing);
        assert_eq!(from.elapsed().as_secs(), 0);
        assert!(room.enter().is_none());
    }
}
