//! The connector for hyper: TCP through the dialer, then TLS for the same host name, both within one timeout.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use crate::EgressError;
use crate::dial::Dialer;

/// Dialer and TLS, and the timeout over both.
#[derive(Clone)]
pub(crate) struct Connector {
    stack: HttpsConnector<Dialer>,
    timeout: Duration,
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Connector {
    pub(crate) fn new(dialer: Dialer, tls: rustls::ClientConfig, timeout: Duration) -> Self {
        // By default this pair takes the host of the URI as server name, which is the host that the dialer resolves.
        Self { stack: HttpsConnector::from((dialer, tls)), timeout }
    }

    async fn connect(mut self, uri: Uri) -> Result<Stream, EgressError> {
        let host = uri.host().unwrap_or_default().to_owned();
        match tokio::time::timeout(self.timeout, self.stack.call(uri)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(named(error, host)),
            Err(_elapsed) => Err(EgressError::Timeout { host, maybe_sent: false }),
        }
    }
}

/// Names an error: the dialer's are [`EgressError`]s already; all others on this path come from the TLS handshake.
fn named(error: BoxError, host: String) -> EgressError {
    match error.downcast::<EgressError>() {
        Ok(ours) => *ours,
        Err(handshake) => EgressError::Tls { host, detail: handshake.to_string() },
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = EgressError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, EgressError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
