//! From a name to its addresses. Nothing is judged here: the guard looks at every address, whichever resolver gave it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

/// What a resolver returns: all A and AAAA answers, in the order they should be tried.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// A source of addresses. It is asked once per connection, and exactly the addresses that it returns are dialled, ports
/// included.
pub trait Resolve: Send + Sync {
    /// Returns all addresses of `host`, each with the port to dial (normally `port`). Never called for IP literals.
    ///
    /// # Errors
    /// When the name does not exist or no resolver could be asked. The caller treats an empty list as an error too.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;
}

/// The machine's own resolver (`getaddrinfo`), so that `/etc/hosts` and an internal DNS keep working.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Answer<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}
