//! One TCP connection: resolve once, judge every address, dial exactly those, check which peer accepted. The dialer
//! sits below TLS, so it sees every dial, IP literals included.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use crate::guard::Guard;
use crate::{BlockReason, EgressError, Resolve};

/// How many addresses are tried for one connection. All addresses are judged, however many there are.
const TRIED_MAX: usize = 6;

/// The lowest layer of the connector: from a URI to a TCP connection.
#[derive(Clone)]
pub(crate) struct Dialer {
    guard: Arc<Guard>,
    resolver: Arc<dyn Resolve>,
    /// Divided among the addresses tried, so that one silent address leaves time for the next.
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(guard: Guard, resolver: Arc<dyn Resolve>, timeout: Duration) -> Self {
        Self { guard: Arc::new(guard), resolver, timeout }
    }

    /// Resolves the host and judges every address. Connects to none.
    pub(crate) async fn admitted(&self, uri: &Uri) -> Result<Vec<SocketAddr>, EgressError> {
        let plain = uri.scheme_str() != Some("https");
        let port = uri.port_u16().unwrap_or(if plain { 80 } else { 443 });
        let host = uri.host().unwrap_or_default();
        let answers = self.addresses(host, port).await?;
        self.guard.admit(host, plain, &answers)?;
        Ok(answers)
    }

    async fn dial(self, uri: Uri) -> Result<TokioIo<TcpStream>, EgressError> {
        let answers = self.admitted(&uri).await?;
        let host = uri.host().unwrap_or_default();
        let stream = self.first_to_accept(host, &answers).await?;
        // A failure here costs a round trip per request, nothing else.
        let _ = stream.set_nodelay(true);
        Ok(TokioIo::new(stream))
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        if let Some(ip) = literal(host) {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let failed = |detail: String| EgressError::Resolve { host: host.to_owned(), detail };
        match self.resolver.resolve(host, port).await {
            Ok(answers) if answers.is_empty() => Err(failed("the name has no address".to_owned())),
            Ok(answers) => Ok(answers),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn first_to_accept(&self, host: &str, answers: &[SocketAddr]) -> Result<TcpStream, EgressError> {
        let tried = &answers[..answers.len().min(TRIED_MAX)];
        let share = self.timeout / u32::try_from(tried.len().max(1)).expect("at most TRIED_MAX");
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in tried {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return same_peer(host, *address, stream),
                Ok(Err(error)) => last = error,
                Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        if last.kind() == io::ErrorKind::TimedOut {
            return Err(EgressError::Timeout { host: host.to_owned(), maybe_sent: false });
        }
        Err(EgressError::Connect { host: host.to_owned(), detail: last.to_string() })
    }
}

/// Returns the address if the host is an IP literal. The WHATWG parser leaves exactly one spelling of each address.
fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Checks that the peer is the one dialled: a connection that was redirected below this process (by a socket-level
/// proxy or a NAT rule on this machine) shows another peer.
fn same_peer(host: &str, dialled: SocketAddr, stream: TcpStream) -> Result<TcpStream, EgressError> {
    match stream.peer_addr() {
        Ok(peer) if peer.ip() == dialled.ip() && peer.port() == dialled.port() => Ok(stream),
        Ok(_) => {
            Err(EgressError::BlockedDestination { host: host.to_owned(), reason: BlockReason::PeerMismatch })
        }
        Err(error) => Err(EgressError::Connect { host: host.to_owned(), detail: error.to_string() }),
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().dial(uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_other_than_the_one_dialled_is_hung_up_on() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        assert!(same_peer("host.example", address, stream).is_ok());

        let stream = TcpStream::connect(address).await.unwrap();
        let other = SocketAddr::new("127.0.0.2".parse().unwrap(), address.port());
        assert!(same_peer("host.example", other, stream).unwrap_err().is_blocked());
    }

    #[test]
    fn literals_are_recognised_with_and_without_brackets_and_names_are_not() {
        assert_eq!(literal("[::1]"), Some("::1".parse().unwrap()));
        assert_eq!(literal("127.0.0.1"), Some("127.0.0.1".parse().unwrap()));
        for name in ["localhost", "127.0.0.1.example.com", "1e100.net", "[::1", ""] {
            assert_eq!(literal(name), None, "{name}");
        }
    }
}
