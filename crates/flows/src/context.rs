//! What every story needs: storage, keys, outbound HTTP, time and randomness; and the few private steps that several
//! stories share.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicI64},
    time::Duration,
};

use alter_core::{
    App, AppId, Clock, Hash, Micros, Random, Session, SessionId, Store, StoreError, secret, token,
};
use alter_egress::Egress;
use alter_oauth::JwksCache;
use alter_vault::Vault;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::TaskTracker;

use crate::{
    connect::{in_hand::InHand, waiting::Waiting},
    metrics,
    quota::Quotas,
    refresh::{Flights, Gates, Gone},
    rounds::Rounds,
    sealed::Sealer,
};

/// How many times a change to a session is tried.
const ROUNDS: usize = 8;

#[derive(Debug)]
pub struct FlowsConfig {
    /// `ALTER_PUBLIC_URL` without a trailing slash.
    pub public_url: String,
    /// The longest pause after a failed refresh that a call sits out; [`REFRESH_PAUSE`] outside tests.
    pub refresh_pause: Duration,
}

/// The longest pause after a failed refresh that a call sits out, as long as a call waits at all.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(20);

/// The stories. Cheap to clone; one per process.
#[derive(Clone)]
pub struct Flows {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: FlowsConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sealer: Sealer,
    pub(crate) egress: Egress,
    pub(crate) jwks: JwksCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// Exchanges in flight. Shutdown waits for them; a client that disconnects does not stop them.
    pub(crate) tasks: TaskTracker,
    pub(crate) in_hand: InHand,
    waiting: Waiting,
    /// Refreshes under way in this process.
    pub(crate) flights: Flights,
    pub(crate) gates: Gates,
    pub(crate) gone: Gone,
    /// A name for this installation, known once the root key has been checked.
    pub(crate) instance: OnceLock<String>,
    pub(crate) quotas: Quotas,
    /// Until when (microseconds) the last good result of `/readyz` counts.
    pub(crate) ready_until: AtomicI64,
}

impl std::fmt::Debug for Flows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flows").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Flows {
    /// Puts the parts together. Check the root key first: [`crate::ready::check_root_key`].
    pub fn new(
        config: FlowsConfig,
        store: Arc<dyn Store>,
        vault: Vault,
        egress: Egress,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (jwks, tasks) = (JwksCache::new(), TaskTracker::new());
        let sealer = Sealer::new(vault, Arc::clone(&store), Arc::clone(&random));
        let (quotas, instance, ready_until) = (Quotas::default(), OnceLock::new(), AtomicI64::new(0));
        Self {
            inner: Arc::new(Inner {
                config,
                store,
                sealer,
                egress,
                jwks,
                clock,
                random,
                tasks,
                in_hand: InHand::default(),
                waiting: Waiting::default(),
                flights: Flights::default(),
                gates: Gates::default(),
                gone: Gone::default(),
                instance,
                quotas,
                ready_until,
            }),
        }
    }

    /// Waits until no exchange is in flight. New ones are still accepted: close the listener first.
    pub async fn drain(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// How many exchanges, and other tasks that must not be cut off, are under way.
    pub fn in_flight(&self) -> usize {
        self.inner.tasks.len()
    }

    /// `ALTER_PUBLIC_URL` without a trailing slash.
    pub fn public_url(&self) -> &str {
        &self.inner.config.public_url
    }

    pub fn now(&self) -> Micros {
        self.inner.clock.now()
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.random.as_ref()
    }

    /// 32 random bytes as base64url (43 characters): states, nonces, browser keys.
    pub(crate) fn fresh_secret(&self) -> SecretString {
        SecretString::from(secret::base64url(&alter_core::time::random_bytes::<32>(self.random())))
    }

    /// Those who wait for news of a session in this process. Who changes a session tells them.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.inner.waiting
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.inner.sealer
    }

    /// Finds a session by its token; returns `None` for malformed and unknown tokens alike (T57).
    pub(crate) async fn session_by_token(&self, text: &str) -> Result<Option<Session>, StoreError> {
        match token::session_token_hash(text) {
            Some(hash) => self.store().find_session(&hash).await,
            None => Ok(None),
        }
    }

    /// The same for an auth session.
    pub(crate) async fn auth_session_by_token(&self, text: &str) -> Result<Option<Session>, StoreError> {
        match token::auth_token_hash(text) {
            Some(hash) => self.store().find_session(&hash).await,
            None => Ok(None),
        }
    }

    /// Lets `change` decide about a session that was just read, and saves the session when `change` returns `true`. Reads
    /// it again when another write came first, so `change` must be a pure function of the session. Returns `None` when the
    /// session is gone.
    pub(crate) async fn update_session<T, E: From<StoreError>>(
        &self,
        session: Session,
        mut change: impl FnMut(&mut Session) -> Result<(bool, T), E>,
    ) -> Result<Option<(Session, T)>, E> {
        let (sid, mut read) = (session.sid.clone(), Some(session));
        let mut rounds = Rounds::of(ROUNDS);
        loop {
            rounds.begin()?;
            let read = match read.take() {
                Some(session) => Some(session),
                None => self.store().get_session(&sid).await?,
            };
            let Some(mut session) = read else { return Ok(None) };
            let open = session.end().is_none();
            let (dirty, value) = change(&mut session)?;
            if dirty {
                if !self.store().save_session(&session).await?.is_done() {
                    continue;
                }
                session.version += 1;
                self.waiting().tell(&sid);
            }
            if open && let Some(end) = session.end() {
                metrics::ended(end.kind);
            }
            return Ok(Some((session, value)));
        }
    }

    /// Like [`Self::update_session`], but finds the session by its public id.
    pub(crate) async fn update_session_by_id<T, E: From<StoreError>>(
        &self,
        sid: &SessionId,
        change: impl FnMut(&mut Session) -> Result<(bool, T), E>,
    ) -> Result<Option<(Session, T)>, E> {
        match self.store().get_session(sid).await? {
            Some(session) => self.update_session(session, change).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn app_of(&self, id: AppId) -> Result<App, StoreError> {
        self.store().get_app(id).await?.ok_or(StoreError::Corrupt("a row names an app that is not there"))
    }
}

/// The hash of a bearer value that a browser presented.
pub(crate) fn hash_secret(value: &SecretString) -> Hash {
    secret::sha256(value.expose_secret().as_bytes())
}
