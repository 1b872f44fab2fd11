//! What a caller who needs a grant's token waits for, and what it is told.

use std::time::Duration;

use alter_core::{
    Asked, Grant, GrantId, Micros, ProviderConfig, ReconnectReason, WhatNow,
    refresh::{Trouble, is_valid, what_now},
};
use tokio::time::Instant;

use super::{
    attempt::Asking,
    flight::{Flown, join, landed},
};
use crate::{Flows, facts::refresh_facts, fault::FlowFault};

/// How long a call waits for its grant's token.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a call looks at the grant while another process refreshes it.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// A token with less than this left is not handed out while a new one can be had, seconds.
const LAST_SECONDS: i64 = 5;

/// Why a grant has no usable token.
#[derive(Debug, thiserror::Error)]
pub enum NotUsable {
    /// Only the user can help, by connecting again.
    #[error("the user must connect again: {}", .reason.as_str())]
    Reconnect { grant: GrantId, provider: String, reason: ReconnectReason, since: Micros },
    /// The token is being replaced, by a refresh or by its user, and that took longer than a call waits.
    #[error("the token is being replaced")]
    InProgress(GrantId),
    /// The last attempt failed, and the next one begins later.
    #[error("the token could not be refreshed yet")]
    Later {
        grant: GrantId,
        provider: String,
        trouble: Trouble,
        /// Seconds until the next attempt.
        retry_after: i64,
    },
    #[error(transparent)]
    Fault(#[from] FlowFault),
}

impl From<alter_core::StoreError> for NotUsable {
    fn from(error: alter_core::StoreError) -> Self {
        Self::Fault(error.into())
    }
}

/// Returns the grant with a token that is good now, refreshed if need be.
///
/// # Errors
/// [`NotUsable`].
pub(crate) async fn usable(flows: &Flows, grant: Grant, config: &ProviderConfig) -> Result<Grant, NotUsable> {
    let now = flows.now();
    match what_now(&grant.situation(&refresh_facts(&config.recipe)), Asked::Call, now) {
        WhatNow::Serve => return Ok(grant),
        WhatNow::Reconnect(reason, since) => return Err(reconnect(&grant, reason, since)),
        WhatNow::Refresh | WhatNow::Wait(..) => {}
    }
    if is_valid(&grant.credential, now.plus_seconds(LAST_SECONDS)) {
        // Its refresh runs beside, whether or not anyone waits for it.
        drop(join(flows, Asking::of(&grant, config, Asked::Call)));
        return Ok(grant);
    }
    wait(flows, grant, config).await
}

async fn wait(flows: &Flows, mut grant: Grant, config: &ProviderConfig) -> Result<Grant, NotUsable> {
    let (until, first) = (Instant::now() + PATIENCE, grant.credential.generation);
    loop {
        let landing = join(flows, Asking::of(&grant, config, Asked::Call));
        let Ok(flown) = tokio::time::timeout_at(until, landed(landing)).await else {
            return last_resort(flows, grant, NotUsable::InProgress);
        };
        let Some(again) = flows.store().get_grant(grant.app_id, grant.id).await? else {
            return Err(FlowFault::from(alter_core::StoreError::Moved).into());
        };
        grant = again;
        let now = flows.now();
        let renewed = grant.credential.generation > first && is_valid(&grant.credential, now);
        if grant.revoked.is_some() || renewed {
            return Ok(grant);
        }
        if let Flown::Reconnect(reason, since) = flown {
            return Err(reconnect(&grant, reason, since));
        }
        let decision = match flown {
            Flown::Wait(at, trouble) => WhatNow::Wait(at, trouble),
            _ => what_now(&grant.situation(&refresh_facts(&config.recipe)), Asked::Call, now),
        };
        match decision {
            WhatNow::Reconnect(reason, since) => return Err(reconnect(&grant, reason, since)),
            WhatNow::Wait(at, Some(trouble)) => {
                let pause = Duration::from_micros(u64::try_from(at.since(now)).unwrap_or(0));
                if pause > flows.inner.config.refresh_pause || Instant::now() + pause >= until {
                    let retry_after = (at.since(now) / 1_000_000).max(1);
                    return last_resort(flows, grant, |id| NotUsable::Later {
                        grant: id,
                        provider: config.recipe.id.clone(),
                        trouble,
                        retry_after,
                    });
                }
                tokio::time::sleep(pause).await;
            }
            WhatNow::Wait(_, None) => tokio::time::sleep(LOOK_EVERY).await,
            WhatNow::Serve => return Ok(grant),
            WhatNow::Refresh if flown == Flown::Broken => {
                return last_resort(flows, grant, |_| {
                    NotUsable::Fault(FlowFault::Broken("a refresh broke off; the log says why"))
                });
            }
            WhatNow::Refresh => {}
        }
        if Instant::now() >= until {
            return last_resort(flows, grant, NotUsable::InProgress);
        }
    }
}

/// A token in its last seconds is better than none.
fn last_resort(
    flows: &Flows,
    grant: Grant,
    otherwise: impl FnOnce(GrantId) -> NotUsable,
) -> Result<Grant, NotUsable> {
    if is_valid(&grant.credential, flows.now()) { Ok(grant) } else { Err(otherwise(grant.id)) }
}

pub(super) fn reconnect(grant: &Grant, reason: ReconnectReason, since: Micros) -> NotUsable {
    NotUsable::Reconnect { grant: grant.id, provider: grant.provider.clone(), reason, since }
}

/// Begins a refresh, if it is to be, because somebody reported that the provider's API rejects the grant's token.
pub(crate) fn rejected(flows: &Flows, grant: &Grant, config: &ProviderConfig) {
    if what_now(&grant.situation(&refresh_facts(&config.recipe)), Asked::Report, flows.now())
        == WhatNow::Refresh
    {
        drop(join(flows, Asking::of(grant, config, Asked::Report)));
    }
}
