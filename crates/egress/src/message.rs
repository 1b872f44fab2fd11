//! What callers pass in and get back. `Debug` shows shapes and sizes, never a header value, a query or a body: tokens
//! travel in those.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use hyper::body::Bytes;
use url::Url;

/// What one answer may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time from the call of `send` to the last byte of the body: waiting for a connection, connecting, both messages.
    /// 30 s by default.
    pub total: Duration,
    /// How many bytes of body are accepted, on the wire and decompressed alike. 1 MiB by default.
    pub body_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: Duration::from_secs(30), body_max: 1024 * 1024 }
    }
}

/// One outgoing request.
#[derive(Clone)]
pub struct Request {
    /// Any method but `CONNECT` and `TRACE`.
    pub method: Method,
    /// `https`, or `http` to a range the operator allowed. No userinfo; a fragment is not sent.
    pub url: Url,
    /// Sent as given, except `User-Agent`, `Accept-Encoding` and the fields that frame or route the message: this crate writes those.
    pub headers: HeaderMap,
    /// Sent with a `Content-Length`; may be empty.
    pub body: Bytes,
    /// How much time and memory the answer may cost.
    pub limits: Limits,
}

/// A whole answer.
#[derive(Clone)]
pub struct Response {
    /// Any status, redirects included.
    pub status: StatusCode,
    /// The header fields as received: at most 64 KiB and 100 fields.
    pub headers: HeaderMap,
    /// The body; one that came as gzip is decompressed.
    pub body: Bytes,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("header_count", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("limits", &self.limits)
            .finish()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("header_count", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_header_value_no_query_and_no_body() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer s3cret".parse().unwrap());
        let request = Request {
            method: Method::POST,
            url: "https://api.example.com/s3cret?code=s3cret".parse().unwrap(),
            headers: headers.clone(),
            body: Bytes::from_static(b"s3cret"),
            limits: Limits::default(),
        };
        let response = Response { status: StatusCode::OK, headers, body: Bytes::from_static(b"s3cret") };
        let shown = format!("{request:?} {response:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(!shown.contains(&format!("{:?}", b"s3cret")), "{shown}");
        assert!(shown.contains("api.example.com") && shown.contains("body_bytes: 6"), "{shown}");
    }
}
