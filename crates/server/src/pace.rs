//! How long a connection waits for its client: for the headers of a request, and between two requests. hyper has one timer
//! for both. A client that keeps a connection for half a minute must find it open (it may not send a request twice), and
//! a client that sends headers byte by byte must not have half a minute for them (T75).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
};
use hyper::body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Semaphore,
    time::{Instant, Sleep, sleep_until},
};

use crate::{accept::Limits, waiting_room::WaitingRoom};

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(crate) struct Hall {
    pub(crate) limits: Limits,
    /// The places of all connections; `limits.connections` of them in all.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) waiting: Arc<WaitingRoom>,
    stopping: AtomicBool,
}

impl Hall {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(limits.connections));
        let waiting = WaitingRoom::beside(limits.connections);
        Arc::new(Self { limits, places, waiting, stopping: AtomicBool::new(false) })
    }

    /// From now on, each connection ends with its next answer. Answers that wait for news are given now.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.waiting.close();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// While more than half of the places are taken, a connection without a request is closed like one whose headers do
    /// not come. Not during a stop: such a connection is what the stop waits for.
    fn is_crowded(&self) -> bool {
        !self.is_stopping() && self.places.available_permits() < self.limits.connections / 2
    }
}

/// One connection: since when it is there, and whether a request is under way.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) hall: Arc<Hall>,
    opened: Instant,
    under_way: AtomicBool,
    /// Requests that were answered.
    answered: AtomicU32,
}

impl Pace {
    /// For a connection that begins now.
    pub(crate) fn new(hall: Arc<Hall>) -> Arc<Self> {
        let (under_way, answered) = (AtomicBool::new(false), AtomicU32::new(0));
        Arc::new(Self { hall, opened: Instant::now(), under_way, answered })
    }

    /// A request has come whole to the end of its headers.
    pub(crate) fn begin(self: &Arc<Self>) -> Turn {
        self.under_way.store(true, Ordering::Relaxed);
        Turn(self.clone())
    }

    fn is_over(&self) -> bool {
        let (answered, limits) = (self.answered.load(Ordering::Relaxed) + 1, &self.hall.limits);
        self.hall.is_stopping() || answered >= limits.requests || self.opened.elapsed() >= limits.age
    }
}

/// A request under way, until its response's body is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Pace>);

impl Turn {
    /// The response of this turn. The last one of a connection says so, and hyper closes the connection after it: the
    /// client knows before it sends another request.
    pub(crate) fn answer(self, mut response: Response<Body>) -> Response<Answer> {
        if self.0.is_over() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| Answer { body, _turn: self })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.store(false, Ordering::Relaxed);
    }
}

/// The body of a response, which ends its turn.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    _turn: Turn,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that ends when its client lets us wait too long for a request.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
    wait: Wait,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Waiting for a request.
