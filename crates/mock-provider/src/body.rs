//! Answer bodies that arrive slowly, break off, or never seem to end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::time::{Instant, Sleep};

/// The piece that a huge body repeats: 64 KiB.
const FILLER: Bytes = Bytes::from_static(&[b'a'; 64 * 1024]);

/// Pause before the connection breaks, long enough to flush the first half of the body.
const BEFORE_BREAK: Duration = Duration::from_millis(20);

/// Pause between two bytes of a trickle.
const TRICKLE: Duration = Duration::from_millis(100);

/// A body in pieces, with a pause before each piece but the first; at its end the connection may break.
struct Paced {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    breaks: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn body(pieces: VecDeque<Bytes>, pause: Duration, breaks: bool) -> Body {
        Body::new(Self { pieces, pause, breaks, sleep: None })
    }

    fn next_frame(&mut self) -> Option<Result<Frame<Bytes>, std::io::Error>> {
        self.sleep = (!self.pause.is_zero()).then(|| Box::pin(tokio::time::sleep(self.pause)));
        match self.pieces.pop_front() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.breaks => {
                self.breaks = false;
                Some(Err(std::io::ErrorKind::ConnectionAborted.into()))
            }
            None => None,
        }
    }
}

impl hyper::body::Body for Paced {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            sleep.as_mut().reset(now);
        }
        Poll::Ready(self.next_frame())
    }
}

/// Sends the first half of `whole`, then the connection breaks.
pub(crate) fn broken(whole: &Bytes) -> Body {
    Paced::body([whole.slice(..whole.len() / 2)].into(), BEFORE_BREAK, true)
}

/// Sends `whole` at ten bytes a second.
pub(crate) fn trickle(whole: &Bytes) -> Body {
    let bytes = (0..whole.len()).map(|at| whole.slice(at..=at)).collect();
    Paced::body(bytes, TRICKLE, false)
}

/// Sends a JSON object of about `bytes` bytes whose only member is one long string.
///
/// All pieces share one filler, so that a gigabyte costs almost no memory.
pub(crate) fn huge(bytes: usize) -> Body {
    let mut pieces = VecDeque::from([Bytes::from_static(br#"{"access_token":""#)]);
    pieces.extend(std::iter::repeat_n(FILLER, bytes / FILLER.len()));
    pieces.push_back(FILLER.slice(..bytes % FILLER.len()));
    pieces.push_back(Bytes::from_static(br#""}"#));
    Paced::body(pieces, Duration::ZERO, false)
}
