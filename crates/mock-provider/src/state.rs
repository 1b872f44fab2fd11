//! The state of a running provider, and the two things that it takes from the machine: time and randomness.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch;

use crate::faults::TokenFault;
use crate::grants::{AuthRequest, Grants};
use crate::keys::Keys;
use crate::seen::{Recorded, Seen};
use crate::switches::Switches;
use crate::users::Users;

/// A registered client. Without a secret it is public.
pub(crate) struct Client {
    pub(crate) secret: Option<SecretString>,
    pub(crate) redirect_uris: Vec<String>,
}

/// Everything that a request may read or change, behind one lock.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) switches: Switches,
    pub(crate) users: Users,
    pub(crate) clients: HashMap<String, Client>,
    /// Authorization requests whose consent page awaits a decision, by request id.
    pub(crate) pending: HashMap<String, AuthRequest>,
    pub(crate) grants: Grants,
}

impl World {
    /// Returns the fault for this token request, and counts down if the fault is limited to a number of requests.
    pub(crate) fn take_token_fault(&mut self) -> Option<TokenFault> {
        match &mut self.switches.token_fault_times {
            Some(0) => return None,
            Some(left) if self.switches.token_fault.is_some() => *left -= 1,
            _ => {}
        }
        self.switches.token_fault.clone()
    }
}

/// One provider. The locks are never held across an await.
pub(crate) struct Inner {
    pub(crate) issuer: String,
    world: Mutex<World>,
    keys: Mutex<Keys>,
    seen: Mutex<Seen>,
    arrivals: watch::Sender<()>,
}

impl Inner {
    pub(crate) fn new(issuer: String) -> Self {
        Self {
            issuer,
            world: Mutex::default(),
            keys: Mutex::default(),
            seen: Mutex::default(),
            arrivals: watch::Sender::new(()),
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// Returns a copy of the switches, so that a request sees the same settings throughout.
    pub(crate) fn switches(&self) -> Switches {
        self.world().switches.clone()
    }

    /// Returns the seconds since 1970, moved by the switch `clock_offset_s`.
    pub(crate) fn now(&self) -> i64 {
        unix_now() + self.world().switches.clock_offset_s
    }

    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    pub(crate) fn forget_seen(&self) {
        *lock(&self.seen) = Seen::default();
    }

    pub(crate) fn record(&self, request: Recorded) {
        lock(&self.seen).push(request);
        self.arrivals.send_replace(());
    }

    pub(crate) fn arrivals(&self) -> watch::Receiver<()> {
        self.arrivals.subscribe()
    }

    pub(crate) fn sign(&self, header_overrides: Value, claims: Value) -> String {
        let (generation, alg) = self.signing();
        lock(&self.keys).sign(generation, alg, header_overrides, &claims)
    }

    pub(crate) fn sign_text(&self, header: &str, payload: &str) -> String {
        let (generation, alg) = self.signing();
        lock(&self.keys).sign_text(generation, alg, header, payload)
    }

    pub(crate) fn public_key_pem(&self) -> String {
        let (generation, alg) = self.signing();
        lock(&self.keys).public_key_pem(generation, alg)
    }

    pub(crate) fn jwks(&self, switches: &Switches) -> Value {
        let oldest = if switches.jwks_keep_old { 0 } else { switches.key_generation };
        lock(&self.keys).jwks(oldest..=switches.key_generation, switches.id_token_alg)
    }

    fn signing(&self) -> (u32, crate::quirks::Alg) {
        let world = self.world();
        (world.switches.key_generation, world.switches.id_token_alg)
    }
}

#[expect(clippy::disallowed_methods, reason = "the provider has its own time, not the product's clock")]
fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_secs()).expect("the clock is before the year 292 billion")
}

/// Locks even after a panic in a handler, which must not stop the whole provider.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
