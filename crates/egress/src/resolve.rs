//! From a name to addresses. Nothing is judged here: the guard looks at every answer, whoever gave it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

/// What a resolver returns: all A and AAAA answers, in the order they should be tried.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// A source of addresses. It is asked once per connection, and what it answers is what is dialled, port included.
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, each with the port to dial (normally `port`). Never called for IP literals.
    ///
    /// # Errors
    /// When the name does not exist or nobody could be asked. An empty list counts as an error too.
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
