//! The listening loop. It is our own, because it holds the limits that keep a slow or greedy client harmless (T75): time
//! for the headers, size of the headers, number of connections per address and in all. Its shutdown lets requests under
//! way finish, and those that clients send before they hear of it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, http::Request};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulConnection, GracefulShutdown},
    service::TowerToHyperService,
};
use ipnet::IpNet;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{
        OwnedSemaphorePermit,
        mpsc::{self, error::TryRecvError},
    },
    time::{sleep, timeout},
};

use crate::{
    closing::turn_away,
    metrics::{self, Connected},
    pace::{Hall, Pace, Paced},
    seats::Seats,
    stall::Stalling,
};

/// The shortest stop while connections are open. A proxy that asks `/readyz` every second or two hears of the stop in this
/// time, and sends nothing more.
const HEARD: Duration = Duration::from_secs(5);

/// In which time a client completes a connection that the system has begun to accept: a round trip.
const HANDSHAKE: Duration = Duration::from_millis(200);

/// In which time a request follows the connection that was opened for it.
const LATEST: Duration = Duration::from_secs(1);

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

/// Goes with each request that comes after the stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopping;

/// Serves until `stop` resolves, then ends so that nobody loses a request. `stop` resolves to how long connections that are
/// open then are kept for their clients' next request; with zero, idle ones are closed immediately. Requests under way may
/// finish within `limits.drain`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = Duration>,
) {
    let mut door = Door::new(router, limits);
    let kept = tokio::select! {
        never = door.admit_all(&listener) => match never {},
        kept = stop => kept,
    };
    if kept.is_zero() {
        drop(listener);
    } else {
        door.linger(&listener, kept).await;
        door.empty(listener);
    }
    door.close().await;
}

/// What came through a listener.
struct Door {
    router: Router,
    hall: Arc<Hall>,
    seats: Arc<Seats>,
    refused: Refused,
    graceful: GracefulShutdown,
    /// Each connection holds a clone of the sender, so that the receiver hears when all have ended.
    open: (mpsc::Sender<Infallible>, mpsc::Receiver<Infallible>),
}

impl Door {
    fn new(router: Router, limits: Limits) -> Self {
        let seats = Seats::new(limits.connections_per_address, limits.exempt.clone());
        let (refused, graceful) = (Refused::default(), GracefulShutdown::new());
        Self { router, hall: Hall::new(limits), seats, refused, graceful, open: mpsc::channel(1) }
    }

    async fn admit_all(&mut self, listener: &TcpListener) -> Infallible {
        loop {
            let place =
                self.hall.places.clone().acquire_owned().await.expect("the semaphore is never closed");
            let (stream, peer) = accept(listener).await;
            self.admit(stream, peer, place);
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let Some(seat) = self.seats.take(peer.ip()) else {
            self.refused.say(peer);
            return;
        };
        let (hall, open) = (self.hall.clone(), self.open.0.clone());
        let counted = hall.limits.counted.then(Connected::now);
        // Small answers to small requests: waiting to fill a packet only adds latency.
        let _only_slower_without = stream.set_nodelay(true);
        let connection = self.graceful.watch(connection(stream, self.router.clone(), Pace::new(hall)));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "connection ended early");
            }
            drop((place, seat, counted, open));
        });
    }

    /// Goes on admitting until every connection that is open now has ended, `at_most` so long. From now on each answer is
    /// its connection's last and says so: the client's next request goes elsewhere.
    async fn linger(&mut self, listener: &TcpListener, at_most: Duration) {
        self.hall.stop();
        let (sender, mut earlier) = std::mem::replace(&mut self.open, mpsc::channel(1));
        drop(sender);
        let gone = async {
            if earlier.try_recv() == Err(TryRecvError::Empty) {
                tokio::join!(earlier.recv(), sleep(HEARD));
            }
        };
        tokio::select! {
            never = self.admit_all(listener) => match never {},
            _gone_or_not = timeout(at_most, gone) => {}
        }
        if turn_away(listener) {
            tokio::select! {
                never = self.admit_all(listener) => match never {},
                () = sleep(HANDSHAKE) => {}
            }
        }
    }

    /// Closes the listener, and admits what had come to it by then. The runtime is not asked: it may not have been told yet
    /// of the latest.
    fn empty(&mut self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(place) = self.hall.places.clone().try_acquire_owned() {
            let Ok((stream, peer)) = listener.accept() else { return };
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.admit(stream, peer, place);
            }
        }
    }

    /// Ends idle connections, and lets requests under way finish.
    async fn close(self) {
        let Self { hall, graceful, open: (sender, mut latest), .. } = self;
        hall.waiting.close();
        drop(sender);
        let finished = async {
            if hall.is_stopping() {
                // To hyper, a connection whose request has not come yet is idle.
                let _ended_or_silent = timeout(LATEST, latest.recv()).await;
            }
            graceful.shutdown().await;
        };
        if timeout(hall.limits.drain, finished).await.is_err() {
            tracing::warn!("requests still under way after {} s were cut off", hall.limits.drain.as_secs());
        }
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
    pace: Arc<Pace>,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
    let hall = pace.hall.clone();
    let stream = Paced::new(Stalling::new(stream, hall.limits.write_stall), pace.clone());
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if pace.hall.is_stopping() {
            request.extensions_mut().insert(Stopping);
        }
        request.extensions_mut().insert(pace.hall.waiting.clone());
        let turn = pace.begin();
        let response = router.call(request);
        async move { response.await.map(|response| turn.answer(response)) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Headers are timed in `pace`. Without a time here hyper would not read once more after a response.
        .header_read_timeout(hall.limits.idle_timeout + hall.limits.header_timeout)
        .max_buf_size(hall.limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read, Write},
        net::TcpStream as Client,
    };

    use axum::routing::get;
    use tokio::time::Instant;

    use super::*;

    fn door() -> Door {
        Door::new(Router::new().route("/", get(|| async { "here" })), Limits::default())
    }

    async fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Returns for how many seconds a stop goes on admitting beside a connection that ends after so many.
    async fn lingers(ends_after: Option<u64>) -> f64 {
        let (mut door, (listener, _)) = (door(), listen().await);
        let open = ends_after.map(|_| door.open.0.clone());
        tokio::spawn(async move {
            sleep(Duration::from_secs(ends_after.unwrap_or_default())).await;
            drop(open);
        });
        let from = Instant::now();
        door.linger(&listener, Duration::from_secs(10)).await;
        from.elapsed().as_secs_f64().floor()
    }

    #[tokio::test(start_paused = true)]
    async fn f27_a_stop_lasts_until_open_connections_have_ended_but_not_for_ever() {
        assert_eq!(lingers(None).await, 0.0, "nobody is connected");
        assert_eq!(lingers(Some(1)).await, 5.0, "long enough for a proxy to ask whether it is ready");
        assert_eq!(lingers(Some(7)).await, 7.0);
        assert_eq!(lingers(Some(3600)).await, 10.0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn f27_who_has_come_before_the_end_is_answered_and_who_comes_later_is_told_nothing() {
        let (mut door, (listener, address)) = (door(), listen().await);
        let mut early = Client::connect(address).unwrap();
        early.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        door.hall.stop();
        if turn_away(&listener) {
            let late = Client::connect_timeout(&address, Duration::from_millis(300)).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::TimedOut, "a reset would lose a request that has been sent");
        }
        door.empty(listener);
        let refused = Client::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        door.close().await;
        let mut answer = String::new();
        early.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("connection: close") && answer.ends_with("here"), "{answer}");
    }
}
