//! Asking a provider to end what a revoked grant stood for: one request at a time, again and again for a day. The queue
//! is written in the commit that revokes ([`crate::grants`]); `reap` goes through it.

use std::time::Duration;

use alter_core::{
    AuditEntry, AuditKind, ProviderConfig, Revocation, RevocationOutcome, Saved, StoreError,
    recipe::RevokeEnds,
};
use alter_oauth::{Client, RevokeError, RevokedToken};
use tracing::Instrument;

use crate::{Flows, fault::FlowFault, metrics};

/// How long a call waits for the provider's answer.
const WAIT: Duration = Duration::from_secs(5);
/// How long a provider is asked again, seconds.
const ASKED_FOR: i64 = 24 * 3600;
/// The first pause between two requests, seconds; each is twice the one before.
const FIRST_PAUSE: i64 = 60;
/// The longest pause, seconds.
const LONGEST_PAUSE: i64 = 3600;

/// [`ask_to_revoke`] in a task of its own, and what it says within [`WAIT`].
pub(crate) async fn ask_and_wait(flows: &Flows, request: Revocation) -> RevocationOutcome {
    let own = flows.clone();
    let task = flows.inner.tasks.spawn(async move { ask_to_revoke(&own, &request).await }.in_current_span());
    match tokio::time::timeout(WAIT, task).await {
        Ok(Ok(outcome)) => outcome,
        // Still asking, or it broke off: the queue has it.
        Err(_) | Ok(Err(_)) => RevocationOutcome::Pending,
    }
}

/// One request to the provider, if its time has come and nobody else makes it. Never fails outwards: what is not
/// answered stays in the queue.
pub(crate) async fn ask_to_revoke(flows: &Flows, request: &Revocation) -> RevocationOutcome {
    match try_to_revoke(flows, request).await {
        Ok(outcome) => {
            metrics::revocation_asked(outcome);
            outcome
        }
        Err(error) => {
            tracing::error!(grant_id = %request.grant_id, %error, "a revocation could not be handled");
            RevocationOutcome::Pending
        }
    }
}

async fn try_to_revoke(flows: &Flows, request: &Revocation) -> Result<RevocationOutcome, FlowFault> {
    let now = flows.now();
    let claimed = flows.store().claim_revocation(request, now.plus_seconds(pause(request.attempts))).await?;
    if !claimed.is_done() {
        return Ok(RevocationOutcome::Pending);
    }
    let outcome = match flows.store().get_provider(&request.config_id).await? {
        None => RevocationOutcome::NotOffered,
        Some(config) if is_shared(flows, request, &config).await? => RevocationOutcome::Shared,
        Some(config) => match request_revocation(flows, request, &config).await {
            Ok(Ok(())) => RevocationOutcome::Confirmed,
            Ok(Err(RevokeError::NotOffered)) => RevocationOutcome::NotOffered,
            Ok(Err(error)) => {
                tracing::warn!(grant_id = %request.grant_id, %error, attempt = request.attempts + 1, "the provider did not revoke");
                match now >= request.created_at.plus_seconds(ASKED_FOR) {
                    true => RevocationOutcome::GivenUp,
                    false => return Ok(RevocationOutcome::Pending),
                }
            }
            // What cannot be opened today is tried again like what was not answered: a day, and no longer.
            Err(fault) if now < request.created_at.plus_seconds(ASKED_FOR) => return Err(fault),
            Err(fault) => {
                tracing::error!(grant_id = %request.grant_id, error = %fault, "a revocation is given up");
                RevocationOutcome::GivenUp
            }
        },
    };
    let details =
        serde_json::json!({ "outcome": outcome.as_str(), "attempts": (request.attempts + 1).to_string() });
    let entry = AuditEntry {
        grant_id: Some(request.grant_id),
        ..AuditEntry::new(request.app_id, flows.now(), AuditKind::RevocationEnded, details)
    };
    let (Saved::Done | Saved::Moved) = flows.store().end_revocation(request.grant_id, outcome, entry).await?;
    Ok(outcome)
}

/// Whether asking would end more than what was revoked: most providers end everything that the account gave our
/// client, and another user's grant, or one connected since, may be of the same account.
async fn is_shared(flows: &Flows, request: &Revocation, config: &ProviderConfig) -> Result<bool, StoreError> {
    let ends_all = config.recipe.revocation().is_some_and(|how| how.ends == RevokeEnds::Grant);
    let Some(grant) = flows.store().get_grant(request.app_id, request.grant_id).await? else {
        return Ok(false);
    };
    Ok(ends_all && flows.store().has_grant_of_account(grant.app_id, &grant.provider, &grant.subject).await?)
}

async fn request_revocation(
    flows: &Flows,
    request: &Revocation,
    config: &ProviderConfig,
) -> Result<Result<(), RevokeError>, FlowFault> {
    let key = flows.sealer().current_key(request.app_id).await?;
    let token = flows.sealer().open_text(&key, &request.place(), &request.token).await?;
    let secret = flows.sealer().client_secret(&key, config).await?;
    let client = Client { id: &config.client_id, secret: secret.as_ref() };
    let grant = flows.store().get_grant(request.app_id, request.grant_id).await?;
    let what = RevokedToken {
        token: &token,
        is_refresh_token: request.is_refresh_token,
        subject: grant.as_ref().map_or("", |grant| &grant.subject),
    };
    let asked = alter_oauth::revoke(&flows.inner.egress, &config.recipe, &client, &what);
    Ok(asked.await)
}

/// Seconds after attempt number `attempts` (from 0).
fn pause(attempts: u32) -> i64 {
    FIRST_PAUSE.saturating_mul(1 << attempts.min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_does_not_answer_is_asked_less_and_less_often() {
        assert_eq!([0, 1, 2, 5, 6, 7, 40].map(pause), [60, 120, 240, 1920, 3600, 3600, 3600]);
    }
}
