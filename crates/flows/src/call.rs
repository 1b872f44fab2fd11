//! One signed call, one nonce (T61). The nonce of a call is read in this room alone: a story gets it from [`Flows::once`],
//! or is run by [`Flows::reading`] after it was recorded. So no story can forget the nonce, or spend it twice.

use alter_core::{Agent, ApiKey, App, CallNonce, StoreError};

use crate::{Flows, fault::FlowFault};

/// The call needs the app's own key, and an agent's key came.
#[derive(Debug, thiserror::Error)]
#[error("this call needs the app's own key")]
pub struct AppKeyRequired;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its app.
    pub app: App,
    /// Its key.
    pub key: ApiKey,
    /// The agent whose key it is; `None` = the app's own key.
    pub agent: Option<Agent>,
    /// The request, for the log and the audit.
    pub request_id: String,
    /// `None` for a bearer call.
    nonce: Option<CallNonce>,
}

/// What a story did with the nonce that it was given.
pub(crate) enum Spent<T> {
    /// The story's own commit recorded it.
    InCommit(T),
    /// The story stored nothing.
    NotYet(T),
}

impl<T> Spent<T> {
    /// What the story returns, for whoever calls without a nonce.
    pub(crate) fn value(self) -> T {
        match self {
            Self::InCommit(value) | Self::NotYet(value) => value,
        }
    }
}

/// Why a story refuses.
pub(crate) trait Refusal: From<StoreError> {
    /// Our own failure, if the refusal is one.
    fn ours(&self) -> Option<&FlowFault>;

    /// The failure is ours, not the caller's: the same bytes may be sent again.
    fn is_ours(&self) -> bool {
        self.ours().is_some()
    }

    /// The nonce was used before.
    fn is_replay(&self) -> bool {
        matches!(self.ours(), Some(FlowFault::Store(StoreError::NonceReplayed)))
    }
}

/// Errors with a variant `Fault(FlowFault)` for our own failures; after the colon, the variants whose content may be such
/// a failure as well.
macro_rules! ours {
    ($($error:ty $(: $($inner:ident),+)?;)*) => {$(
        impl From<alter_core::StoreError> for $error {
            fn from(error: alter_core::StoreError) -> Self {
                Self::Fault(error.into())
            }
        }

        impl $crate::call::Refusal for $error {
            fn ours(&self) -> Option<&$crate::FlowFault> {
                match self {
                    Self::Fault(fault) => Some(fault),
                    $($(Self::$inner(inner) => $crate::call::Refusal::ours(inner),)+)?
                    #[allow(unreachable_patterns, reason = "an error may have no other variant")]
                    _ => None,
                }
            }
        }
    )*};
}

pub(crate) use ours;

impl Caller {
    pub(crate) fn new(found: alter_core::FoundKey, nonce: Option<CallNonce>, request_id: &str) -> Self {
        let alter_core::FoundKey { key, app, agent } = found;
        Self { app, key, agent, request_id: request_id.to_owned(), nonce }
    }

    /// Only the app's own key may do this (T70).
    ///
    /// # Errors
    /// [`AppKeyRequired`].
    pub fn app_only(&self) -> Result<(), AppKeyRequired> {
        if self.agent.is_none() { Ok(()) } else { Err(AppKeyRequired) }
    }
}

impl Flows {
    /// Runs a story that may store something. Whatever comes out, the nonce has been recorded: by the story's own commit
    /// or here, since a refused call is spent too, and the same bytes must not succeed later. Our own failures leave the
    /// nonce unspent.
    pub(crate) async fn once<T, E, S>(
        &self,
        caller: &Caller,
        story: impl FnOnce(Option<CallNonce>) -> S,
    ) -> Result<T, E>
    where
        E: Refusal,
        S: Future<Output = Result<Spent<T>, E>>,
    {
        let (spent, outcome) = match story(caller.nonce).await {
            Ok(Spent::InCommit(value)) => (true, Ok(value)),
            Ok(Spent::NotYet(value)) => (false, Ok(value)),
            Err(error) => (error.is_ours(), Err(error)),
        };
        if !spent {
            self.spend(caller).await?;
        }
        outcome
    }

    /// Runs a story that stores nothing: the nonce is recorded first, so that a replayed call costs no reading.
    pub(crate) async fn reading<T, E: From<StoreError>>(
        &self,
        caller: &Caller,
        story: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.spend(caller).await?;
        story.await
    }

    async fn spend(&self, caller: &Caller) -> Result<(), StoreError> {
        match caller.nonce {
            Some(nonce) => self.store().record_call(nonce).await,
            None => Ok(()),
        }
    }
}
