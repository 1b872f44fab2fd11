//! The only way out of the server.
//!
//! Every request that leaves (token endpoints, JWKS, discovery, userinfo) goes through [`Egress::send`]. What it
//! promises: nothing but public addresses, or ranges the operator named, is ever dialled; the address that was
//! checked is the address that is dialled; an answer cannot cost more memory or time than [`Limits`] says.
//!
//! | file | what it decides |
//! |---|---|
//! | `target.rs` | which URLs are requests at all, and that both URL parsers read them alike |
//! | `addresses.rs` | which addresses are not the public internet (the table) |
//! | `guard.rs` | the table, plus the operator's ranges, applied to all answers of one name |
//! | `resolve.rs` | name to addresses |
//! | `dial.rs` | resolve, guard, connect, look again at who answered |
//! | `connect.rs` | TLS on top, connect time |
//! | `slots.rs` | how many requests one host may have at once |
//! | `exchange.rs` | one request and its answer under the limits |
//! | `metrics.rs` | what is counted |
//! | `tls.rs` | roots and provider |
//!
//! What it deliberately does not do: follow redirects (a 3xx is returned as it came), decompress, keep cookies, read
//! `HTTP_PROXY` or its relatives, speak HTTP/2. What it leaves to its callers: which hosts and ports belong to which
//! provider, and which request headers a caller may set.
//!
//! # Kept-alive connections
//!
//! A pooled connection is reused without a new look-up, and that is safe: the guard judged the address of its peer when
//! it was dialled, an established TCP connection cannot move to another peer whatever DNS says later, the pool is keyed
//! by scheme, host and port so that another name never borrows it, and `allow` cannot change during the life of an
//! [`Egress`]. Whenever there is no such connection the whole path (resolve, guard, dial) runs again.

#![warn(missing_docs)] // others build on it

mod addresses;
mod connect;
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

pub use crate::error::{BlockReason, EgressError};
pub use crate::message::{Limits, Request, Response};
pub use crate::resolve::{Resolve, SystemResolver};

use crate::connect::Connector;
use crate::slots::Slots;

/// Cap on the head of an answer (status line and all fields), in bytes.
const RESPONSE_HEAD_MAX: usize = 64 * 1024;
/// How long an unused connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// What the operator decides about outgoing requests. Fixed for the life of an [`Egress`].
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// Ranges that may be reached beyond the public internet (`ALTER_EGRESS_ALLOW`). Plain `http` goes to these only.
    /// Compared with the address as dialled: `127.0.0.0/8` covers neither `::1` nor `::ffff:127.0.0.1`.
    pub allow: Vec<IpNet>,
    /// Busy connections per scheme, host and port; as many idle ones are kept beside them. At least 1; 0 counts as 1.
    /// Further requests wait their turn within their own [`Limits::total`].
    pub max_connections_per_host: usize,
    /// Resolution, TCP and TLS handshake of one connection together.
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
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

impl Egress {
    /// A client that asks the machine's own resolver.
    ///
    /// # Errors
    /// [`EgressError::Tls`] if no TLS configuration can be built.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        Self::with_resolver(config, Arc::new(SystemResolver))
    }

    /// A client that asks `resolver`. Its answers pass the same guard as any other.
    ///
    /// # Errors
    /// As [`Egress::new`].
    pub fn with_resolver(config: EgressConfig, resolver: Arc<dyn Resolve>) -> Result<Self, EgressError> {
        Ok(Self::with_tls(config, resolver, tls::client_config()?))
    }

    /// The one place where the client is put together; tests hand in their own roots here.
    fn with_tls(config: EgressConfig, resolver: Arc<dyn Resolve>, tls: rustls::ClientConfig) -> Self {
        let per_host = config.max_connections_per_host.max(1);
        let connector = Connector::new(config.allow, resolver, tls, config.connect_timeout);
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(RESPONSE_HEAD_MAX)
            .pool_max_idle_per_host(per_host)
            .pool_idle_timeout(IDLE_MAX)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, slots: Arc::new(Slots::new(per_host)) }
    }

    /// Sends one request and returns the whole answer, whatever its status: redirects are not followed and the body is
    /// not decoded. Fields that frame or route the message (`Host`, `Content-Length`, `Transfer-Encoding`, `Connection`
    /// and the like) are written by this crate; the caller's are dropped.
    ///
    /// Must run inside a tokio runtime. Dropping the future cancels the request.
    ///
    /// # Errors
    /// Every variant of [`EgressError`]; [`EgressError::maybe_sent`] says whether repeating could do the thing twice.
    pub async fn send(&self, request: Request) -> Result<Response, EgressError> {
        let since = std::time::Instant::now();
        let result = exchange::run(&self.client, &self.slots, request).await;
        metrics::count(since, &result);
        result
    }
}
