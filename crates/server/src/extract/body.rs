//! Reading a whole request body within limits, and parsing JSON from it (T76).

use std::{sync::Arc, time::Duration};

use alter_api::{ErrorCode, too_deep};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::error::ApiError;

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest body from a page's own script or form, bytes.
pub(crate) const PAGE_BODY_MAX: usize = 4 * 1024;
/// What all bodies together may hold while they wait for their rest, bytes.
const UNFINISHED: usize = 16 * 1024 * 1024;
/// How many refused bodies are read to their end at once, and for how long each. Whoever still writes would otherwise
/// meet a reset connection, and not the refusal.
const LINGERING: usize = 64;
const LINGER: Duration = Duration::from_secs(2);

/// What request bodies may use, all together. Without this, a few thousand connections that send most of a body and then
/// nothing fill the memory (T76).
#[derive(Debug)]
pub(crate) struct Bodies {
    unfinished: Arc<Semaphore>,
    lingering: Semaphore,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { unfinished: Arc::new(Semaphore::new(UNFINISHED)), lingering: Semaphore::new(LINGERING) }
    }
}

impl Bodies {
    /// Reads a whole body of at most `max` bytes. What is there at once, or comes in one piece, needs no room in the budget.
    pub(crate) async fn read(&self, headers: &HeaderMap, body: Body, max: usize) -> Result<Bytes, ApiError> {
        if announced(headers).is_some_and(|length| length > u64::try_from(max).unwrap_or(u64::MAX)) {
            self.discard(body).await;
            return Err(too_large(max));
        }
        Reading { bodies: self, max, held: Vec::new(), room: None }.whole(body).await
    }

    /// Reads a refused body to its end and keeps nothing, so that its sender hears the refusal. Not for long, and not for
    /// many at once.
    pub(crate) async fn discard(&self, mut body: Body) {
        let Ok(_permit) = self.lingering.try_acquire() else { return };
        let rest = async { while let Some(Ok(_dropped)) = body.frame().await {} };
        let _enough = tokio::time::timeout(LINGER, rest).await;
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(max: usize) -> ApiError {
    ApiError::new(ErrorCode::BodyTooLarge, format!("The request body is larger than {} KiB.", max / 1024))
}

struct Reading<'a> {
    bodies: &'a Bodies,
    max: usize,
    held: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Reading<'_> {
    async fn whole(mut self, mut body: Body) -> Result<Bytes, ApiError> {
        let end = Instant::now() + BODY_TIMEOUT;
        loop {
            let there = tokio::select! {
                biased;
                frame = body.frame() => Some(frame),
                () = std::future::ready(()) => None,
            };
            let frame = match there {
                Some(frame) => frame,
                None => {
                    if let Err(full) = self.make_room() {
                        drop(self.held);
                        self.bodies.discard(body).await;
                        return Err(full);
                    }
                    let late = "The request body took longer than 15 seconds.";
                    let waited = timeout_at(end, body.frame()).await;
                    waited.map_err(|_| ApiError::new(ErrorCode::InvalidRequest, late))?
                }
            };
            let data = match frame {
                None => return Ok(self.held.into()),
                Some(Err(_)) => {
                    return Err(ApiError::new(ErrorCode::InvalidRequest, "The request body was cut off."));
                }
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            if self.held.len() + data.len() > self.max {
                drop(data);
                self.bodies.discard(body).await;
                return Err(too_large(self.max));
            }
            if self.held.is_empty() && body.is_end_stream() {
                return Ok(data);
            }
            // Copied: a piece would keep the connection's whole buffer.
            self.held.extend_from_slice(&data);
        }
    }

    /// Takes room for what is held, before waiting for more.
    fn make_room(&mut self) -> Result<(), ApiError> {
        let has = self.room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(self.held.capacity().saturating_sub(has)).unwrap_or(u32::MAX);
        let Ok(room) = self.bodies.unfinished.clone().try_acquire_many_owned(more) else {
            let full = "Too many requests with unfinished bodies are under way. Try again.";
            return Err(ApiError {
                retry_after: Some(1),
                ..ApiError::new(ErrorCode::ServiceUnavailable, full)
            });
        };
        match &mut self.room {
            Some(before) => before.merge(room),
            None => self.room = Some(room),
        }
        Ok(())
    }
}

/// The message names the field and the place, never the value: it may be a secret.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if too_deep(bytes) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "The JSON body nests deeper than 32 levels."));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => describe(&error.to_string()),
            _ => "The body is not valid JSON".to_owned(),
        };
        let place = format!("{what} (line {}, column {}).", error.line(), error.column());
        ApiError::new(ErrorCode::InvalidRequest, place)
    })
}

