//! What every story needs: storage, keys, the way out, time and randomness; and the few private steps that more than
//! one story takes.

use std::sync::{Arc, OnceLock, atomic::AtomicI64};

use alter_core::{
    App, AppId, Clock, Hash, Micros, Random, Session, SessionId, Store, StoreError, secret, token,
};
use alter_egress::Egress;
use alter_oauth::JwksCache;
use alter_vault::{DataKey, Place, Vault, VaultError};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use tokio_util::task::TaskTracker;

use crate::{journal::InHand, metrics, quota::Quotas};

/// What the wiring hands in.
#[derive(Debug)]
pub struct FlowsConfig {
    /// `ALTER_PUBLIC_URL` without a trailing slash.
    pub public_url: String,
}

/// The stories. Cheap to clone; one per process.
#[derive(Clone)]
pub struct Flows {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: FlowsConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) vault: Vault,
    pub(crate) egress: Egress,
    pub(crate) jwks: JwksCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// Exchanges in flight: shutdown waits for them, a client that disconnects does not stop them.
    pub(crate) tasks: TaskTracker,
    pub(crate) in_hand: InHand,
    /// Which installation this is: known once the root key was checked.
    pub(crate) instance: OnceLock<String>,
    pub(crate) quotas: Quotas,
    /// Until when (microseconds) the last good answer of `/readyz` counts.
    pub(crate) ready_until: AtomicI64,
}

impl std::fmt::Debug for Flows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flows").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Flows {
    /// Puts the parts together. Check the root key first: [`Flows::check_root_key`].
    pub fn new(
        config: FlowsConfig,
        store: Arc<dyn Store>,
        vault: Vault,
        egress: Egress,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (jwks, tasks) = (JwksCache::new(), TaskTracker::new());
        let (quotas, instance, ready_until) = (Quotas::default(), OnceLock::new(), AtomicI64::new(0));
        Self {
            inner: Arc::new(Inner {
                config,
                store,
                vault,
                egress,
                jwks,
                clock,
                random,
                tasks,
                in_hand: InHand::default(),
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

    /// Exchanges, and other work that must not be cut off, that are under way.
    pub fn in_flight(&self) -> usize {
        self.inner.tasks.len()
    }

    /// `ALTER_PUBLIC_URL` without a trailing slash.
    pub fn public_url(&self) -> &str {
        &self.inner.config.public_url
    }

    /// The time as the flows see it.
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

    pub(crate) fn data_key(&self, app: &App) -> Result<DataKey, VaultError> {
        self.inner.vault.data_key(&app.id.to_string(), &app.wrapped_key)
    }

    pub(crate) fn seal(
        &self,
        key: &DataKey,
        place: &SealedPlace<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let app = place.app.to_string();
        key.seal(&place.as_place(&app), plaintext, &|buffer| self.random().fill(buffer))
    }

    /// The key that the app seals under at this moment.
    pub(crate) async fn current_key(&self, app: AppId) -> Result<DataKey, FlowFault> {
        Ok(self.data_key(&self.app_of(app).await?)?)
    }

    /// Opens a value. While keys are replaced it may be under another of the app's data keys than `key`: then that one is read,
    /// and only then.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has been put under another key since it was read and its own is wiped: read again.
    pub(crate) async fn open(
        &self,
        key: &DataKey,
        place: &SealedPlace<'_>,
        sealed: &[u8],
    ) -> Result<SecretSlice<u8>, FlowFault> {
        let app = place.app.to_string();
        match key.open(&place.as_place(&app), sealed) {
            Err(VaultError::WrongKeyId) => {
                let other = self.key_of(place.app, sealed).await?;
                Ok(other.open(&place.as_place(&app), sealed)?)
            }
            opened => Ok(opened?),
        }
    }

    async fn key_of(&self, app: AppId, sealed: &[u8]) -> Result<DataKey, FlowFault> {
        let id = alter_vault::sealed_under(sealed)?;
        let key = self.store().get_data_key(app, id).await?.ok_or(VaultError::WrongKeyId)?;
        let wrapped = key.wrapped.ok_or(StoreError::Conflict)?;
        Ok(self.inner.vault.data_key(&app.to_string(), &wrapped)?)
    }

    /// As [`Self::open`].
    pub(crate) async fn open_text(
        &self,
        key: &DataKey,
        place: &SealedPlace<'_>,
        sealed: &[u8],
    ) -> Result<SecretString, FlowFault> {
        let bytes = self.open(key, place, sealed).await?;
        let text = std::str::from_utf8(bytes.expose_secret()).map_err(|_| FlowFault::NotText)?;
        Ok(SecretString::from(text.to_owned()))
    }

    /// The session of a token; `None` for malformed and unknown alike (T57).
    pub(crate) async fn session_by_token(&self, text: &str) -> Result<Option<Session>, StoreError> {
        match token::session_token_hash(text) {
            Some(hash) => self.store().find_session(&hash).await,
            None => Ok(None),
        }
    }

    /// Loads a session, lets `change` decide, and saves when it says so; again from the start when another write came
    /// first. `change` must be a pure function of the session.
    pub(crate) async fn update_session<T, E: From<StoreError>>(
        &self,
        sid: &SessionId,
        mut change: impl FnMut(&mut Session) -> Result<(bool, T), E>,
    ) -> Result<Option<(Session, T)>, E> {
        // Each lost race means that another writer made progress; eight in a row is a storm worth an error.
        for _ in 0..8 {
            let Some(mut session) = self.store().get_session(sid).await? else { return Ok(None) };
            let open = session.end().is_none();
            let (dirty, value) = change(&mut session)?;
            if !dirty || self.store().save_session(&session).await? {
                metrics::ended(open, &session);
                return Ok(Some((session, value)));
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Whether a session has not ended; only for counting.
    pub(crate) async fn is_open(&self, sid: &SessionId) -> bool {
        matches!(self.store().get_session(sid).await, Ok(Some(session)) if session.end().is_none())
    }

    /// Counts the end of a session that a storage command may have ended.
    pub(crate) async fn count_end(&self, was_open: bool, sid: &SessionId) {
        if let (true, Ok(Some(session))) = (was_open, self.store().get_session(sid).await) {
            metrics::ended(was_open, &session);
        }
    }

    pub(crate) async fn app_of(&self, id: AppId) -> Result<App, StoreError> {
        self.store().get_app(id).await?.ok_or(StoreError::Corrupt("a row names an app that is not there"))
    }
}

/// Where a sealed value lives; the vault binds the ciphertext to it (T90).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealedPlace<'a> {
    pub(crate) app: AppId,
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) row: &'a str,
    pub(crate) generation: u64,
}

impl<'a> SealedPlace<'a> {
    pub(crate) fn as_place(&self, app: &'a str) -> Place<'a> {
        Place { app, table: self.table, column: self.column, row: self.row, generation: self.generation }
    }
}

impl FlowFault {
    /// Something was written between reading and acting: read again.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict))
    }
}

/// Our own failure inside a story: storage or vault. Always `server_error` outside, with the cause in the log.
#[derive(Debug, thiserror::Error)]
pub enum FlowFault {
    /// Storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault refused: wrong key, or a row that was tampered with.
    #[error("the vault refused a stored value: {0}")]
    Vault(#[from] VaultError),
    /// A sealed value that should be text is not.
    #[error("a sealed value is not text")]
    NotText,
    /// Something that was checked when it was stored does not hold any more.
    #[error("{0}")]
    Broken(&'static str),
}

/// The hash of a bearer value that a browser presented.
pub(crate) fn hash_secret(value: &SecretString) -> Hash {
    secret::sha256(value.expose_secret().as_bytes())
}
