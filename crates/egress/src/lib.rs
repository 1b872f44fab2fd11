//! The only way out of the server.
//!
//! Every outgoing request (token endpoints, JWKS, discovery, userinfo, revocation) goes through [`Egress::send`]. It
//! promises that only public addresses and ranges that the operator allowed are ever dialled; that the address that was
//! checked is the address that is dialled; and that an answer cannot cost more memory or time than [`Limits`] says.
//!
//! | file | what it decides |
//! |---|---|
//! | `target.rs` | which URLs can be requested at all, and that both URL parsers read them alike |
//! | `addresses.rs` | which addresses are not on the public internet (the table) |
//! | `guard.rs` | the table, plus the operator's ranges, applied to all addresses of one name |
//! | `resolve.rs` | from a name to its addresses |
//! | `dial.rs` | resolve, guard, connect, check which peer accepted |
//! | `connect.rs` | TLS on top, the connect timeout |
//! | `slots.rs` | how many requests one host may have at once |
//! | `decoded.rs` | gzip that nobody asked for |
//! | `exchange.rs` | one request and its answer under the limits |
//! | `metrics.rs` | what is counted |
//! | `tls.rs` | trusted roots and the cryptography provider |
//!
//! This crate deliberately does not follow redirects (a 3xx is returned as it came), ask for compression, keep cookies, read
//! `HTTP_PROXY` or its relatives, or speak HTTP/2. It leaves to its callers which hosts and ports belong to which OAuth
//! provider, and which request headers may be set.
//!
//! # Kept-alive connections
//!
//! A pooled connection is reused without a new look-up. That is safe for four reasons: the guard judged the address of
//! the peer when it was dialled; an established TCP connection cannot move to another peer, whatever DNS says later;
//! the pool is keyed by scheme, host and port, so that another name never borrows the connection; and `allow` cannot
//! change during the life of an [`Egress`]. When there is no such connection, the whole path (resolve, guard, dial)
//! runs again.

#![warn(missing_docs)] // others build on it

mod addresses;
mod connect;
mod decoded;
mod dial;
mod error;
mod exchange;
mod guard;
mod message;
pub mod metrics;
mod resolve;
mod slots;
mod target;
mod tls;
#[cfg(test)]
mod tls_tests;

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ipnet::IpNet;
use url::Url;

pub use crate::error::{BlockReason, EgressError};
pub use crate::message::{Limits, Request, Response};
pub use crate::resolve::{Resolve, SystemResolver};

use crate::connect::Connector;
use crate::dial::Dialer;
use crate::guard::Guard;
use crate::slots::Slots;
use crate::target::Target;

/// Cap on the head of an answer (status line and all header fields), in bytes.
const RESPONSE_HEAD_MAX: usize = 64 * 1024;
/// How long an unused connection is kept open.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The operator's settings for outgoing requests. Fixed for the life of an [`Egress`].
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// Ranges beyond the public internet that may be reached (`ALTER_EGRESS_ALLOW`). Plain `http` goes to these only.
    /// Compared with the address as dialled: `127.0.0.0/8` covers neither `::1` nor `::ffff:127.0.0.1`.
    pub allow: Vec<IpNet>,
    /// How many connections per scheme, host and port may be busy at once; as many idle ones are kept besides. 0 counts
    /// as 1. 32 by default. Further requests wait their turn within their own [`Limits::total`].
    pub max_connections_per_host: usize,
    /// Time for resolution, TCP and TLS handshake of one connection together. 5 s by default.
    pub connect_timeout: Duration,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), max_connections_per_host: 32, connect_timeout: Duration::from_secs(5) }
    }
}

/// The guarded HTTP client. Clones share one connection pool.
#[derive(Clone)]
pub struct Egress {
    client: Client<Connector, Full<Bytes>>,
    slots: Arc<Slots>,
    dialer: Dialer,
    timeout: Duration,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

impl Egress {
    /// Makes a client that asks the machine's own resolver.
    ///
    /// # Errors
    /// [`EgressError::Tls`] if no TLS configuration can be built.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        Self::with_resolver(config, Arc::new(SystemResolver))
    }

    /// Makes a client that asks `resolver`. The resolver's answers pass the same guard as any other.
    ///
    /// # Errors
    /// As [`Egress::new`].
    pub fn with_resolver(config: EgressConfig, resolver: Arc<dyn Resolve>) -> Result<Self, EgressError> {
        Ok(Self::with_tls(config, resolver, tls::client_config()?))
    }

    /// The only place where the client is put together; tests pass their own roots here.
    fn with_tls(config: EgressConfig, resolver: Arc<dyn Resolve>, tls: rustls::ClientConfig) -> Self {
        let per_host = config.max_connections_per_host.max(1);
        let timeout = config.connect_timeout;
        let dialer = Dialer::new(Guard::new(config.allow), resolver, timeout);
        let connector = Connector::new(dialer.clone(), tls, timeout);
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(RESPONSE_HEAD_MAX)
            .pool_max_idle_per_host(per_host)
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, slots: Arc::new(Slots::new(per_host)), dialer, timeout }
    }

    /// Judges a URL as sending to it would, addresses of its name included. Sends nothing and connects to nothing.
    ///
    /// # Errors
    /// [`EgressError::BadUrl`], [`EgressError::BlockedDestination`], or the name has no address now.
    pub async fn may_ask(&self, url: &Url) -> Result<(), EgressError> {
        let target = Target::from_url(url)?;
        match tokio::time::timeout(self.timeout, self.dialer.admitted(&target.uri)).await {
            Ok(judged) => judged.map(|_addresses| ()),
            Err(_elapsed) => Err(EgressError::Timeout { host: target.host, maybe_sent: false }),
        }
    }

    /// Sends one request and returns the whole answer, whatever its status: redirects are not followed, and the body is
    /// not decoded. This crate writes the fields that frame or route the message (`Host`, `Content-Length`,
    /// `Transfer-Encoding`, `Connection` and the like) and drops the caller's.
    ///
    /// Must run inside a tokio runtime. Dropping the future cancels the request.
    ///
    /// # Errors
    /// Every variant of [`EgressError`]; [`EgressError::maybe_sent`] says whether repeating the request could repeat
    /// its effect.
    pub async fn send(&self, request: Request) -> Result<Response, EgressError> {
        let since = std::time::Instant::now();
        let result = exchange::run(&self.client, &self.slots, request).await;
        metrics::count(since, &result);
        result
    }
}
