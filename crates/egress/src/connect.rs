//! The connector hyper is given: a slot, then TCP through the dialer, then TLS for the same host name, under one
//! clock. Waiting for a slot is not connecting: it is bounded by the request's own total time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::net::TcpStream;
use tower::Service;

use crate::dial::Dialer;
use crate::guard::Guard;
use crate::slots::{Held, Slots};
use crate::{EgressError, Resolve};

/// Slot, dialer and TLS.
#[derive(Clone)]
pub(crate) struct Connector {
    stack: HttpsConnector<Dialer>,
    slots: Arc<Slots>,
    timeout: Duration,
}

type Stream = Held<MaybeHttpsStream<TokioIo<TcpStream>>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Connector {
    pub(crate) fn new(
        allow: Vec<IpNet>,
        resolver: Arc<dyn Resolve>,
        tls: rustls::ClientConfig,
        per_host: usize,
        timeout: Duration,
    ) -> Self {
        let dialer = Dialer::new(Guard::new(allow), resolver, timeout);
        // The default server name of this pair is the host of the URI, which is the host the dialer resolves.
        Self { stack: HttpsConnector::from((dialer, tls)), slots: Arc::new(Slots::new(per_host)), timeout }
    }

    async fn connect(mut self, uri: Uri) -> Result<Stream, EgressError> {
        let host = uri.host().unwrap_or_default().to_owned();
        let slot = self.slots.take(slot_key(&uri)).await;
        match tokio::time::timeout(self.timeout, self.stack.call(uri)).await {
            Ok(Ok(stream)) => Ok(Held::new(stream, slot)),
            Ok(Err(error)) => Err(named(error, host)),
            Err(_elapsed) => Err(EgressError::Timeout { host, maybe_sent: false }),
        }
    }
}

/// The same three things that key hyper's pool, so a waiter for a slot is also a waiter for a connection given back.
fn slot_key(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    format!("{}://{authority}", uri.scheme_str().unwrap_or_default())
}

/// The dialer's errors are ours; all others on this path come from the handshake.
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
