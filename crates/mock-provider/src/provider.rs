//! The handle to a running provider: start, configure, observe, sign, stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::keys::merge;
use crate::seen::Seen;
use crate::state::{Client, Inner};
use crate::switches::Switches;
use crate::users::User;
use crate::{accept, routes};

/// Seconds for which a token of [`MockProvider::user_token`] is valid.
const USER_TOKEN_LIFE_S: i64 = 3600;

/// A running provider. Dropping it closes the listener and every connection.
///
/// It starts with two users (`acme-1001`, `acme-1002`) and no client.
pub struct MockProvider {
    pub(crate) inner: Arc<Inner>,
    server: JoinHandle<()>,
}

impl MockProvider {
    /// Starts on a free port of 127.0.0.1. Needs a tokio runtime, on which the server then runs.
    ///
    /// # Panics
    /// If the machine has no free loopback port.
    pub async fn start() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_on(any).await.expect("a loopback port is free")
    }

    /// Starts on the given address; port 0 takes a free port.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start_on(addr: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let bound = listener.local_addr()?;
        let host = if bound.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { bound.ip() };
        let inner = Arc::new(Inner::new(format!("http://{}", SocketAddr::new(host, bound.port()))));
        let server = tokio::spawn(accept::run(listener, routes::router(inner.clone())));
        Ok(Self { inner, server })
    }

    /// Returns the issuer identifier, `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn issuer(&self) -> String {
        self.inner.issuer.clone()
    }

    /// Returns the absolute URL of a path on this provider. `path` begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.inner.issuer)
    }

    /// Registers a client, or replaces the one with that id. Without a secret it is a public client.
    ///
    /// Redirect URIs are compared byte for byte (RFC 9700 section 2.1), ports included.
    pub fn register_client(&self, client_id: &str, client_secret: Option<&str>, redirect_uris: &[&str]) {
        let client = Client {
            secret: client_secret.map(Into::into),
            redirect_uris: redirect_uris.iter().map(|&uri| uri.to_owned()).collect(),
        };
        self.inner.world().clients.insert(client_id.to_owned(), client);
    }

    /// Changes switches; the next request obeys them.
    pub fn set(&self, f: impl FnOnce(&mut Switches)) {
        f(&mut self.inner.world().switches);
    }

    /// Returns the requests that have arrived so far.
    pub fn seen(&self) -> Seen {
        self.inner.seen()
    }

    /// Waits until the requests that have arrived satisfy `enough`. Has no deadline of its own.
    ///
    /// A request counts from the moment when its body was read, before it is answered.
    pub async fn wait_for(&self, enough: impl Fn(&Seen) -> bool) -> Seen {
        let mut arrivals = self.inner.arrivals();
        loop {
            let seen = self.inner.seen();
            if enough(&seen) || arrivals.changed().await.is_err() {
                return seen;
            }
        }
    }

    /// Forgets the requests that have arrived, so that a test can count from here.
    pub fn forget_seen(&self) {
        self.inner.forget_seen();
    }

    /// Adds a user, or replaces the one with that `sub`.
    pub fn add_user(&self, user: User) {
        self.inner.world().users.put(user);
    }

    /// Makes a signed JWT about the user, as an app's identity provider would issue it: `iss`, `sub`,
    /// `aud`, `iat`, `exp` (one hour) and, for a known user, `email` and `name`.
    pub fn user_token(&self, sub: &str, audience: &str) -> String {
        self.user_token_with(sub, audience, Value::Null, Value::Null)
    }

    /// Makes the same token with changes: `header` is merged over the header as in [`Self::sign`], `claims`
    /// over the claims; a null removes a member.
    pub fn user_token_with(&self, sub: &str, audience: &str, header: Value, claims: Value) -> String {
        let now = self.inner.now();
        let mut all = json!({
            "iss": self.inner.issuer,
            "sub": sub,
            "aud": audience,
            "iat": now,
            "exp": now + USER_TOKEN_LIFE_S,
        });
        if let Some(user) = self.inner.world().users.get(sub) {
            all["email"] = user.email.into();
            all["name"] = user.name.into();
        }
        merge(&mut all, &claims);
        self.inner.sign(header, all)
    }

    /// Signs arbitrary claims. `header_overrides` is merged over `{alg, kid, typ}`; a null removes a member.
    ///
    /// `alg` decides how: `none` leaves the signature empty, `HS256` uses the public key's PEM as the MAC's
    /// key, `ES256` and `RS256` are honest, and any other name gets an ES256 signature that cannot verify.
    /// The pseudo header [`crate::KEY_HEADER`] = `"foreign"` signs with a key that is in no key set of this
    /// provider.
    pub fn sign(&self, header_overrides: Value, claims: Value) -> String {
        self.inner.sign(header_overrides, claims)
    }

    /// Signs a header and a payload that need not be JSON, with the current key for the switched algorithm.
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        self.inner.sign_text(header, payload)
    }

    /// Returns the current public key for the switched algorithm, as PEM (SubjectPublicKeyInfo).
    pub fn public_key_pem(&self) -> String {
        self.inner.public_key_pem()
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl std::fmt::Debug for MockProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MockProvider").field("issuer", &self.inner.issuer).finish_non_exhaustive()
    }
}
