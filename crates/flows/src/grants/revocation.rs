//! Asking a provider to revoke the token of a revoked grant: one request at a time, repeated for a day. The queue entry
//! is written in the commit that revokes the grant ([`super::revoke`]); `reap` works through the queue.

use std::time::Duration;

use alter_core::{
    AuditEntry, AuditKind, Grant, GrantFilter, GrantSecret, GrantStatus, ProviderConfig, Revocation,
    RevocationId, RevocationOutcome, Saved, StoreError, recipe::RevokeEnds,
};
use alter_oauth::{Client, RevokeError, RevokedToken};
use alter_vault::{DataKey, VaultError};
use secrecy::SecretString;
use tracing::Instrument;

use crate::{Flows, fault::FlowFault, metrics, operate::providers::same_authority};

/// How long a call waits for the provider's answer.
const WAIT: Duration = Duration::from_secs(5);
/// How long a provider is asked again and again, seconds.
const ASKED_FOR: i64 = 24 * 3600;
/// The first pause between two requests, seconds; each pause is twice the one before.
const FIRST_PAUSE: i64 = 60;
/// The longest pause, seconds.
const LONGEST_PAUSE: i64 = 3600;

/// A request to end one token of a grant, due now.
pub(crate) fn request(
    flows: &Flows,
    key: &DataKey,
    grant: &Grant,
    secret: GrantSecret,
    token: &SecretString,
) -> Result<Revocation, VaultError> {
    let (id, now) = (RevocationId::new(flows.random()), flows.now());
    Ok(Revocation {
        id,
        grant_id: grant.id,
        app_id: grant.app_id,
        config_id: grant.config_id.clone(),
        is_refresh_token: secret == GrantSecret::RefreshToken,
        token: flows.sealer().seal_text(key, &Revocation::place_of(grant.app_id, id), token)?,
        attempts: 0,
        next_at: now,
        created_at: now,
    })
}

/// Runs [`ask_to_revoke`] in its own task, and returns its outcome if it comes within [`WAIT`].
pub(crate) async fn ask_and_wait(flows: &Flows, request: Revocation) -> RevocationOutcome {
    let own = flows.clone();
    let task = flows.inner.tasks.spawn(async move { ask_to_revoke(&own, &request).await }.in_current_span());
    match tokio::time::timeout(WAIT, task).await {
        Ok(Ok(outcome)) => outcome,
        // Still asking, or the task panicked: the request stays in the queue.
        Err(_) | Ok(Err(_)) => RevocationOutcome::Pending,
    }
}

/// Makes one request to the provider, if it is due and no other process is making it. Returns no error: a request
/// without an answer stays in the queue.
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
    let outcome = match flows.provider(request.app_id, &request.config_id).await {
        // The operator has a day to mend the row.
        Err(fault) if fault.is_unproven() && now >= request.created_at.plus_seconds(ASKED_FOR) => {
            RevocationOutcome::GivenUp
        }
        Err(fault) => return Err(fault),
        Ok(None) => RevocationOutcome::NotOffered,
        Ok(Some(config)) if is_shared(flows, request, &config).await? => RevocationOutcome::Shared,
        Ok(Some(config)) => match request_revocation(flows, request, &config).await {
            Ok(Ok(())) => RevocationOutcome::Confirmed,
            Ok(Err(RevokeError::NotOffered)) => RevocationOutcome::NotOffered,
            Ok(Err(error)) => {
                tracing::warn!(grant_id = %request.grant_id, %error, attempt = request.attempts + 1, "a revocation is not confirmed");
                if now < request.created_at.plus_seconds(ASKED_FOR) {
                    return Ok(RevocationOutcome::Pending);
                }
                RevocationOutcome::GivenUp
            }
            // A token that cannot be opened is tried again for a day, like a request without an answer.
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
    let (Saved::Done | Saved::Moved) = flows.store().end_revocation(request.id, outcome, entry).await?;
    Ok(outcome)
}

/// Whether asking would end more than the revoked grant.
async fn is_shared(flows: &Flows, request: &Revocation, config: &ProviderConfig) -> Result<bool, StoreError> {
    match flows.store().get_grant(request.app_id, request.grant_id).await? {
        Some(grant) => ends_others(flows, config, Some(&grant.subject)).await,
        None => Ok(false),
    }
}

/// Whether a revocation would end more than the tokens that are named. Most providers end everything that the account has granted
/// our client, and another user's grant, one connected since, or one under another name of the provider may belong to the
/// same account. Of an account that is not known (`None`), any grant that lives may be.
pub(crate) async fn ends_others(
    flows: &Flows,
    config: &ProviderConfig,
    subject: Option<&str>,
) -> Result<bool, StoreError> {
    if config.recipe.revocation().is_none_or(|how| how.ends != RevokeEnds::Grant) {
        return Ok(false);
    }
    for other in flows.store().list_providers(config.app_id).await? {
        let same_client =
            other.client_id == config.client_id && same_authority(&other.recipe, &config.recipe);
        if same_client && lives_at(flows, &other, subject).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn lives_at(flows: &Flows, config: &ProviderConfig, subject: Option<&str>) -> Result<bool, StoreError> {
    let (app, provider) = (config.app_id, &config.recipe.id);
    let Some(subject) = subject else {
        let (provider, status) = (Some(provider.clone()), Some(GrantStatus::Active));
        let filter = GrantFilter { provider, status, ..GrantFilter::default() };
        return Ok(flows.store().count_grants(app, &filter).await? > 0);
    };
    flows.store().has_grant_of_account(app, provider, subject).await
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
    let filled = grant.as_ref().map(|grant| grant.filled.clone()).unwrap_or_default();
    let Ok(recipe) = config.recipe.for_customer(&filled) else { return Ok(Err(RevokeError::NotOffered)) };
    let what = RevokedToken {
        token: &token,
        is_refresh_token: request.is_refresh_token,
        subject: grant.as_ref().map_or("", |grant| grant.own_subject()),
    };
    let asked = alter_oauth::revoke(&flows.inner.egress, &recipe, &client, &what);
    Ok(asked.await)
}

/// The pause after attempt number `attempts` (from 0), seconds.
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