/// serde quotes field names in backticks and values in quotes; only sentences about fields are passed on.
fn describe(error: &str) -> String {
    let head = error.split(" at line ").next().unwrap_or(error);
    let about_field =
        ["unknown field `", "missing field `", "duplicate field `"].iter().any(|p| head.starts_with(p));
    if about_field && !head.contains('"') && head.len() < 600 {
        format!("The JSON body has an error: {head}")
    } else {
        "A field of the JSON body has the wrong type".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll, ready},
    };

    use hyper::body::Frame;
    use tokio::time::{Interval, interval};

    use super::*;

    /// A body of this many bytes, one byte per tick.
    struct Trickle(Interval, usize);

    impl hyper::body::Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.1 == 0 {
                return Poll::Ready(None);
            }
            ready!(self.0.poll_tick(context));
            self.1 -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    /// A first piece, and never another.
    struct First(Option<Bytes>);

    impl hyper::body::Body for First {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn t75_a_body_that_trickles_is_given_up_after_fifteen_seconds() {
        let trickle = |bytes| Body::new(Trickle(interval(Duration::from_secs(1)), bytes));
        let (bodies, headers) = (Bodies::default(), HeaderMap::new());
        let from = Instant::now();
        let refused = bodies.read(&headers, trickle(1000), 2000).await.unwrap_err();
        assert_eq!((refused.code, from.elapsed().as_secs()), (ErrorCode::InvalidRequest, 15));
        // Control: a slow body that is complete in time.
        assert_eq!(bodies.read(&headers, trickle(10), 10).await.unwrap().len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn t76_unfinished_bodies_have_one_budget_and_finished_ones_need_none() {
        let (bodies, headers) = (Arc::new(Bodies::default()), HeaderMap::new());
        let first = |bytes: usize| Body::new(First(Some(Bytes::from(vec![0; bytes]))));
        let piece = 64 * 1024;
        let holds = UNFINISHED / piece;
        let mut held = tokio::task::JoinSet::new();
        for _ in 0..holds {
            let (bodies, body) = (bodies.clone(), first(piece));
            held.spawn(
                async move { bodies.read(&HeaderMap::new(), body, 2 * piece).await.unwrap_err().code },
            );
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let refused = bodies.read(&headers, first(1), 2 * piece).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (ErrorCode::ServiceUnavailable, Some(1)));
        let whole = bodies.read(&headers, Body::from("whole"), 5).await.unwrap();
        assert_eq!(&whole[..], b"whole", "what is there at once is read in the worst moment");
        let late = bodies.read(&headers, trickle_of_one(), 5).await.unwrap();
        assert_eq!(&late[..], b"x", "and what comes in one piece after its headers");
        assert!(held.join_all().await.iter().all(|code| *code == ErrorCode::InvalidRequest));
        assert_eq!(bodies.unfinished.available_permits(), UNFINISHED, "room is given back");
    }

    fn trickle_of_one() -> Body {
        Body::new(Trickle(interval(Duration::from_secs(1)), 1))
    }

    #[tokio::test(start_paused = true)]
    async fn t76_a_body_that_announces_too_much_is_refused_before_it_comes_and_its_sender_hears_it() {
        let bodies = Bodies::default();
        let headers = [(header::CONTENT_LENGTH, 4097.into())].into_iter().collect();
        let (from, body) = (Instant::now(), Body::new(Trickle(interval(Duration::from_millis(100)), 9)));
        let refused = bodies.read(&headers, body, 4096).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_ref()),
            (ErrorCode::BodyTooLarge, "The request body is larger than 4 KiB.")
        );
        assert_eq!(from.elapsed().as_millis(), 800, "read to its end");
        let endless = Body::new(Trickle(interval(Duration::from_secs(1)), 1000));
        let from = Instant::now();
        bodies.read(&headers, endless, 4096).await.unwrap_err();
        assert_eq!(from.elapsed(), LINGER, "not for ever");
    }
}
