//! HTTP/1.1 on one keep-alive connection: one request, one answer, a reused buffer. The client does as little work as
//! possible, because it shares the machine with what it measures. It understands only answers with a `Content-Length`.

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The longest answer, in bytes.
const ANSWER_MAX: usize = 1 << 20;

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, borrowed from the connection until its next exchange.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    head: &'a str,
    pub(crate) body: &'a [u8],
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("the server does not listen")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(8 * 1024) })
    }

    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head_end = loop {
            match self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(end) => break end,
                None => self.fill().await?,
            }
        };
        let length = content_length(std::str::from_utf8(&self.buffer[..head_end])?)?;
        let (start, end) = (head_end + 4, head_end + 4 + length);
        while self.buffer.len() < end {
            self.fill().await?;
        }
        ensure!(self.buffer.len() == end, "the server sent more than it announced");
        let head = std::str::from_utf8(&self.buffer[..head_end])?;
        let status = head.get(9..12).and_then(|s| s.parse().ok()).context("no status line")?;
        Ok(Reply { status, head, body: &self.buffer[start..end] })
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        ensure!(self.buffer.len() < ANSWER_MAX, "the answer is longer than {ANSWER_MAX} bytes");
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}

impl Reply<'_> {
    /// The value of the first header of this name; `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }

    /// Whether the server closes the connection after this answer.
    pub(crate) fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(self.body).with_context(|| format!("{}: no JSON", self.status))
    }

    /// Refuses an answer of any other status: the measurement would not be about it.
    pub(crate) fn expect(self, status: u16) -> anyhow::Result<Self> {
        let error: serde_json::Value = serde_json::from_slice(self.body).unwrap_or_default();
        ensure!(self.status == status, "expected {status}, got {} {}", self.status, error["error"]);
        Ok(self)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (given, value) = line.split_once(':')?;
        given.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn content_length(head: &str) -> anyhow::Result<usize> {
    header(head, "content-length").map_or(Ok(0), |text| text.parse().context("not a length"))
}

/// A whole request, as bytes.
pub(crate) fn request(
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    if method == "POST" {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_whatever_their_case_and_a_missing_length_is_zero() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nx-request-id:  ab";
        assert_eq!(content_length(head).unwrap(), 12);
        assert_eq!(header(head, "X-Request-Id"), Some("ab"));
        assert_eq!(content_length("HTTP/1.1 303 See Other").unwrap(), 0);
        assert!(content_length("HTTP/1.1 200 OK\r\ncontent-length: x").is_err());
    }
}
