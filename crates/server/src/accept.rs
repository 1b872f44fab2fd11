//! The listening loop. It is our own, because it holds the limits that keep a slow or greedy client harmless (T75): time
//! for the headers, size of the headers, number of connections per address and in all. Its shutdown lets requests under
//! way finish.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use hyper::service::{Service, service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{
    metrics::{self, Connected},
    pace::{Pace, Paced},
    seats::Seats,
    stall::Stalling,
};

/// What one client, and all clients together, may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte of a request to the end of its headers; for the first request, from the connection's beginning.
    pub header_timeout: Duration,
    /// From a response to the next request's first byte. While more than half of `connections` are open, it is
    /// `header_timeout`.
    pub idle_timeout: Duration,
    /// A connection's response of this number is its last.
    pub requests: u32,
    /// A response this long after its connection's beginning is the last.
    pub age: Duration,
    /// A write that makes no progress for this long ends the connection.
    pub write_stall: Duration,
    /// The most bytes of request line and headers that are read at all; the router answers 431 well below that.
    pub header_bytes: usize,
    /// The most connections at once; further ones wait in the listen queue.
    pub connections: usize,
    /// The most connections at once from one address (one /64 in IPv6); further ones are closed immediately.
    pub connections_per_address: usize,
    /// Networks to which `connections_per_address` does not apply: proxies, behind which everybody has one address.
    pub exempt: Vec<IpNet>,
    /// Whether these connections count in the metrics: those of the metrics' own listener do not.
    pub counted: bool,
    /// How long a shutdown waits for requests under way.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            // Longer than clients and proxies keep theirs: whoever closes first cannot be sent a request meanwhile.
            idle_timeout: Duration::from_secs(75),
            requests: 10_000,
            age: Duration::from_secs(3600),
            write_stall: Duration::from_secs(30),
            header_bytes: 64 * 1024,
            connections: 4096,
            connections_per_address: 256,
            exempt: loopback(),
            counted: true,
            drain: Duration::from_secs(30),
        }
    }
}

/// A proxy on this machine carries everybody's requests.
fn loopback() -> Vec<IpNet> {
    let v4 = std::net::Ipv4Addr::LOCALHOST;
    let v6 = std::net::Ipv6Addr::LOCALHOST;
    vec![ipnet::Ipv4Net::new_assert(v4, 8).trunc().into(), ipnet::Ipv6Net::new_assert(v6, 128).into()]
}

/// Serves until `stop` resolves, then lets requests under way finish within `limits.drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let seats = Seats::new(limits.connections_per_address, limits.exempt.clone());
    let mut refused = Refused::default();
    let limits = Arc::new(limits);
    tokio::pin!(stop);
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            () = &mut stop => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = &mut stop => break,
        };
        let Some(seat) = seats.take(peer.ip()) else {
            refused.say(peer);
            continue;
        };
        let counted = limits.counted.then(Connected::now);
        // Small answers to small requests: waiting to fill a packet only adds latency.
        let _only_slower_without = stream.set_nodelay(true);
        let pace = Pace::new(limits.clone(), places.clone());
        let connection = graceful.watch(connection(stream, router.clone(), &limits, pace));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended early");
            }
            drop((place, seat, counted));
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests still under way after {} s were cut off", limits.drain.as_secs());
    }
}

/// Counts connections closed because their address had too many. A flood of them must not flood the log.
#[derive(Default)]
struct Refused {
    said: Option<Instant>,
    since: u64,
}

impl Refused {
    fn say(&mut self, peer: SocketAddr) {
        metrics::connection_refused();
        self.since += 1;
        if self.said.is_some_and(|at| at.elapsed() < Duration::from_secs(60)) {
            return;
        }
        tracing::warn!(
            address = %peer.ip(),
            refused = self.since,
            "connections were closed: this address has as many as one may have; if it is your own proxy, name it in \
             ALTER_TRUSTED_PROXIES"
        );
        *self = Self { said: Some(Instant::now()), since: 0 };
    }
}

/// Errors of `accept` (no file descriptors left) pass by themselves: wait a little, then go on.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// One connection. `TcpStream` in the product; a test's pipe has the same limits.
pub(crate) fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    limits: &Limits,
    pace: Arc<Pace>,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
    let stream = Paced::new(Stalling::new(stream, limits.write_stall), pace.clone());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let turn = pace.begin();
        let response = router.call(request);
        async move { response.await.map(|response| turn.answer(response)) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Headers are timed in `pace`. Without a time here hyper would not read once more after a response.
        .header_read_timeout(limits.idle_timeout + limits.header_timeout)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service)
}
