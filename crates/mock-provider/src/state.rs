//! The state of a running provider, and the two things that it takes from the machine: time and randomness.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::watch;

use crate::faults::{RetryAfter, TokenFault};
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
        take(self.switches.token_fault.as_ref(), &mut self.switches.token_fault_times)
    }

    /// Counts a refresh request that has just arrived, and returns the fault that meets it.
    pub(crate) fn meet_refresh(&mut self, token: Option<&str>, now: i64) -> Option<TokenFault> {
        self.grants.count_sent(token, now);
        if self.switches.refresh.limit_a_second.is_some_and(|limit| !self.grants.admit(limit)) {
            self.grants.count_turned_away(token);
            return Some(TokenFault::TooMany(RetryAfter::Seconds(1)));
        }
        let rules = &mut self.switches.refresh;
        let own = take(rules.fault.as_ref(), &mut rules.fault_times);
        let fault = own.or_else(|| self.take_token_fault());
        if fault.as_ref().is_some_and(TokenFault::turns_away) {
            self.grants.count_turned_away(token);
        }
        fault
    }
}

/// Returns the fault if there are requests left for it, and takes one of them.
fn take(fault: Option<&TokenFault>, times: &mut Option<u32>) -> Option<TokenFault> {
    let fault = fault?;
    if let Some(left) = times {
        *left = left.checked_sub(1)?;
    }
    Some(fault.clone())
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

    /// Returns the provider's time in seconds since 1970, as the switches of the clock say.
    pub(crate) fn now(&self) -> i64 {
        let world = self.world();
        world.switches.clock_stands_at.unwrap_or_else(unix_now) + world.switches.clock_offset_s
    }

    pub(crate) fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    pub(crate) fn forget_seen(&self) {
        *lock(&self.seen) = Seen::default();
    }

    pub(crate) fn record(&self, request: Recorded) {
        lock(&self.seen).push(request);
        self.tell();
    }

    /// Wakes whoever waits for something to happen here.
    pub(crate) fn tell(&self) {
        self.arrivals.send_replace(());
    }

    pub(crate) fn arrivals(&self) -> watch::Receiver<()> {
        self.arrivals.subscribe()
    }

    pub(crate) fn sign(&self, header_overrides: Value, claims: Value) -> String {
        let (generation, alg) = self.signing();
        lock(&self.keys).sign(generation, alg, header_overrides, &claims)
    }

    /// Signs as these switches say. Unlike `sign`, it may be called while the world is locked.
    pub(crate) fn sign_by(&self, switches: &Switches, header_overrides: Value, claims: &Value) -> String {
        lock(&self.keys).sign(switches.key_generation, switches.id_token_alg, header_overrides, claims)
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