#[derive(Debug)]
struct Wait {
    /// How many requests were answered before.
    after: u32,
    /// When the wait began; once the first bytes of the request are there, when they came.
    since: Instant,
    begun: bool,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, pace: Arc<Pace>) -> Self {
        // The first request's time runs from the connection's beginning.
        let wait = Wait { after: 0, since: pace.opened, begun: true };
        Self { stream, pace, wait, timer: None }
    }

    /// Makes `wait` the one for the request that comes next. Returns whether there is one: none while a request is under
    /// way.
    fn awaits(&mut self) -> bool {
        if self.pace.under_way.load(Ordering::Relaxed) {
            return false;
        }
        let after = self.pace.answered.load(Ordering::Relaxed);
        if self.wait.after != after {
            self.wait = Wait { after, since: Instant::now(), begun: false };
        }
        true
    }

    /// Bytes came. The first of a request start the time for its headers.
    fn heard(&mut self) {
        if self.awaits() && !self.wait.begun {
            self.wait.begun = true;
            self.wait.since = Instant::now();
        }
    }

    fn due(&self) -> Instant {
        let Hall { limits, .. } = &*self.pace.hall;
        let hurried = self.wait.begun || self.pace.hall.is_crowded();
        self.wait.since + if hurried { limits.header_timeout } else { limits.idle_timeout }
    }

    /// Returns when patience is over. The timer is not set anew for each request: it fires early, and then goes on to
    /// what is due by then.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.awaits() {
            return Poll::Pending;
        }
        loop {
            let (due, look) = (self.due(), Instant::now() + self.pace.hall.limits.header_timeout);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due.min(look))));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due.min(look));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(outcome) => {
                if buffer.filled().len() > before {
                    self.heard();
                }
                Poll::Ready(outcome)
            }
            // Nothing more is read: to hyper the client has gone.
            Poll::Pending => self.poll_patience(context).map(Ok),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, routing::get};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::accept::connection;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// A client's end of a connection with these limits, of which one place of ten, or all but one, are taken.
    fn connect(limits: &Limits, crowded: bool) -> DuplexStream {
        connect_in(&hall(limits, crowded))
    }

    fn hall(limits: &Limits, crowded: bool) -> Arc<Hall> {
        let hall = Hall::new(Limits { connections: 10, ..limits.clone() });
        let taken = hall.places.try_acquire_many(if crowded { 9 } else { 1 }).unwrap();
        taken.forget();
        hall
    }

    fn connect_in(hall: &Arc<Hall>) -> DuplexStream {
        let (ours, theirs) = duplex(64 * 1024);
        let slow = get(|| async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            "here"
        });
        let router = Router::new().route("/", get(|| async { "here" })).route("/slow", slow);
        tokio::spawn(connection(ours, router, Pace::new(hall.clone())));
        theirs
    }

    async fn ask(client: &mut DuplexStream, request: &[u8]) -> String {
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"here") {
            let mut bytes = [0; 1024];
            let read = client.read(&mut bytes).await.unwrap();
            assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&bytes[..read]);
        }
        String::from_utf8(answer).unwrap()
    }

    /// Seconds until the server closes.
    async fn closes_after(client: &mut DuplexStream) -> u64 {
        let from = Instant::now();
        assert_eq!(client.read(&mut [0; 64]).await.unwrap(), 0);
        from.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn t75_headers_have_ten_seconds_and_a_connection_between_two_requests_has_more() {
        let limits = Limits::default();
        let mut silent = connect(&limits, false);
        assert_eq!(closes_after(&mut silent).await, 10, "no request at all");

        let mut client = connect(&limits, false);
        for _ in 0..3 {
            ask(&mut client, REQUEST).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        client.write_all(&REQUEST[..9]).await.unwrap();
        assert_eq!(closes_after(&mut client).await, 10, "headers that have begun");

        let mut idle = connect(&limits, false);
        ask(&mut idle, REQUEST).await;
        assert_eq!(closes_after(&mut idle).await, 75, "nothing after a request");
    }

    #[tokio::test(start_paused = true)]
    async fn t75_where_places_are_few_a_connection_without_a_request_goes_first() {
        let mut idle = connect(&Limits::default(), true);
        ask(&mut idle, REQUEST).await;
        assert_eq!(closes_after(&mut idle).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_long_is_not_cut_off() {
        let mut client = connect(&Limits::default(), true);
        let from = Instant::now();
        ask(&mut client, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(from.elapsed().as_secs(), 40);
        ask(&mut client, REQUEST).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_old_or_has_carried_much_ends_with_an_answer_that_says_so() {
        let limits = Limits { requests: 3, ..Limits::default() };
        let mut client = connect(&limits, false);
        for _ in 0..2 {
            assert!(!ask(&mut client, REQUEST).await.contains("connection: close"));
        }
        assert!(ask(&mut client, REQUEST).await.contains("connection: close"));
        assert_eq!(closes_after(&mut client).await, 0);

        let mut client = connect(&Limits { age: Duration::from_secs(90), ..limits }, false);
        ask(&mut client, REQUEST).await;
        tokio::time::sleep(Duration::from_secs(50)).await;
        ask(&mut client, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(closes_after(&mut client).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn f27_during_a_stop_an_idle_connection_has_one_more_answer_which_says_so_and_is_not_hurried() {
        let hall = hall(&Limits::default(), true);
        let (mut one, mut silent) = (connect_in(&hall), connect_in(&hall));
        ask(&mut one, REQUEST).await;
        ask(&mut silent, REQUEST).await;
        hall.stop();
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(ask(&mut one, REQUEST).await.contains("connection: close"));
        assert_eq!(closes_after(&mut one).await, 0);
        assert_eq!(closes_after(&mut silent).await, 75 - 20);
    }
}
