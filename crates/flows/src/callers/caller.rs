//! One signed call, one nonce (T61). Only this module reads a call's nonce: a story gets it from [`Flows::once`], or
//! [`Flows::reading`] records it before the story runs. So no story can forget the nonce or spend it twice.

use alter_core::{Agent, ApiKey, App, CallNonce, StoreError};

use crate::{Flows, fault::FlowFault};

/// The call needs the app's own key, but it came with an agent's key.
#[derive(Debug, thiserror::Error)]
#[error("this call needs the app's own key")]
pub struct AppKeyRequired;

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Caller {
    pub app: App,
    pub key: ApiKey,
    /// The agent that owns the key; `None` = the app's own key.
    pub agent: Option<Agent>,
    /// Whether the call's signature covers the headers that say whom the call is made for.
    pub names_are_signed: bool,
    /// The request's id, for the log and the audit.
    pub request_id: String,
    /// `None` for a bearer call.
    nonce: Option<CallNonce>,
}

/// What a story did with the nonce it was given.
pub(crate) enum Spent<T> {
    /// The story's own commit recorded the nonce.
    InCommit(T),
    /// The story stored nothing, so the nonce is still to be recorded.
    NotYet(T),
}

impl<T> Spent<T> {
    /// What the story returns, for a caller without a nonce (the operator).
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

    /// The failure is our own, not the caller's: the caller may send the same bytes again.
    fn is_ours(&self) -> bool {
        self.ours().is_some()
    }

    /// The nonce was used before.
    fn is_replay(&self) -> bool {
        matches!(self.ours(), Some(FlowFault::Store(StoreError::NonceReplayed)))
    }
}

/// For errors that have a variant `Fault(FlowFault)` for our own failures. After the colon: other variants whose content
/// may be our own failure too.
macro_rules! ours {
    ($($error:ty $(: $($inner:ident),+)?;)*) => {$(
        impl From<alter_core::StoreError> for $error {
            fn from(error: alter_core::StoreError) -> Self {
                Self::Fault(error.into())
            }
        }

        impl $crate::callers::caller::Refusal for $error {
            fn ours(&self) -> Option<&$crate::FlowFault> {
                match self {
                    Self::Fault(fault) => Some(fault),
                    $($(Self::$inner(inner) => $crate::callers::caller::Refusal::ours(inner),)+)?
                    #[allow(unreachable_patterns, reason = "an error may have no other variant")]
                    _ => None,
                }
            }
        }
    )*};
}

pub(crate) use ours;

impl Caller {
    pub(crate) fn new(
        found: alter_core::FoundKey,
        nonce: Option<CallNonce>,
        names_are_signed: bool,
        request_id: &str,
    ) -> Self {
        let alter_core::FoundKey { key, app, agent } = found;
        Self { app, key, agent, names_are_signed, request_id: request_id.to_owned(), nonce }
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
    /// Runs a story that may store something. Afterwards the nonce is recorded, by the story's own commit or here: a
    /// refused call is spent too, because the same bytes must not succeed later. Only our own failures leave the nonce
    /// unspent.
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

    /// Runs a story that stores nothing. The nonce is recorded first, so a replayed call costs no reads.
    pub(crate) async fn reading<T, E: From<StoreError>>(
        &self,
        caller: &Caller,
        story: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.spend(caller).await?;
        story.await
    }

    /// Refuses a replay before the story spends anything that is not in its commit, such as a share of a limit.
    pub(crate) async fn refuse_replay(&self, caller: &Caller) -> Result<(), StoreError> {
        match caller.nonce {
            Some(nonce) => self.store().refuse_known_call(nonce).await,
            None => Ok(()),
        }
    }

    async fn spend(&self, caller: &Caller) -> Result<(), StoreError> {
        match caller.nonce {
            Some(nonce) => self.store().record_call(nonce).await,
            None => Ok(()),
        }
    }
}
