//! Reading a whole request body within limits, and parsing JSON from it (T76).

use std::time::Duration;

use alter_api::{BODY_MAX, ErrorCode, too_deep};
use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    let whole = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_MAX).collect()).await;
    match whole {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ApiError::plain(ErrorCode::BodyTooLarge))
        }
        Ok(Err(_)) => Err(ApiError::new(ErrorCode::InvalidRequest, "The request body was cut off.")),
        Err(_) => {
            Err(ApiError::new(ErrorCode::InvalidRequest, "The request body took longer than 15 seconds."))
        }
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
    use tokio::time::{Instant, Interval, interval};

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

    #[tokio::test(start_paused = true)]
    async fn t75_a_body_that_trickles_is_given_up_after_fifteen_seconds() {
        let trickle = |bytes| Body::new(Trickle(interval(Duration::from_secs(1)), bytes));
        let from = Instant::now();
        let refused = read_body(trickle(1000)).await.unwrap_err();
        assert_eq!((refused.code, from.elapsed().as_secs()), (ErrorCode::InvalidRequest, 15));
        // Control: a slow body that is complete in time.
        assert_eq!(read_body(trickle(10)).await.unwrap().len(), 10);
    }
}
