//! One request on one connection, with every byte under the test's control.

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request about to be sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Method.
    pub method: String,
    /// Path and query, as they go on the request line.
    pub target: String,
    /// Headers in order; names may repeat. `Host` is added when missing.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Sent {
    /// Without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Replaces a header, or adds it.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Without a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// `error` of an error body; empty when there is none.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// A header; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Everything of the answer but its request id and its date: two answers that must not differ have the same.
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

    /// `name=value` of every cookie that is set, with its attributes.
    pub fn cookies(&self) -> Vec<String> {
        self.headers.get_all("set-cookie").iter().filter_map(|v| v.to_str().ok().map(str::to_owned)).collect()
    }
}

/// Sends it to `address` (`host:port`), which is also the `Host` unless the request has one.
///
/// # Panics
/// When the server does not answer: the test cannot go on.
pub async fn send(address: &str, sent: Sent) -> Reply {
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

/// Sends bytes exactly as they are and reads until the server closes: for what no HTTP library would send. Ask for
/// `Connection: close`. The answer is whatever arrived, possibly nothing.
pub async fn send_raw(address: &str, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let port = address.rsplit(':').next().expect("an address has a port");
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("the server listens");
    // A server that has seen enough may answer and close before it was sent everything.
    let _refused_early = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut part).await {
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
