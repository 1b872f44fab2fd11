//! Ending an attempt without a grant: in storage, in the audit, in the metrics.

use alter_core::{
    Attempt, AttemptStatus, AuditEntry, AuditKind, Cause, Ended, Failure, ProviderWords, StoreError,
};

use crate::{Flows, metrics};

/// How an attempt ends without a grant.
pub(crate) struct Ending {
    /// `Denied`, `Failed` or `Interrupted`.
    pub(crate) status: AttemptStatus,
    pub(crate) cause: Cause,
    /// What the provider said about it.
    pub(crate) said: Option<ProviderWords>,
    pub(crate) audit: AuditKind,
}

pub(crate) async fn end_failed(
    flows: &Flows,
    attempt: &Attempt,
    end: Ending,
    request_id: &str,
) -> Result<Ended, StoreError> {
    let Ending { status, cause, said, audit } = end;
    let provider = provider_of(flows, attempt).await?;
    let now = flows.now();
    let mut details = cause.facts();
    details.insert("provider".to_owned(), provider.clone().into());
    details.insert("status".to_owned(), status.as_str().into());
    let entry = AuditEntry {
        sid: Some(attempt.sid.clone()),
        request_id: Some(request_id.to_owned()),
        ..AuditEntry::new(attempt.app_id, now, audit, details.into())
    };
    let failure = Failure { cause, provider, request_id: Some(request_id.to_owned()), said };
    let ended = flows.store().fail_attempt(attempt.id, status, failure, entry, now).await?;
    metrics::session_ended_with(ended);
    flows.waiting().tell(&attempt.sid);
    Ok(ended)
}

/// Finds the provider's id. If the operator has removed its configuration, the session still has the id.
async fn provider_of(flows: &Flows, attempt: &Attempt) -> Result<Option<String>, StoreError> {
    if let Some(config) = flows.unproven_provider(attempt.app_id, &attempt.config_id).await? {
        return Ok(Some(config.recipe.id.clone()));
    }
    let session = flows.store().get_session(&attempt.sid).await?;
    let underway = session.and_then(|session| session.data.underway);
    Ok(underway.filter(|u| u.attempt == attempt.id).map(|u| u.provider))
}
