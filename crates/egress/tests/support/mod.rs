//! Loopback servers that count connections, and resolvers that return what the test says.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alter_egress::{Egress, EgressConfig, Limits, Request, Resolve};
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A listener and the number of connections it has accepted.
#[derive(Clone)]
pub(crate) struct Counted {
    pub(crate) address: SocketAddr,
    hits: Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Runs `answer` on every connection to a fresh port of `ip`.
pub(crate) async fn serve<F, Fut>(ip: &str, answer: F) -> Counted
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    serve_at(SocketAddr::new(ip.parse().unwrap(), 0), answer).await
}

pub(crate) async fn serve_at<F, Fut>(address: SocketAddr, answer: F) -> Counted
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.unwrap();
    let counted = Counted { address: listener.local_addr().unwrap(), hits: Arc::default() };
    let hits = counted.hits.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            hits.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer(stream));
        }
    });
    counted
}

/// Reads one request head (the bodies in these tests are empty); returns `None` when the peer hung up.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

/// Answers the first request on each connection with these bytes, and closes.
pub(crate) async fn serve_bytes(ip: &str, answer: impl Into<Vec<u8>>) -> Counted {
    let answer: Arc<Vec<u8>> = Arc::new(answer.into());
    serve(ip, move |mut stream| {
        let answer = answer.clone();
        async move {
            if read_head(&mut stream).await.is_some() {
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// A resolver that calls a function for each question, and counts the questions.
pub(crate) struct Scripted<F> {
    script: F,
    asked: AtomicUsize,
}

impl<F: Fn(&str, u16, usize) -> Vec<SocketAddr> + Send + Sync> Scripted<F> {
    /// `script` takes the name, the port and the number of earlier questions.
    pub(crate) fn new(script: F) -> Arc<Self> {
        Arc::new(Self { script, asked: AtomicUsize::new(0) })
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl<F: Fn(&str, u16, usize) -> Vec<SocketAddr> + Send + Sync> Resolve for Scripted<F> {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        let answers = (self.script)(host, port, before);
        Box::pin(async move { Ok(answers) })
    }
}

pub(crate) fn config(allow: &[&str]) -> EgressConfig {
    EgressConfig { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), ..EgressConfig::default() }
}

/// Loopback allowed, system resolver.
pub(crate) fn loopback() -> Egress {
    Egress::new(config(&["127.0.0.0/8"])).unwrap()
}

pub(crate) fn get(url: &str) -> Request {
    Request {
        method: http::Method::GET,
        url: url.parse().unwrap_or_else(|error| panic!("{url}: {error}")),
        headers: http::HeaderMap::new(),
        body: Bytes::new(),
        limits: Limits::default(),
    }
}

pub(crate) fn get_within(url: &str, total: Duration, body_max: usize) -> Request {
    Request { limits: Limits { total, body_max }, ..get(url) }
}
