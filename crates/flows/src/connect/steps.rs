//! What a person does on our pages, except approving: choose, go back, cancel, finish; and the pages' signs of life.

use alter_core::{BadParameter, Cause, Failure, Filled, Hash, Session, SessionId};

use super::offer::Offer;
use crate::{Flows, callers::caller::ours, fault::FlowFault};

/// Why a step on a page is refused.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// There is no such session, or another browser has it; the browser cannot tell which.
    #[error("this browser has no such session")]
    NotYours,
    /// The session is over or expired, or the step does not apply: the page should reload.
    #[error("the step no longer applies")]
    Moved,
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

ours! { StepError; }

/// The user chose a provider on the picker, or wants to try again.
///
/// # Errors
/// [`StepError`].
pub async fn select(flows: &Flows, sid: &SessionId, browser: &Hash, provider: &str) -> Result<(), StepError> {
    let now = flows.now();
    step(flows, sid, browser, |session| session.select(provider, now)).await
}

/// Why what a person typed is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    #[error(transparent)]
    Step(#[from] StepError),
    /// Not a label of the provider's.
    #[error(transparent)]
    Value(#[from] BadParameter),
}

/// The user says at which of a provider's customers the account is. Nothing typed: the user wants to say it anew.
///
/// # Errors
/// [`FillError`].
pub async fn fill(
    flows: &Flows,
    sid: &SessionId,
    browser: &Hash,
    provider: &str,
    typed: Filled,
) -> Result<(), FillError> {
    let session = flows.store().get_session(sid).await.map_err(StepError::from)?;
    let session = session.filter(|session| session.is_browser(browser)).ok_or(StepError::NotYours)?;
    let offer = Offer::read(flows, &session).await.map_err(StepError::from)?;
    let config = offer.provider(provider).ok_or(StepError::Moved)?;
    for (name, value) in &typed {
        config.recipe.may_fill(name, value)?;
    }
    let changed = step(flows, sid, browser, |session| {
        let here = session.data.selected.as_deref() == Some(provider);
        if here {
            session.data.typed.insert(provider.to_owned(), typed.clone());
        }
        here
    });
    Ok(changed.await?)
}

/// The user goes back to the picker.
///
/// # Errors
/// [`StepError`].
pub async fn back(flows: &Flows, sid: &SessionId, browser: &Hash) -> Result<(), StepError> {
    step(flows, sid, browser, |session| {
        session.deselect();
        true
    })
    .await
}

/// The user cancels. On the consent page that refuses the provider; on the picker it ends the session.
///
/// # Errors
/// [`StepError`].
pub async fn cancel(flows: &Flows, sid: &SessionId, browser: &Hash) -> Result<(), StepError> {
    let now = flows.now();
    step(flows, sid, browser, |session| {
        match session.data.selected.take() {
            // On a failure page nothing is left to refuse, so the user leaves.
            Some(_) if session.data.last_failure.is_some() => session.finish(now),
            Some(provider) => session.attempt_failed(
                Failure { cause: Cause::Denied, provider: Some(provider), request_id: None, said: None },
                now,
            ),
            None => session.finish(now),
        }
        true
    })
    .await
}

/// The user is done choosing.
///
/// # Errors
/// [`StepError`].
pub async fn finish(flows: &Flows, sid: &SessionId, browser: &Hash) -> Result<(), StepError> {
    let now = flows.now();
    step(flows, sid, browser, |session| {
        session.finish(now);
        true
    })
    .await
}

/// A page reports that it is shown (`seen`) or left (`bye`). A report that comes late is not an error.
///
/// # Errors
/// [`StepError::NotYours`], or our own failure.
pub async fn page_sign(
    flows: &Flows,
    sid: &SessionId,
    browser: &Hash,
    instance: u64,
    leaving: bool,
) -> Result<(), StepError> {
    let now = flows.now();
    let changed = flows.update_session_by_id(sid, |session| {
        if !session.is_browser(browser) {
            return Err(StepError::NotYours);
        }
        let dirty = session.end().is_none()
            && if leaving { session.page_left(instance, now) } else { session.page_seen(instance, now) };
        Ok((dirty, ()))
    });
    changed.await?.map(drop).ok_or(StepError::NotYours)
}

async fn step(
    flows: &Flows,
    sid: &SessionId,
    browser: &Hash,
    mut change: impl FnMut(&mut Session) -> bool,
) -> Result<(), StepError> {
    let now = flows.now();
    let changed = flows.update_session_by_id(sid, |session| {
        if !session.is_browser(browser) {
            return Err(StepError::NotYours);
        }
        // While a code is being exchanged, only the exchange may change the session's course.
        let open = session.end().is_none() && now < session.deadline() && !session.is_exchanging();
        if !open || !change(session) {
            return Err(StepError::Moved);
        }
        session.data.signals.page_at = Some(now);
        Ok((true, ()))
    });
    changed.await?.map(drop).ok_or(StepError::NotYours)
}
