//! Sends one request per connection, with every byte under the test's control.

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::documented;

/// A request that is not sent yet.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The method; `send` expects a valid one.
    pub method: String,
    /// Path and query, as they stand on the request line.
    pub target: String,
    /// Headers in order; names may repeat. `send` adds a missing `Host`.
    pub headers: Vec<(String, String)>,
    /// The body; may be empty.
    pub body: Vec<u8>,
}

impl Sent {
    /// A request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header, even if there is one of this name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Replaces every header of this name, or adds one.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Removes every header of this name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// What the server sent back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// `error` of an error body; empty if there is none.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// A header's value; empty if there is no such header.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Everything in the reply except its request id and its date. Replies that nobody may tell apart have the same
    /// fingerprint.
    pub fn fingerprint(&self) -> String {
        let id = self.header("x-request-id");
        let mut lines: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort();
        let body = if id.is_empty() { self.text() } else { self.text().replace(id, "REQUEST-ID") };
        format!("{}\n{}\n\n{body}", self.status, lines.join("\n"))
    }

    /// Every cookie that the reply sets, as `name=value` with its attributes.
    pub fn cookies(&self) -> Vec<String> {
        self.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok().map(str::to_owned)).collect()
    }
}

/// Sends a request to the port of `address` (`host:port`) on 127.0.0.1. `address` is also the `Host` unless the request
/// has one.
///
/// If the contract has the operation, it must name the answer too.
///
/// # Panics
/// The server does not answer: the test cannot go on. Or the contract does not name the answer.
pub async fn send(address: &str, sent: Sent) -> Reply {
    let reply = send_to_another(address, sent.clone()).await;
    documented::check(&sent, &reply);
    reply
}

/// Like [`send`], to a router of the test's own, which the contract does not describe.
///
/// # Panics
/// The server does not answer: the test cannot go on.
pub async fn send_to_another(address: &str, sent: Sent) -> Reply {
    let port = address.rsplit(':').next().expect("an address has a port");
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("the server listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("a fresh connection shakes hands");
    let driving = tokio::spawn(connection);
    let mut request = Request::builder().method(sent.method.as_str()).uri(&sent.target);
    if !sent.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address);
    }
    for (name, value) in &sent.headers {
        request = request.header(name, value.as_bytes());
    }
    let request = request.body(Full::new(Bytes::from(sent.body))).expect("the test builds a valid request");
    let answer = sender.send_request(request).await.expect("the server answers");
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.expect("the body arrives").to_bytes().to_vec();
    driving.abort();
    Reply { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Sends bytes exactly as they are and reads until the server closes, for requests that no HTTP library would send. Ask
/// for `Connection: close`. Returns what arrived, possibly nothing.
pub async fn send_raw(address: &str, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let port = address.rsplit(':').next().expect("an address has a port");
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("the server listens");
    // A server may answer and close before it has read everything.
    let _refused_early = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut part).await {
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
