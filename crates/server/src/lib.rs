//! The HTTP server. A route reads the request, calls one flow, and turns the result into a response.
//!
//! Modules: `accept` (the listening loop and its limits), `closing`, `seats`, `pace`, `stall` and `waiting_room` (a listener's
//! end, connections per address, waiting for a request, stalled writes, answers that wait),
//! `middleware` (what every request passes through), `extract` (the caller, the browser, the body), `routes` (files mirror
//! URL paths), `pages` (what people see), `error` and `failure` (what is told about a refused request, and about a flow
//! that made no grant), `coding` (what is compressed), `openapi`, `metrics`.
//! Not here: rules, SQL, settings. To add an endpoint: a file under `routes/` at its URL path, its types and codes in
//! `alter-api`, a line in `routes::all`.

mod accept;
mod closing;
mod coding;
mod error;
pub mod extract;
pub mod failure;
pub mod for_people;
pub mod metrics;
mod middleware;
pub mod openapi;
mod pace;
pub mod pages;
mod routes;
mod seats;
mod stall;
mod waiting_room;
mod webview;

use std::sync::Arc;

use alter_flows::Flows;
use axum::Router;

pub use accept::{Limits, serve};
pub use routes::SDK_VERSION;

/// State that the routes share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The stories.
    pub flows: Flows,
    /// The public address and what follows from it.
    pub site: Arc<Site>,
    /// What request bodies may use.
    bodies: Arc<extract::Bodies>,
}

/// The public address of this server (`ALTER_PUBLIC_URL`) and what follows from it.
#[derive(Debug)]
pub struct Site {
    /// Scheme, host and port: the `Origin` of our own pages.
    pub origin: String,
    /// The value that the `Host` header must have; the scheme's own port may follow.
    pub host: String,
    /// The public address is https, so cookies are `Secure` and have the `__Host-` prefix.
    pub secure: bool,
}

impl Site {
    /// From `ALTER_PUBLIC_URL`: scheme, host and port, no path; https, or http on a loopback host.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn new(public_url: &str) -> Result<Self, String> {
        let origin = public_url.trim_end_matches('/').to_owned();
        alter_core::origin::check_origin(&origin)
            .map_err(|e| format!("ALTER_PUBLIC_URL {public_url} is not usable: {}.", e.fault))?;
        let (scheme, host) = origin.split_once("://").ok_or("ALTER_PUBLIC_URL has no scheme.")?;
        Ok(Self { secure: scheme == "https", host: host.to_owned(), origin })
    }
}

impl Site {
    /// Whether an authority, as a `Host` header has it, is this server's: the host, with the port if it is not the
    /// scheme's own; that one may be left out (RFC 9110 section 4.2.3).
    pub(crate) fn is_at(&self, authority: &[u8]) -> bool {
        let default: &[u8] = if self.secure { b":443" } else { b":80" };
        let has_port = self.host.contains(':') && !self.host.ends_with(']');
        let host = if has_port { None } else { authority.strip_suffix(default) };
        host.unwrap_or(authority).eq_ignore_ascii_case(self.host.as_bytes())
    }
}

impl Shared {
    /// For the router.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn new(flows: Flows) -> Result<Self, String> {
        let site = Arc::new(Site::new(flows.public_url())?);
        Ok(Self { flows, site, bodies: Arc::default() })
    }
}

/// Every route, with all the middleware that a request passes through.
pub fn router(shared: Shared) -> Router {
    // Its document lists the routes, so it is not one of them.
    let routes = routes::all().route("/openapi.json", axum::routing::get(openapi::show));
    middleware::around(routes, shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemes_own_port_is_the_same_authority_and_another_is_not() {
        let at = |url: &str, host: &str| Site::new(url).expect("a public URL").is_at(host.as_bytes());
        for (url, host) in [
            ("https://alter.example", "alter.example"),
            ("https://alter.example", "ALTER.example:443"),
            ("https://alter.example:8443", "alter.example:8443"),
            ("http://localhost", "localhost:80"),
            ("https://[2001:db8::443]", "[2001:db8::443]:443"),
        ] {
            assert!(at(url, host), "{url} {host}");
        }
        for (url, host) in [
            ("https://alter.example", "alter.example:80"),
            ("https://alter.example", "alter.example:443:443"),
            ("https://alter.example", "alter.example:0443"),
            ("https://alter.example", "alter.example:"),
            ("https://alter.example", ":443"),
            ("https://alter.example:8443", "alter.example"),
            ("https://alter.example:8443", "alter.example:8443:443"),
            ("https://alter.example:8443", "alter.example:443"),
            ("http://localhost", "localhost:443"),
        ] {
            assert!(!at(url, host), "{url} {host}");
        }
    }
}
