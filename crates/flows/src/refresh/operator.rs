//! Refreshing a grant because the operator says so.

use alter_core::{
    AppId, Asked, Grant, GrantId, GrantState, Micros, ReconnectReason, StoreError, refresh::Trouble,
};

use super::{
    attempt::Asking,
    flight::{Flown, join, landed},
    usable::{NotUsable, reconnect},
};
use crate::{Flows, Operator, fault::FlowFault};

/// Why the operator's refresh brought no token.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The app has no such grant.
    #[error("there is no such grant")]
    NotFound,
    /// The grant is revoked, or its own end has come.
    #[error("the grant is {}", .0.as_str())]
    Ended(GrantState),
    /// The provider is no longer configured on the app.
    #[error("the app has no provider {0}")]
    NoProvider(String),
    #[error(transparent)]
    NotUsable(#[from] NotUsable),
}

impl From<StoreError> for RefreshError {
    fn from(error: StoreError) -> Self {
        Self::NotUsable(error.into())
    }
}

/// Refreshes a grant now, whatever its token's age. Returns the grant as it is afterwards.
///
/// # Errors
/// [`RefreshError`].
pub async fn refresh_as_operator(
    flows: &Flows,
    by: &Operator,
    app: AppId,
    id: GrantId,
) -> Result<Grant, RefreshError> {
    let before = active(flows, app, id).await?;
    let config = flows.provider(before.app_id, &before.config_id).await.map_err(NotUsable::from)?;
    let config = config.ok_or_else(|| RefreshError::NoProvider(before.provider.clone()))?;
    let asking = Asking { operator: Some(by.clone()), ..Asking::of(&before, &config, Asked::Operator) };
    let flown = landed(join(flows, asking)).await;
    let after = active(flows, app, id).await?;
    if after.credential.generation > before.credential.generation {
        return Ok(after);
    }
    Err(why_not(&after, flown, flows.now()).into())
}

async fn active(flows: &Flows, app: AppId, id: GrantId) -> Result<Grant, RefreshError> {
    let grant = flows.store().get_grant(app, id).await?.ok_or(RefreshError::NotFound)?;
    match grant.state(flows.now()) {
        GrantState::Active => Ok(grant),
        ended => Err(RefreshError::Ended(ended)),
    }
}

/// Why the flight brought nothing. While the token is still valid, the flight itself does not tell; the grant does.
fn why_not(grant: &Grant, flown: Flown, now: Micros) -> NotUsable {
    let (credential, state) = (&grant.credential, &grant.refresh);
    let later = |at: Micros, trouble| NotUsable::Later {
        grant: grant.id,
        provider: grant.provider.clone(),
        trouble,
        retry_after: (at.since(now) / 1_000_000).max(1),
    };
    match (flown, &state.verdict) {
        (Flown::Broken, _) => FlowFault::Broken("the refresh broke off").into(),
        (Flown::Reconnect(reason, since), _) => reconnect(grant, reason, since),
        (Flown::Wait(_, None), _) => NotUsable::InProgress(grant.id),
        (Flown::Wait(at, Some(trouble)), _) => later(at, trouble),
        (Flown::Moved, Some(verdict)) => reconnect(grant, verdict.reason, verdict.since),
        (Flown::Moved, None) if credential.refresh_token.is_none() => {
            reconnect(grant, ReconnectReason::NoRefreshToken, credential.expires_at.unwrap_or(now))
        }
        // Our own attempt has given its lease back: this is another one's.
        (Flown::Moved, None) if state.lease_until.is_some() => NotUsable::InProgress(grant.id),
        (Flown::Moved, None) => {
            later(state.not_before.unwrap_or(now), state.trouble.unwrap_or(Trouble::Provider))
        }
    }
}
